import type { Primitive } from '../primitive.ts'
import { normalizeAxis, requireConcrete, sizeOf } from '../shape.ts'
import { apply, asTensor, type Tensor, type TensorLike } from '../tensor.ts'
import { add, equal, exp, isInfinite, log, maximum, mul, requireFloat, sub, where } from './elementwise.ts'
import { concat, flip, slice } from './layout.ts'
import { stopGradient } from './reduce.ts'

interface CumulativeSumAttributes {
  readonly axis: number
  readonly exclusive: boolean
  readonly reverse: boolean
}

const cumulativeSumPrimitive: Primitive<CumulativeSumAttributes> = {
  name: 'cumulativeSum',
  shape: ([x]) => {
    if (x.dtype === 'bool' || x.dtype === 'u8')
      throw new Error(`cumulativeSum: cast the ${x.dtype} tensor to i32 first`)
    return { shape: x.shape, dtype: x.dtype }
  },
  vjp: (node, [ct]) => [
    ct && apply(cumulativeSumPrimitive, [ct], { ...node.attributes, reverse: !node.attributes.reverse }),
  ],
  lower: (to, [x], { attributes: { axis, exclusive, reverse } }) =>
    to.emit('CumSum', [x, to.scalar(axis, 'i64')], {
      exclusive: { int: Number(exclusive) },
      reverse: { int: Number(reverse) },
    }),
  evaluate: ([x], { axis, exclusive, reverse }) => {
    const size = x.shape[axis]
    const inner = sizeOf(x.shape.slice(axis + 1))
    const result = new Float64Array(x.data.length)
    for (let line = 0; line < x.data.length / Math.max(1, size); line++) {
      const base = Math.floor(line / inner) * size * inner + (line % inner)
      let total = 0
      for (let step = 0; step < size; step++) {
        const place = base + (reverse ? size - 1 - step : step) * inner
        if (!exclusive) total += x.data[place]
        result[place] = total
        if (exclusive) total += x.data[place]
      }
    }
    return result
  },
}

export interface CumulativeOptions {
  /** Starts from the end of the axis; default false. */
  readonly reverse?: boolean
}

/**
 * Sums of all elements up to each one: y_i = x_0 + … + x_i (ONNX CumSum).
 * @param axis default the last
 * @param exclusive leaves each element's own value out: y_0 = 0; default false
 * @param reverse sums from the end; default false
 */
export function cumulativeSum(
  x: TensorLike,
  axis = -1,
  { exclusive = false, reverse = false }: CumulativeOptions & { readonly exclusive?: boolean } = {},
): Tensor {
  const input = asTensor(x)
  const along = normalizeAxis('cumulativeSum', axis, input.rank)
  return apply(cumulativeSumPrimitive, [input], { axis: along, exclusive, reverse })
}

/**
 * y_i = x_0 * … * x_i for any associative `*`, in ceil(log2 n) steps that each combine elements twice as far apart as the
 * step before (Hillis & Steele 1986). No inverse of `*` is needed, so zeros and infinities do no harm.
 */
function prefixScan(
  op: string,
  x: TensorLike,
  axis: number,
  { reverse = false }: CumulativeOptions,
  combine: (before: Tensor, after: Tensor) => Tensor,
): Tensor {
  const input = asTensor(x)
  const along = normalizeAxis(op, axis, input.rank)
  requireConcrete(op, input.shape, [along])
  if (reverse) return flip(prefixScan(op, flip(input, along), along, {}, combine), along)
  const size = input.shape[along]
  let scanned = input
  for (let distance = 1; distance < size; distance *= 2) {
    const combined = combine(slice(scanned, along, 0, size - distance), slice(scanned, along, distance, size))
    scanned = concat([slice(scanned, along, 0, distance), combined], along)
  }
  return scanned
}

/**
 * Products of all elements up to each one: y_i = x_0 ⋯ x_i. The gradient is exact where elements are zero.
 * @param axis default the last
 */
export const cumulativeProduct = (x: TensorLike, axis = -1, options: CumulativeOptions = {}): Tensor =>
  prefixScan('cumulativeProduct', x, axis, options, mul)

/**
 * Largest element up to each one: y_i = max(x_0, …, x_i). Elements that tie share the gradient.
 * @param axis default the last
 */
export const cumulativeMax = (x: TensorLike, axis = -1, options: CumulativeOptions = {}): Tensor =>
  prefixScan('cumulativeMax', x, axis, options, maximum)

/** log(e^a + e^b) without overflow; minus infinity stands for an empty sum and passes no gradient on. */
export function logAddExp(a: TensorLike, b: TensorLike): Tensor {
  const peak = stopGradient(maximum(a, b))
  const shift = where(isInfinite(peak), 0, peak)
  const total = add(exp(sub(a, shift)), exp(sub(b, shift)))
  const nothing = equal(total, 0)
  return where(nothing, Number.NEGATIVE_INFINITY, add(log(where(nothing, 1, total)), shift))
}

/**
 * Logarithms of cumulative sums of exponentials: y_i = log(e^x_0 + … + e^x_i), accurate whatever the range of x.
 * @param axis default the last
 */
export function logCumulativeSumExp(x: TensorLike, axis = -1, options: CumulativeOptions = {}): Tensor {
  const input = asTensor(x)
  requireFloat('logCumulativeSumExp', input)
  return prefixScan('logCumulativeSumExp', input, axis, options, logAddExp)
}
