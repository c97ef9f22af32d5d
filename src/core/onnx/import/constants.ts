import { allocate, fromNumbers } from '../../dtype.ts'
import { add, broadcastTo, cast, equal, expandDims, less, prod, reshape, slice, split, where } from '../../ops/index.ts'
import { formatShape, isSymbolic, normalizeAxis, sizeOf } from '../../shape.ts'
import { constant, type Tensor, tensor } from '../../tensor.ts'
import { type Known, knownShape, type Value } from './known.ts'
import type { NodeReader, OperatorReaders } from './node-reader.ts'
import { shapeOf } from './shape-of.ts'

/** Constants written out while a model is read may have at most this many numbers. */
const MAX_COUNT = 2 ** 24

function constantNode(node: NodeReader): Tensor {
  const value = node.tensor('value')
  if (value) return constant(value.data, value.shape, value.dtype)
  if (node.carries('value_float')) return tensor(node.float('value_float', 0))
  if (node.carries('value_int')) return tensor(node.int('value_int', 0), [], 'i64')
  const floats = node.floats('value_floats')
  if (floats) return tensor(Float32Array.from(floats))
  const ints = node.ints('value_ints')
  if (ints) return constant(BigInt64Array.from(ints, BigInt), [ints.length])
  if (node.carries('sparse_value')) return node.unsupported('value type', 'a sparse value is not supported')
  if (node.carries('value_string') || node.carries('value_strings'))
    return node.unsupported('element type', 'strings are not supported')
  throw new Error('it carries no value')
}

function constantOfShape(node: NodeReader): Tensor {
  const value = node.tensor('value')
  if (value && value.data.length !== 1) throw new Error(`'value' must be one number, got ${formatShape(value.shape)}`)
  const one = value ? constant(value.data, [], value.dtype) : tensor(0)
  return broadcastTo(one, node.sizes(0))
}

/** Part of a known vector. */
const part = ({ fixed, batch }: Known, start: number, end: number): Known => ({
  shape: [Math.max(0, end - start)],
  fixed: fixed.slice(start, end),
  batch: batch.slice(start, end),
})

/** The sizes of a tensor, or (since operator set 15) of some of its axes. */
function shape(node: NodeReader): Tensor | Value {
  const x = node.input(0)
  const clamp = (axis: number): number => Math.min(Math.max(axis < 0 ? axis + x.rank : axis, 0), x.rank)
  const start = clamp(node.int('start', 0))
  const end = Math.max(start, clamp(node.int('end', x.rank)))
  const sizes = x.shape.slice(start, end)
  if (!isSymbolic(sizes)) return constant(BigInt64Array.from(sizes, BigInt), [sizes.length])
  return { tensor: slice(shapeOf(x), 0, start, end), known: part(knownShape(x.shape), start, end) }
}

function size(node: NodeReader): Tensor | Value {
  const x = node.input(0)
  const count = sizeOf(x.shape)
  if (count >= 0) return tensor(count, [], 'i64')
  // A product has no kernel for i64 on every device; sizes stay below 2^24 where f32 would round.
  return { tensor: prod(shapeOf(x)), known: { shape: [], fixed: [0], batch: [-count] } }
}

/** start, start+delta, … up to but without limit. */
function range(node: NodeReader): Tensor {
  const { dtype } = node.input(0)
  const [start, limit, delta] = [node.number(0), node.number(1), node.number(2)]
  const count = Math.max(Math.ceil((limit - start) / delta), 0)
  if (!(count <= MAX_COUNT)) throw new Error(`${start} to ${limit} by ${delta} makes ${count} numbers`)
  const values = Array.from({ length: count }, (_, i) => start + i * delta)
  return constant(fromNumbers(dtype, values), [count], dtype)
}

function identityMatrix(node: NodeReader): Tensor {
  const x = node.requireRank(0, 2)
  const dtype = node.dtype('dtype') ?? x.dtype
  const offset = node.int('k', 0)
  const [rows, columns] = x.shape
  if (rows < 0 || columns < 0 || rows * columns > MAX_COUNT)
    throw new Error(`${formatShape(x.shape)} is too large to be written out`)
  const data = allocate('u8', rows * columns)
  for (let row = 0; row < rows; row++)
    if (row + offset >= 0 && row + offset < columns) data[row * columns + row + offset] = 1
  return cast(constant(data, [rows, columns]), dtype)
}

/** depth classes along a new axis, `values` = [off, on]; negative indices count from the end. */
function oneHot(node: NodeReader): Tensor {
  const indices = cast(node.input(0), 'i64')
  const depth = node.integers(1)[0]
  if (!(depth >= 0 && depth <= MAX_COUNT)) throw new Error(`a depth of ${depth} is not possible`)
  const values = node.input(2)
  const wrapped = where(less(indices, 0), add(indices, depth), indices)
  const axis = normalizeAxis(node.op, node.int('axis', -1), indices.rank + 1)
  const classes = BigInt64Array.from({ length: depth }, (_, i) => BigInt(i))
  const ruler = reshape(
    constant(classes, [depth]),
    Array.from({ length: indices.rank + 1 }, (_, i) => (i === axis ? depth : 1)),
  )
  const hot = equal(expandDims(wrapped, axis), ruler)
  const [off, on] = split(values, 2)
  return where(hot, reshape(on, []), reshape(off, []))
}

export const constantReaders: OperatorReaders = {
  Constant: constantNode,
  ConstantOfShape: constantOfShape,
  EyeLike: identityMatrix,
  OneHot: oneHot,
  Range: range,
  Shape: shape,
  Size: size,
}
