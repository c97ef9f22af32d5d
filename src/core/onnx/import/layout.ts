import {
  and,
  at,
  broadcastTo,
  cast,
  concat,
  expandDims,
  greaterOrEqual,
  type Index,
  less,
  lessOrEqual,
  type PadMode,
  pad,
  reshape,
  split,
  squeeze,
  sub,
  takeAlongAxis,
  tile,
  transpose,
  where,
} from '../../ops/index.ts'
import { broadcastShapes, formatShape, normalizeAxis, type Shape, sizeOf } from '../../shape.ts'
import { asTensor, constant, type Tensor } from '../../tensor.ts'
import { isFixed } from './known.ts'
import type { NodeReader, OperatorReaders } from './node-reader.ts'

function reshaped(node: NodeReader): Tensor {
  const x = node.input(0)
  return reshape(x, node.has(1) ? reshapeTarget(node, x) : fillIn(node.ints('shape', []), x, false))
}

/** The target of a Reshape: 0 copies the input's size, one -1 takes what is left. */
function reshapeTarget(node: NodeReader, x: Tensor): Shape {
  const known = node.known(1)
  const allowZero = node.flag('allowzero')
  if (isFixed(known)) return fillIn(known.fixed, x, allowZero)
  // Sizes that follow the batch are multiples of it; a plain -1 among them is still the one to work out.
  const sizes = known.fixed.map((value, i) => {
    if (known.batch[i] === 0) return value
    if (value !== 0 || known.batch[i] < 0) throw new Error(`size ${value} + ${known.batch[i]} N is no size`)
    return { batches: known.batch[i] }
  })
  const rest = sizes.map((size, axis) => (size === 0 && !allowZero ? x.shape[axis] : size))
  const settled = rest.map(size => (typeof size === 'object' ? -size.batches : size))
  const open = rest.indexOf(-1)
  if (open >= 0) settled[open] = quotient(x.shape, [...settled.slice(0, open), ...settled.slice(open + 1)])
  return settled
}

function fillIn(target: readonly number[], x: Tensor, allowZero: boolean): number[] {
  const sizes = target.map((size, axis) => {
    if (size < -1 || !Number.isInteger(size)) throw new Error(`[${target}] is no shape`)
    if (size !== 0 || allowZero) return size
    if (axis >= x.rank) throw new Error(`size 0 copies axis ${axis}, which ${formatShape(x.shape)} does not have`)
    return x.shape[axis]
  })
  const open = target.indexOf(-1)
  if (open < 0) return sizes
  if (target.indexOf(-1, open + 1) >= 0) throw new Error(`[${target}] leaves more than one size open`)
  sizes[open] = quotient(x.shape, [...sizes.slice(0, open), ...sizes.slice(open + 1)])
  return sizes
}

function quotient(from: Shape, others: Shape): number {
  const size = sizeOf(from) / sizeOf(others)
  if (!Number.isInteger(size))
    throw new Error(`${formatShape(from)} does not divide into ${formatShape(others)} and one more axis`)
  return size
}

function flattened(node: NodeReader): Tensor {
  const x = node.input(0)
  const axis = node.int('axis', 1)
  if (axis < -x.rank || axis > x.rank) throw new Error(`axis ${axis} is out of range for ${formatShape(x.shape)}`)
  const cut = axis < 0 ? axis + x.rank : axis
  return reshape(x, [sizeOf(x.shape.slice(0, cut)), sizeOf(x.shape.slice(cut))])
}

function unsqueezed(node: NodeReader): Tensor {
  const axes = node.integersOf('axes', 1)
  if (!axes) throw new Error("'axes' is missing")
  return expandDims(node.input(0), axes)
}

/** Starts, ends, axes and steps: attributes before operator set 10, inputs since. */
function sliced(node: NodeReader): Tensor {
  const x = node.input(0)
  const starts = node.integersOf('starts', 1)
  const ends = node.integersOf('ends', 2)
  if (!starts || !ends || starts.length !== ends.length)
    throw new Error("'starts' and 'ends' must be given and of equal length")
  const axes = node.integersOf('axes', 3) ?? starts.map((_, i) => i)
  const steps = node.has(4) ? node.integers(4) : starts.map(() => 1)
  if (axes.length !== starts.length || steps.length !== starts.length)
    throw new Error(`${starts.length} starts, ${axes.length} axes and ${steps.length} steps differ in number`)
  const indices = new Array<Index>(x.rank).fill(null)
  axes.forEach((axis, i) => {
    indices[normalizeAxis(node.op, axis, x.rank)] = range(starts[i], ends[i], steps[i])
  })
  return at(x, ...indices)
}

/** Ends that lie far outside mean "to the end", which also holds for an axis whose size is the symbolic batch. */
function range(start: number, end: number, step: number): Index {
  const beyond = 2 ** 31 - 1
  if (step > 0) return [start === 0 ? null : start, end >= beyond ? null : end, step]
  return [start >= beyond ? null : start, end <= -beyond ? null : end, step]
}

/** Sizes of the parts: an attribute, an input (13), a number of parts (18), or as many equal ones as there are outputs. */
function parts(node: NodeReader): Tensor[] {
  const x = node.input(0)
  const axis = normalizeAxis(node.op, node.int('axis', 0), x.rank)
  const sizes = node.integersOf('split', 1)
  if (sizes) {
    if (sizes.some(size => size < 0)) throw new Error(`sizes [${sizes}] of parts must not be negative`)
    return split(x, sizes, axis)
  }
  const count = node.int('num_outputs', node.outputs)
  if (count !== node.outputs) throw new Error(`num_outputs is ${count}, but the node has ${node.outputs} outputs`)
  const dim = x.shape[axis]
  if (dim % count === 0) return split(x, count, axis)
  if (node.opset < 18) throw new Error(`axis ${axis} of ${formatShape(x.shape)} does not divide into ${count} parts`)
  const each = Math.ceil(dim / count)
  const last = dim - each * (count - 1)
  if (last < 0) throw new Error(`axis ${axis} of ${formatShape(x.shape)} has too few elements for ${count} parts`)
  return split(x, [...new Array<number>(count - 1).fill(each), last], axis)
}

const padModes: Record<string, PadMode> = {
  constant: 'constant',
  reflect: 'reflect',
  edge: 'replicate',
  wrap: 'circular',
}

/** Widths and fill: attributes before operator set 11, inputs since; axes since 18. */
function padded(node: NodeReader): Tensor {
  const x = node.input(0)
  const widths = node.integersOf(node.opset < 2 ? 'paddings' : 'pads', 1)
  if (!widths) throw new Error("'pads' is missing")
  const axes = node.has(3) ? node.integers(3).map(axis => normalizeAxis(node.op, axis, x.rank)) : [...x.shape.keys()]
  if (widths.length !== 2 * axes.length)
    throw new Error(`${widths.length} widths do not give two for each of ${axes.length} axes`)
  const mode = padModes[node.choice('mode', 'constant', ['constant', 'reflect', 'edge', 'wrap'])]
  const value = node.has(2) ? node.number(2) : node.float('value', 0)
  const pairs = x.shape.map((_, axis): [number, number] => {
    const i = axes.indexOf(axis)
    return i < 0 ? [0, 0] : [widths[i], widths[axes.length + i]]
  })
  if (mode === 'constant' || pairs.every(pair => pair.every(width => width >= 0))) return pad(x, pairs, mode, value)
  // Negative widths crop; what is left is padded.
  const cropped = pad(
    x,
    pairs.map(([before, after]): [number, number] => [Math.min(before, 0), Math.min(after, 0)]),
  )
  return pad(
    cropped,
    pairs.map(([before, after]): [number, number] => [Math.max(before, 0), Math.max(after, 0)]),
    mode,
  )
}

function expanded(node: NodeReader): Tensor {
  const x = node.input(0)
  return broadcastTo(x, broadcastShapes(node.op, x.shape, node.sizes(1)))
}

/** Repeats, one number an axis; operator sets before 6 repeat a single axis. */
function tiled(node: NodeReader): Tensor {
  const x = node.input(0)
  const counts = node.sizes(1)
  if (counts.length !== x.rank) throw new Error(`${counts.length} repeats for ${formatShape(x.shape)}`)
  return tile(x, counts)
}

function depthToSpace(node: NodeReader): Tensor {
  const x = node.requireRank(0, 4)
  const [batch, channels, height, width] = x.shape
  const block = blockSize(node)
  const depth = channels / block ** 2
  if (!Number.isInteger(depth)) throw new Error(`${channels} channels do not divide into blocks of ${block} x ${block}`)
  const columnRowDepth = node.choice('mode', 'DCR', ['DCR', 'CRD']) === 'CRD'
  const apart = columnRowDepth
    ? transpose(reshape(x, [batch, depth, block, block, height, width]), [0, 1, 4, 2, 5, 3])
    : transpose(reshape(x, [batch, block, block, depth, height, width]), [0, 3, 4, 1, 5, 2])
  return reshape(apart, [batch, depth, height * block, width * block])
}

function spaceToDepth(node: NodeReader): Tensor {
  const x = node.requireRank(0, 4)
  const [batch, channels, height, width] = x.shape
  const block = blockSize(node)
  if (height % block !== 0 || width % block !== 0)
    throw new Error(`${height} x ${width} does not divide into blocks of ${block} x ${block}`)
  const apart = reshape(x, [batch, channels, height / block, block, width / block, block])
  return reshape(transpose(apart, [0, 3, 5, 1, 2, 4]), [batch, channels * block ** 2, height / block, width / block])
}

function blockSize(node: NodeReader): number {
  const block = node.int('blocksize', 0)
  if (!(block >= 1)) throw new Error(`blocksize ${block} must be at least 1`)
  return block
}

/** The upper or lower triangle of the last two axes, zero elsewhere. */
function triangle(node: NodeReader): Tensor {
  const x = node.input(0)
  if (x.rank < 2) throw new Error(`${formatShape(x.shape)} holds no matrices`)
  const [rows, columns] = x.shape.slice(-2)
  const offset = node.has(1) ? node.number(1) : 0
  const row = reshape(counting(rows), [rows, 1])
  const column = counting(columns, -offset)
  const kept = node.flag('upper', true) ? greaterOrEqual(column, row) : lessOrEqual(column, row)
  if (x.dtype === 'bool') return and(x, kept)
  return where(kept, x, asTensor(0, x.dtype))
}

const MAX_COUNT = 2 ** 24

/** first, first+1, … as i64. */
function counting(count: number, first = 0): Tensor {
  if (!(count >= 0 && count <= MAX_COUNT)) throw new Error(`an axis of ${count} is too long here`)
  return constant(
    BigInt64Array.from({ length: count }, (_, i) => BigInt(first + i)),
    [count],
  )
}

/** Reverses the first `lengths[b]` entries along the time axis of every item of the batch. */
function reverseSequence(node: NodeReader): Tensor {
  const x = node.input(0)
  const [batchAxis, timeAxis] = [node.int('batch_axis', 1), node.int('time_axis', 0)]
  if (batchAxis + timeAxis !== 1 || batchAxis * timeAxis !== 0) throw new Error('its axes must be 0 and 1')
  return reverseWithin(x, cast(node.input(1), 'i64'), batchAxis, timeAxis)
}

/** See {@link reverseSequence}; also what a recurrent layer does to run backwards over ragged rows. */
export function reverseWithin(x: Tensor, lengths: Tensor, batchAxis: number, timeAxis: number): Tensor {
  const time = x.shape[timeAxis]
  const along = (axis: number): number[] => x.shape.map((dim, i) => (i === axis ? dim : 1))
  const steps = reshape(counting(time), along(timeAxis))
  const ends = reshape(lengths, along(batchAxis))
  const mirrored = where(less(steps, ends), sub(sub(ends, 1), steps), steps)
  return takeAlongAxis(x, mirrored, timeAxis)
}

/** Cuts or pads axes about their centre to the sizes given. */
function centred(node: NodeReader): Tensor {
  const x = node.input(0)
  const sizes = node.sizes(1)
  const axes = node.ints('axes', [...x.shape.keys()]).map(axis => normalizeAxis(node.op, axis, x.rank))
  if (sizes.length !== axes.length) throw new Error(`${sizes.length} sizes do not fit ${axes.length} axes`)
  return pad(
    x,
    x.shape.map((dim, axis): [number, number] => {
      const i = axes.indexOf(axis)
      if (i < 0 || sizes[i] === dim) return [0, 0]
      const gap = sizes[i] - dim
      // Half of what is missing goes before; of what is too much, the smaller half is cut before.
      return gap > 0 ? [Math.floor(gap / 2), Math.ceil(gap / 2)] : [-Math.floor(-gap / 2), -Math.ceil(-gap / 2)]
    }),
  )
}

export const layoutReaders: OperatorReaders = {
  CenterCropPad: centred,
  Concat: node => concat(node.all(), node.int('axis', 1)),
  DepthToSpace: depthToSpace,
  Expand: expanded,
  Flatten: flattened,
  Pad: padded,
  Reshape: reshaped,
  ReverseSequence: reverseSequence,
  Slice: sliced,
  SpaceToDepth: spaceToDepth,
  Split: parts,
  Squeeze: node => squeeze(node.input(0), node.integersOf('axes', 1)),
  Tile: tiled,
  Transpose: node => transpose(node.input(0), node.ints('perm')),
  Trilu: triangle,
  Unsqueeze: unsqueezed,
}
