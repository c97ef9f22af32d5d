import { describe, expect, it } from 'vitest'
import { WorkerPool } from './worker-pool.ts'

const program = (body: string) =>
  new URL(
    `data:text/javascript,${encodeURIComponent(`import { parentPort, threadId, workerData } from 'node:worker_threads'; ${body}`)}`,
  )

const echo = program(`parentPort.on('message', ({ id, request }) => {
  if (request === 'die') process.exit(3)
  if (request === 'throw') throw new Error('thread failed')
  if (request !== 'hang') parentPort.postMessage({ id, reply: workerData + request + ':' + threadId })
})`)

describe('WorkerPool', () => {
  it('spreads requests over its threads and matches answers to them', async () => {
    const pool = new WorkerPool<string, string>(echo, 'to ', 2)
    const replies = await Promise.all(['a', 'b', 'c', 'd'].map(request => pool.run(request)))
    expect(replies.map(reply => reply.split(':')[0])).toEqual(['to a', 'to b', 'to c', 'to d'])
    expect(new Set(replies.map(reply => reply.split(':')[1])).size).toBe(2)
    await pool.close()
    await pool.close()
    await expect(pool.run('e')).rejects.toThrow('the worker threads have been closed.')
  })

  it.each([
    ['die', 'a worker thread stopped by itself with code 3.'],
    ['throw', 'thread failed'],
  ])('when a thread meets "%s", rejects everything waiting and everything later', async (request, message) => {
    const pool = new WorkerPool<string, string>(echo, '', 2)
    const waiting = [pool.run('hang'), pool.run('hang'), pool.run(request)]
    for (const outcome of await Promise.allSettled(waiting)) {
      expect(outcome).toMatchObject({ status: 'rejected', reason: { message } })
    }
    await expect(pool.run('again')).rejects.toThrow(message)
    await pool.close()
  })

  it('rejects what is waiting when it is closed', async () => {
    const pool = new WorkerPool<string, string>(echo, '', 1)
    const waiting = pool.run('hang').catch(error => error.message)
    await pool.close()
    expect(await waiting).toBe('the worker threads have been closed.')
  })
})
