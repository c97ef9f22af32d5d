import { isFloat } from '../dtype.ts'
import type { Lowering, Primitive, Reference, Spec } from '../primitive.ts'
import {
  forEachOffset,
  formatShape,
  normalizeAxes,
  normalizeAxis,
  requireConcrete,
  sizeOf,
  stridesOf,
} from '../shape.ts'
import type { Node, Tensor, TensorLike } from '../tensor.ts'
import { apply, asTensor } from '../tensor.ts'
import { cast } from './cast.ts'
import { add, div, equal, exp, isInfinite, log, mul, sqrt, sub, where } from './elementwise.ts'
import { broadcastTo, reshape } from './layout.ts'

interface ReduceAttributes {
  readonly axes: readonly number[]
  readonly keep: boolean
}

const keptShape = (shape: readonly number[], axes: readonly number[]): number[] =>
  shape.map((dim, axis) => (axes.includes(axis) ? 1 : dim))

function reducedSpec([x]: readonly Spec[], { axes, keep }: ReduceAttributes): Spec {
  return { shape: keep ? keptShape(x.shape, axes) : x.shape.filter((_, axis) => !axes.includes(axis)), dtype: x.dtype }
}

/** Visits every element with the offset of the output it is reduced into. */
function forEachReduced(x: Reference, axes: readonly number[], visit: (value: number, out: number) => void): void {
  const outStrides = stridesOf(keptShape(x.shape, axes))
  forEachOffset(x.shape, [outStrides.map((stride, axis) => (axes.includes(axis) ? 0 : stride))], ([out], i) =>
    visit(x.data[i], out),
  )
}

/** Spreads a reduced tensor (cotangent or result) back over the shape that was reduced. */
function spread(reduced: Tensor, node: Node<ReduceAttributes>): Tensor {
  const { shape } = node.inputs[0]
  return broadcastTo(reshape(reduced, keptShape(shape, node.attributes.axes)), shape)
}

function lowerReduce(op: string, axesAsInputSince: number) {
  return (to: Lowering, [x]: readonly string[], node: Node<ReduceAttributes>): string => {
    const { axes, keep } = node.attributes
    const keepdims = { keepdims: { int: keep ? 1 : 0 } }
    // Without axes ONNX reduces everything; reducing nothing is the identity.
    if (axes.length === 0) return to.emit('Identity', [x])
    return to.opset >= axesAsInputSince
      ? to.emit(op, [x, to.ints(axes)], keepdims)
      : to.emit(op, [x], { axes: { ints: axes }, ...keepdims })
  }
}

interface ReduceFaces {
  readonly onnx: string
  readonly axesAsInputSince: number
  readonly initial: number
  readonly combine: (total: number, value: number) => number
  readonly vjp: (ct: Tensor, node: Node<ReduceAttributes>) => Tensor
  readonly needsElements?: boolean
}

function reduction(name: string, faces: ReduceFaces): Primitive<ReduceAttributes> {
  return {
    name,
    shape: (inputs, attributes) => {
      if (inputs[0].dtype === 'bool') throw new Error(`${name}: cast the bool tensor to a number first`)
      if (faces.needsElements && attributes.axes.some(axis => inputs[0].shape[axis] === 0))
        throw new Error(`${name}: nothing to reduce along axes [${attributes.axes}] of ${formatShape(inputs[0].shape)}`)
      return reducedSpec(inputs, attributes)
    },
    vjp: (node, [ct]) => [ct && faces.vjp(ct, node)],
    lower: lowerReduce(faces.onnx, faces.axesAsInputSince),
    evaluate: ([x], { axes }, [out]) => {
      const result = new Float64Array(sizeOf(out.shape)).fill(faces.initial)
      forEachReduced(x, axes, (value, o) => {
        result[o] = faces.combine(result[o], value)
      })
      return result
    },
    rewrite: node => {
      const { axes } = node.attributes
      const [x] = node.inputs
      return axes.every(axis => x.shape[axis] === 1) ? reshape(x, node.outputs[0].shape) : undefined
    },
  }
}

/** Ties share the gradient evenly. */
function extremumGradient(ct: Tensor, node: Node<ReduceAttributes>): Tensor {
  const [x] = node.inputs
  const chosen = cast(equal(x, spread(node.outputs[0], node)), ct.dtype)
  const ties = sum(chosen, node.attributes.axes, true)
  return mul(div(chosen, ties), spread(ct, node))
}

const plainSum = reduction('sum', {
  onnx: 'ReduceSum',
  axesAsInputSince: 13,
  initial: 0,
  combine: (total, value) => total + value,
  vjp: spread,
})
const sumPrimitive: Primitive<ReduceAttributes> = {
  ...plainSum,
  lower: (to, inputs, node) => columnSums(to, inputs[0], node) ?? plainSum.lower(to, inputs, node),
}

/**
 * Sums over leading axes as a row of ones times a matrix. ONNX Runtime's own reduction shares the columns out among
 * threads, which then walk memory in large steps; the product is 2 to 10 times faster (docs/decisions/0006).
 */
function columnSums(to: Lowering, x: string, node: Node<ReduceAttributes>): string | undefined {
  const [{ shape, dtype }] = node.inputs
  const { axes } = node.attributes
  const leading = axes.length < shape.length && axes.every((axis, i) => axis === i)
  const rows = sizeOf(shape.slice(0, axes.length))
  const columns = sizeOf(shape.slice(axes.length))
  const worthIt = leading && rows > 1 && columns > 1
  if (!worthIt || !to.contributed || to.device !== 'cpu' || dtype !== 'f32') return undefined
  const ones = to.emit('ConstantOfShape', [to.ints([1, rows])], {
    value: { tensor: { data: Float32Array.of(1), shape: [1], dtype: 'f32' } },
  })
  const sums = to.emit('MatMul', [ones, to.emit('Reshape', [x, to.ints([rows, columns])])])
  return to.emit('Reshape', [sums, to.ints(node.outputs[0].shape)])
}
const maxPrimitive = reduction('max', {
  onnx: 'ReduceMax',
  axesAsInputSince: 18,
  initial: Number.NEGATIVE_INFINITY,
  combine: Math.max,
  vjp: extremumGradient,
  needsElements: true,
})
const minPrimitive = reduction('min', {
  onnx: 'ReduceMin',
  axesAsInputSince: 18,
  initial: Number.POSITIVE_INFINITY,
  combine: Math.min,
  vjp: extremumGradient,
  needsElements: true,
})
const prodPrimitive = reduction('prod', {
  onnx: 'ReduceProd',
  axesAsInputSince: 18,
  initial: 1,
  combine: (total, value) => total * value,
  // With zeros about, the product of the others is not y/x: one zero leaves a gradient only to itself, two leave none.
  vjp: (ct, node) => {
    const [x] = node.inputs
    const { axes } = node.attributes
    const isZero = equal(x, 0)
    const zeros = sum(cast(isZero, 'f32'), axes, true)
    const others = prod(where(isZero, 1, x), axes, true)
    const noZero = div(spread(node.outputs[0], node), where(isZero, 1, x))
    const lone = where(equal(zeros, 1), others, 0)
    return mul(spread(ct, node), where(equal(zeros, 0), noZero, where(isZero, lone, 0)))
  },
})

type Axes = number | readonly number[]

const reducer =
  (primitive: Primitive<ReduceAttributes>) =>
  (x: TensorLike, axes?: Axes, keep = false): Tensor => {
    const input = asTensor(x)
    return apply(primitive, [input], { axes: normalizeAxes(primitive.name, axes, input.rank), keep })
  }

/** Sum over `axes` (default: all); `keep` leaves them with size 1. */
export const sum = reducer(sumPrimitive)
/** Largest element along `axes`; ties share the gradient. @throws on empty axes */
export const max = reducer(maxPrimitive)
/** Smallest element along `axes`; ties share the gradient. @throws on empty axes */
export const min = reducer(minPrimitive)
/** Product over `axes`. */
export const prod = reducer(prodPrimitive)

const meanPrimitive: Primitive<ReduceAttributes> = {
  name: 'mean',
  shape: (inputs, attributes) => {
    if (!isFloat(inputs[0].dtype)) throw new Error(`mean: expected a floating-point tensor, got ${inputs[0].dtype}`)
    return reducedSpec(inputs, attributes)
  },
  vjp: (node, [ct]) => {
    const { shape } = node.inputs[0]
    const { axes } = node.attributes
    requireConcrete('gradient of mean', shape, axes)
    return [ct && spread(div(ct, sizeOf(axes.map(axis => shape[axis]))), node)]
  },
  lower: lowerReduce('ReduceMean', 18),
  evaluate: ([x], { axes }, [out]) => {
    const result = new Float64Array(sizeOf(out.shape))
    const count = sizeOf(axes.map(axis => x.shape[axis]))
    forEachReduced(x, axes, (value, o) => {
      result[o] += value / count
    })
    return result
  },
  rewrite: sumPrimitive.rewrite,
}
/** Arithmetic mean over `axes` (default: all). */
export const mean = reducer(meanPrimitive)

/**
 * Mean squared deviation over `axes`.
 * @param correction subtracted from the count: 0 for the population variance, 1 for the unbiased one
 */
export function variance(x: TensorLike, axes?: Axes, { correction = 0, keep = false } = {}): Tensor {
  const input = asTensor(x)
  const along = normalizeAxes('variance', axes, input.rank)
  const centred = sub(input, mean(input, along, true))
  const spreadOut = mean(mul(centred, centred), along, keep)
  if (correction === 0) return spreadOut
  requireConcrete('variance', input.shape, along)
  const count = sizeOf(along.map(axis => input.shape[axis]))
  return mul(spreadOut, count / (count - correction))
}

/** Standard deviation over `axes`; see {@link variance}. */
export const standardDeviation = (
  x: TensorLike,
  axes?: Axes,
  options: { correction?: number; keep?: boolean } = {},
): Tensor => sqrt(variance(x, axes, options))

/** log(sum(exp(x))) over `axes`, without overflow. */
export function logSumExp(x: TensorLike, axes?: Axes, keep = false): Tensor {
  const input = asTensor(x)
  const along = normalizeAxes('logSumExp', axes, input.rank)
  const peak = stopGradient(max(input, along, true))
  const shift = where(isInfinite(peak), 0, peak)
  const total = add(log(sum(exp(sub(input, shift)), along, true)), shift)
  return keep ? total : reshape(total, reducedSpec([input], { axes: along, keep }).shape)
}

const stopGradientPrimitive: Primitive = {
  name: 'stopGradient',
  shape: ([x]) => ({ shape: x.shape, dtype: x.dtype }),
  lower: (_, [x]) => x,
  evaluate: ([x]) => x.data.slice(),
}

/** x, through which no gradient flows. */
export const stopGradient = (x: TensorLike): Tensor => apply(stopGradientPrimitive, [asTensor(x)], {})

interface ArgAttributes {
  readonly axis: number
  readonly keep: boolean
}

function argExtremum(name: string, onnx: string, better: (a: number, b: number) => boolean): Primitive<ArgAttributes> {
  return {
    name,
    shape: ([x], { axis, keep }) => {
      if (x.shape[axis] === 0) throw new Error(`${name}: axis ${axis} of ${formatShape(x.shape)} is empty`)
      return { shape: reducedSpec([x], { axes: [axis], keep }).shape, dtype: 'i64' }
    },
    lower: (to, [x], { attributes: { axis, keep } }) =>
      to.emit(onnx, [x], { axis: { int: axis }, keepdims: { int: keep ? 1 : 0 } }),
    evaluate: ([x], { axis }, [out]) => {
      const inner = sizeOf(x.shape.slice(axis + 1))
      const count = x.shape[axis]
      return Float64Array.from({ length: sizeOf(out.shape) }, (_, o) => {
        const base = Math.floor(o / inner) * count * inner + (o % inner)
        let best = 0
        for (let k = 1; k < count; k++) if (better(x.data[base + k * inner], x.data[base + best * inner])) best = k
        return best
      })
    },
  }
}

const argMaxPrimitive = argExtremum('argMax', 'ArgMax', (a, b) => a > b)
const argMinPrimitive = argExtremum('argMin', 'ArgMin', (a, b) => a < b)

const argReducer =
  (primitive: Primitive<ArgAttributes>) =>
  (x: TensorLike, axis = -1, keep = false): Tensor => {
    const input = asTensor(x)
    return apply(primitive, [input], { axis: normalizeAxis(primitive.name, axis, input.rank), keep })
  }

/** Position (i64) of the largest element along `axis`; the first of equals. */
export const argMax = argReducer(argMaxPrimitive)
/** Position (i64) of the smallest element along `axis`; the first of equals. */
export const argMin = argReducer(argMinPrimitive)

/** True where any element along `axes` is true. */
export const any = (x: Tensor, axes?: Axes, keep = false): Tensor => cast(max(cast(x, 'i32'), axes, keep), 'bool')
/** True where every element along `axes` is true. */
export const all = (x: Tensor, axes?: Axes, keep = false): Tensor => cast(min(cast(x, 'i32'), axes, keep), 'bool')
