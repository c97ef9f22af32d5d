import { type DType, isFloat } from '../../dtype.ts'
import {
  abs,
  acos,
  acosh,
  add,
  and,
  asin,
  asinh,
  atan,
  atanh,
  cast,
  ceil,
  clip,
  cos,
  cosh,
  div,
  equal,
  erf,
  exp,
  floor,
  greater,
  greaterOrEqual,
  isInfinite,
  isNan,
  less,
  lessOrEqual,
  log,
  maximum,
  minimum,
  mod,
  mul,
  neg,
  not,
  or,
  pow,
  reciprocal,
  reshape,
  round,
  sigmoid,
  sign,
  sin,
  sinh,
  sqrt,
  sub,
  tan,
  tanh,
  where,
  xor,
} from '../../ops/index.ts'
import { formatShape, normalizeAxis } from '../../shape.ts'
import { constantData, type Tensor } from '../../tensor.ts'
import type { NodeReader, OperatorReader, OperatorReaders } from './node-reader.ts'

type Unary = (x: Tensor) => Tensor
type Binary = (a: Tensor, b: Tensor) => Tensor

/** Arithmetic of bytes goes through i32: runtimes have few kernels for u8, and casting back wraps as ONNX does. */
const wide = (x: Tensor): Tensor => (x.dtype === 'u8' ? cast(x, 'i32') : x)

export function throughWide(f: Binary): Binary {
  return (a, b) => {
    const result = f(wide(a), wide(b))
    return result.dtype === 'i32' && a.dtype === 'u8' ? cast(result, 'u8') : result
  }
}

const unary =
  (f: Unary): OperatorReader =>
  node =>
    f(node.input(0))

/** The second operand, in operator sets before 7 aligned with the first by its last axis, or from a stated axis on. */
function aligned(node: NodeReader, a: Tensor, b: Tensor): Tensor {
  const axis = node.opset < 7 && node.flag('broadcast') ? node.int('axis') : undefined
  if (axis === undefined) return b
  const after = a.rank - normalizeAxis(node.op, axis, a.rank) - b.rank
  if (after < 0)
    throw new Error(`${formatShape(b.shape)} does not fit into ${formatShape(a.shape)} from axis ${axis} on`)
  return reshape(b, [...b.shape, ...new Array<number>(after).fill(1)])
}

/** Two operands with NumPy broadcasting. */
const binary =
  (f: Binary): OperatorReader =>
  node => {
    const a = node.input(0)
    return throughWide(f)(a, aligned(node, a, node.input(1)))
  }

const variadic =
  (f: Binary): OperatorReader =>
  node =>
    node.all().reduce(throughWide(f))

function power(node: NodeReader): Tensor {
  const base = node.input(0)
  const exponent = node.input(1)
  const known = exponent.size === 1 && exponent.rank <= base.rank ? constantData(exponent) : undefined
  if (isFloat(base.dtype)) {
    // Small whole exponents become products, exact for a negative base.
    if (known && exponent.dtype !== 'f16') return pow(base, Number(known[0]))
    return pow(base, cast(exponent, base.dtype))
  }
  const value = pow(cast(base, 'f32'), cast(exponent, 'f32'))
  return cast(isFloat(exponent.dtype) ? value : round(value), base.dtype)
}

/** The remainder with the sign of the dividend. */
function truncatedRemainder(a: Tensor, b: Tensor): Tensor {
  if (!isFloat(a.dtype)) return sub(a, mul(div(a, b), b))
  const quotient = div(a, b)
  return sub(a, mul(mul(sign(quotient), floor(abs(quotient))), b))
}

function remainder(node: NodeReader): Tensor {
  const [a, b] = [node.input(0), node.input(1)]
  const operation: Binary = node.flag('fmod') ? truncatedRemainder : mod
  if (a.dtype === 'f16') return cast(operation(cast(a, 'f32'), cast(b, 'f32')), 'f16')
  return throughWide(operation)(a, b)
}

/** Shifts of bytes, by multiplication and division with powers of two. */
function bitShift(node: NodeReader): Tensor {
  const direction = node.choice('direction', 'RIGHT', ['LEFT', 'RIGHT'])
  const [x, count] = [node.input(0), node.input(1)]
  if (x.dtype !== 'u8') throw new Error(`expected u8, got ${x.dtype}`)
  const steps = minimum(cast(count, 'i32'), 8)
  const factor = cast(round(pow(2, cast(steps, 'f32'))), 'i32')
  const shifted = direction === 'LEFT' ? mul(cast(x, 'i32'), factor) : div(cast(x, 'i32'), factor)
  return cast(shifted, 'u8')
}

function limit(node: NodeReader): Tensor {
  const x = node.input(0)
  const bound = (i: number, name: string): Tensor | number | undefined =>
    node.optional(i) ?? (node.carries(name) ? node.float(name, 0) : undefined)
  const [low, high] = [bound(1, 'min'), bound(2, 'max')]
  for (const each of [low, high])
    if (typeof each === 'object' && each.size !== 1) throw new Error('its bounds must be single numbers')
  const scalar = (value: Tensor | number | undefined): Tensor | number | undefined =>
    typeof value === 'object' ? reshape(wide(value), []) : value
  const limited = clip(wide(x), scalar(low), scalar(high))
  return x.dtype === 'u8' ? cast(limited, 'u8') : limited
}

function infinite(node: NodeReader): Tensor {
  const x = node.input(0)
  const [negative, positive] = [node.flag('detect_negative', true), node.flag('detect_positive', true)]
  const any = isInfinite(x)
  if (negative && positive) return any
  if (!negative && !positive) return and(any, not(any))
  return and(any, positive ? greater(x, 0) : less(x, 0))
}

function castTo(node: NodeReader): Tensor {
  const to = node.dtype('to')
  if (!to) throw new Error("attribute 'to' is missing")
  return convert(node.input(0), to)
}

/** Casts; a float outside a byte's range has no defined value in ONNX, whole numbers wrap. */
const convert = (x: Tensor, to: DType): Tensor => cast(x, to)

/** Any operator set's reader of an operator on single elements. */
export const elementwiseReaders: OperatorReaders = {
  Abs: unary(abs),
  Acos: unary(acos),
  Acosh: unary(acosh),
  Add: binary(add),
  And: binary(and),
  Asin: unary(asin),
  Asinh: unary(asinh),
  Atan: unary(atan),
  Atanh: unary(atanh),
  BitShift: bitShift,
  Cast: castTo,
  CastLike: node => convert(node.input(0), node.input(1).dtype),
  Ceil: unary(ceil),
  Clip: limit,
  Cos: unary(cos),
  Cosh: unary(cosh),
  Div: binary(div),
  Equal: binary((a, b) => (a.dtype === 'bool' ? not(xor(a, b)) : equal(a, b))),
  Erf: unary(erf),
  Exp: unary(exp),
  Floor: unary(floor),
  Greater: binary(greater),
  GreaterOrEqual: binary(greaterOrEqual),
  Identity: unary(x => x),
  IsInf: infinite,
  IsNaN: unary(isNan),
  Less: binary(less),
  LessOrEqual: binary(lessOrEqual),
  Log: unary(log),
  Max: variadic(maximum),
  Mean: node => {
    const inputs = node.all()
    return div(inputs.reduce(add), inputs.length)
  },
  Min: variadic(minimum),
  Mod: remainder,
  Mul: binary(mul),
  Neg: unary(neg),
  Not: unary(not),
  Or: binary(or),
  Pow: power,
  Reciprocal: unary(reciprocal),
  Round: unary(round),
  Sigmoid: unary(sigmoid),
  Sign: unary(x => (x.dtype === 'u8' ? cast(sign(cast(x, 'i32')), 'u8') : sign(x))),
  Sin: unary(sin),
  Sinh: unary(sinh),
  Sqrt: unary(sqrt),
  Sub: binary(sub),
  Sum: variadic(add),
  Tan: unary(tan),
  Tanh: unary(tanh),
  Where: node => where(node.input(0), node.input(1), node.input(2)),
  Xor: binary(xor),
}
