import type { SampleTensor } from '../samples.ts'

/** One piece of work that every contestant does on the same numbers. It travels to them as JSON. */
export interface BenchCase {
  readonly suite: 'core' | 'train'
  readonly name: string
  /** The shapes, for people. */
  readonly shape: string
  /** What to compute: an operation of suite core, a model of suite train. */
  readonly op: string
  readonly attributes: Readonly<Record<string, number | string | boolean>>
  /** Operands of suite core; of suite train the parameters, then the batch. */
  readonly inputs: readonly SampleTensor[]
  /** `forward` alone, `both` forward and backward, or a whole `step` with the optimiser. */
  readonly mode: 'forward' | 'both' | 'step'
  /** Floating-point operations of the matrix products and convolutions within (2 per multiply-add); 0 where they do not matter. */
  readonly flops: number
}

/** Training steps whose losses are compared between contestants. */
export const comparedSteps = 3

/** The same case on the first 1/`divisor` of its batch. */
export function withPartOfBatch(benchCase: BenchCase, divisor: number): BenchCase {
  const inputs = benchCase.inputs.map(sample => {
    if (sample.gradient) return sample
    const [batch, ...rest] = sample.shape
    return { ...sample, shape: [batch / divisor, ...rest] }
  })
  return { ...benchCase, inputs }
}

/** A tensor that the backward pass differentiates, uniform in -bound..bound. */
export function weight(name: string, shape: readonly number[], bound: number): SampleTensor {
  return { name, shape, low: -bound, high: bound, gradient: true }
}

/** A tensor filled with one value, differentiated like a weight (biases start at 0, normalisation scales at 1). */
export function constant(name: string, shape: readonly number[], value: number): SampleTensor {
  return { name, shape, low: value, high: value, gradient: true }
}
