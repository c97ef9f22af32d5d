import type { DType } from '../dtype.ts'
import type { Lowering, Primitive } from '../primitive.ts'
import { apply, asTensor, type Tensor, type TensorLike } from '../tensor.ts'
import { cast } from './cast.ts'
import { add, mul, requireFloat, sub } from './elementwise.ts'
import { sum } from './reduce.ts'
import {
  cotangentDerivative,
  digammaSeries,
  factorial,
  hurwitzSeries,
  logGammaAboutTwo,
  referencePolygamma,
  stirlingSeries,
} from './special-series.ts'

/** Writes arithmetic on one element type. Operands are value names or numbers. */
class Formula {
  constructor(
    readonly to: Lowering,
    readonly dtype: DType,
  ) {}

  #emit(op: string, ...operands: (string | number)[]): string {
    return this.to.emit(
      op,
      operands.map(x => (typeof x === 'number' ? this.to.scalar(x, this.dtype) : x)),
    )
  }
  add = (a: string | number, b: string | number): string => this.#emit('Add', a, b)
  sub = (a: string | number, b: string | number): string => this.#emit('Sub', a, b)
  mul = (a: string | number, b: string | number): string => this.#emit('Mul', a, b)
  div = (a: string | number, b: string | number): string => this.#emit('Div', a, b)
  less = (a: string | number, b: string | number): string => this.#emit('Less', a, b)
  log = (a: string): string => this.#emit('Log', a)
  abs = (a: string): string => this.#emit('Abs', a)
  round = (a: string): string => this.#emit('Round', a)

  where(condition: string, a: string | number, b: string | number): string {
    const [yes, no] = [a, b].map(x => (typeof x === 'number' ? this.to.scalar(x, this.dtype) : x))
    return this.to.emit('Where', [condition, yes, no])
  }

  /** c_0 + c_1 x + c_2 x^2 + … by Horner's rule. */
  polynomial(x: string, coefficients: readonly number[]): string {
    const [last, ...rest] = coefficients.toReversed()
    return rest.reduce<string | number>((total, c) => this.add(this.mul(total, x), c), last) as string
  }

  /** x^n for a whole n >= 1 by repeated squaring. */
  power(x: string, n: number): string {
    if (n === 1) return x
    const half = this.power(this.mul(x, x), Math.floor(n / 2))
    return n % 2 ? this.mul(half, x) : half
  }

  /** sin(pi r) and cos(pi r), r being what x exceeds its nearest whole number by. */
  halfTurn(x: string): { sine: string; cosine: string } {
    const angle = this.mul(this.sub(x, this.round(x)), Math.PI)
    return { sine: this.#emit('Sin', angle), cosine: this.#emit('Cos', angle) }
  }
}

/**
 * log|Gamma(p)| for p >= 0. Below 8 the argument is moved to 2 + z with |z| <= 1/2 through Gamma(p+1) = p Gamma(p), where
 * the Taylor series keeps relative accuracy about the zeros at 1 and 2; above, Stirling's series is used.
 */
function lowerPositiveLogGamma(f: Formula, p: string): string {
  const wanted = f.round(f.sub(p, 2))
  const lifted = f.where(f.less(wanted, -2), -2, wanted)
  const steps = f.where(f.less(6, lifted), 6, lifted)
  // Adding 2 to the count first keeps every bit of a small p.
  const z = f.sub(p, f.add(steps, 2))
  let above: string | number = 1
  for (let j = 1; j <= 6; j++) above = f.mul(above, f.where(f.less(steps, j), 1, f.sub(p, j)))
  const once = f.where(f.less(steps, 0), p, 1)
  const below = f.mul(once, f.where(f.less(steps, -1), f.add(p, 1), 1))
  const series = f.mul(z, f.polynomial(z, logGammaAboutTwo(13)))
  const near = f.sub(f.add(series, f.log(above as string)), f.log(below))
  const inverse = f.div(1, p)
  const tail = f.mul(inverse, f.polynomial(f.mul(inverse, inverse), stirlingSeries(3)))
  const leading = f.mul(f.sub(p, 0.5), f.sub(f.log(p), 1))
  const far = f.add(leading, f.add(tail, 0.5 * Math.log(2 * Math.PI) - 0.5))
  return f.where(f.less(p, 8), near, far)
}

function lowerLogGamma(f: Formula, x: string): string {
  const negative = f.less(x, 0)
  const positive = lowerPositiveLogGamma(f, f.where(negative, f.sub(1, x), x))
  const { sine } = f.halfTurn(x)
  return f.where(negative, f.sub(f.sub(Math.log(Math.PI), f.log(f.abs(sine))), positive), positive)
}

/** polygamma(n, p) for p > 0: `steps` terms of the series, then the asymptotic one. */
function lowerPositivePolygamma(f: Formula, n: number, p: string): string {
  const s = n + 1
  const steps = 8 + n
  const y = f.add(p, steps)
  const inverse = f.div(1, y)
  const square = f.mul(inverse, inverse)
  let terms = f.power(f.div(1, p), s)
  for (let k = 1; k < steps; k++) terms = f.add(terms, f.power(f.div(1, f.add(p, k)), s))
  if (n === 0) {
    const series = f.mul(square, f.polynomial(square, digammaSeries(4)))
    return f.sub(f.add(f.sub(f.log(y), f.mul(inverse, 0.5)), series), terms)
  }
  const series = f.mul(square, f.polynomial(square, hurwitzSeries(s, 4)))
  const tail = f.add(f.add(f.mul(inverse, 0.5), series), 1 / n)
  return f.mul(f.add(terms, f.mul(f.power(inverse, n), tail)), (n % 2 ? 1 : -1) * factorial(n))
}

function lowerPolygamma(f: Formula, n: number, x: string): string {
  const positive = f.less(0, x)
  const right = lowerPositivePolygamma(f, n, f.where(positive, x, f.sub(1, x)))
  const { sine, cosine } = f.halfTurn(x)
  const cotangent = f.polynomial(f.div(cosine, sine), cotangentDerivative(n))
  const mirrored = n % 2 ? f.mul(right, -1) : right
  return f.where(positive, right, f.sub(mirrored, f.mul(cotangent, Math.PI ** (n + 1))))
}

/** One family, closed under differentiation: order -1 is log|Gamma|, and each order's derivative is the next. */
const polygammaPrimitive: Primitive<{ readonly order: number }> = {
  name: 'polygamma',
  shape: ([x]) => ({ shape: x.shape, dtype: x.dtype }),
  vjp: (node, [ct]) => [ct && mul(ct, apply(polygammaPrimitive, node.inputs, { order: node.attributes.order + 1 }))],
  lower: (to, [x], { attributes: { order }, inputs: [{ dtype }] }) => {
    const f = new Formula(to, dtype)
    return order === -1 ? lowerLogGamma(f, x) : lowerPolygamma(f, order, x)
  },
  evaluate: ([x], { order }) => x.data.map(value => referencePolygamma(order, value)),
}

function member(op: string, order: number, x: TensorLike): Tensor {
  const input = asTensor(x)
  requireFloat(op, input)
  // Halves have neither the range nor the digits for the series.
  if (input.dtype === 'f16') return cast(member(op, order, cast(input, 'f32')), 'f16')
  return apply(polygammaPrimitive, [input], { order })
}

/** log|Gamma(x)|; infinite at 0, -1, -2, …. Derivative: {@link digamma}. */
export const lgamma = (x: TensorLike): Tensor => member('lgamma', -1, x)

/** Gamma'(x)/Gamma(x), the derivative of {@link lgamma}; infinite at 0, -1, -2, …. */
export const digamma = (x: TensorLike): Tensor => member('digamma', 0, x)

/** Orders whose values single precision can hold about x = 1. */
const HIGHEST_ORDER = 20

/**
 * The n-th derivative of {@link digamma} (DLMF 5.15).
 * @param n whole number from 0 to 20
 * @throws when n is not
 */
export function polygamma(n: number, x: TensorLike): Tensor {
  if (!Number.isInteger(n) || n < 0 || n > HIGHEST_ORDER)
    throw new Error(`polygamma: the order is ${n}, expected a whole number from 0 to ${HIGHEST_ORDER}`)
  return member('polygamma', n, x)
}

/** log of the beta function: lgamma(a) + lgamma(b) - lgamma(a+b), for positive a and b. */
export const betaln = (a: TensorLike, b: TensorLike): Tensor => sub(add(lgamma(a), lgamma(b)), lgamma(add(a, b)))

/**
 * log of the normalising constant of a Dirichlet distribution: sum of lgamma(a_i) - lgamma(sum of a_i).
 * @param concentration positive
 * @param axis the axis of the categories; default the last
 */
export const dirichletLogNormalizer = (concentration: TensorLike, axis = -1): Tensor =>
  sub(sum(lgamma(concentration), axis), lgamma(sum(concentration, axis)))
