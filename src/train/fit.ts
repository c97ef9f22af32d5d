import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Variable } from '../core/index.ts'
import { type Module, namedVariables, nameVariables } from '../nn/module.ts'
import type { ExponentialMovingAverage, Optimizer } from '../optim/index.ts'
import { readCheckpoint, restore, saveCheckpoint, snapshot } from './checkpoint.ts'
import { TrainingLog } from './log.ts'
import { type Batch, type LossResult, type StepResult, TrainStep } from './train-step.ts'

/** Batches of an epoch, the same whenever it is asked for again. */
export interface BatchSource {
  readonly batchesPerEpoch: number
  /** @param from first batch to give: those before it are skipped without being made */
  epoch(epoch: number, from: number): AsyncIterable<{ readonly batch: Batch; readonly size: number }>
}

/** Progress of a run, after every batch. */
export interface Progress {
  readonly epoch: number
  readonly epochs: number
  /** Batches done in all, and to do in all. */
  readonly batch: number
  readonly batches: number
  readonly step: StepResult
  readonly samplesPerSecond: number
  readonly secondsLeft: number
}

/** Metrics by name. */
export type Scores = Readonly<Record<string, number>>

export interface FitOptions {
  readonly model: Module
  readonly optimizer: Optimizer
  readonly loss: (batch: Parameters<ConstructorParameters<typeof TrainStep>[0]['loss']>[0]) => LossResult
  readonly train: BatchSource
  readonly epochs: number
  /** Folder of the run: checkpoint, log, best weights. */
  readonly folder: string
  /** Measures the model (with the averaged weights, when there is an EMA) after each epoch. */
  readonly validate?: (averages: ReadonlyMap<Variable, Variable> | undefined) => Promise<Scores>
  /** The score to watch and which way is better; default: none. */
  readonly watch?: { readonly score: string; readonly better: 'higher' | 'lower'; readonly patience?: number }
  readonly clipNorm?: number
  readonly ema?: ExponentialMovingAverage
  readonly accumulate?: number
  readonly seed?: number
  readonly device?: string
  /** Seconds between checkpoints within an epoch; default 30. One is always written after an epoch. */
  readonly checkpointSeconds?: number
  /** Batches between checkpoints within an epoch, in place of seconds. */
  readonly checkpointBatches?: number
  /** Continue from the folder's checkpoint, when there is one. */
  readonly resume?: boolean
  /** Anything that must be equal for a checkpoint to be continued (data, model, options). */
  readonly identity?: Readonly<Record<string, unknown>>
  readonly onProgress?: (progress: Progress) => void
  readonly onEpoch?: (epoch: number, scores: Scores) => void
  /** Ends the run after the current batch, with a checkpoint. */
  readonly signal?: AbortSignal
}

export interface FitResult {
  readonly epochs: number
  readonly batches: number
  readonly seconds: number
  readonly stoppedEarly: boolean
  readonly interrupted: boolean
  readonly history: readonly Scores[]
  readonly best?: { readonly epoch: number; readonly scores: Scores }
}

interface Position {
  epoch: number
  /** Batches of this epoch done. */
  within: number
  seconds: number
  history: Scores[]
  best?: { epoch: number; scores: Scores }
}

export const CHECKPOINT = 'checkpoint.safetensors'
export const BEST = 'best.safetensors'
export const LOG = 'log.jsonl'

/**
 * Trains a model: one compiled call a batch, a log, validation after each epoch, and checkpoints from which a killed run
 * continues to the bit-identical result.
 * @throws when `resume` meets a checkpoint of another model or other options, saying which
 */
export async function fit(options: FitOptions): Promise<FitResult> {
  return new Fit(options).run()
}

class Fit {
  readonly #options: FitOptions
  readonly #step: TrainStep
  readonly #log: TrainingLog
  readonly #variables: Map<string, Variable>
  #position: Position = { epoch: 0, within: 0, seconds: 0, history: [] }
  #started = performance.now()
  #saved = { at: performance.now(), batch: 0 }

  constructor(options: FitOptions) {
    this.#options = options
    nameVariables(options.model)
    this.#step = new TrainStep(options)
    this.#log = new TrainingLog(join(options.folder, LOG))
    this.#variables = this.#collect()
  }

  /** Everything that a continued run needs, under names that say what it is. */
  #collect(): Map<string, Variable> {
    const { model, optimizer, ema } = this.#options
    const all = new Map<string, Variable>()
    for (const [name, variable] of namedVariables(model)) all.set(`model.${name}`, variable)
    for (const [name, variable] of optimizer.state()) all.set(`optimizer.${name}`, variable)
    for (const [name, variable] of this.#step.buffers) all.set(`accumulated.${name}`, variable)
    let i = 0
    for (const average of ema?.averages().values() ?? []) all.set(`ema.${i++}.${average.name}`, average)
    return all
  }

  async run(): Promise<FitResult> {
    const { epochs, folder, resume } = this.#options
    await mkdir(folder, { recursive: true })
    if (resume) await this.#resume()
    await this.#log.rewind(this.#done())
    this.#started = performance.now() - this.#position.seconds * 1000
    this.#saved = { at: performance.now(), batch: this.#done() }
    let interrupted = false
    try {
      while (this.#position.epoch < epochs && !this.#exhausted() && !interrupted) interrupted = await this.#epoch()
      if (interrupted) await this.#save()
    } finally {
      await this.#step.release()
    }
    const { epoch, history, best } = this.#position
    return {
      epochs: epoch,
      batches: this.#done(),
      seconds: this.#seconds(),
      stoppedEarly: this.#exhausted(),
      interrupted,
      history,
      best,
    }
  }

  #done(): number {
    return this.#position.epoch * this.#options.train.batchesPerEpoch + this.#position.within
  }

  #seconds(): number {
    return (performance.now() - this.#started) / 1000
  }

  async #resume(): Promise<void> {
    const path = join(this.#options.folder, CHECKPOINT)
    const saved = await readCheckpoint(path).catch((error: Error) => {
      if (error.message.startsWith('there is no checkpoint')) return undefined
      throw error
    })
    if (!saved) return
    const before = JSON.stringify(saved.state.identity ?? {})
    const now = JSON.stringify(this.#options.identity ?? {})
    if (before !== now)
      throw new Error(
        `${path} belongs to a run with other options (${before}, now ${now}); choose another folder or drop --resume`,
      )
    restore(this.#variables, saved.tensors, path)
    this.#position = saved.state.position as Position
  }

  async #save(): Promise<void> {
    await this.#log.flush()
    this.#position.seconds = this.#seconds()
    await saveCheckpoint(join(this.#options.folder, CHECKPOINT), {
      tensors: await snapshot(this.#variables),
      state: { identity: this.#options.identity ?? {}, position: this.#position },
    })
    this.#saved = { at: performance.now(), batch: this.#done() }
  }

  #due(): boolean {
    const { checkpointBatches, checkpointSeconds = 30 } = this.#options
    if (checkpointBatches !== undefined) return this.#done() - this.#saved.batch >= checkpointBatches
    return performance.now() - this.#saved.at >= checkpointSeconds * 1000
  }

  /** One epoch or the rest of it. Returns whether the run was interrupted. */
  async #epoch(): Promise<boolean> {
    const { train, epochs, onProgress, signal } = this.#options
    const position = this.#position
    const begun = performance.now()
    let samples = 0
    let batchesHere = 0
    for await (const { batch, size } of train.epoch(position.epoch, position.within)) {
      const step = await this.#step.run(batch, this.#done())
      if (!Number.isFinite(step.loss))
        throw new Error(
          `training diverged: the loss is ${step.loss} at batch ${this.#done()}; try a smaller learning rate or clipping. The last checkpoint is kept`,
        )
      position.within++
      samples += size
      batchesHere++
      const { metrics, ...rest } = step
      this.#log.add({ kind: 'step', batch: this.#done(), epoch: position.epoch, ...rest, ...metrics })
      const elapsed = (performance.now() - begun) / 1000
      const batches = epochs * train.batchesPerEpoch
      onProgress?.({
        epoch: position.epoch,
        epochs,
        batch: this.#done(),
        batches,
        step,
        samplesPerSecond: samples / elapsed,
        secondsLeft: ((batches - this.#done()) * elapsed) / batchesHere,
      })
      if (signal?.aborted) return true
      if (this.#due() && position.within < train.batchesPerEpoch) await this.#save()
    }
    await this.#finishEpoch()
    return false
  }

  async #finishEpoch(): Promise<void> {
    const { validate, onEpoch, ema, watch } = this.#options
    const scores = (await validate?.(ema?.averages())) ?? {}
    const position = this.#position
    position.epoch++
    position.within = 0
    position.history.push(scores)
    if (validate) this.#log.add({ kind: 'validation', batch: this.#done(), epoch: position.epoch, ...scores })
    if (watch && this.#improves(scores[watch.score])) {
      position.best = { epoch: position.epoch, scores }
      await this.#saveBest()
    }
    await this.#save()
    onEpoch?.(position.epoch, scores)
  }

  #improves(score: number): boolean {
    const { best } = this.#position
    const { watch } = this.#options
    if (!watch || score === undefined) throw new Error(`fit: validation gives no score '${watch?.score}'`)
    if (!best) return true
    return watch.better === 'higher' ? score > best.scores[watch.score] : score < best.scores[watch.score]
  }

  /** The weights to use: averaged ones where there is an EMA. */
  async #saveBest(): Promise<void> {
    const { model, ema, folder } = this.#options
    const averages = ema?.averages()
    const weights = new Map(
      [...namedVariables(model)].map(([name, variable]): [string, Variable] => [
        name,
        averages?.get(variable) ?? variable,
      ]),
    )
    await saveCheckpoint(join(folder, BEST), {
      tensors: await snapshot(weights),
      state: { identity: this.#options.identity ?? {}, best: this.#position.best },
    })
  }

  #exhausted(): boolean {
    const { watch } = this.#options
    const { best, epoch } = this.#position
    return watch?.patience !== undefined && best !== undefined && epoch - best.epoch >= watch.patience
  }
}
