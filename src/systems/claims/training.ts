import type { Tensor } from '../../core/index.ts'
import { type Module, namedParameters } from '../../nn/index.ts'
import { adamW, cosine, Optimizer } from '../../optim/index.ts'
import { type Batch, type LossResult, TrainStep } from '../../train/index.ts'
import type { ClaimContext } from '../system.ts'

/** How an arm is trained; the same for all arms of a claim. */
export interface ArmTraining {
  readonly model: Module
  readonly loss: (batch: Readonly<Record<string, Tensor>>) => LossResult
  /** The batches in order; as many as `steps` are taken. */
  readonly batches: AsyncIterable<Batch> | Iterable<Batch>
  readonly steps: number
  /** Peak of the rate: a tenth of the steps grows to it, half a cosine falls to 0. */
  readonly learningRate: number
  readonly seed: number
  /** Paths of further parameters that do not decay. */
  readonly undecayed?: RegExp
}

/** Most losses that are kept of a run. */
const KEPT = 50

/** Every k-th loss, so that about {@link KEPT} are left, and the last. */
export const thinned = (losses: readonly number[]): number[] =>
  losses.filter((_, i) => i % Math.ceil(losses.length / KEPT) === 0 || i === losses.length - 1)

/** Parameters that weight decay would pull to a place of no meaning: scales, biases, positions, decays and directions. */
const isDecayed = (path: string, rank: number): boolean =>
  rank > 1 && !/(^|\.)(A_log|A_b_log|A_logs|pos_embed|cls_token\w*|direction_Bs)$/.test(path)

/**
 * AdamW with decay 0.05 on matrices, a tenth of the steps to warm up, then half a cosine to 0.
 * @param undecayed paths of further parameters that do not decay
 */
export function claimOptimizer(model: Module, learningRate: number, steps: number, undecayed?: RegExp): Optimizer {
  const rate = cosine({ base: learningRate, total: steps, warmup: Math.min(steps - 1, Math.ceil(steps / 10)) })
  const named = [...namedParameters(model)]
  return new Optimizer(
    [true, false].flatMap(decayed => {
      const parameters = named
        .filter(([path, { rank }]) => (isDecayed(path, rank) && !undecayed?.test(path)) === decayed)
        .map(([, p]) => p)
      return parameters.length
        ? [{ parameters, rule: adamW({ weightDecay: decayed ? 0.05 : 0 }), learningRate: rate }]
        : []
    }),
  )
}

/** Trains an arm, the gradients' norm clipped at 1. @returns the losses in order, evenly thinned */
export async function trainArm(training: ArmTraining, { signal, progress }: ClaimContext): Promise<number[]> {
  const { model, loss, batches, steps, learningRate, seed, undecayed } = training
  const optimizer = claimOptimizer(model, learningRate, steps, undecayed)
  const step = new TrainStep({ loss, optimizer, clipNorm: 1, seed })
  const losses: number[] = []
  const source = Symbol.asyncIterator in batches ? batches[Symbol.asyncIterator]() : batches[Symbol.iterator]()
  try {
    let next = await source.next()
    for (let i = 0; i < steps; i++) {
      signal?.throwIfAborted()
      if (next.done) throw new Error(`claim: there were ${i} batches for ${steps} steps`)
      const running = step.run(next.value, i)
      // The next batch is made while this step runs.
      const [{ loss: value }, following] = await Promise.all([running, i + 1 < steps ? source.next() : next])
      next = following
      losses.push(value)
      progress(losses.length / steps, value)
    }
  } finally {
    await source.return?.()
    await step.release()
  }
  return thinned(losses)
}
