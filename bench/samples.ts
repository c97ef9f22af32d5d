/**
 * Numbers that every contestant makes for itself, in any language, bit for bit: tensors are named by a seed instead of
 * being sent through a pipe. `peers/pytorch.py` holds the same two functions.
 */

/** A tensor of a case: `low`..`high` uniform reals, or integers of low..high-1 when `dtype` is `i32`. */
export interface SampleTensor {
  readonly name: string
  readonly shape: readonly number[]
  readonly low: number
  readonly high: number
  readonly dtype?: 'i32'
  /** Whether the backward pass asks for the gradient with respect to this tensor. */
  readonly gradient?: boolean
}

/** Seed of the cotangent that backward passes start from, and of the first probe that outputs are compared along. */
export const cotangentSeed = 900
export const probeSeed = 1000

/** The `index`-th number of the stream `seed`, uniform in [0, 1): a 32-bit integer mixed by two multiplications. */
function uniformAt(index: number, seed: number): number {
  let bits = (index + Math.imul(seed, 0x9e3779b9)) | 0
  bits = Math.imul(bits ^ (bits >>> 16), 0x7feb352d)
  bits = Math.imul(bits ^ (bits >>> 15), 0x846ca68b)
  return ((bits ^ (bits >>> 16)) >>> 0) / 4294967296
}

/** The number of entries of a tensor of this shape. */
export function entries(shape: readonly number[]): number {
  return shape.reduce((product, length) => product * length, 1)
}

/** Row-major uniform float32 values in [low, high) of the stream `seed`. */
export function uniformValues(shape: readonly number[], seed: number, low = -1, high = 1): Float32Array<ArrayBuffer> {
  const values = new Float32Array(entries(shape))
  for (let index = 0; index < values.length; index++) values[index] = low + (high - low) * uniformAt(index, seed)
  return values
}

/** The values of the `position`-th tensor of a case. */
export function sampleValues(
  sample: SampleTensor,
  position: number,
): Float32Array<ArrayBuffer> | Int32Array<ArrayBuffer> {
  const values = uniformValues(sample.shape, position + 1, sample.low, sample.high)
  return sample.dtype === 'i32' ? Int32Array.from(values, Math.floor) : values
}

/** One tensor's mark: its inner product with a fixed random probe, and its norm, the scale that a difference is judged by. */
export interface Mark {
  readonly value: number
  readonly scale: number
}

/** The mark of the `position`-th tensor that a case computes (row-major values, channels-first where there are channels). */
export function markOf(values: ArrayLike<number>, position: number): Mark {
  let value = 0
  let squares = 0
  for (let index = 0; index < values.length; index++) {
    value += values[index] * (2 * uniformAt(index, probeSeed + position) - 1)
    squares += values[index] ** 2
  }
  return { value, scale: Math.sqrt(squares) }
}

/** Whether two contestants computed the same tensors, within `tolerance` of each tensor's norm. */
export function marksAgree(left: readonly Mark[], right: readonly Mark[], tolerance = 2e-3): boolean {
  if (left.length !== right.length) return false
  return left.every((mark, index) => {
    const other = right[index]
    const difference = Math.max(Math.abs(mark.value - other.value), Math.abs(mark.scale - other.scale))
    return difference <= tolerance * Math.max(mark.scale, other.scale, 1e-12)
  })
}
