import { isFloat } from '../dtype.ts'
import type { Primitive } from '../primitive.ts'
import { formatShape, normalizeAxis, requireConcrete, sizeOf } from '../shape.ts'
import { applyMany, asTensor, type Tensor, type TensorLike } from '../tensor.ts'
import { cast } from './cast.ts'
import { add, mul, sub } from './elementwise.ts'
import { scatterAdd } from './indexing.ts'
import { reshape, slice, stack, zeros } from './layout.ts'

interface TopKAttributes {
  readonly k: number
  readonly axis: number
  readonly largest: boolean
}

const topKPrimitive: Primitive<TopKAttributes> = {
  name: 'topK',
  shape: ([x], { k, axis }) => {
    const shape = x.shape.map((dim, i) => (i === axis ? k : dim))
    return [
      { shape, dtype: x.dtype },
      { shape, dtype: 'i64' },
    ]
  },
  vjp: (node, [ct]) => {
    const [x] = node.inputs
    return [ct && scatterAdd(zeros(x.shape, ct.dtype), node.outputs[1], ct, node.attributes.axis)]
  },
  lower: (to, [x], { attributes: { k, axis, largest } }) =>
    to.emitMany('TopK', [x, to.ints([k])], 2, {
      axis: { int: axis },
      largest: { int: Number(largest) },
      sorted: { int: 1 },
    }),
  evaluate: ([x], { k, axis, largest }) => {
    const size = x.shape[axis]
    const inner = sizeOf(x.shape.slice(axis + 1))
    const outer = sizeOf(x.shape.slice(0, axis))
    const values = new Float64Array(outer * k * inner)
    const indices = new Float64Array(outer * k * inner)
    for (let o = 0; o < outer; o++)
      for (let i = 0; i < inner; i++) {
        const at = (place: number): number => x.data[(o * size + place) * inner + i]
        // Array sort is stable, so equal values stay in the order of their places.
        const order = Array.from({ length: size }, (_, place) => place)
        order.sort((a, b) => (largest ? at(b) - at(a) : at(a) - at(b)))
        for (let r = 0; r < k; r++) {
          values[(o * k + r) * inner + i] = at(order[r])
          indices[(o * k + r) * inner + i] = order[r]
        }
      }
    return [values, indices]
  },
}

export interface SortOptions {
  /** Axis to sort along; default the last. */
  readonly axis?: number
  /** Largest first instead of smallest first; default false. */
  readonly descending?: boolean
}

/** Values and where they came from. */
export interface Ranked {
  readonly values: Tensor
  /** i64 places along the axis. */
  readonly indices: Tensor
}

/**
 * The k largest (or smallest) elements along an axis, in order; of equal ones those with the lower index come first.
 * Where NaN goes is undefined.
 * @param axis default the last
 * @param largest default true
 * @returns both with the axis shortened to k; the gradient flows to the chosen elements
 * @throws when k is not between 0 and the size of the axis
 */
export function topK(
  x: TensorLike,
  k: number,
  { axis = -1, largest = true }: { readonly axis?: number; readonly largest?: boolean } = {},
): Ranked {
  const input = asTensor(x)
  const along = normalizeAxis('topK', axis, input.rank)
  requireConcrete('topK', input.shape, [along])
  const size = input.shape[along]
  if (!Number.isInteger(k) || k < 0 || k > size)
    throw new Error(`topK: k is ${k}, expected 0 to ${size}, the size of axis ${along} of ${formatShape(input.shape)}`)
  // ONNX has no top 0, and its kernels know neither bytes nor booleans.
  if (k === 0 || input.size === 0) {
    const none = slice(input, along, 0, k)
    return { values: none, indices: cast(none, 'i64') }
  }
  if (input.dtype === 'u8' || input.dtype === 'bool') {
    const { values, indices } = topK(cast(input, 'i32'), k, { axis, largest })
    return { values: cast(values, input.dtype), indices }
  }
  const [values, indices] = applyMany(topKPrimitive, [input], { k, axis: along, largest })
  return { values, indices }
}

const ranked = (op: string, x: TensorLike, { axis = -1, descending = false }: SortOptions): Ranked => {
  const input = asTensor(x)
  const along = normalizeAxis(op, axis, input.rank)
  return topK(input, input.shape[along], { axis: along, largest: descending })
}

/** The elements of every line along an axis in order (stable); the gradient goes back to where each came from. */
export const sort = (x: TensorLike, options: SortOptions = {}): Tensor => ranked('sort', x, options).values

/** The i64 places that put every line along an axis in order; equal elements keep theirs. */
export const argSort = (x: TensorLike, options: SortOptions = {}): Tensor => ranked('argSort', x, options).indices

/**
 * Quantiles along an axis, interpolated linearly between the two nearest order statistics: the value at place q (n-1)
 * of the sorted line (definition 7 of Hyndman & Fan 1996, the default of NumPy and PyTorch).
 * @param q one fraction in [0, 1], or several, which become the leading axis of the result
 * @param axis default the last
 * @param keep leaves the axis with size 1; default false
 * @throws when a fraction is outside [0, 1] or the axis is empty
 */
export function quantile(x: TensorLike, q: number | readonly number[], axis = -1, keep = false): Tensor {
  const input = asTensor(x)
  if (!isFloat(input.dtype))
    throw new Error(`quantile: expected a floating-point tensor, got ${input.dtype}; cast it first`)
  const along = normalizeAxis('quantile', axis, input.rank)
  const fractions = typeof q === 'number' ? [q] : q
  const wrong = fractions.find(fraction => !(fraction >= 0 && fraction <= 1))
  if (wrong !== undefined) throw new Error(`quantile: ${wrong} is not a fraction between 0 and 1`)
  const size = input.shape[along]
  if (size === 0) throw new Error(`quantile: axis ${along} of ${formatShape(input.shape)} is empty`)
  requireConcrete('quantile', input.shape, [along])
  // Only as much is sorted as the outermost place needs, from the nearer end.
  const places = fractions.map(fraction => fraction * (size - 1))
  const fromBelow = Math.max(...places.map(Math.ceil)) + 1
  const fromAbove = size - Math.min(...places.map(Math.floor))
  const largest = fromAbove < fromBelow
  const { values } = topK(input, largest ? fromAbove : fromBelow, { axis: along, largest })
  const at = (place: number): Tensor => {
    const start = largest ? size - 1 - place : place
    return slice(values, along, start, start + 1)
  }
  const shape = input.shape.map((dim, i) => (i === along ? 1 : dim))
  const kept = places.map(place => {
    const low = Math.floor(place)
    const share = place - low
    const value = share === 0 ? at(low) : add(at(low), mul(sub(at(low + 1), at(low)), share))
    return keep ? value : reshape(value, shape.toSpliced(along, 1))
  })
  return typeof q === 'number' ? kept[0] : stack(kept, 0)
}

/** The middle element along an axis, or the mean of the two middle ones: {@link quantile} 0.5. */
export const median = (x: TensorLike, axis = -1, keep = false): Tensor => quantile(x, 0.5, axis, keep)
