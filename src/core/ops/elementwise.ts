import type { DType } from '../dtype.ts'
import { isFloat } from '../dtype.ts'
import type { Lowering, Primitive, Reference, Spec } from '../primitive.ts'
import { broadcastShapes, broadcastStrides, forEachOffset, formatShape, sameShape, sizeOf } from '../shape.ts'
import type { Node, TensorLike } from '../tensor.ts'
import { apply, asTensor, constantData, Tensor } from '../tensor.ts'
import { cast } from './cast.ts'
import { broadcastTo, sumTo } from './layout.ts'

type NoAttributes = Record<never, never>

export function requireFloat(op: string, { dtype }: Spec): void {
  if (!isFloat(dtype)) throw new Error(`${op}: expected a floating-point tensor, got ${dtype}; cast it first`)
}

interface UnaryFaces {
  /** An ONNX operator, or a composition of several. */
  readonly onnx: string | ((to: Lowering, x: string, dtype: DType, rank: number) => string)
  readonly evaluate: (x: number) => number
  /** Cotangent of x from that of y = f(x). */
  readonly vjp?: (cotangent: Tensor, x: Tensor, y: Tensor) => Tensor
  /** Output dtype when it is not the input's. */
  readonly to?: DType
  readonly anyDType?: boolean
  readonly rewrite?: (node: Node) => Tensor | undefined
}

/** Declares a function of one tensor, applied to every element. */
export function unary(name: string, faces: UnaryFaces): (x: TensorLike) => Tensor {
  const primitive: Primitive<NoAttributes> = {
    name,
    shape: ([x]) => {
      if (!faces.anyDType) requireFloat(name, x)
      return { shape: x.shape, dtype: faces.to ?? x.dtype }
    },
    vjp: faces.vjp && ((node, [cotangent]) => [cotangent && faces.vjp!(cotangent, node.inputs[0], node.outputs[0])]),
    lower: (to, [x], node) =>
      typeof faces.onnx === 'string'
        ? to.emit(faces.onnx, [x])
        : faces.onnx(to, x, node.inputs[0].dtype, node.inputs[0].rank),
    evaluate: ([x]) => x.data.map(faces.evaluate),
    rewrite: faces.rewrite,
  }
  return x => apply(primitive, [asTensor(x)], {})
}

/** -x */
export const neg = unary('neg', {
  onnx: 'Neg',
  evaluate: x => -x,
  vjp: cotangent => neg(cotangent),
  anyDType: true,
  rewrite: node => (node.inputs[0].node.primitive.name === 'neg' ? node.inputs[0].node.inputs[0] : undefined),
})
/** |x|; the gradient at 0 is 0. */
export const abs = unary('abs', { onnx: 'Abs', evaluate: Math.abs, vjp: (ct, x) => mul(ct, sign(x)), anyDType: true })
/** -1, 0 or 1; gradient 0. */
export const sign = unary('sign', { onnx: 'Sign', evaluate: Math.sign, anyDType: true })
export const exp = unary('exp', { onnx: 'Exp', evaluate: Math.exp, vjp: (ct, _, y) => mul(ct, y) })
/** Natural logarithm. */
export const log = unary('log', { onnx: 'Log', evaluate: Math.log, vjp: (ct, x) => div(ct, x) })
export const sqrt = unary('sqrt', { onnx: 'Sqrt', evaluate: Math.sqrt, vjp: (ct, _, y) => div(mul(ct, 0.5), y) })
/** 1/x */
export const reciprocal = unary('reciprocal', {
  onnx: 'Reciprocal',
  evaluate: x => 1 / x,
  vjp: (ct, _, y) => neg(mul(ct, mul(y, y))),
})
/** 1/sqrt(x) */
export const rsqrt = (x: TensorLike): Tensor => reciprocal(sqrt(x))
export const sin = unary('sin', { onnx: 'Sin', evaluate: Math.sin, vjp: (ct, x) => mul(ct, cos(x)) })
export const cos = unary('cos', { onnx: 'Cos', evaluate: Math.cos, vjp: (ct, x) => neg(mul(ct, sin(x))) })
export const tan = unary('tan', { onnx: 'Tan', evaluate: Math.tan, vjp: (ct, _, y) => mul(ct, add(mul(y, y), 1)) })
export const asin = unary('asin', {
  onnx: 'Asin',
  evaluate: Math.asin,
  vjp: (ct, x) => div(ct, sqrt(sub(1, mul(x, x)))),
})
export const acos = unary('acos', {
  onnx: 'Acos',
  evaluate: Math.acos,
  vjp: (ct, x) => neg(div(ct, sqrt(sub(1, mul(x, x))))),
})
export const atan = unary('atan', { onnx: 'Atan', evaluate: Math.atan, vjp: (ct, x) => div(ct, add(mul(x, x), 1)) })
export const sinh = unary('sinh', { onnx: 'Sinh', evaluate: Math.sinh, vjp: (ct, x) => mul(ct, cosh(x)) })
export const cosh = unary('cosh', { onnx: 'Cosh', evaluate: Math.cosh, vjp: (ct, x) => mul(ct, sinh(x)) })
export const tanh = unary('tanh', { onnx: 'Tanh', evaluate: Math.tanh, vjp: (ct, _, y) => mul(ct, sub(1, mul(y, y))) })
export const asinh = unary('asinh', {
  onnx: 'Asinh',
  evaluate: Math.asinh,
  vjp: (ct, x) => div(ct, sqrt(add(mul(x, x), 1))),
})
export const acosh = unary('acosh', {
  onnx: 'Acosh',
  evaluate: Math.acosh,
  vjp: (ct, x) => div(ct, sqrt(sub(mul(x, x), 1))),
})
export const atanh = unary('atanh', { onnx: 'Atanh', evaluate: Math.atanh, vjp: (ct, x) => div(ct, sub(1, mul(x, x))) })
export const floor = unary('floor', { onnx: 'Floor', evaluate: Math.floor })
export const ceil = unary('ceil', { onnx: 'Ceil', evaluate: Math.ceil })
/** Nearest integer, halves to even; gradient 0 (see `straightThrough`). */
export const round = unary('round', { onnx: 'Round', evaluate: roundHalfEven })
/** 1/(1+e^-x) */
export const sigmoid = unary('sigmoid', {
  onnx: 'Sigmoid',
  evaluate: x => (x >= 0 ? 1 / (1 + Math.exp(-x)) : Math.exp(x) / (1 + Math.exp(x))),
  vjp: (ct, _, y) => mul(ct, mul(y, sub(1, y))),
})
/** max(x, 0); the gradient at 0 is 0. */
export const relu = unary('relu', {
  onnx: 'Relu',
  evaluate: x => (Number.isNaN(x) ? x : Math.max(x, 0)),
  // ONNX Runtime's Sign and Where take three times as long as a comparison and a product.
  vjp: (ct, _, y) => mul(ct, cast(greater(y, 0), ct.dtype)),
})
/** log(1+e^x) without overflow. */
export const softplus = unary('softplus', {
  // max(x,0) + log1p(e^-|x|) from vectorised kernels: ONNX Runtime's Softplus goes one number at a time.
  onnx: (to, x, dtype) => {
    const one = to.scalar(1, dtype)
    const small = to.emit('Exp', [to.emit('Neg', [to.emit('Abs', [x])])])
    const shifted = to.emit('Add', [small, one])
    // As in log1p; where the sum rounds to 1 the result is below half a unit of 1 and may be 0.
    const difference = to.emit('Max', [to.emit('Sub', [shifted, one]), to.scalar(1e-30, dtype)])
    const logged = to.emit('Mul', [to.emit('Log', [shifted]), to.emit('Div', [small, difference])])
    return to.emit('Add', [to.emit('Relu', [x]), logged])
  },
  evaluate: x => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x))),
  vjp: (ct, x) => mul(ct, sigmoid(x)),
})
/** Gauss error function. */
export const erf = unary('erf', {
  onnx: 'Erf',
  evaluate: erfReference,
  vjp: (ct, x) => mul(ct, mul(exp(neg(mul(x, x))), 2 / Math.sqrt(Math.PI))),
})
/** log(1+x), exact for small x. */
export const log1p = unary('log1p', {
  onnx: (to, x, dtype) => {
    const one = to.scalar(1, dtype)
    const shifted = to.emit('Add', [x, one])
    const logged = to.emit('Log', [shifted])
    const difference = to.emit('Sub', [shifted, one])
    // 1+x rounds; multiplying by x/((1+x)-1) undoes the rounding. Nothing to undo once x > 1.
    const corrected = to.emit('Mul', [logged, to.emit('Div', [x, difference])])
    const small = to.emit('Where', [to.emit('Equal', [difference, to.scalar(0, dtype)]), x, corrected])
    return to.emit('Where', [to.emit('Greater', [x, one]), logged, small])
  },
  evaluate: Math.log1p,
  vjp: (ct, x) => div(ct, add(x, 1)),
})
/** e^x-1, exact for small x. */
export const expm1 = unary('expm1', {
  onnx: (to, x, dtype) => {
    const one = to.scalar(1, dtype)
    const grown = to.emit('Exp', [x])
    const difference = to.emit('Sub', [grown, one])
    const corrected = to.emit('Mul', [difference, to.emit('Div', [x, to.emit('Log', [grown])])])
    const small = to.emit('Where', [to.emit('Equal', [difference, to.scalar(0, dtype)]), x, corrected])
    return to.emit('Where', [to.emit('Greater', [to.emit('Abs', [x]), one]), difference, small])
  },
  evaluate: Math.expm1,
  vjp: (ct, _, y) => mul(ct, add(y, 1)),
})
/** True where x is not a number. */
export const isNan = unary('isNan', { onnx: 'IsNaN', evaluate: x => Number(Number.isNaN(x)), to: 'bool' })
/** True where x is +infinity or -infinity. */
export const isInfinite = unary('isInfinite', {
  onnx: 'IsInf',
  evaluate: x => Number(Math.abs(x) === Number.POSITIVE_INFINITY),
  to: 'bool',
})
/** Logical not of a bool tensor. */
export const not = unary('not', { onnx: 'Not', evaluate: x => Number(!x), to: 'bool', anyDType: true })

function roundHalfEven(x: number): number {
  const low = Math.floor(x)
  const rest = x - low
  if (rest !== 0.5) return Math.round(x)
  return low % 2 === 0 ? low : low + 1
}

/** erf to float64 precision: a Taylor series near 0, a continued fraction of erfc elsewhere (Abramowitz & Stegun 7.1.5, 7.1.14). */
export function erfReference(x: number): number {
  const z = Math.abs(x)
  if (Number.isNaN(x)) return x
  if (z > 6) return Math.sign(x)
  if (z < 2.5) {
    let term = z
    let sum = z
    for (let n = 1; Math.abs(term) > 1e-18 * Math.abs(sum) && n < 200; n++) {
      term *= (-z * z) / n
      sum += term / (2 * n + 1)
    }
    return (Math.sign(x) * 2 * sum) / Math.sqrt(Math.PI)
  }
  let fraction = 0
  for (let k = 80; k >= 1; k--) fraction = k / 2 / (z + fraction)
  return Math.sign(x) * (1 - Math.exp(-z * z) / Math.sqrt(Math.PI) / (z + fraction))
}

interface BinaryFaces {
  readonly onnx: string | ((to: Lowering, a: string, b: string, dtype: DType) => string)
  readonly evaluate: (a: number, b: number, dtype: DType) => number
  /** Cotangents of a and b before they are summed back to their own shapes. */
  readonly vjp?: (
    cotangent: Tensor,
    a: Tensor,
    b: Tensor,
    y: Tensor,
  ) => readonly [Tensor | undefined, Tensor | undefined]
  readonly to?: DType
  readonly floatOnly?: boolean
  readonly boolOnly?: boolean
  readonly rewrite?: (a: Tensor, b: Tensor, node: Node) => Tensor | undefined
}

/** The one value every element of a constant has, or undefined. */
export function uniformValue(t: Tensor): number | undefined {
  if (t.node.primitive.name === 'broadcastTo') return uniformValue(t.node.inputs[0])
  const data = constantData(t)
  if (!data || data.length !== 1 || t.dtype === 'f16') return undefined
  return Number(data[0])
}

/** An implicit broadcast serves as well as an explicit one when the other operands already give the output its shape. */
function dropBroadcasts(primitive: Primitive<NoAttributes>, node: Node): Tensor | undefined {
  for (let i = 0; i < node.inputs.length; i++) {
    const input = node.inputs[i]
    if (input.node.primitive.name !== 'broadcastTo') continue
    const bare = node.inputs.map((t, j) => (j === i ? input.node.inputs[0] : t))
    const shape = broadcastShapes(node.primitive.name, ...bare.map(t => t.shape))
    if (sameShape(shape, node.outputs[0].shape)) return apply(primitive, bare, {})
  }
  return undefined
}

/** Reads two operands, giving plain numbers the dtype of the tensor they meet. */
function operands(op: string, a: TensorLike, b: TensorLike): [Tensor, Tensor] {
  const left = a instanceof Tensor ? a : asTensor(a, b instanceof Tensor ? b.dtype : undefined)
  const right = asTensor(b, left.dtype)
  if (left.dtype !== right.dtype)
    throw new Error(
      `${op}: operands are ${left.dtype}${formatShape(left.shape)} and ${right.dtype}${formatShape(right.shape)}; cast one of them`,
    )
  return [left, right]
}

/** Declares a function of two tensors with NumPy broadcasting. */
export function binary(name: string, faces: BinaryFaces): (a: TensorLike, b: TensorLike) => Tensor {
  const primitive: Primitive<NoAttributes> = {
    name,
    shape: ([a, b]) => {
      if (faces.floatOnly) requireFloat(name, a)
      if (faces.boolOnly && a.dtype !== 'bool') throw new Error(`${name}: expected bool operands, got ${a.dtype}`)
      return { shape: broadcastShapes(name, a.shape, b.shape), dtype: faces.to ?? a.dtype }
    },
    vjp:
      faces.vjp &&
      ((node, [cotangent]) => {
        if (!cotangent) return []
        const [a, b] = node.inputs
        const [da, db] = faces.vjp!(cotangent, a, b, node.outputs[0])
        return [da && sumTo(da, a.shape), db && sumTo(db, b.shape)]
      }),
    lower: (to, [a, b], node) =>
      typeof faces.onnx === 'string' ? to.emit(faces.onnx, [a, b]) : faces.onnx(to, a, b, node.inputs[0].dtype),
    evaluate: ([a, b], _, [out]) => evaluateBinary(a, b, out, faces.evaluate),
    rewrite: node => faces.rewrite?.(node.inputs[0], node.inputs[1], node) ?? dropBroadcasts(primitive, node),
  }
  return (a, b) => apply(primitive, operands(name, a, b), {})
}

function evaluateBinary(a: Reference, b: Reference, out: Spec, f: BinaryFaces['evaluate']): Float64Array {
  const result = new Float64Array(sizeOf(out.shape))
  const strides = [broadcastStrides(a.shape, out.shape), broadcastStrides(b.shape, out.shape)]
  forEachOffset(out.shape, strides, ([i, j], k) => {
    result[k] = f(a.data[i], b.data[j], a.dtype)
  })
  return result
}

/** x itself where a neutral element was combined with it, given the shape of the result. */
const unchanged = (x: Tensor, node: Node): Tensor => broadcastTo(x, node.outputs[0].shape)

/** a+b */
export const add = binary('add', {
  onnx: 'Add',
  evaluate: (a, b, dtype) => (dtype === 'i32' ? (a + b) | 0 : a + b),
  vjp: ct => [ct, ct],
  rewrite: (a, b, node) => {
    if (uniformValue(b) === 0) return unchanged(a, node)
    if (uniformValue(a) === 0) return unchanged(b, node)
    if (b.node.primitive.name === 'neg') return sub(a, b.node.inputs[0])
    return undefined
  },
})
/** a-b */
export const sub = binary('sub', {
  onnx: 'Sub',
  evaluate: (a, b, dtype) => (dtype === 'i32' ? (a - b) | 0 : a - b),
  vjp: ct => [ct, neg(ct)],
  rewrite: (a, b, node) => {
    if (uniformValue(b) === 0) return unchanged(a, node)
    if (b.node.primitive.name === 'neg') return add(a, b.node.inputs[0])
    return undefined
  },
})
/** a*b */
export const mul = binary('mul', {
  onnx: 'Mul',
  evaluate: (a, b, dtype) => (dtype === 'i32' ? Math.imul(a, b) : a * b),
  vjp: (ct, a, b) => [mul(ct, b), mul(ct, a)],
  rewrite: (a, b, node) => {
    if (uniformValue(b) === 1) return unchanged(a, node)
    if (uniformValue(a) === 1) return unchanged(b, node)
    if (uniformValue(b) === -1) return unchanged(neg(a), node)
    // (x * c1) * c2 = x * (c1 c2): a chain of scalings costs one pass over memory.
    const outer = uniformValue(b)
    if (outer !== undefined && isFloat(a.dtype) && b.size === 1 && a.node.primitive.name === 'mul') {
      const [x, factor] = a.node.inputs
      const inner = uniformValue(factor)
      if (inner !== undefined && factor.size === 1) return unchanged(mul(x, inner * outer), node)
    }
    return undefined
  },
})
/** a/b; integers are truncated toward zero. */
export const div = binary('div', {
  onnx: 'Div',
  evaluate: (a, b, dtype) => (isFloat(dtype) ? a / b : Math.trunc(a / b)),
  vjp: (ct, _a, b, y) => {
    const da = div(ct, b)
    return [da, neg(mul(da, y))]
  },
  rewrite: (a, b, node) => {
    const divisor = uniformValue(b)
    if (divisor === 1) return unchanged(a, node)
    if (divisor !== undefined && divisor !== 0 && a.dtype === 'f32' && Number.isInteger(Math.log2(Math.abs(divisor))))
      return mul(a, 1 / divisor)
    return undefined
  },
})
/** a^b for floats. The gradient with respect to b is 0 where a <= 0. */
const power = binary('pow', {
  onnx: 'Pow',
  evaluate: (a, b) => a ** b,
  vjp: (ct, a, b, y) => {
    const positive = greater(a, 0)
    const da = mul(ct, mul(b, power(a, sub(b, 1))))
    const db = mul(ct, where(positive, mul(y, log(where(positive, a, 1))), 0))
    return [da, uniformValue(b) === undefined ? db : undefined]
  },
  floatOnly: true,
})
/** Larger of a and b; equal operands share the gradient. */
export const maximum = binary('maximum', {
  onnx: 'Max',
  evaluate: (a, b) => Math.max(a, b),
  vjp: (ct, a, b) => shareBy(ct, greater(a, b), equal(a, b)),
})
/** Smaller of a and b; equal operands share the gradient. */
export const minimum = binary('minimum', {
  onnx: 'Min',
  evaluate: (a, b) => Math.min(a, b),
  vjp: (ct, a, b) => shareBy(ct, less(a, b), equal(a, b)),
})
/** a - floor(a/b) b: the remainder with the sign of b. */
export const mod = binary('mod', {
  onnx: (to, a, b, dtype) =>
    isFloat(dtype)
      ? to.emit('Sub', [a, to.emit('Mul', [to.emit('Floor', [to.emit('Div', [a, b])]), b])])
      : to.emit('Mod', [a, b]),
  evaluate: (a, b) => a - Math.floor(a / b) * b,
  vjp: (ct, a, b) => [ct, neg(mul(ct, floor(div(a, b))))],
})
/** Angle of the point (x, y) in (-pi, pi]; called atan2(y, x) as in IEEE 754. */
export const atan2 = binary('atan2', {
  onnx: (to, y, x, dtype) => {
    const zero = to.scalar(0, dtype)
    const pi = to.scalar(Math.PI, dtype)
    const negativeY = to.emit('Less', [y, zero])
    const turn = to.emit('Where', [negativeY, to.scalar(-Math.PI, dtype), pi])
    const half = to.emit('Where', [negativeY, to.scalar(-Math.PI / 2, dtype), to.scalar(Math.PI / 2, dtype)])
    const upright = to.emit('Where', [to.emit('Equal', [y, zero]), zero, half])
    const onAxis = to.emit('Equal', [x, zero])
    const slope = to.emit('Atan', [to.emit('Div', [y, to.emit('Where', [onAxis, to.scalar(1, dtype), x])])])
    const turned = to.emit('Where', [to.emit('Less', [x, zero]), to.emit('Add', [slope, turn]), slope])
    return to.emit('Where', [onAxis, upright, turned])
  },
  evaluate: Math.atan2,
  vjp: (ct, y, x) => {
    const scaled = div(ct, add(mul(x, x), mul(y, y)))
    return [mul(scaled, x), neg(mul(scaled, y))]
  },
  floatOnly: true,
})

function shareBy(ct: Tensor, won: Tensor, tied: Tensor): [Tensor, Tensor] {
  const share = where(tied, 0.5, where(won, asTensor(1, ct.dtype), asTensor(0, ct.dtype)))
  return [mul(ct, share), mul(ct, sub(1, share))]
}

const compare = (name: string, onnx: string, evaluate: (a: number, b: number) => boolean) =>
  binary(name, { onnx, evaluate: (a, b) => Number(evaluate(a, b)), to: 'bool' })

export const equal = compare('equal', 'Equal', (a, b) => a === b)
export const less = compare('less', 'Less', (a, b) => a < b)
export const lessOrEqual = compare('lessOrEqual', 'LessOrEqual', (a, b) => a <= b)
export const greater = compare('greater', 'Greater', (a, b) => a > b)
export const greaterOrEqual = compare('greaterOrEqual', 'GreaterOrEqual', (a, b) => a >= b)
/** True where a and b differ. */
export const notEqual = (a: TensorLike, b: TensorLike): Tensor => not(equal(a, b))

const logical = (name: string, onnx: string, evaluate: (a: boolean, b: boolean) => boolean) =>
  binary(name, { onnx, evaluate: (a, b) => Number(evaluate(a !== 0, b !== 0)), to: 'bool', boolOnly: true })

export const and = logical('and', 'And', (a, b) => a && b)
export const or = logical('or', 'Or', (a, b) => a || b)
export const xor = logical('xor', 'Xor', (a, b) => a !== b)

/**
 * x^exponent. Small constant exponents become products and roots, which are exact for negative x.
 * @param exponent a number, or a tensor that broadcasts with x
 */
export function pow(x: TensorLike, exponent: TensorLike): Tensor {
  const base = asTensor(x)
  switch (exponent) {
    case 0.5:
      return sqrt(base)
    case 1:
      return base
    case 2:
      return mul(base, base)
    case 3:
      return mul(mul(base, base), base)
    case -1:
      return reciprocal(base)
    case -0.5:
      return rsqrt(base)
    default:
      return power(base, exponent)
  }
}

const wherePrimitive: Primitive<NoAttributes> = {
  name: 'where',
  shape: ([condition, a, b]) => {
    if (condition.dtype !== 'bool') throw new Error(`where: the condition must be bool, got ${condition.dtype}`)
    return { shape: broadcastShapes('where', condition.shape, a.shape, b.shape), dtype: a.dtype }
  },
  vjp: (node, [ct]) => {
    if (!ct) return []
    const [condition, a, b] = node.inputs
    if (!isFloat(a.dtype)) return []
    return [undefined, sumTo(where(condition, ct, 0), a.shape), sumTo(where(condition, 0, ct), b.shape)]
  },
  lower: (to, inputs, node) => {
    // ONNX Runtime's Where has no bool kernel on every device; 0/1 bytes do.
    if (node.outputs[0].dtype !== 'bool') return to.emit('Where', inputs)
    const [condition, a, b] = inputs
    return to.emit('Or', [to.emit('And', [condition, a]), to.emit('And', [to.emit('Not', [condition]), b])])
  },
  evaluate: ([condition, a, b], _, [out]) => {
    const result = new Float64Array(sizeOf(out.shape))
    const strides = [condition, a, b].map(input => broadcastStrides(input.shape, out.shape))
    forEachOffset(out.shape, strides, ([c, i, j], k) => {
      result[k] = condition.data[c] ? a.data[i] : b.data[j]
    })
    return result
  },
  rewrite: node => dropBroadcasts(wherePrimitive, node),
}

/** a where the condition holds, else b; all three broadcast together. */
export function where(condition: Tensor, a: TensorLike, b: TensorLike): Tensor {
  return apply(wherePrimitive, [condition, ...operands('where', a, b)], {})
}

interface ClipAttributes {
  readonly low: number | null
  readonly high: number | null
}

const clipPrimitive: Primitive<ClipAttributes> = {
  name: 'clip',
  shape: ([x]) => ({ shape: x.shape, dtype: x.dtype }),
  // Where clipping changed nothing, the gradient passes; the bounds themselves are inside.
  vjp: (node, [ct]) => [ct && mul(ct, cast(equal(node.inputs[0], node.outputs[0]), ct.dtype))],
  lower: (to, [x], { attributes: { low, high }, inputs: [{ dtype }] }) =>
    to.emit('Clip', [x, low === null ? '' : to.scalar(low, dtype), ...(high === null ? [] : [to.scalar(high, dtype)])]),
  evaluate: ([x], { low, high }) =>
    x.data.map(value => (low !== null && value < low ? low : high !== null && value > high ? high : value)),
}

/** x limited to [low, high]; the gradient is 0 outside and passes on the bounds. Either bound may be left out. */
export function clip(x: TensorLike, low?: TensorLike, high?: TensorLike): Tensor {
  const input = asTensor(x)
  const isNumber = (bound?: TensorLike): bound is number | undefined => bound === undefined || typeof bound === 'number'
  if (isNumber(low) && isNumber(high) && isFloat(input.dtype))
    return low === undefined && high === undefined
      ? input
      : apply(clipPrimitive, [input], { low: low ?? null, high: high ?? null })
  let limited = input
  if (low !== undefined) limited = where(less(limited, low), low, limited)
  if (high !== undefined) limited = where(greater(limited, high), high, limited)
  return limited
}
