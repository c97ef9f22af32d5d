import { spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { connect } from '@lancedb/lancedb'
import { expect, it } from 'vitest'
import { wordEncoder } from '../../test/word-encoder.ts'
import { Collection } from './index.ts'

const script = fileURLToPath(new URL('../../test/index-until-killed.ts', import.meta.url))
const count = 400

/** Runs the indexing, and kills it `delay` ms after its first sign of life. @returns whether it got to its end */
function indexAndKill(folder: string, delay: number): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, ['--import', 'tsx', script, folder, String(count)])
    let output = ''
    let timer: NodeJS.Timeout | undefined
    child.stdout.on('data', text => {
      output += text
      timer ??= setTimeout(() => child.kill('SIGKILL'), delay)
    })
    child.on('error', reject)
    child.on('close', () => {
      clearTimeout(timer)
      resolve(output.includes('finished'))
    })
  })
}

it('an indexing that is killed at any moment and run again loses and repeats nothing', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'tenet-killed-'))
  try {
    const path = join(folder, 'c')
    let kills = 0
    // Delays differ on purpose: where a kill strikes is left to chance.
    for (let round = 0; round < 3; round++) {
      if (!(await indexAndKill(path, 20 + Math.random() * 250))) kills++
    }
    expect(kills).toBe(3)
    expect(await indexAndKill(path, 60_000)).toBe(true)
    const collection = await Collection.open(path, wordEncoder())
    expect(collection.count).toBe(count)
    await collection.close()
    const connection = await connect(path)
    for (const [table, column, expected] of [
      ['items', 'id', count],
      ['texts', 'text', count + 7],
    ] as const) {
      const rows = await (await connection.openTable(table)).query().select([column]).toArray()
      expect(rows).toHaveLength(expected)
      expect(new Set(rows.map(row => row[column])).size).toBe(expected)
    }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
})
