import {
  add,
  at,
  broadcastTo,
  cast,
  concat,
  cumulativeSum,
  gather,
  gatherNd,
  type Index,
  less,
  mul,
  pad,
  reshape,
  scatter,
  scatterAdd,
  sum,
  takeAlongAxis,
  topK,
  where,
  zeros,
} from '../../ops/index.ts'
import { formatShape, normalizeAxis, requireConcrete, sizeOf, stridesOf } from '../../shape.ts'
import { constant, type Tensor } from '../../tensor.ts'
import type { NodeReader, OperatorReaders } from './node-reader.ts'
import { scatterReduce } from './scatter-reduce.ts'

type Reduction = 'none' | 'add' | 'mul' | 'max' | 'min'

const reductionOf = (node: NodeReader): Reduction =>
  node.choice<Reduction>('reduction', 'none', ['none', 'add', 'mul', 'max', 'min'])

/** Takes elements; axes on which the indices are shorter than x read its beginning. */
function gatherElements(node: NodeReader): Tensor {
  const x = node.input(0)
  const indices = node.input(1)
  const axis = normalizeAxis(node.op, node.int('axis', 0), x.rank)
  if (indices.rank !== x.rank)
    throw new Error(`${formatShape(x.shape)} and indices ${formatShape(indices.shape)} differ in rank`)
  const begun = x.shape.map((dim, i): Index => (i === axis || dim === indices.shape[i] ? null : [0, indices.shape[i]]))
  return takeAlongAxis(at(x, ...begun), indices, axis)
}

function scatterElements(node: NodeReader): Tensor {
  const x = node.input(0)
  const [indices, updates] = [node.input(1), node.input(2)]
  const axis = normalizeAxis(node.op, node.int('axis', 0), x.rank)
  if (indices.rank !== x.rank || String(indices.shape) !== String(updates.shape))
    throw new Error(
      `indices ${formatShape(indices.shape)} and updates ${formatShape(updates.shape)} do not fit ${formatShape(x.shape)}`,
    )
  return scatterInto(x, indices, updates, axis, reductionOf(node))
}

function scatterInto(x: Tensor, indices: Tensor, updates: Tensor, axis: number, reduction: Reduction): Tensor {
  // Axes on which the indices are shorter: only the beginning of x is written.
  const short = x.shape.findIndex((dim, i) => i !== axis && dim !== indices.shape[i])
  if (short >= 0) {
    const cut = indices.shape[short]
    requireConcrete('scatter', [x.shape[short], cut])
    if (cut > x.shape[short]) throw new Error(`indices ${formatShape(indices.shape)} exceed ${formatShape(x.shape)}`)
    const part = (from: number, to: number): Tensor =>
      at(x, ...x.shape.map((_, i): Index => (i === short ? [from, to] : null)))
    const begun = scatterInto(part(0, cut), indices, updates, axis, reduction)
    return concat([begun, part(cut, x.shape[short])], short)
  }
  if (reduction === 'none') return scatter(x, indices, updates, axis)
  if (reduction === 'add') return scatterAdd(x, indices, updates, axis)
  return scatterReduce(x, indices, updates, axis, reduction)
}

/** Writes slices at tuples of indices: the indexed axes are flattened into one and written as rows. */
function scatterNd(node: NodeReader): Tensor {
  const x = node.input(0)
  const [tuples, updates] = [cast(node.input(1), 'i64'), node.input(2)]
  const depth = tuples.shape[tuples.rank - 1]
  if (!(depth >= 1 && depth <= x.rank)) throw new Error(`tuples of ${depth} indices do not fit ${formatShape(x.shape)}`)
  const sizes = x.shape.slice(0, depth)
  requireConcrete(node.op, sizes)
  const expected = [...tuples.shape.slice(0, -1), ...x.shape.slice(depth)]
  if (String(expected) !== String(updates.shape))
    throw new Error(`updates are ${formatShape(updates.shape)}, expected ${formatShape(expected)}`)
  const strides = integers(sizes.map((_, i) => sizeOf(sizes.slice(i + 1))))
  const wrapped = where(less(tuples, 0), add(tuples, integers(sizes)), tuples)
  const count = sizeOf(tuples.shape.slice(0, -1))
  const inner = sizeOf(x.shape.slice(depth))
  const rows = broadcastTo(reshape(sum(mul(wrapped, strides), -1), [count, 1]), [count, inner])
  const lines = reshape(x, [sizeOf(sizes), inner])
  return reshape(scatterInto(lines, rows, reshape(updates, [count, inner]), 0, reductionOf(node)), x.shape)
}

const integers = (values: readonly number[]): Tensor => constant(BigInt64Array.from(values, BigInt), [values.length])

/** Largest (or smallest) k along an axis: k is an attribute in operator sets before 10. */
function extremes(node: NodeReader): Tensor[] {
  const k = node.has(1) ? node.number(1) : node.int('k', 0)
  const { values, indices } = topK(node.input(0), k, {
    axis: node.int('axis', -1),
    largest: node.flag('largest', true),
  })
  return [values, indices]
}

/** Running sums along an axis that is an input. */
const runningSum = (node: NodeReader): Tensor =>
  cumulativeSum(node.input(0), node.number(1), { exclusive: node.flag('exclusive'), reverse: node.flag('reverse') })

/**
 * Puts the results of a max pooling back where they came from, zero elsewhere.
 * The places are offsets into a whole tensor of the size that the attributes give; a larger output is that, padded.
 */
function maxUnpool(node: NodeReader): Tensor {
  const x = node.input(0)
  const places = cast(node.input(1), 'i64')
  const kernel = node.ints('kernel_shape', [])
  const spatial = x.shape.slice(2)
  if (kernel.length !== spatial.length) throw new Error(`kernel_shape [${kernel}] does not fit ${formatShape(x.shape)}`)
  requireConcrete(node.op, x.shape)
  const strides = node.ints(
    'strides',
    kernel.map(() => 1),
  )
  const pads = node.ints(
    'pads',
    [...kernel, ...kernel].map(() => 0),
  )
  const sizes = spatial.map((dim, i) => (dim - 1) * strides[i] + kernel[i] - pads[i] - pads[kernel.length + i])
  const shape = [...x.shape.slice(0, 2), ...sizes]
  requireReasonableShape(shape)
  const empty = zeros([sizeOf(shape)], x.dtype)
  const flat = reshape(scatter(empty, reshape(places, [x.size]), reshape(x, [x.size]), 0), shape)
  if (!node.has(2)) return flat
  const wanted = node.sizes(2)
  if (wanted.length !== shape.length || wanted.some((dim, axis) => dim < shape[axis]))
    throw new Error(`the output shape ${formatShape(wanted)} is smaller than ${formatShape(shape)}`)
  return pad(
    flat,
    wanted.map((dim, axis): [number, number] => [0, dim - shape[axis]]),
  )
}

function requireReasonableShape(shape: readonly number[]): void {
  if (shape.some(dim => !(dim >= 0)) || !(sizeOf(shape) <= 2 ** 31)) throw new Error(`[${shape}] is no possible shape`)
}

/** The slices (or, without an axis, elements) whose condition holds; the condition decides a shape and must be known. */
function compressed(node: NodeReader): Tensor {
  const given = node.input(0)
  const axis = node.int('axis')
  const x = axis === undefined ? reshape(given, [sizeOf(given.shape)]) : given
  const along = normalizeAxis(node.op, axis ?? 0, x.rank)
  const kept = node.numbers(1).flatMap((holds, i) => (holds ? [i] : []))
  return gather(x, integers(kept), along)
}

/** Where a known tensor is not 0: one row of indices for each axis. */
function nonZero(node: NodeReader): Tensor {
  const { shape } = node.input(0)
  const strides = stridesOf(shape)
  const places = node.numbers(0).flatMap((value, i) => (value !== 0 ? [i] : []))
  const rows = shape.map((dim, axis) => places.map(place => Math.floor(place / strides[axis]) % dim))
  return constant(BigInt64Array.from(rows.flat(), BigInt), [shape.length, places.length])
}

export const indexingReaders: OperatorReaders = {
  Compress: compressed,
  CumSum: runningSum,
  Gather: node => gather(node.input(0), node.input(1), node.int('axis', 0)),
  GatherElements: gatherElements,
  GatherND: node => gatherNd(node.input(0), node.input(1), node.int('batch_dims', 0)),
  MaxUnpool: maxUnpool,
  NonZero: nonZero,
  Scatter: scatterElements,
  ScatterElements: scatterElements,
  ScatterND: scatterNd,
  TopK: extremes,
}
