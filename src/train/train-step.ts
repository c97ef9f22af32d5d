import {
  allocate,
  asTensor,
  compile,
  grad,
  type HostTensor,
  hostTensor,
  type Program,
  type ProgramOptions,
  type Tensor,
  Variable,
} from '../core/index.ts'
import { withMode } from '../nn/mode.ts'
import { clipByGlobalNorm, type ExponentialMovingAverage, globalNorm, type Optimizer } from '../optim/index.ts'

/** One batch: named values. */
export type Batch = Readonly<Record<string, HostTensor>>

/** What a loss function gives: the scalar to minimise, and scalars to log. */
export interface LossResult {
  readonly loss: Tensor
  readonly metrics?: Readonly<Record<string, Tensor>>
}

export interface TrainStepOptions extends ProgramOptions {
  /** Builds the loss of a batch; called in training mode with a random key. */
  readonly loss: (batch: Readonly<Record<string, Tensor>>) => LossResult
  readonly optimizer: Optimizer
  /** Limit of the gradients' global norm. */
  readonly clipNorm?: number
  readonly ema?: ExponentialMovingAverage
  /** Batches whose gradients are averaged into one step; default 1. */
  readonly accumulate?: number
  /** Seed of dropout and other draws; default 0. */
  readonly seed?: number
}

/** Scalars of one step. */
export interface StepResult {
  readonly loss: number
  readonly metrics: Readonly<Record<string, number>>
  readonly learningRate: number
  readonly gradientNorm: number
}

/**
 * Loss, gradients and update compiled into one program: one call a step. With accumulation, a second program adds gradients
 * to buffers without updating.
 */
export class TrainStep {
  /** Gradient sums between the batches of one step; part of what a checkpoint holds. */
  readonly buffers: ReadonlyMap<string, Variable>
  readonly #options: TrainStepOptions
  readonly #update
  readonly #gather

  constructor(options: TrainStepOptions) {
    this.#options = options
    const accumulated = (options.accumulate ?? 1) > 1
    this.buffers = new Map(
      accumulated
        ? options.optimizer.parameters.map((p, i): [string, Variable] => [
            `${i}.${p.name}`,
            new Variable(allocate('f32', p.size), p.shape, 'f32', `${p.name}.gradient`),
          ])
        : [],
    )
    this.#update = compile((batch: Record<string, Tensor>, key: Tensor) => this.#build(batch, key, true), options)
    this.#gather = compile((batch: Record<string, Tensor>, key: Tensor) => this.#build(batch, key, false), options)
  }

  #build(batch: Record<string, Tensor>, key: Tensor, update: boolean) {
    const { loss: build, optimizer, clipNorm, ema, accumulate = 1 } = this.#options
    const { loss, metrics = {} } = withMode({ training: true, key }, () => build(batch))
    const gradients = grad(loss, optimizer.parameters)
    const buffers = [...this.buffers.values()]
    const sums = accumulate === 1 ? gradients : gradients.map((g, i) => buffers[i].add(g.div(accumulate)))
    if (!update) {
      sums.forEach((total, i) => {
        buffers[i].assign(total)
      })
      return { loss, metrics, learningRate: asTensor(0), gradientNorm: asTensor(0) }
    }
    for (const buffer of buffers) buffer.assign(buffer.mul(0))
    const clipped =
      clipNorm === undefined ? { gradients: sums, norm: globalNorm(sums) } : clipByGlobalNorm(sums, clipNorm)
    const [learningRate] = optimizer.apply(clipped.gradients)
    ema?.update()
    return { loss, metrics, learningRate, gradientNorm: clipped.norm }
  }

  /**
   * Trains on one batch.
   * @param number of this batch since the start of training, from 0: decides the random key, and whether the step ends here
   */
  async run(batch: Batch, number: number): Promise<StepResult> {
    const { accumulate = 1, seed = 0 } = this.#options
    const last = (number + 1) % accumulate === 0
    const result = await (last ? this.#update : this.#gather)(batch, hostTensor(new Int32Array([seed, number]), [2]))
    const metrics = Object.fromEntries(
      Object.entries(result.metrics as Record<string, HostTensor>).map(([name, value]) => [name, value.item()]),
    )
    return {
      loss: result.loss.item(),
      metrics,
      learningRate: result.learningRate.item(),
      gradientNorm: result.gradientNorm.item(),
    }
  }

  /** The compiled program for batches like this one. */
  program(batch: Batch): Promise<Program> {
    return this.#update.program(batch, hostTensor(new Int32Array(2), [2]))
  }

  async release(): Promise<void> {
    await this.#update.release()
    await this.#gather.release()
  }
}
