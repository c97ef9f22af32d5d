import { customGradient } from '../autodiff.ts'
import { type DType, fromNumbers, type HostData, isInteger, toNumbers } from '../dtype.ts'
import type { Lowering, Primitive, Spec } from '../primitive.ts'
import { broadcastShapes, formatShape, normalizeAxis, requireConcrete, sameShape, sizeOf } from '../shape.ts'
import { apply, asTensor, constant, constantData, type NestedNumbers, Tensor, type TensorLike } from '../tensor.ts'
import { cast } from './cast.ts'
import { add, equal, less, mul, where } from './elementwise.ts'
import { broadcastTo, expandDims, moveAxis, reshape, transpose, zerosLike } from './layout.ts'
import { sum } from './reduce.ts'

/** Positions along an axis: an i32 or i64 tensor, or plain whole numbers. Negative ones count from the end. */
export type Indices = Tensor | number | NestedNumbers | Int32Array | BigInt64Array

const ranges = new Map<string, HostData>()

/** 0, 1, …, count-1. */
export function arange(count: number, dtype: DType = 'i64'): Tensor {
  if (!Number.isInteger(count) || count < 0)
    throw new Error(`arange: expected a whole number of elements, got ${count}`)
  const key = `${dtype}${count}`
  let data = ranges.get(key)
  if (!data) {
    data = fromNumbers(
      dtype,
      Array.from({ length: count }, (_, i) => i),
    )
    ranges.set(key, data)
  }
  return constant(data, [count], dtype)
}

function asIndices(op: string, indices: Indices): Tensor {
  const read = asTensor(indices, indices instanceof Tensor || ArrayBuffer.isView(indices) ? undefined : 'i64')
  if (!isInteger(read.dtype)) throw new Error(`${op}: indices must be i32 or i64, got ${read.dtype}`)
  return read.dtype === 'u8' ? cast(read, 'i64') : read
}

/** What is known when the graph is built is checked then; other indices are checked by the kernel (see {@link gather}). */
function checkKnown(op: string, indices: Tensor, axis: number, shape: readonly number[]): void {
  const data = constantData(indices)
  const size = shape[axis]
  if (!data || size < 0) return
  const wrong = toNumbers(indices.dtype, data).find(index => index < -size || index >= size)
  if (wrong !== undefined)
    throw new Error(
      `${op}: index ${wrong} is out of range for axis ${axis} of ${formatShape(shape)}, which takes ${-size} to ${size - 1}`,
    )
}

const wrapped = (index: number, size: number): number => (index < 0 ? index + size : index)

function requireInside(op: string, index: number, size: number): number {
  const place = wrapped(index, size)
  if (!(place >= 0 && place < size)) throw new Error(`${op}: index ${index} is out of range for an axis of ${size}`)
  return place
}

interface GatherAttributes {
  readonly axis: number
  /** Leading axes that x and the indices share. */
  readonly batchDims: number
}

/** Sizes of the loops over [batch, before the axis, picked, after it]. */
function gatherLoops(x: readonly number[], indices: readonly number[], { axis, batchDims }: GatherAttributes) {
  return {
    batch: sizeOf(x.slice(0, batchDims)),
    before: sizeOf(x.slice(batchDims, axis)),
    picked: sizeOf(indices.slice(batchDims)),
    after: sizeOf(x.slice(axis + 1)),
  }
}

/** Visits every picked block: its offset among the picked, and that of its place in x, both in blocks. */
function forEachPicked(
  op: string,
  x: readonly number[],
  indices: { readonly shape: readonly number[]; readonly data: Float64Array },
  attributes: GatherAttributes,
  visit: (picked: number, source: number) => void,
): void {
  const { batch, before, picked } = gatherLoops(x, indices.shape, attributes)
  const size = x[attributes.axis]
  for (let b = 0; b < batch; b++)
    for (let o = 0; o < before; o++)
      for (let k = 0; k < picked; k++) {
        const row = b * before + o
        visit(row * picked + k, row * size + requireInside(op, indices.data[b * picked + k], size))
      }
}

const toInt64 = (to: Lowering, name: string, { dtype }: Spec): string =>
  dtype === 'i64' ? name : to.emit('Cast', [name], { to: { int: 7 } })

const gatherPrimitive: Primitive<GatherAttributes> = {
  name: 'gather',
  shape: ([x, indices], { axis, batchDims }) => ({
    shape: [...x.shape.slice(0, axis), ...indices.shape.slice(batchDims), ...x.shape.slice(axis + 1)],
    dtype: x.dtype,
  }),
  vjp: (node, [ct]) => {
    const [x, indices] = node.inputs
    return [ct && scatterBlocks(ct, indices, { ...node.attributes, size: x.shape[node.attributes.axis] })]
  },
  lower: (to, [x, indices], node) => {
    const { axis, batchDims } = node.attributes
    if (batchDims === 0) return to.emit('Gather', [x, indices], { axis: { int: axis } })
    const tuples = to.emit('Unsqueeze', [toInt64(to, indices, node.inputs[1]), to.ints([node.inputs[1].rank])])
    return to.emit('GatherND', [x, tuples], { batch_dims: { int: batchDims } })
  },
  evaluate: ([x, indices], attributes, [out]) => {
    const { after } = gatherLoops(x.shape, indices.shape, attributes)
    const result = new Float64Array(sizeOf(out.shape))
    forEachPicked('gather', x.shape, indices, attributes, (picked, source) =>
      result.set(x.data.subarray(source * after, (source + 1) * after), picked * after),
    )
    return result
  },
}

interface ScatterBlocksAttributes extends GatherAttributes {
  /** Size of the axis that is added into. */
  readonly size: number
}

/** Adds blocks into zeros at the places that `gather` would take them from: its adjoint. */
const scatterBlocksPrimitive: Primitive<ScatterBlocksAttributes> = {
  name: 'scatterBlocks',
  shape: ([updates, indices], { axis, batchDims, size }) => ({
    shape: [...updates.shape.slice(0, axis), size, ...updates.shape.slice(axis + indices.shape.length - batchDims)],
    dtype: updates.dtype,
  }),
  vjp: (node, [ct]) => {
    const { axis, batchDims } = node.attributes
    return [ct && apply(gatherPrimitive, [ct, node.inputs[1]], { axis, batchDims }), undefined]
  },
  lower: (to, [updates, indices], node) => {
    const { attributes } = node
    const [{ shape: from, dtype }, { shape: places }] = node.inputs
    const [out] = node.outputs
    const { batch, before, picked, after } = gatherLoops(out.shape, places, attributes)
    const zeros = to.emit('Expand', [to.scalar(0, dtype), to.shape([batch, before, attributes.size, after])])
    const blocks = to.emit('Reshape', [updates, to.shape([batch, before, picked, after])], { allowzero: { int: 1 } })
    const each = to.emit('Reshape', [indices, to.shape([batch, 1, picked, 1])], { allowzero: { int: 1 } })
    const spread = to.emit('Expand', [each, to.shape([batch, before, picked, after])])
    const summed = to.emit('ScatterElements', [zeros, spread, blocks], {
      axis: { int: 2 },
      reduction: { string: 'add' },
    })
    return sameShape(from, [batch, before, picked, after]) && out.rank === 4
      ? summed
      : to.emit('Reshape', [summed, to.shape(out.shape)], { allowzero: { int: 1 } })
  },
  evaluate: ([updates, indices], attributes, [out]) => {
    const { after } = gatherLoops(out.shape, indices.shape, attributes)
    const result = new Float64Array(sizeOf(out.shape))
    forEachPicked('indexAdd', out.shape, indices, attributes, (picked, target) => {
      for (let i = 0; i < after; i++) result[target * after + i] += updates.data[picked * after + i]
    })
    return result
  },
}

const scatterBlocks = (updates: Tensor, indices: Tensor, attributes: ScatterBlocksAttributes): Tensor =>
  apply(scatterBlocksPrimitive, [updates, indices], attributes)

function requireShared(op: string, x: Tensor, indices: Tensor, batchDims: number): void {
  if (
    !Number.isInteger(batchDims) ||
    batchDims < 0 ||
    batchDims > indices.rank ||
    !sameShape(x.shape.slice(0, batchDims), indices.shape.slice(0, batchDims))
  )
    throw new Error(
      `${op}: ${formatShape(x.shape)} and indices ${formatShape(indices.shape)} do not share ${batchDims} leading axes`,
    )
}

/**
 * Takes whole slices of `x` by their place along an axis, as NumPy's `take`:
 * out[b…, o…, k…, i…] = x[b…, o…, indices[b…, k…], i…].
 *
 * An index beyond the axis is an error when it is a constant; one that is computed stops the run on the CPU
 * (ONNX Runtime: "indices element out of data bounds") and is undefined on an accelerator.
 * @param indices any shape; negative ones count from the end
 * @param axis the axis of `x` they index; default 0, or the first after the shared ones
 * @param batchDims number of leading axes that `x` and `indices` share and that are walked together; default 0
 * @returns `x` with that axis replaced by the unshared axes of `indices`; its gradient adds up what repeated indices receive
 * @throws when a constant index is out of range, or the shared axes differ
 */
export function gather(
  x: TensorLike,
  indices: Indices,
  axis?: number,
  { batchDims = 0 }: { readonly batchDims?: number } = {},
): Tensor {
  const input = asTensor(x)
  const places = asIndices('gather', indices)
  requireShared('gather', input, places, batchDims)
  const along = normalizeAxis('gather', axis ?? batchDims, input.rank)
  if (along < batchDims) throw new Error(`gather: axis ${along} is one of the ${batchDims} shared axes`)
  checkKnown('gather', places, along, input.shape)
  if (batchDims === 0 || along === batchDims) return apply(gatherPrimitive, [input, places], { axis: along, batchDims })
  const picked = apply(gatherPrimitive, [moveAxis(input, along, batchDims), places], { axis: batchDims, batchDims })
  // The picked axes go back to where the axis was.
  const count = places.rank - batchDims
  const order = picked.shape.map((_, i) => i)
  order.splice(along, 0, ...order.splice(batchDims, count))
  return transpose(picked, order)
}

/**
 * `x` with `updates` added into whole slices: out = x; out[…, indices[k…], …] += updates[…, k…, …], repeated indices adding up.
 * @param updates `x` with the axis replaced by the axes of `indices`
 * @param axis default 0
 * @throws when the shapes do not fit or a constant index is out of range
 */
export function indexAdd(x: TensorLike, indices: Indices, updates: TensorLike, axis = 0): Tensor {
  const input = asTensor(x)
  const places = asIndices('indexAdd', indices)
  const along = normalizeAxis('indexAdd', axis, input.rank)
  const given = asTensor(updates, input.dtype)
  const expected = [...input.shape.slice(0, along), ...places.shape, ...input.shape.slice(along + 1)]
  if (!sameShape(given.shape, expected))
    throw new Error(
      `indexAdd: updates are ${formatShape(given.shape)}, expected ${formatShape(expected)} for ${formatShape(input.shape)} and indices ${formatShape(places.shape)} along axis ${along}`,
    )
  requireConcrete('indexAdd', input.shape, [along])
  checkKnown('indexAdd', places, along, input.shape)
  return add(input, scatterBlocks(given, places, { axis: along, batchDims: 0, size: input.shape[along] }))
}

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

/** One index into the first axes flattened together, from tuples of indices along the last axis. */
function flatPlaces(op: string, tuples: Tensor, shape: readonly number[], batchDims: number): Tensor {
  const depth = tuples.shape[tuples.rank - 1]
  const sizes = shape.slice(batchDims, batchDims + depth)
  if (depth < 1 || sizes.length !== depth)
    throw new Error(
      `${op}: tuples of ${depth} indices do not fit ${formatShape(shape)}${batchDims ? ` after ${batchDims} shared axes` : ''}`,
    )
  sizes.forEach((_, i) => {
    requireConcrete(op, shape, [batchDims + i])
  })
  const wide = cast(tuples, 'i64')
  const known = constantData(wide)
  known?.forEach((value: number | bigint, i: number) => {
    const size = sizes[i % depth]
    if (Number(value) < -size || Number(value) >= size)
      throw new Error(
        `${op}: index ${value} is out of range for axis ${batchDims + (i % depth)} of ${formatShape(shape)}`,
      )
  })
  const bounds = constant(fromNumbers('i64', sizes), [depth])
  const strides = constant(
    fromNumbers(
      'i64',
      sizes.map((_, i) => sizeOf(sizes.slice(i + 1))),
    ),
    [depth],
  )
  return sum(mul(where(less(wide, 0), add(wide, bounds), wide), strides), -1)
}

/**
 * Takes slices by tuples of indices: out[b…, k…] = x[b…, (*indices[b…, k…])] (ONNX GatherND).
 * @param indices last axis: one index for each of the first axes of `x` after the shared ones
 * @param batchDims number of leading axes that `x` and `indices` share; default 0
 * @throws when a constant index is out of range or a tuple is longer than `x` has axes
 */
export function gatherNd(x: TensorLike, indices: Indices, batchDims = 0): Tensor {
  const input = asTensor(x)
  const tuples = asIndices('gatherNd', indices)
  const flat = flatPlaces('gatherNd', tuples, input.shape, batchDims)
  const depth = tuples.shape[tuples.rank - 1]
  const indexed = input.shape.slice(batchDims, batchDims + depth)
  const lines = reshape(input, [
    ...input.shape.slice(0, batchDims),
    sizeOf(indexed),
    ...input.shape.slice(batchDims + depth),
  ])
  return gather(lines, flat, batchDims, { batchDims })
}

/**
 * `x` with slices added at tuples of indices: out = x; out[(*indices[k…])] += updates[k…], repeated tuples adding up
 * (ONNX ScatterND with reduction "add").
 * @param indices last axis: one index for each of the first axes of `x`
 * @param updates the leading axes of `indices`, then the axes of `x` that are not indexed
 * @throws when the shapes do not fit or a constant index is out of range
 */
export function scatterAddNd(x: TensorLike, indices: Indices, updates: TensorLike): Tensor {
  const input = asTensor(x)
  const tuples = asIndices('scatterAddNd', indices)
  const flat = flatPlaces('scatterAddNd', tuples, input.shape, 0)
  const depth = tuples.shape[tuples.rank - 1]
  const lines = reshape(input, [sizeOf(input.shape.slice(0, depth)), ...input.shape.slice(depth)])
  return reshape(indexAdd(lines, flat, updates), input.shape)
}

/**
 * 1 at the index, 0 elsewhere: out[…, c] = (indices[…] == c). An index outside 0..depth-1 (a padding or ignored label)
 * gives a row of zeros.
 * @param depth number of classes, the size of the new last axis
 * @param dtype default `f32`
 */
export function oneHot(indices: Indices, depth: number, dtype: DType = 'f32'): Tensor {
  const places = asIndices('oneHot', indices)
  return cast(equal(expandDims(places, -1), arange(depth, places.dtype)), dtype)
}

/** `x` with `value` wherever `mask` is true. @param mask bool, broadcasts against `x` */
export function maskedFill(x: TensorLike, mask: Tensor, value: number | Tensor): Tensor {
  const input = asTensor(x)
  return where(mask, value instanceof Tensor ? value : asTensor(value, input.dtype), input)
}

/**
 * Rows of a table by their number: out[…, :] = weight[indices[…], :].
 * @param weight [entries, width]
 * @param indices any shape, 0 to entries-1
 * @param paddingIndex this row receives no gradient (PyTorch's `padding_idx`); negative counts from the end
 * @throws when a constant index or the padding index is out of range; computed ones: see {@link gather}
 */
export function embedding(
  weight: TensorLike,
  indices: Indices,
  { paddingIndex }: { readonly paddingIndex?: number } = {},
): Tensor {
  const table = asTensor(weight)
  if (table.rank !== 2) throw new Error(`embedding: weight must be [entries, width], got ${formatShape(table.shape)}`)
  const places = asIndices('embedding', indices)
  checkKnown('embedding', places, 0, table.shape)
  const rows = gather(table, places)
  if (paddingIndex === undefined) return rows
  const [entries] = table.shape
  if (!Number.isInteger(paddingIndex) || paddingIndex < -entries || paddingIndex >= entries)
    throw new Error(`embedding: padding index ${paddingIndex} is out of range for ${entries} entries`)
  const padding = expandDims(equal(places, wrapped(paddingIndex, entries)), -1)
  return customGradient(
    picked => picked,
    ct => [where(padding, asTensor(0, ct.dtype), ct)],
  )(rows)
}
