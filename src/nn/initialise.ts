import { type Shape, sizeOf } from '../core/index.ts'

/** Draws one number from [0, 1). */
export type Uniform = () => number

/** A reproducible generator (splitmix32: Steele, Lea & Flood 2014, 32-bit variant). Quality enough for initial weights. */
export function seededUniform(seed: number): Uniform {
  let state = seed | 0
  return () => {
    state = (state + 0x9e3779b9) | 0
    let mixed = state ^ (state >>> 16)
    mixed = Math.imul(mixed, 0x21f0aaad)
    mixed ^= mixed >>> 15
    mixed = Math.imul(mixed, 0x735a2d97)
    mixed ^= mixed >>> 15
    return (mixed >>> 0) / 2 ** 32
  }
}

let generator: Uniform = seededUniform(0)

/**
 * Builds a module with initial values drawn from a seed: `withSeed(1, () => new ResNet(...))`. Without it, values come from
 * one generator that starts from seed 0, so a program that builds the same modules in the same order gets the same weights.
 */
export function withSeed<T>(seed: number, build: () => T): T {
  const outer = generator
  generator = seededUniform(seed)
  try {
    return build()
  } finally {
    generator = outer
  }
}

/** Gives a new parameter its values from its shape. */
export type Initialiser = (shape: Shape) => Float32Array

const fill = (shape: Shape, draw: () => number): Float32Array => Float32Array.from({ length: sizeOf(shape) }, draw)

export const zeros: Initialiser = shape => new Float32Array(sizeOf(shape))
export const ones: Initialiser = shape => new Float32Array(sizeOf(shape)).fill(1)
export const constant =
  (value: number): Initialiser =>
  shape =>
    new Float32Array(sizeOf(shape)).fill(value)

/** Uniform in [low, high). */
export const uniform =
  (low: number, high: number): Initialiser =>
  shape =>
    fill(shape, () => low + (high - low) * generator())

function gaussian(): number {
  return Math.sqrt(-2 * Math.log(1 - generator())) * Math.cos(2 * Math.PI * generator())
}

/** Normal with this standard deviation and mean. */
export const normal =
  (deviation = 1, mean = 0): Initialiser =>
  shape =>
    fill(shape, () => mean + deviation * gaussian())

/** Normal, drawn again outside [low, high] (absolute values, as PyTorch's `trunc_normal_`). */
export const truncatedNormal =
  (deviation = 0.02, mean = 0, low = -2, high = 2): Initialiser =>
  shape =>
    fill(shape, () => {
      for (;;) {
        const value = mean + deviation * gaussian()
        if (value >= low && value <= high) return value
      }
    })

/** Numbers of inputs and outputs of one unit of a weight [out, in, ...kernel]. */
export function fans(shape: Shape): { fanIn: number; fanOut: number } {
  if (shape.length < 2) throw new Error(`initialise: fans need a weight of at least 2 axes, got [${shape}]`)
  const field = sizeOf(shape.slice(2))
  return { fanIn: shape[1] * field, fanOut: shape[0] * field }
}

/** Uniform in +-sqrt(6 / ((1 + slope^2) fanIn)). Source: He et al. 2015. PyTorch's layers use slope sqrt(5). */
export const kaimingUniform =
  (slope = 0): Initialiser =>
  shape => {
    const bound = Math.sqrt(6 / ((1 + slope * slope) * fans(shape).fanIn))
    return uniform(-bound, bound)(shape)
  }

/** Normal with deviation sqrt(2 / fan). Source: He et al. 2015 */
export const kaimingNormal =
  (mode: 'fanIn' | 'fanOut' = 'fanIn'): Initialiser =>
  shape =>
    normal(Math.sqrt(2 / fans(shape)[mode]))(shape)

/** Uniform in +-gain sqrt(6 / (fanIn + fanOut)). Source: Glorot & Bengio 2010 */
export const xavierUniform =
  (gain = 1): Initialiser =>
  shape => {
    const { fanIn, fanOut } = fans(shape)
    const bound = gain * Math.sqrt(6 / (fanIn + fanOut))
    return uniform(-bound, bound)(shape)
  }

/** Normal with deviation gain sqrt(2 / (fanIn + fanOut)). Source: Glorot & Bengio 2010 */
export const xavierNormal =
  (gain = 1): Initialiser =>
  shape => {
    const { fanIn, fanOut } = fans(shape)
    return normal(gain * Math.sqrt(2 / (fanIn + fanOut)))(shape)
  }

/** The bias that PyTorch gives a layer whose weight has this shape: uniform in +-1/sqrt(fanIn). */
export function biasFor(weightShape: Shape): Initialiser {
  const bound = 1 / Math.sqrt(fans(weightShape).fanIn)
  return uniform(-bound, bound)
}
