import type { Primitive } from '../primitive.ts'
import { formatShape, normalizeAxis } from '../shape.ts'
import type { Tensor, TensorLike } from '../tensor.ts'
import { apply, asTensor } from '../tensor.ts'
import { cast } from './cast.ts'
import {
  abs,
  add,
  clip,
  div,
  erfReference,
  exp,
  greater,
  mul,
  neg,
  relu,
  requireFloat,
  sigmoid,
  softplus,
  sub,
  unary,
} from './elementwise.ts'
import { reshape, slice } from './layout.ts'

const logistic = (x: number): number => (x >= 0 ? 1 / (1 + Math.exp(-x)) : Math.exp(x) / (1 + Math.exp(x)))

/** Phi(x), the distribution function of the standard normal. */
const normalCdf = unary('normalCdf', {
  onnx: (to, x, dtype) => {
    const tail = to.emit('Erf', [to.emit('Mul', [x, to.scalar(Math.SQRT1_2, dtype)])])
    // HardSigmoid scales and shifts in one pass; its limits, 0 and 1, are those of the distribution.
    return to.emit('HardSigmoid', [tail], { alpha: { float: 0.5 }, beta: { float: 0.5 } })
  },
  evaluate: x => 0.5 * (1 + erfReference(x * Math.SQRT1_2)),
  vjp: (ct, x) => mul(ct, exp(normalLogDensity(mul(x, Math.SQRT1_2), LOG_SQRT_2PI))),
})

const LOG_SQRT_2PI = 0.5 * Math.log(2 * Math.PI)
const LOG_SQRT_PI = 0.5 * Math.log(Math.PI)
/** -shift - u^2: log of the normal density at x = sqrt(2) u, up to the constant that `shift` adds. */
const normalLogDensity = (u: Tensor, shift: number): Tensor => sub(-shift, mul(u, u))

/** x Phi(x), the exact (erf) form of GELU (Hendrycks & Gimpel 2016). */
export const gelu = unary('gelu', {
  onnx: (to, x, dtype) => {
    if (to.contributed && dtype === 'f32') return to.emit('Gelu', [x], {}, 'com.microsoft')
    const tail = to.emit('Erf', [to.emit('Mul', [x, to.scalar(Math.SQRT1_2, dtype)])])
    const half = to.emit('Mul', [x, to.scalar(0.5, dtype)])
    return to.emit('Mul', [half, to.emit('Add', [tail, to.scalar(1, dtype)])])
  },
  evaluate: x => 0.5 * x * (1 + erfReference(x * Math.SQRT1_2)),
  // Phi(x) + x phi(x), where x phi(x) = u e^(-u^2) / sqrt(pi) with the u = x / sqrt(2) that Phi is computed from.
  vjp: (ct, x) => {
    const u = mul(x, Math.SQRT1_2)
    return mul(ct, add(normalCdf(x), mul(u, exp(normalLogDensity(u, LOG_SQRT_PI)))))
  },
})

const TANH_SLOPE = Math.sqrt(2 / Math.PI)
const TANH_CUBE = 0.044715

/** x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))), the tanh form of GELU. Source: Hendrycks & Gimpel 2016 */
export const geluTanh = unary('geluTanh', {
  onnx: (to, x, dtype, rank) => {
    // The contributed operator refuses scalars.
    if (to.contributed && dtype === 'f32' && rank > 0) return to.emit('FastGelu', [x], {}, 'com.microsoft')
    const cube = to.emit('Mul', [to.emit('Mul', [x, x]), to.scalar(2 * TANH_SLOPE * TANH_CUBE, dtype)])
    const inner = to.emit('Mul', [x, to.emit('Add', [cube, to.scalar(2 * TANH_SLOPE, dtype)])])
    return to.emit('Mul', [x, to.emit('Sigmoid', [inner])])
  },
  evaluate: x => 0.5 * x * (1 + Math.tanh(TANH_SLOPE * (x + TANH_CUBE * x ** 3))),
  // (1 + tanh u) / 2 is the sigmoid s of 2u, so that dy/dx = s + x s (1 - s) d(2u)/dx.
  vjp: (ct, x) => {
    const square = mul(x, x)
    const twice = mul(x, add(mul(square, 2 * TANH_SLOPE * TANH_CUBE), 2 * TANH_SLOPE))
    const slope = add(mul(square, 6 * TANH_SLOPE * TANH_CUBE), 2 * TANH_SLOPE)
    const gate = sigmoid(twice)
    return mul(ct, mul(gate, add(mul(mul(x, slope), sub(1, gate)), 1)))
  },
})

/** x sigmoid(x), also called swish. Source: Elfwing, Uchibe & Doya 2018 */
export const silu = unary('silu', {
  onnx: (to, x) => to.emit('Mul', [x, to.emit('Sigmoid', [x])]),
  evaluate: x => x * logistic(x),
  vjp: (ct, x, y) => {
    const gate = sigmoid(x)
    return mul(ct, add(gate, mul(y, sub(1, gate))))
  },
})

/** x sigmoid(1.702 x): the GELU of CLIP's first models. Source: Hendrycks & Gimpel 2016 */
export const quickGelu = (x: TensorLike): Tensor => mul(silu(mul(asTensor(x), 1.702)), 1 / 1.702)

/** x tanh(softplus(x)). Source: Misra 2019 */
export function mish(x: TensorLike): Tensor {
  const input = asTensor(x)
  requireFloat('mish', input)
  // With w = e^x, tanh(log(1 + w)) = n / (n + 2) for n = w (w + 2); past 20 that is 1 to the last bit.
  const growth = exp(clip(input, undefined, input.dtype === 'f16' ? 5 : 20))
  const share = mul(growth, add(growth, 2))
  return mul(input, div(share, add(share, 2)))
}

/** log sigmoid(x) = -softplus(-x), without underflow. */
export const logSigmoid = (x: TensorLike): Tensor => neg(softplus(neg(x)))

/** x / (1 + |x|) */
export const softsign = (x: TensorLike): Tensor => div(x, add(abs(x), 1))

interface LinearAttributes {
  readonly slope: number
  readonly shift: number
}

/** slope x + shift, limited to [0, 1]; the gradient is 0 on the limits. */
const limitedLinear: Primitive<LinearAttributes> = {
  name: 'hardSigmoid',
  shape: ([x]) => {
    requireFloat('hardSigmoid', x)
    return { shape: x.shape, dtype: x.dtype }
  },
  vjp: ({ outputs: [y], attributes: { slope } }, [ct]) => {
    if (!ct) return []
    const inside = cast(greater(mul(y, sub(1, y)), 0), ct.dtype)
    return [mul(mul(ct, slope), inside)]
  },
  lower: (to, [x], { attributes: { slope, shift } }) =>
    to.emit('HardSigmoid', [x], { alpha: { float: slope }, beta: { float: shift } }),
  evaluate: ([x], { slope, shift }) => x.data.map(value => Math.min(Math.max(slope * value + shift, 0), 1)),
}

/**
 * max(0, min(1, slope x + shift)); the gradient is 0 on the limits.
 * @param slope default 1/6 (PyTorch)
 * @param shift default 1/2
 */
export const hardSigmoid = (x: TensorLike, { slope = 1 / 6, shift = 0.5 } = {}): Tensor =>
  apply(limitedLinear, [asTensor(x)], { slope, shift })

/** x hardSigmoid(x). Source: Howard et al. 2019 (MobileNetV3) */
export const hardSwish = (x: TensorLike): Tensor => mul(x, hardSigmoid(x))

/** min(max(x, 0), 6) */
export const relu6 = (x: TensorLike): Tensor => relu(clip(x, undefined, 6))

const leakyPrimitive: Primitive<{ readonly slope: number }> = {
  name: 'leakyRelu',
  shape: ([x]) => {
    requireFloat('leakyRelu', x)
    return { shape: x.shape, dtype: x.dtype }
  },
  vjp: ({ inputs: [x], attributes: { slope } }, [ct]) => {
    if (!ct) return []
    const positive = cast(greater(x, 0), ct.dtype)
    return [mul(ct, add(mul(positive, 1 - slope), slope))]
  },
  lower: (to, [x], { attributes: { slope } }) => to.emit('LeakyRelu', [x], { alpha: { float: slope } }),
  evaluate: ([x], { slope }) => x.data.map(value => (value > 0 ? value : slope * value)),
}

/**
 * x above 0, slope x below; the gradient at 0 is the slope.
 * @param slope default 0.01. Source: Maas, Hannun & Ng 2013
 */
export const leakyRelu = (x: TensorLike, slope = 0.01): Tensor => apply(leakyPrimitive, [asTensor(x)], { slope })

/**
 * x above 0, alpha (e^x - 1) below; the gradient at 0 is alpha.
 * @param alpha default 1. Source: Clevert, Unterthiner & Hochreiter 2016
 */
export function elu(x: TensorLike, alpha = 1): Tensor {
  const input = asTensor(x)
  requireFloat('elu', input)
  const below = sub(exp(clip(input, undefined, 0)), 1)
  return add(relu(input), alpha === 1 ? below : mul(below, alpha))
}

const SELU_ALPHA = 1.6732632423543772
const SELU_SCALE = 1.0507009873554805

/** 1.0507 elu(x, 1.6733): the scale and alpha that keep mean 0 and variance 1. Source: Klambauer et al. 2017 */
export const selu = (x: TensorLike): Tensor => mul(elu(x, SELU_ALPHA), SELU_SCALE)

/**
 * x above 0, weight x below, with a learnt weight for each channel (axis 1) or one for all.
 * @param weight [channels] or [1]
 * @throws when the number of weights is neither 1 nor the number of channels. Source: He et al. 2015
 */
export function prelu(x: TensorLike, weight: TensorLike): Tensor {
  const input = asTensor(x)
  const slopes = asTensor(weight)
  const channels = input.rank > 1 ? input.shape[1] : 1
  if (slopes.rank !== 1 || (slopes.size !== 1 && slopes.size !== channels))
    throw new Error(
      `prelu: expected 1 weight or one for each of the ${channels} channels of ${formatShape(input.shape)}, got ${formatShape(slopes.shape)}`,
    )
  const perChannel = reshape(slopes, [slopes.size, ...new Array<number>(Math.max(input.rank - 2, 0)).fill(1)])
  return sub(relu(input), mul(perChannel, relu(neg(input))))
}

/**
 * Gated linear unit: the first half of an axis times the sigmoid of the second.
 * @param axis default: the last
 * @param gate what the second half goes through; default sigmoid (`silu` makes SwiGLU, `gelu` GEGLU)
 * @throws when the axis has an odd size. Source: Dauphin et al. 2017; Shazeer 2020
 */
export function glu(x: TensorLike, axis = -1, gate: (half: Tensor) => Tensor = sigmoid): Tensor {
  const input = asTensor(x)
  const along = normalizeAxis('glu', axis, input.rank)
  const size = input.shape[along]
  if (size % 2 !== 0)
    throw new Error(`glu: axis ${along} of ${formatShape(input.shape)} has an odd size and cannot be halved`)
  return mul(slice(input, along, 0, size / 2), gate(slice(input, along, size / 2)))
}
