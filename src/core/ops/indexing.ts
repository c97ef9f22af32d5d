import { customGradient } from '../autodiff.ts'
import { type DType, fromNumbers, toNumbers } from '../dtype.ts'
import type { Primitive } from '../primitive.ts'
import { formatShape, normalizeAxis, requireConcrete, sameShape, sizeOf } from '../shape.ts'
import { apply, asTensor, constant, constantData, Tensor, type TensorLike } from '../tensor.ts'
import { cast } from './cast.ts'
import { add, equal, less, mul, where } from './elementwise.ts'
import { arange, asIndices, checkKnown, type Indices, requireInside, wrapped } from './indices.ts'
import { expandDims, moveAxis, reshape, transpose } from './layout.ts'
import { sum } from './reduce.ts'
import { asInt64, lowerBlockScatter } from './scatter-lowering.ts'

export * from './along-axis.ts'
export { arange, type Indices } from './indices.ts'

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

const gatherPrimitive: Primitive<GatherAttributes> = {
  name: 'gather',
  shape: ([x, indices], { axis, batchDims }) => ({
    shape: [...x.shape.slice(0, axis), ...indices.shape.slice(batchDims), ...x.shape.slice(axis + 1)],
    dtype: x.dtype,
  }),
  vjp: (node, [ct]) => {
    const [x, indices] = node.inputs
    return [ct && gatherAdjoint(ct, x, indices, node.attributes)]
  },
  lower: (to, [x, indices], node) => {
    const { axis, batchDims } = node.attributes
    if (batchDims === 0) return to.emit('Gather', [x, indices], { axis: { int: axis } })
    const tuples = to.emit('Unsqueeze', [asInt64(to, indices, node.inputs[1].dtype), to.ints([node.inputs[1].rank])])
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
  /** No two indices are equal. Said here, not looked up when lowering: a program serves any constants of one shape. */
  readonly distinct: boolean
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
    const [{ dtype }, places] = node.inputs
    const [out] = node.outputs
    const summed = lowerBlockScatter(to, updates, asInt64(to, indices, places.dtype), {
      ...gatherLoops(out.shape, places.shape, node.attributes),
      size: node.attributes.size,
      dtype,
      distinct: node.attributes.distinct,
    })
    return to.emit('Reshape', [summed, to.shape(out.shape)], { allowzero: { int: 1 } })
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

/** Indices are known when the graph is built and no two are equal. */
function knownDistinct(indices: Tensor, size: number): boolean {
  const data = constantData(indices)
  return data !== undefined && new Set(toNumbers(indices.dtype, data).map(i => wrapped(i, size))).size === data.length
}

function scatterBlocks(
  updates: Tensor,
  indices: Tensor,
  attributes: Omit<ScatterBlocksAttributes, 'distinct'>,
): Tensor {
  // Halves are summed in single precision: no kernel adds them, and long sums would stop growing.
  if (updates.dtype === 'f16') return cast(scatterBlocks(cast(updates, 'f32'), indices, attributes), 'f16')
  const distinct = attributes.batchDims === 0 && knownDistinct(indices, attributes.size)
  return apply(scatterBlocksPrimitive, [updates, indices], { ...attributes, distinct })
}

/** The adjoint of taking slices: scattering, or taking again where the indices are a known permutation of the axis. */
function gatherAdjoint(ct: Tensor, x: Tensor, indices: Tensor, attributes: GatherAttributes): Tensor {
  const size = x.shape[attributes.axis]
  if (attributes.batchDims === 0 && indices.rank === 1 && indices.size === size && knownDistinct(indices, size)) {
    const inverse = new Array<number>(size)
    toNumbers(indices.dtype, constantData(indices)!).forEach((index, i) => {
      inverse[wrapped(index, size)] = i
    })
    return apply(gatherPrimitive, [ct, constant(fromNumbers('i64', inverse), [size])], attributes)
  }
  requireConcrete('gradient of gather', x.shape, [attributes.axis])
  return scatterBlocks(ct, indices, { ...attributes, size })
}

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
  if (input.dtype === 'bool') throw new Error('indexAdd: cast the bool tensor to a number first')
  requireConcrete('indexAdd', input.shape, [along])
  checkKnown('indexAdd', places, along, input.shape)
  return add(input, scatterBlocks(given, places, { axis: along, batchDims: 0, size: input.shape[along] }))
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
