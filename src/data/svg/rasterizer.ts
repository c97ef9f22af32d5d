import { readFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import type { Worker } from 'node:worker_threads'
import { startThread } from '../worker-pool.ts'
import type { DrawJob, DrawReport, DrawSetup } from './draw-worker.ts'
import { SecondTry } from './second-try.ts'

export interface Rasterised {
  /** RGB over white (transparent parts are white), [n, size, size, 3]; rows of failed documents are white. */
  pixels: Uint8Array
  /** Documents that could not be drawn, by index, each with the reason in one clause. */
  failed: { index: number; reason: string }[]
}

export interface RasterizerOptions {
  /** Threads that draw. Default one a core, at most 8. */
  workers?: number
  /** Most time for one document, in milliseconds. Default 2,000. */
  timeoutMs?: number
}

/** Documents a thread draws before it reports: few enough that threads end at about the same time. */
const batchSize = 64

/** Documents that one thread draws, a part of a request. */
interface Batch {
  readonly job: DrawJob
  /** Index of the first of them in the request. */
  readonly first: number
  readonly request: Request
}

/** One call of `rasterise`. */
interface Request {
  readonly failed: Rasterised['failed']
  readonly secondTries: Promise<void>[]
  openBatches: number
  readonly resolve: () => void
  readonly reject: (error: Error) => void
}

interface Thread {
  readonly worker: Worker
  readonly progress: Int32Array<SharedArrayBuffer>
  ready: boolean
  batch: Batch | undefined
  timer: NodeJS.Timeout | undefined
}

/**
 * Draws SVG documents from anywhere as small pictures: aspect kept, centred, over white, `currentColor` black.
 *
 * Each is checked first (`checkSvg`). Drawing happens by resvg as WebAssembly in threads: it has no files, no network and no
 * fonts, a trap costs its thread only, and a document that never ends is ended. What resvg traps on is drawn once more by
 * librsvg, in a process apart.
 */
export class SvgRasterizer {
  readonly #module: WebAssembly.Module
  readonly #timeoutMs: number
  readonly #threads: Thread[]
  readonly #secondTry: SecondTry
  readonly #queue: Batch[] = []
  #failure: Error | undefined

  private constructor(module: WebAssembly.Module, workers: number, timeoutMs: number) {
    this.#module = module
    this.#timeoutMs = timeoutMs
    this.#secondTry = new SecondTry(timeoutMs)
    this.#threads = Array.from({ length: workers }, () => this.#start())
  }

  /** @throws RangeError when there would be no worker or no time */
  static async create(options: RasterizerOptions = {}): Promise<SvgRasterizer> {
    const { workers = Math.min(8, availableParallelism()), timeoutMs = 2000 } = options
    if (!Number.isInteger(workers) || workers < 1)
      throw new RangeError(`SvgRasterizer: workers is ${workers}; expected a whole number of at least 1.`)
    if (!(timeoutMs > 0)) throw new RangeError(`SvgRasterizer: timeoutMs is ${timeoutMs}; expected more than 0.`)
    const file = fileURLToPath(import.meta.resolve('@resvg/resvg-wasm/index_bg.wasm'))
    return new SvgRasterizer(await WebAssembly.compile(await readFile(file)), workers, timeoutMs)
  }

  /**
   * Draws documents; may be called again before it is done.
   *
   * @param svgs complete documents
   * @param size side of the square pictures in pixels, 1 .. 2048
   * @throws RangeError on another size; Error once the rasterizer is closed
   */
  async rasterise(svgs: readonly string[], size: number): Promise<Rasterised> {
    if (!Number.isInteger(size) || size < 1 || size > 2048)
      throw new RangeError(`SvgRasterizer: size is ${size}; expected a whole number from 1 to 2048.`)
    if (this.#failure) throw this.#failure
    const stride = size * size * 3
    const pixels = new Uint8Array(new SharedArrayBuffer(svgs.length * stride)).fill(255)
    const failed: Rasterised['failed'] = []
    const secondTries: Promise<void>[] = []
    if (svgs.length > 0)
      await new Promise<void>((resolve, reject) => {
        const request: Request = { failed, secondTries, openBatches: 0, resolve, reject }
        for (let first = 0; first < svgs.length; first += batchSize) {
          const part = svgs.slice(first, first + batchSize)
          const rows = pixels.subarray(first * stride, (first + part.length) * stride)
          this.#enqueue({ job: { svgs: part, size, pixels: rows }, first, request })
        }
      })
    await Promise.all(secondTries)
    // Callers may hand the pixels to what does not take shared memory.
    return { pixels: pixels.slice() as Uint8Array, failed: failed.sort((a, b) => a.index - b.index) }
  }

  /** Ends the threads; what is still waited for is rejected. Safe to call again. */
  async close(): Promise<void> {
    this.#fail(new Error('SvgRasterizer: it has been closed.'))
    this.#secondTry.close()
    await Promise.all(this.#threads.splice(0).map(({ worker }) => worker.terminate()))
  }

  #start(): Thread {
    const progress = new Int32Array(new SharedArrayBuffer(4))
    const setup: DrawSetup = { module: this.#module, progress }
    const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js'
    const worker = startThread(new URL(`./draw-worker.${extension}`, import.meta.url), setup)
    const thread: Thread = { worker, progress, ready: false, batch: undefined, timer: undefined }
    worker.unref()
    worker.on('message', (report: DrawReport) => {
      this.#hear(thread, report)
      this.#dispatch()
    })
    worker.on('error', error => this.#died(thread, error instanceof Error ? error : new Error(String(error))))
    worker.on('exit', code => this.#died(thread, new Error(`a drawing thread stopped by itself with code ${code}.`)))
    return thread
  }

  #enqueue(batch: Batch): void {
    batch.request.openBatches++
    this.#queue.push(batch)
    this.#dispatch()
  }

  #dispatch(): void {
    for (const thread of this.#threads) {
      if (this.#queue.length === 0) return
      // Threads that are still starting keep the process alive too, as what waits in the queue waits for them.
      thread.worker.ref()
      if (!thread.ready || thread.batch) continue
      thread.batch = this.#queue.shift()!
      Atomics.store(thread.progress, 0, 0)
      thread.worker.postMessage(thread.batch.job)
      this.#watch(thread, 0)
    }
  }

  /** Ends a thread that has been at the same document for the whole time allowed. */
  #watch(thread: Thread, seen: number): void {
    thread.timer = setTimeout(() => {
      const index = Atomics.load(thread.progress, 0)
      if (index !== seen) this.#watch(thread, index)
      else this.#lost(thread, index, `it takes longer than ${this.#timeoutMs} ms to draw`)
    }, this.#timeoutMs)
  }

  #release(thread: Thread): Batch {
    clearTimeout(thread.timer)
    const batch = thread.batch!
    thread.batch = undefined
    if (this.#queue.length === 0) thread.worker.unref()
    return batch
  }

  #hear(thread: Thread, report: DrawReport): void {
    const { batch } = thread
    if (report.kind === 'ready') thread.ready = true
    if (!batch || report.kind === 'ready') return
    if (report.kind === 'failed')
      batch.request.failed.push({ index: batch.first + report.index, reason: report.reason })
    else if (report.kind === 'trapped') this.#lost(thread, report.index)
    else this.#close(this.#release(thread))
  }

  #close({ request }: Batch): void {
    request.openBatches--
    if (request.openBatches === 0) request.resolve()
  }

  /**
   * Replaces a thread that cannot go on, and hands what it has not drawn to others.
   *
   * @param index the document that it failed on
   * @param reason why that one is given up; without a reason it gets its second try
   */
  #lost(thread: Thread, index: number, reason?: string): void {
    const batch = this.#release(thread)
    const { job, first, request } = batch
    if (reason) request.failed.push({ index: first + index, reason })
    else request.secondTries.push(this.#tryAgain(batch, index))
    const stride = job.size * job.size * 3
    const rest = job.svgs.slice(index + 1)
    this.#replace(thread)
    if (rest.length > 0)
      this.#enqueue({
        job: { ...job, svgs: rest, pixels: job.pixels.subarray((index + 1) * stride) },
        first: first + index + 1,
        request,
      })
    this.#close(batch)
  }

  async #tryAgain({ job, first, request }: Batch, index: number): Promise<void> {
    const reply = await this.#secondTry.draw(job.svgs[index], job.size)
    if ('pixels' in reply) job.pixels.set(reply.pixels, index * job.size * job.size * 3)
    else request.failed.push({ index: first + index, reason: reply.reason })
  }

  #replace(thread: Thread): void {
    const at = this.#threads.indexOf(thread)
    thread.worker.removeAllListeners()
    void thread.worker.terminate()
    if (at >= 0) this.#threads[at] = this.#start()
  }

  #died(thread: Thread, error: Error): void {
    if (!this.#threads.includes(thread)) return
    // A thread that never came to drawing will not do so when it is started again.
    if (!thread.ready) this.#fail(error)
    else if (thread.batch) this.#lost(thread, Atomics.load(thread.progress, 0))
    else this.#replace(thread)
  }

  #fail(error: Error): void {
    this.#failure ??= error
    const requests = new Set(this.#queue.splice(0).map(({ request }) => request))
    for (const thread of this.#threads) {
      clearTimeout(thread.timer)
      if (thread.batch) requests.add(thread.batch.request)
      thread.batch = undefined
    }
    for (const { reject } of requests) reject(this.#failure)
  }
}
