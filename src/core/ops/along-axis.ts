import type { Primitive } from '../primitive.ts'
import { broadcastShapes, formatShape, normalizeAxis, requireConcrete, sameShape, sizeOf } from '../shape.ts'
import { apply, asTensor, type Tensor, type TensorLike } from '../tensor.ts'
import { add } from './elementwise.ts'
import { asIndices, checkKnown, type Indices, requireInside } from './indices.ts'
import { broadcastTo, zerosLike } from './layout.ts'

interface AxisAttributes {
  readonly axis: number
}

/** Visits every element of the indices with its offset and the offset of its place in a tensor whose axis has `size`. */
function forEachPlace(
  op: string,
  indices: { readonly shape: readonly number[]; readonly data: Float64Array },
  axis: number,
  size: number,
  visit: (element: number, place: number) => void,
): void {
  const inner = sizeOf(indices.shape.slice(axis + 1))
  const line = indices.shape[axis] * inner
  for (let i = 0; i < indices.data.length; i++) {
    const outer = Math.floor(i / line)
    visit(i, (outer * size + requireInside(op, indices.data[i], size)) * inner + (i % inner))
  }
}

const takePrimitive: Primitive<AxisAttributes> = {
  name: 'takeAlongAxis',
  shape: ([x, indices]) => ({ shape: indices.shape, dtype: x.dtype }),
  vjp: (node, [ct]) => {
    const [x, indices] = node.inputs
    const { axis } = node.attributes
    return [ct && apply(scatterElementsPrimitive, [ct, indices], { axis, size: x.shape[axis] })]
  },
  lower: (to, inputs, node) => to.emit('GatherElements', inputs, { axis: { int: node.attributes.axis } }),
  evaluate: ([x, indices], { axis }) => {
    const result = new Float64Array(indices.data.length)
    forEachPlace('takeAlongAxis', indices, axis, x.shape[axis], (i, place) => {
      result[i] = x.data[place]
    })
    return result
  },
}

const withSize = (shape: readonly number[], axis: number, size: number): number[] =>
  shape.map((dim, i) => (i === axis ? size : dim))

/** Adds elements into zeros at the places that `takeAlongAxis` would take them from: its adjoint. */
const scatterElementsPrimitive: Primitive<AxisAttributes & { readonly size: number }> = {
  name: 'scatterElements',
  shape: ([updates], { axis, size }) => ({ shape: withSize(updates.shape, axis, size), dtype: updates.dtype }),
  vjp: (node, [ct]) => [ct && apply(takePrimitive, [ct, node.inputs[1]], { axis: node.attributes.axis }), undefined],
  lower: (to, [updates, indices], node) => {
    const [{ shape, dtype }] = node.outputs
    const zeros = to.emit('Expand', [to.scalar(0, dtype), to.shape(shape)])
    return to.emit('ScatterElements', [zeros, indices, updates], {
      axis: { int: node.attributes.axis },
      reduction: { string: 'add' },
    })
  },
  evaluate: ([updates, indices], { axis, size }, [out]) => {
    const result = new Float64Array(sizeOf(out.shape))
    forEachPlace('scatterAdd', indices, axis, size, (i, place) => {
      result[place] += updates.data[i]
    })
    return result
  },
}

const replacePrimitive: Primitive<AxisAttributes> = {
  name: 'scatter',
  shape: ([x]) => ({ shape: x.shape, dtype: x.dtype }),
  vjp: (node, [ct]) => {
    if (!ct) return []
    const [, indices, updates] = node.inputs
    const { axis } = node.attributes
    return [
      apply(replacePrimitive, [ct, indices, zerosLike(updates)], { axis }),
      undefined,
      apply(takePrimitive, [ct, indices], { axis }),
    ]
  },
  lower: (to, inputs, node) => to.emit('ScatterElements', inputs, { axis: { int: node.attributes.axis } }),
  evaluate: ([x, indices, updates], { axis }) => {
    const result = x.data.slice()
    forEachPlace('scatter', indices, axis, x.shape[axis], (i, place) => {
      result[place] = updates.data[i]
    })
    return result
  },
}

/** Broadcasts tensors against each other everywhere but along `axis`. */
function alignLines(op: string, axis: number, ...tensors: Tensor[]): Tensor[] {
  const ranks = tensors.map(t => t.rank)
  if (new Set(ranks).size !== 1)
    throw new Error(`${op}: ${tensors.map(t => formatShape(t.shape)).join(' and ')} differ in their number of axes`)
  const lines = broadcastShapes(op, ...tensors.map(t => withSize(t.shape, axis, 1)))
  return tensors.map(t => broadcastTo(t, withSize(lines, axis, t.shape[axis])))
}

/**
 * Takes single elements: out[…, k, …] = x[…, indices[…, k, …], …] (PyTorch's `gather`, NumPy's `take_along_axis`).
 * @param indices as many axes as `x`; axes other than `axis` broadcast against those of `x`
 * @returns the shape of `indices` (after broadcasting)
 * @throws when the shapes do not fit or a constant index is out of range; computed ones: see {@link gather}
 */
export function takeAlongAxis(x: TensorLike, indices: Indices, axis = -1): Tensor {
  const input = asTensor(x)
  const places = asIndices('takeAlongAxis', indices)
  const along = normalizeAxis('takeAlongAxis', axis, input.rank)
  checkKnown('takeAlongAxis', places, along, input.shape)
  return apply(takePrimitive, alignLines('takeAlongAxis', along, input, places), { axis: along })
}

function elementwiseOperands(op: string, x: TensorLike, indices: Indices, updates: TensorLike, axis: number) {
  const input = asTensor(x)
  const along = normalizeAxis(op, axis, input.rank)
  const places = asIndices(op, indices)
  const given = asTensor(updates, input.dtype)
  if (given.dtype !== input.dtype) throw new Error(`${op}: x is ${input.dtype} but updates are ${given.dtype}`)
  checkKnown(op, places, along, input.shape)
  const lines = withSize(input.shape, along, places.shape[along])
  if (places.rank !== input.rank || !sameShape(broadcastShapes(op, places.shape, given.shape, lines), lines))
    throw new Error(
      `${op}: indices ${formatShape(places.shape)} and updates ${formatShape(given.shape)} do not fit ${formatShape(input.shape)} along axis ${along}`,
    )
  return { input, along, places: broadcastTo(places, lines), given: broadcastTo(given, lines) }
}

/**
 * `x` with single elements added: out = x; out[…, indices[…, k, …], …] += updates[…, k, …] (PyTorch's `scatter_add`).
 * @param indices,updates as many axes as `x`, equal to it (or 1) but along `axis`; repeated indices add up
 * @throws when the shapes do not fit or a constant index is out of range; computed ones: see {@link gather}
 */
export function scatterAdd(x: TensorLike, indices: Indices, updates: TensorLike, axis = -1): Tensor {
  const { input, along, places, given } = elementwiseOperands('scatterAdd', x, indices, updates, axis)
  if (input.dtype === 'bool') throw new Error('scatterAdd: cast the bool tensor to a number first')
  requireConcrete('scatterAdd', input.shape, [along])
  return add(input, apply(scatterElementsPrimitive, [given, places], { axis: along, size: input.shape[along] }))
}

/**
 * `x` with single elements replaced: out = x; out[…, indices[…, k, …], …] = updates[…, k, …] (PyTorch's `scatter`).
 * Indices along one line must differ; of equal ones the last is kept, and the gradient of the others is undefined.
 * @param indices,updates as many axes as `x`, equal to it (or 1) but along `axis`
 * @throws when the shapes do not fit or a constant index is out of range; computed ones: see {@link gather}
 */
export function scatter(x: TensorLike, indices: Indices, updates: TensorLike, axis = -1): Tensor {
  const { input, along, places, given } = elementwiseOperands('scatter', x, indices, updates, axis)
  return apply(replacePrimitive, [input, places, given], { axis: along })
}
