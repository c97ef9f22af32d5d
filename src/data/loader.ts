import { availableParallelism } from 'node:os'
import type { AugmentOptions } from './augment.ts'
import { type Batch, BatchAssembler, type BatchRecipe, type BatchRequest } from './batch.ts'
import { type Dataset, type Skipped, sizeOf } from './dataset.ts'
import type { MixOptions } from './mix.ts'
import type { Normalisation } from './normalise.ts'
import { shuffledOrder } from './random.ts'
import { WorkerPool } from './worker-pool.ts'

export interface LoaderOptions {
  /** Rows of a batch. */
  batchSize: number
  /** Decides the order and every random change. Default 0. */
  seed?: number
  /** A new order each epoch. Default false: the data set's order. */
  shuffle?: boolean
  /** What becomes of samples that do not fill the last batch: `pad` with rows of weight 0, or `drop`. Default `pad`. */
  lastBatch?: 'pad' | 'drop'
  /** Random changes of each sample. */
  augment?: AugmentOptions
  /** Mean and deviation that inputs are normalised by; without it bytes become 0 .. 1. */
  normalise?: Normalisation
  /** Mixing of samples within a batch, which adds `targets` to it. */
  mix?: MixOptions
  /**
   * Threads that prepare batches; 0 prepares them in the caller's. The batches are the same, bit for bit. By default one
   * for each core (at most 8) for image files, one for samples in memory of 4096 values or more, and 0 for smaller ones,
   * which take a few microseconds each.
   */
  workers?: number
  /**
   * Batches being prepared or ready at a time, at least 1. Default two for each worker; without workers 2 for image files,
   * which sharp decodes in threads of its own, and 1 for samples in memory.
   */
  prefetch?: number
  /** Called once for each file that could not be read, with the reason. */
  onSkip?: (skipped: Skipped) => void
}

export interface EpochOptions {
  /** First batch to make: a resumed run goes on where it stopped. Default 0. */
  startBatch?: number
}

function checkWhole(name: string, value: number, least: number): void {
  if (!Number.isInteger(value) || value < least) {
    throw new Error(`loader: ${name} must be a whole number of at least ${least}, got ${value}.`)
  }
}

function defaultWorkers({ source, shape }: Dataset): number {
  if (source.kind === 'files') return Math.min(8, availableParallelism())
  return sizeOf(shape) >= 4096 ? 1 : 0
}

/** The data set with its values in memory that threads can share; copies them once when they are not. */
function shared(dataset: Dataset): Dataset {
  const { source } = dataset
  if (source.kind === 'files') return dataset
  // Names would be copied into every thread, which has no use for them.
  const nameless = { ...source, names: undefined }
  if (source.values.buffer instanceof SharedArrayBuffer) return { ...dataset, source: nameless }
  const memory = new SharedArrayBuffer(source.values.byteLength)
  const values = source.values instanceof Uint8Array ? new Uint8Array(memory) : new Float32Array(memory)
  values.set(source.values)
  return { ...dataset, source: { ...nameless, values } }
}

/**
 * Batches of a data set, epoch by epoch.
 *
 * Order, random changes and mixing are pure functions of (seed, epoch, sample or batch number). Any epoch can be made again,
 * from any batch on, with any number of workers, and gives the same bits.
 *
 * ```ts
 * const loader = new DataLoader(train, { batchSize: 128, shuffle: true, augment: { randomCrop: { padding: 2 } } })
 * for await (const batch of loader.epoch(0)) step(batch.inputs, batch.labels, batch.weights)
 * await loader.close()
 * ```
 *
 * @throws Error when an option is out of range or does not fit the data set
 */
export class DataLoader {
  readonly dataset: Dataset
  readonly batchSize: number
  /** Batches in an epoch. */
  readonly batches: number
  /** Shape of `inputs`: [batch, ...sample shape after augmentation]. */
  readonly shape: readonly number[]
  readonly workers: number
  private readonly prefetch: number
  private readonly recipe: BatchRecipe
  private readonly shuffle: boolean
  private readonly assembler: BatchAssembler
  private readonly onSkip: ((skipped: Skipped) => void) | undefined
  private readonly reported = new Set<string>()
  private pool: WorkerPool<BatchRequest, Batch> | undefined
  private closed = false

  constructor(dataset: Dataset, options: LoaderOptions) {
    const { batchSize, seed = 0, shuffle = false, lastBatch = 'pad', augment, normalise, mix, onSkip } = options
    const { workers = defaultWorkers(dataset) } = options
    const { prefetch = workers > 0 ? 2 * workers : dataset.source.kind === 'files' ? 2 : 1 } = options
    checkWhole('batchSize', batchSize, 1)
    checkWhole('workers', workers, 0)
    checkWhole('prefetch', prefetch, 1)
    if (lastBatch === 'drop' && dataset.length < batchSize) {
      throw new Error(
        `loader: ${dataset.name} has ${dataset.length} samples, which is less than one batch of ${batchSize}, and ` +
          "lastBatch 'drop' would leave nothing; make batches smaller or pad the last one.",
      )
    }
    this.dataset = dataset
    this.batchSize = batchSize
    this.batches = lastBatch === 'drop' ? Math.floor(dataset.length / batchSize) : Math.ceil(dataset.length / batchSize)
    this.workers = workers
    this.prefetch = prefetch
    this.shuffle = shuffle
    this.recipe = { dataset, batchSize, seed, augment, normalise, mix }
    this.assembler = new BatchAssembler(this.recipe)
    this.shape = [batchSize, ...this.assembler.sampleShape]
    this.onSkip = onSkip
  }

  /**
   * The batches of one epoch, in order. Leaving the loop early is fine.
   *
   * @param epoch number of the epoch, from 0
   * @throws Error naming the sample, when one cannot be prepared for another reason than an unreadable image
   */
  async *epoch(epoch: number, { startBatch = 0 }: EpochOptions = {}): AsyncGenerator<Batch, void, undefined> {
    checkWhole('epoch', epoch, 0)
    checkWhole('startBatch', startBatch, 0)
    if (this.closed) throw new Error('loader: it has been closed; make a new one.')
    const { seed } = this.recipe
    const order = this.shuffle
      ? shuffledOrder(this.dataset.length, seed, epoch)
      : Int32Array.from({ length: this.dataset.length }, (_, index) => index)
    const ahead: Promise<Batch>[] = []
    let next = startBatch
    for (let number = startBatch; number < this.batches; number++) {
      const until = Math.min(this.batches, number + this.prefetch)
      for (; next < until; next++) {
        const samples = order.slice(next * this.batchSize, (next + 1) * this.batchSize)
        const batch = this.make({ epoch, number: next, samples })
        // A failure is thrown when its turn comes; until then, or after an early exit, it must not end the process.
        batch.catch(() => undefined)
        ahead.push(batch)
      }
      const batch = await ahead.shift()!
      this.report(batch.skipped)
      yield batch
    }
  }

  /** Ends the worker threads. Safe to call again; the loader makes no batches afterwards. */
  async close(): Promise<void> {
    this.closed = true
    await this.pool?.close()
  }

  private make(request: BatchRequest): Promise<Batch> {
    if (this.workers === 0) return this.assembler.assemble(request)
    this.pool ??= new WorkerPool(
      // The neighbour has the ending of this file: .ts in a checkout, .js in the package.
      new URL(`./batch-worker${import.meta.url.endsWith('.ts') ? '.ts' : '.js'}`, import.meta.url),
      { ...this.recipe, dataset: shared(this.dataset) },
      this.workers,
    )
    return this.pool.run(request)
  }

  private report(skipped: Skipped[]): void {
    for (const file of skipped) {
      if (this.reported.has(file.name)) continue
      this.reported.add(file.name)
      this.onSkip?.(file)
    }
  }
}
