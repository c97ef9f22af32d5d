import { parentPort, type TransferListItem, Worker } from 'node:worker_threads'

interface Message<Request> {
  id: number
  request: Request
}

type Answer<Reply> = { id: number; reply: Reply } | { id: number; error: Error }

interface Waiting<Reply> {
  resolve: (reply: Reply) => void
  reject: (error: Error) => void
}

interface Member<Reply> {
  worker: Worker
  waiting: Map<number, Waiting<Reply>>
}

/**
 * Starts a thread on a module of this package, as compiled JavaScript or as TypeScript source.
 *
 * A thread starts as plain Node, whatever loader runs the main thread (tsx, vitest), so for TypeScript it first loads tsx,
 * which every checkout has.
 */
export function startThread(entry: URL, workerData: unknown): Worker {
  if (!entry.pathname.endsWith('.ts')) return new Worker(entry, { workerData })
  const tsx = import.meta.resolve('tsx/esm/api')
  const program =
    `import { register } from ${JSON.stringify(tsx)}; register(); ` + `await import(${JSON.stringify(entry.href)})`
  return new Worker(new URL(`data:text/javascript,${encodeURIComponent(program)}`), { workerData, execArgv: [] })
}

/**
 * A fixed number of threads that answer requests and stay alive between them. They keep the process alive only while an
 * answer is awaited, so a program that forgets `close` still ends.
 *
 * The module at `entry` calls `serveRequests`.
 */
export class WorkerPool<Request, Reply> {
  private readonly members: Member<Reply>[]
  private nextId = 0
  private failure: Error | undefined
  private closing: Promise<void> | undefined

  /**
   * @param entry the module that runs in each thread
   * @param workerData handed to each thread; memory in SharedArrayBuffers is not copied
   * @param size number of threads, at least 1
   */
  constructor(entry: URL, workerData: unknown, size: number) {
    this.members = Array.from({ length: size }, () => this.start(entry, workerData))
  }

  /**
   * Hands a request to the thread with the fewest waiting.
   *
   * @throws Error that the thread's work threw; or, once a thread has died or the pool is closed, an error that says so
   */
  run(request: Request): Promise<Reply> {
    if (this.failure) return Promise.reject(this.failure)
    const member = this.members.reduce((least, other) => (other.waiting.size < least.waiting.size ? other : least))
    const id = this.nextId++
    return new Promise((resolve, reject) => {
      member.waiting.set(id, { resolve, reject })
      member.worker.ref()
      member.worker.postMessage({ id, request } satisfies Message<Request>)
    })
  }

  /** Ends the threads; requests still waiting are rejected. Safe to call again. */
  close(): Promise<void> {
    this.closing ??= (async () => {
      this.fail(new Error('the worker threads have been closed.'))
      const ends = this.members.map(({ worker }) => {
        // Otherwise the process could end, with its exit code for a forgotten promise, before the thread has.
        worker.ref()
        return worker.terminate()
      })
      await Promise.all(ends)
    })()
    return this.closing
  }

  private start(entry: URL, workerData: unknown): Member<Reply> {
    const worker = startThread(entry, workerData)
    const waiting = new Map<number, Waiting<Reply>>()
    worker.unref()
    worker.on('message', (answer: Answer<Reply>) => {
      const awaited = waiting.get(answer.id)
      waiting.delete(answer.id)
      if (waiting.size === 0) worker.unref()
      if ('error' in answer) awaited?.reject(answer.error)
      else awaited?.resolve(answer.reply)
    })
    worker.on('messageerror', error => this.fail(error))
    worker.on('error', error => this.fail(error instanceof Error ? error : new Error(String(error))))
    worker.on('exit', code => this.fail(new Error(`a worker thread stopped by itself with code ${code}.`)))
    return { worker, waiting }
  }

  private fail(error: Error): void {
    this.failure ??= error
    for (const { worker, waiting } of this.members ?? []) {
      for (const { reject } of waiting.values()) reject(this.failure)
      waiting.clear()
      // While the pool closes, threads are awaited to their end.
      if (!this.closing) worker.unref()
    }
  }
}

/**
 * The thread's side of a `WorkerPool`: answers requests one after the other, in the order of their arrival.
 *
 * @param handle makes the reply, and lists the memory in it that moves to the main thread instead of being copied
 */
export function serveRequests<Request, Reply>(
  handle: (request: Request) => Promise<{ reply: Reply; transfer: TransferListItem[] }>,
): void {
  const port = parentPort
  if (!port) throw new Error('serveRequests: expected to run in a worker thread.')
  let previous: Promise<void> = Promise.resolve()
  const answer = async ({ id, request }: Message<Request>) => {
    try {
      const { reply, transfer } = await handle(request)
      port.postMessage({ id, reply } satisfies Answer<Reply>, transfer)
    } catch (cause) {
      const error = cause instanceof Error ? cause : new Error(String(cause))
      port.postMessage({ id, error: new Error(error.message) } satisfies Answer<Reply>)
    }
  }
  port.on('message', (message: Message<Request>) => {
    previous = previous.then(() => answer(message))
  })
}
