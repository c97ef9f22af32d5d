import type { Primitive, Reference } from '../primitive.ts'
import { normalizeAxis, sizeOf } from '../shape.ts'
import type { Tensor, TensorLike } from '../tensor.ts'
import { apply, asTensor } from '../tensor.ts'
import { addScaledRows } from './add-scaled.ts'
import { exp, mul, neg, requireFloat, sub, where } from './elementwise.ts'
import { sum } from './reduce.ts'

interface SoftmaxAttributes {
  readonly axis: number
}

/** Calls `line` with the positions of each line of elements along `axis`: its first element, its step and its length. */
function forEachLine(
  { shape }: Reference,
  axis: number,
  line: (start: number, step: number, length: number) => void,
): void {
  const step = sizeOf(shape.slice(axis + 1))
  const outer = sizeOf(shape.slice(0, axis))
  for (let o = 0; o < outer; o++) for (let i = 0; i < step; i++) line(o * shape[axis] * step + i, step, shape[axis])
}

/** Largest element and log of the summed exponentials above it, of one line. */
function logTotal(data: Float64Array, start: number, step: number, length: number): { peak: number; total: number } {
  let peak = Number.NEGATIVE_INFINITY
  for (let k = 0; k < length; k++) peak = Math.max(peak, data[start + k * step])
  let total = 0
  for (let k = 0; k < length; k++) total += Math.exp(data[start + k * step] - peak)
  return { peak, total: Math.log(total) }
}

function exponentialFamily(
  name: string,
  onnx: string,
  finish: (logProbability: number) => number,
  vjp: (ct: Tensor, y: Tensor, axis: number) => Tensor,
): Primitive<SoftmaxAttributes> {
  return {
    name,
    shape: ([x]) => {
      requireFloat(name, x)
      return { shape: x.shape, dtype: x.dtype }
    },
    vjp: (node, [ct]) => [ct && vjp(ct, node.outputs[0], node.attributes.axis)],
    lower: (to, [x], { attributes: { axis } }) => to.emit(onnx, [x], { axis: { int: axis } }),
    evaluate: ([x], { axis }) => {
      const result = new Float64Array(x.data.length)
      forEachLine(x, axis, (start, step, length) => {
        const { peak, total } = logTotal(x.data, start, step, length)
        for (let k = 0; k < length; k++) result[start + k * step] = finish(x.data[start + k * step] - peak - total)
      })
      return result
    },
  }
}

// y * (ct - sum(y * ct)), with the product kept: one pass over memory less (docs/decisions/0006).
const softmaxPrimitive = exponentialFamily('softmax', 'Softmax', Math.exp, (ct, y, axis) => {
  const shares = mul(y, ct)
  return subtractScaled(shares, y, sum(shares, axis, true), axis)
})
const logSoftmaxPrimitive = exponentialFamily(
  'logSoftmax',
  'LogSoftmax',
  x => x,
  (ct, y, axis) => subtractScaled(ct, exp(y), sum(ct, axis, true), axis),
)

/** x - y * scale, where `scale` holds one number for each line along `axis`. */
const subtractScaled = (x: Tensor, y: Tensor, scale: Tensor, axis: number): Tensor =>
  axis === x.rank - 1 ? addScaledRows(x, y, neg(scale)) : sub(x, mul(y, scale))

const along =
  (primitive: Primitive<SoftmaxAttributes>) =>
  (x: TensorLike, axis = -1): Tensor => {
    const input = asTensor(x)
    return apply(primitive, [input], { axis: normalizeAxis(primitive.name, axis, input.rank) })
  }

/**
 * exp(x_i) / sum_j exp(x_j) along one axis, computed with the largest x subtracted.
 * A line of nothing but -infinity gives NaN, as in PyTorch; see {@link maskedSoftmax}.
 * @param axis default: the last
 * @throws on integers, and on an axis out of range. Source: ONNX Softmax-13
 */
export const softmax = along(softmaxPrimitive)

/**
 * x_i - log sum_j exp(x_j) along one axis: log(softmax(x)) without losing small probabilities.
 * @param axis default: the last
 * @throws on integers, and on an axis out of range. Source: ONNX LogSoftmax-13
 */
export const logSoftmax = along(logSoftmaxPrimitive)

/** Far below any score, yet finite, so that a fully blocked line is uniform instead of NaN before it is zeroed. */
const LOWERED = { f32: -1e30, f16: -6e4 }

/**
 * Softmax among the entries that are not blocked. Blocked entries are 0 and get no gradient, and so is a whole line with
 * every entry blocked (PyTorch gives NaN there).
 * @param blocked bool, true where an entry does not count; broadcasts with x
 * @param axis default: the last
 * @throws when `blocked` is not bool or does not broadcast
 */
export function maskedSoftmax(x: TensorLike, blocked: Tensor, axis = -1): Tensor {
  const input = asTensor(x)
  requireFloat('maskedSoftmax', input)
  const lowered = where(blocked, LOWERED[input.dtype as 'f32' | 'f16'], input)
  return where(blocked, 0, softmax(lowered, axis))
}
