import { formatShape, normalizeAxis, type Shape, sizeOf } from '../shape.ts'
import { asTensor, constant, Tensor, type TensorLike, tensor } from '../tensor.ts'
import { add, clip, erf, less, log, mul, neg, sin, sqrt, sub, where } from './elementwise.ts'
import { gather } from './indexing.ts'
import { concat, expandDims, full, reshape, slice } from './layout.ts'
import { deriveKey, draw, FOLD, keyWords, SPLIT } from './random-bits.ts'
import { argMax } from './reduce.ts'
import { argSort, topK } from './sort.ts'

/**
 * A random key: i32[2]. The same key always gives the same numbers, on every device, so a key is used for one draw only;
 * {@link splitKey} and {@link foldIn} make more. A program that should draw anew in every run takes its key, or a step
 * counter that is folded in, as an input.
 * @param seed a whole number of up to 53 bits; both halves may also be given as an i32[2] tensor of one's own
 * @throws when the seed is not a whole number
 */
export function key(seed: number): Tensor {
  if (!Number.isSafeInteger(seed)) throw new Error(`key: the seed must be a whole number, got ${seed}`)
  return constant(Int32Array.of(seed | 0, Math.floor(seed / 2 ** 32) | 0), [2])
}

const asData = (data: number | Tensor): Tensor => (data instanceof Tensor ? data : tensor(data | 0, [], 'i32'))

/**
 * A new key that belongs to `data`: a layer's number, a step counter.
 * @param data a whole number, or an i32 scalar
 */
export function foldIn(key: Tensor, data: number | Tensor): Tensor {
  const place = asData(data)
  if (place.dtype !== 'i32' || place.size !== 1)
    throw new Error(`foldIn: data must be one i32 number, got ${place.dtype}${formatShape(place.shape)}`)
  return deriveKey(keyWords(key, FOLD), reshape(place, []))
}

/** `count` new keys, unrelated to each other, to `key` and to what is folded into it. */
export function splitKey(key: Tensor, count = 2): Tensor[] {
  const words = keyWords(key, SPLIT)
  return Array.from({ length: count }, (_, i) => deriveKey(words, tensor(i, [], 'i32')))
}

/** Uniform 32-bit words (i32), exactly the same on every device. */
export const randomBits = (key: Tensor, shape: Shape = []): Tensor => draw(key, shape, 'bits')

/**
 * Uniform numbers in [low, high): multiples of 2^-24 of the range. Rounding may give `high` itself where |low| is large.
 * @param low a number or a tensor that broadcasts to `shape`; default 0
 * @param high default 1
 */
export function uniform(key: Tensor, shape: Shape = [], low: TensorLike = 0, high: TensorLike = 1): Tensor {
  const unit = draw(key, shape, 'unit')
  if (low === 0 && high === 1) return unit
  const start = asTensor(low)
  return add(mul(unit, sub(high, start)), start)
}

/**
 * Normal numbers, by the transform of Box & Muller (1958): r cos t and r sin t with r = sqrt(-2 log u), u in (0, 1], t in [-pi, pi).
 * @param mean a number or a tensor that broadcasts to `shape`; default 0
 * @param standardDeviation default 1
 */
export function normal(
  key: Tensor,
  shape: Shape = [],
  mean: TensorLike = 0,
  standardDeviation: TensorLike = 1,
): Tensor {
  const count = sizeOf(shape)
  const half = Math.ceil(count / 2)
  const unit = draw(key, [2 * half], 'unit')
  const radius = sqrt(mul(log(sub(1, slice(unit, 0, 0, half))), -2))
  const angle = mul(sub(slice(unit, 0, half), 0.5), 2 * Math.PI)
  // The cosine as a shifted sine: ONNX Runtime has vector code for one of them only.
  const pair = concat([mul(radius, sin(add(angle, Math.PI / 2))), mul(radius, sin(angle))])
  const standard = reshape(slice(pair, 0, 0, count), shape)
  const scaled = standardDeviation === 1 ? standard : mul(standard, standardDeviation)
  return mean === 0 ? scaled : add(scaled, mean)
}

const horner = (x: Tensor, coefficients: readonly number[]): Tensor =>
  coefficients.slice(1).reduce<Tensor>((sum, c) => add(mul(sum, x), c), full(x.shape, coefficients[0]))

/** Coefficients of Giles 2010, "Approximating the erfinv function", table 5 (single precision), highest power first. */
const CENTRAL = [
  2.81022636e-8, 3.43273939e-7, -3.5233877e-6, -4.39150654e-6, 0.00021858087, -0.00125372503, -0.00417768164,
  0.246640727, 1.50140941,
]
const TAIL = [
  -0.000200214257, 0.000100950558, 0.00134934322, -0.00367342844, 0.00573950773, -0.0076224613, 0.00943887047,
  1.00167406, 2.83297682,
]

/**
 * Inverse of the error function, to single precision, for x in (-1, 1).
 * Source: Giles 2010, "Approximating the erfinv function"
 */
export function erfInverse(x: TensorLike): Tensor {
  const input = asTensor(x)
  const w = neg(log(mul(sub(1, input), add(1, input))))
  const central = less(w, 5)
  const low = horner(sub(where(central, w, 0), 2.5), CENTRAL)
  const high = horner(sub(sqrt(where(central, 9, w)), 3), TAIL)
  return mul(where(central, low, high), input)
}

/**
 * Normal numbers (mean 0, deviation 1) that fall in [low, high], by inverting the distribution function.
 * @param low default -2
 * @param high default 2
 * @throws when plain bounds are out of order
 */
export function truncatedNormal(key: Tensor, shape: Shape = [], low: TensorLike = -2, high: TensorLike = 2): Tensor {
  if (typeof low === 'number' && typeof high === 'number' && !(low < high))
    throw new Error(`truncatedNormal: low must be below high, got ${low} and ${high}`)
  const [from, to] = [low, high].map(bound => erf(mul(asTensor(bound), Math.SQRT1_2)))
  // 1 itself would be infinitely far out.
  const limit = 1 - 2 ** -24
  const place = clip(uniform(key, shape, from, to), -limit, limit)
  return clip(mul(erfInverse(place), Math.SQRT2), low, high)
}

/**
 * True with probability `probability`: a dropout mask.
 * @param probability a number in [0, 1], kept to 2^-32; or a tensor that broadcasts to `shape`, met to 2^-24
 * @throws when a plain probability is outside [0, 1]
 */
export function bernoulli(key: Tensor, probability: TensorLike, shape?: Shape): Tensor {
  if (typeof probability === 'number') {
    if (!(probability >= 0 && probability <= 1))
      throw new Error(`bernoulli: the probability must be in [0, 1], got ${probability}`)
    const bound = Math.round(probability * 2 ** 32)
    return bound < 2 ** 32 ? draw(key, shape ?? [], 'below', bound) : full(shape ?? [], 1, 'bool')
  }
  const bound = asTensor(probability)
  return less(uniform(key, shape ?? bound.shape), bound)
}

/** Standard Gumbel numbers -log(-log u), u in (0, 1). */
export function gumbel(key: Tensor, shape: Shape = []): Tensor {
  // Half a step stands for 0, where the logarithm ends.
  return neg(log(neg(log(clip(draw(key, shape, 'unit'), 2 ** -25)))))
}

/**
 * Draws classes with probability softmax(logits): the largest of logits + Gumbel noise (Gumbel 1954; Maddison et al. 2014).
 * @param logits unnormalised log-probabilities along `axis`; -Infinity never comes out
 * @param axis default: the last
 * @returns i64, the shape of `logits` without that axis
 */
export function categorical(key: Tensor, logits: TensorLike, axis = -1): Tensor {
  const scores = asTensor(logits)
  return argMax(add(scores, gumbel(key, scores.shape)), normalizeAxis('categorical', axis, scores.rank))
}

/**
 * Draws `count` classes along the last axis.
 * @param logits [..., classes], unnormalised log-probabilities
 * @param replacement true: independent draws; false: all different, in the order of successive draws (Gumbel top-k, Vieira 2014)
 * @returns i64 [..., count]
 * @throws when more different classes are asked for than there are
 */
export function multinomial(
  key: Tensor,
  logits: TensorLike,
  count: number,
  { replacement = true }: { readonly replacement?: boolean } = {},
): Tensor {
  const scores = asTensor(logits)
  if (scores.rank === 0) throw new Error('multinomial: the logits need an axis of classes')
  const classes = scores.shape[scores.rank - 1]
  if (replacement) {
    const shape = [...scores.shape.slice(0, -1), count, classes]
    return argMax(add(expandDims(scores, -2), gumbel(key, shape)), -1)
  }
  if (count > classes) throw new Error(`multinomial: ${count} different classes cannot come from ${classes}`)
  return topK(add(scores, gumbel(key, scores.shape)), count).indices
}

/** The numbers 0 .. count-1 (i64) in random order: the order of as many random words. */
export const permutation = (key: Tensor, count: number): Tensor => argSort(randomBits(key, [count]))

/** `x` with its slices along `axis` in random order. */
export function shuffle(key: Tensor, x: TensorLike, axis = 0): Tensor {
  const input = asTensor(x)
  const along = normalizeAxis('shuffle', axis, input.rank)
  return gather(input, permutation(key, input.shape[along]), along)
}
