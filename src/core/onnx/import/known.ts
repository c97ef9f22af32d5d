import type { Shape } from '../../shape.ts'
import type { Tensor } from '../../tensor.ts'

/**
 * Whole numbers known while the graph is built, each `fixed + batch * N` for the symbolic batch N: what becomes of a
 * symbolic shape when a model takes it apart and puts it together again.
 */
export interface Known {
  readonly shape: readonly number[]
  readonly fixed: readonly number[]
  readonly batch: readonly number[]
}

/** What an ONNX value name stands for. */
export interface Value {
  readonly tensor: Tensor
  /** Set where the value depends on the symbolic batch and on nothing else that is given at run time. */
  readonly known?: Known
}

/** The sizes of a shape as known numbers. */
export function knownShape(shape: Shape): Known {
  return {
    shape: [shape.length],
    fixed: shape.map(dim => Math.max(dim, 0)),
    batch: shape.map(dim => Math.max(-dim, 0)),
  }
}

export const isFixed = (known: Known): boolean => known.batch.every(count => count === 0)

/** Known numbers as sizes: `k` times the batch is written `-k`, as in {@link Shape}. */
export function toSizes({ fixed, batch }: Known): number[] {
  return fixed.map((value, i) => {
    if (batch[i] === 0) {
      if (value < 0) throw new Error(`size ${value} is negative`)
      return value
    }
    if (value !== 0 || batch[i] < 0)
      throw new Error(`size ${value} + ${batch[i]} N: only multiples of the symbolic batch N can be sizes`)
    return -batch[i]
  })
}
