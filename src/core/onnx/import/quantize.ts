import {
  add,
  cast,
  clip,
  div,
  floor,
  matmul,
  max,
  maximum,
  min,
  minimum,
  mul,
  neg,
  reshape,
  round,
  sub,
} from '../../ops/index.ts'
import type { Primitive } from '../../primitive.ts'
import { formatShape, normalizeAxis } from '../../shape.ts'
import { apply, type Tensor } from '../../tensor.ts'
import type { NodeReader, OperatorReaders } from './node-reader.ts'

/** A per-axis scale or zero point shaped to broadcast along `axis` of x; one number fits everywhere. */
export function alongAxis(parameter: Tensor, x: Tensor, axis: number): Tensor {
  if (parameter.size === 1) return reshape(parameter, [])
  const place = normalizeAxis('quantization', axis, x.rank)
  if (parameter.rank !== 1 || parameter.shape[0] !== x.shape[place])
    throw new Error(
      `${formatShape(parameter.shape)} is no scale or zero point for axis ${axis} of ${formatShape(x.shape)}`,
    )
  return reshape(
    parameter,
    x.shape.map((dim, i) => (i === place ? dim : 1)),
  )
}

function requireByte(x: Tensor): void {
  if (x.dtype !== 'u8') throw new Error(`expected u8, got ${x.dtype}`)
}

const singlePrimitive: Primitive = {
  name: 'single',
  shape: ([x]) => ({ shape: x.shape, dtype: x.dtype }),
  vjp: (_, [ct]) => [ct],
  lower: (_, [x]) => x,
  evaluate: ([x]) => x.data.map(Math.fround),
}

/**
 * x on the grid of float32, which it has anyway at run time. Rounding to whole steps turns on the last bit where x lies
 * half way, so the float64 reference must stand on the same grid.
 */
const single = (x: Tensor): Tensor => apply(singlePrimitive, [x], {})

/** clip(round(x / scale) + zero, 0, 255) as bytes; halves round to even. */
export function quantize(x: Tensor, scale: Tensor, zero: Tensor | undefined): Tensor {
  if (zero) requireByte(zero)
  const steps = round(single(div(single(x), single(scale))))
  return cast(clip(zero ? add(steps, cast(zero, 'f32')) : steps, 0, 255), 'u8')
}

function quantizeLinear(node: NodeReader): Tensor {
  if (node.int('block_size', 0) !== 0) throw new Error('quantization by blocks is not supported')
  const x = node.input(0)
  const axis = node.int('axis', 1)
  const zero = node.optional(2)
  return quantize(cast(x, 'f32'), alongAxis(node.input(1), x, axis), zero && alongAxis(zero, x, axis))
}

/** (x - zero) scale */
function dequantizeLinear(node: NodeReader): Tensor {
  if (node.int('block_size', 0) !== 0) throw new Error('quantization by blocks is not supported')
  const x = node.input(0)
  const axis = node.int('axis', 1)
  const zero = node.optional(2)
  const scale = alongAxis(node.input(1), x, axis)
  const centred = zero ? sub(cast(x, 'i32'), cast(alongAxis(zero, x, axis), 'i32')) : x
  return mul(cast(centred, scale.dtype), scale)
}

/** Scale and zero point from the range of x, which is widened to hold 0. */
function dynamicQuantizeLinear(node: NodeReader): Tensor[] {
  const x = node.input(0)
  const highest = maximum(max(x), 0)
  const lowest = minimum(min(x), 0)
  const scale = div(sub(highest, lowest), 255)
  const zero = cast(clip(round(single(div(neg(lowest), single(scale)))), 0, 255), 'u8')
  return [quantize(x, scale, zero), scale, zero]
}

/** Products of bytes that f32 sums exactly: 258 x 255 x 255 < 2^24. */
const EXACT_TERMS = 258

/**
 * A product-and-sum of differences of bytes (each -255 to 255), exact in f32 whatever the number of terms up to 4,112:
 * where a plain sum could pass 2^24, one operand is split as 16 h + l and the halves are summed apart.
 * @param terms products that are added up for one result
 */
export function exactProduct(x: Tensor, terms: number, product: (x: Tensor) => Tensor): Tensor {
  if (terms <= EXACT_TERMS) return cast(product(x), 'i32')
  if (terms > EXACT_TERMS * 16 - 16) throw new Error(`sums of ${terms} products of bytes are not supported`)
  const high = floor(div(x, 16))
  const low = sub(x, mul(high, 16))
  return add(mul(cast(product(high), 'i32'), 16), cast(product(low), 'i32'))
}

/** Bytes less their zero point, as floats. */
export function centred(x: Tensor, zero: Tensor | undefined): Tensor {
  requireByte(x)
  const value = cast(x, 'f32')
  return zero ? sub(value, cast(zero, 'f32')) : value
}

/** A zero point per row of the left operand or per column of the right one. */
function matrixZero(zero: Tensor | undefined, side: 'row' | 'column'): Tensor | undefined {
  if (!zero || zero.size === 1) return zero && reshape(zero, [])
  if (zero.rank !== 1) return zero
  return reshape(zero, side === 'row' ? [zero.size, 1] : [1, zero.size])
}

function integerProduct(a: Tensor, aZero: Tensor | undefined, b: Tensor, bZero: Tensor | undefined): Tensor {
  const right = centred(b, matrixZero(bZero, 'column'))
  const left = centred(a, matrixZero(aZero, 'row'))
  return exactProduct(left, left.shape[left.rank - 1], x => matmul(x, right))
}

function quantizedProduct(node: NodeReader): Tensor {
  const [a, aScale, aZero, b, bScale, bZero, yScale, yZero] = node.all()
  const product = integerProduct(a, aZero, b, bZero)
  const scale = div(mul(matrixZero(aScale, 'row')!, matrixZero(bScale, 'column')!), reshape(yScale, []))
  return requantize(product, scale, reshape(yZero, []))
}

/** Sums of products back to bytes. */
export function requantize(sums: Tensor, scale: Tensor, zero: Tensor): Tensor {
  requireByte(zero)
  return cast(clip(add(round(single(mul(cast(sums, 'f32'), single(scale)))), cast(zero, 'f32')), 0, 255), 'u8')
}

export const quantizeReaders: OperatorReaders = {
  DequantizeLinear: dequantizeLinear,
  DynamicQuantizeLinear: dynamicQuantizeLinear,
  MatMulInteger: node => integerProduct(node.input(0), node.optional(2), node.input(1), node.optional(3)),
  QLinearMatMul: quantizedProduct,
  QuantizeLinear: quantizeLinear,
}
