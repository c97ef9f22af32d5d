import type { Lowering, Primitive, Reference, Spec } from '../primitive.ts'
import { formatShape, requireConcrete, type Shape, sameShape, sizeOf } from '../shape.ts'
import type { Node, Tensor, TensorLike } from '../tensor.ts'
import { apply, applyMany, asTensor } from '../tensor.ts'
import { addScaledRows } from './add-scaled.ts'
import { add, mul, requireFloat, rsqrt, sub } from './elementwise.ts'
import type { NormOptions } from './layer-norm.ts'
import { broadcastTo, ones, reshape, zeros } from './layout.ts'
import { sum } from './reduce.ts'

interface BatchNormAttributes {
  readonly epsilon: number
}

/** Every axis but that of the channels. */
const allButChannels = (shape: Shape): number[] => shape.map((_, axis) => axis).filter(axis => axis !== 1)
/** One number a channel, shaped to broadcast with a tensor of `rank` axes. */
const perChannel = (t: Tensor, rank: number): Tensor => reshape(t, [t.shape[0], ...new Array<number>(rank - 2).fill(1)])

function checkChannels(name: string, [x, ...rest]: readonly Spec[], { epsilon }: BatchNormAttributes): void {
  requireFloat(name, x)
  if (x.shape.length < 2) throw new Error(`${name}: expected [batch, channels, ...], got ${formatShape(x.shape)}`)
  if (!(epsilon >= 0)) throw new Error(`${name}: epsilon is ${epsilon}; it must be 0 or more`)
  const roles = ['weight', 'bias', 'mean', 'variance']
  rest.forEach(({ shape }, i) => {
    if (!sameShape(shape, [x.shape[1]]))
      throw new Error(
        `${name}: ${roles[i]} is ${formatShape(shape)} but ${formatShape(x.shape)} has ${x.shape[1]} channels`,
      )
  })
}

/** Visits the elements of a reference with their channel. */
function eachElement(x: Reference, visit: (value: number, channel: number, position: number) => void): void {
  const inner = sizeOf(x.shape.slice(2))
  x.data.forEach((value, position) => {
    visit(value, Math.floor(position / inner) % x.shape[1], position)
  })
}

/** Inputs x, weight, bias, mean, variance. */
const fixedPrimitive: Primitive<BatchNormAttributes> = {
  name: 'batchNormFixed',
  shape: (inputs, attributes) => {
    checkChannels('batchNorm', inputs, attributes)
    return { shape: inputs[0].shape, dtype: inputs[0].dtype }
  },
  vjp: ({ inputs: [x, weight, , mean, variance], attributes: { epsilon } }, [ct]) => {
    if (!ct) return []
    const inverse = rsqrt(add(variance, epsilon))
    const scale = mul(weight, inverse)
    const axes = allButChannels(x.shape)
    const total = sum(ct, axes)
    const along = mul(sum(mul(ct, sub(x, perChannel(mean, x.rank))), axes), inverse)
    return [
      mul(ct, perChannel(scale, x.rank)),
      along,
      total,
      mul(mul(scale, total), -1),
      mul(mul(mul(scale, inverse), along), -0.5),
    ]
  },
  lower: (to, inputs, { attributes: { epsilon } }) =>
    to.emit('BatchNormalization', inputs, { epsilon: { float: epsilon } }),
  evaluate: ([x, weight, bias, mean, variance], { epsilon }) => {
    const result = new Float64Array(x.data.length)
    eachElement(x, (value, c, i) => {
      result[i] = ((value - mean.data[c]) / Math.sqrt(variance.data[c] + epsilon)) * weight.data[c] + bias.data[c]
    })
    return result
  },
}

/** Inputs x, weight, bias; outputs y, mean, variance. */
const batchPrimitive: Primitive<BatchNormAttributes> = {
  name: 'batchNorm',
  shape: (inputs, attributes) => {
    checkChannels('batchNorm', inputs, attributes)
    const [{ shape, dtype }] = inputs
    if (sizeOf(shape) === 0) throw new Error(`batchNorm: ${formatShape(shape)} has no statistics`)
    const statistics: Spec = { shape: [shape[1]], dtype }
    return [{ shape, dtype }, statistics, statistics]
  },
  vjp: (node, cotangents) => batchNormGradient(node, cotangents),
  lower: (to, inputs, node) => lowerBatchNorm(to, inputs, node),
  evaluate: ([x, weight, bias], { epsilon }) => {
    const channels = x.shape[1]
    const count = x.data.length / channels
    const mean = new Float64Array(channels)
    const variance = new Float64Array(channels)
    const result = new Float64Array(x.data.length)
    eachElement(x, (value, c) => {
      mean[c] += value / count
    })
    eachElement(x, (value, c) => {
      variance[c] += (value - mean[c]) ** 2 / count
    })
    eachElement(x, (value, c, i) => {
      result[i] = ((value - mean[c]) / Math.sqrt(variance[c] + epsilon)) * weight.data[c] + bias.data[c]
    })
    return [result, mean, variance]
  },
}

function lowerBatchNorm(
  to: Lowering,
  [x, weight, bias]: readonly string[],
  { id, inputs: [{ shape, dtype }], attributes: { epsilon } }: Node<BatchNormAttributes>,
): string[] {
  const channels = shape[1]
  if (to.device === 'cpu' && dtype === 'f32') {
    // With momentum 0 the running statistics that the operator returns are those of the batch, whatever it starts from.
    // It writes them over its start, so no two nodes may share one: equal constants would become one array.
    const start = [0, 0.5].map(apart =>
      to.constant(new Float32Array(channels).fill((id % 2 ** 22) + apart), [channels], dtype),
    )
    return to.emitMany('BatchNormalization', [x, weight, bias, ...start], 3, {
      epsilon: { float: epsilon },
      momentum: { float: 0 },
      training_mode: { int: 1 },
    })
  }
  const axes = allButChannels(shape)
  const average = (t: string): string =>
    to.opset >= 18
      ? to.emit('ReduceMean', [t, to.ints(axes)], { keepdims: { int: 1 } })
      : to.emit('ReduceMean', [t], { axes: { ints: axes }, keepdims: { int: 1 } })
  const flat = to.ints([channels])
  const mean = average(x)
  const centred = to.emit('Sub', [x, mean])
  const variance = to.emit('Reshape', [average(to.emit('Mul', [centred, centred])), flat])
  const zero = to.emit('Sub', [variance, variance])
  const output = to.emit('BatchNormalization', [centred, weight, bias, zero, variance], { epsilon: { float: epsilon } })
  return [output, to.emit('Reshape', [mean, flat]), variance]
}

/** Fewer elements of a channel in a row than this, and an operator that walks rows pays more for each than it saves. */
const SHORT_ROW = 8

/**
 * With n values a channel, z = (x - mean) s and a = weight * s:
 * dx = a (ct - mean(ct) - z mean(ct z)), dweight = sum(ct z), dbias = sum(ct).
 */
function batchNormGradient(
  { inputs: [x, weight], outputs: [, mean, variance], attributes: { epsilon } }: Node<BatchNormAttributes>,
  [ct, meanCotangent, varianceCotangent]: readonly (Tensor | undefined)[],
): (Tensor | undefined)[] {
  const { rank, shape } = x
  requireConcrete('gradient of batchNorm', shape)
  const count = sizeOf(shape) / shape[1]
  const axes = allButChannels(shape)
  const channels = [shape[1]]
  const inverse = rsqrt(add(variance, epsilon))
  const parts: Tensor[] = []
  let weightGradient: Tensor | undefined
  let biasGradient: Tensor | undefined
  if (ct) {
    const scale = mul(weight, inverse)
    const none = zeros(channels, x.dtype)
    const normal = batchNormFixed(x, ones(channels, x.dtype), none, mean, variance, epsilon)
    weightGradient = sum(mul(ct, normal), axes)
    biasGradient = sum(ct, axes)
    const pull = mul(mul(scale, weightGradient), -1 / count)
    const shift = mul(mul(scale, biasGradient), -1 / count)
    parts.push(
      sizeOf(shape.slice(2)) < SHORT_ROW
        ? add(add(mul(ct, perChannel(scale, rank)), mul(normal, perChannel(pull, rank))), perChannel(shift, rank))
        : scaleShiftAdd(ct, scale, shift, normal, pull),
    )
  }
  if (meanCotangent) parts.push(broadcastTo(perChannel(mul(meanCotangent, 1 / count), rank), shape))
  if (varianceCotangent) {
    const slope = mul(varianceCotangent, 2 / count)
    parts.push(mul(sub(x, perChannel(mean, rank)), perChannel(slope, rank)))
  }
  return [parts.length ? parts.reduce(add) : undefined, weightGradient, biasGradient]
}

/** x * scale + shift + y * pull with one scale, shift and pull a channel, in two passes over memory. */
function scaleShiftAdd(x: Tensor, scale: Tensor, shift: Tensor, y: Tensor, pull: Tensor): Tensor {
  const [batch, channels] = x.shape
  const rows = [batch, channels, sizeOf(x.shape.slice(2))]
  const scaled = channelAffine(x, scale, shift)
  const each = broadcastTo(reshape(pull, [1, channels, 1]), [batch, channels, 1])
  return reshape(addScaledRows(reshape(scaled, rows), reshape(y, rows), each), x.shape)
}

const batchNormFixed = (
  x: Tensor,
  weight: Tensor,
  bias: Tensor,
  mean: Tensor,
  variance: Tensor,
  epsilon: number,
): Tensor => apply(fixedPrimitive, [x, weight, bias, mean, variance], { epsilon })

/**
 * x * weight + bias, with one weight and bias for each channel (axis 1), in one pass over memory.
 * @throws when weight or bias do not have one number for each channel
 */
export function channelAffine(x: Tensor, weight: Tensor, bias: Tensor): Tensor {
  const channels = [x.shape[1]]
  return batchNormFixed(x, weight, bias, zeros(channels, x.dtype), ones(channels, x.dtype), 0)
}

export interface BatchNormalisation {
  readonly output: Tensor
  /** Of the batch, or those that were given; one a channel. */
  readonly mean: Tensor
  /** The population (biased) variance: divided by n, not n - 1. */
  readonly variance: Tensor
}

/**
 * (x - mean) / sqrt(variance + epsilon) * weight + bias for each channel (axis 1), over the batch and all other axes.
 * Without `mean` and `variance` they are those of the batch, which are returned for the caller to fold into running
 * statistics: PyTorch stores variance n/(n-1), having normalised with the population variance.
 * @param x [batch, channels, ...]
 * @param weight, bias [channels]; left out: 1 and 0
 * @param mean, variance [channels] to use in place of the batch's own (evaluation); both or neither
 * @throws when one of them has another shape, or the batch is empty. Source: Ioffe & Szegedy 2015; ONNX BatchNormalization-15
 */
export function batchNorm(
  x: TensorLike,
  {
    weight,
    bias,
    epsilon = 1e-5,
    mean,
    variance,
  }: NormOptions & { readonly mean?: TensorLike; readonly variance?: TensorLike } = {},
): BatchNormalisation {
  const input = asTensor(x)
  if ((mean === undefined) !== (variance === undefined))
    throw new Error('batchNorm: give both mean and variance, or neither')
  const channels = [input.shape[1] ?? 0]
  const scale = weight === undefined ? ones(channels, input.dtype) : asTensor(weight)
  const shift = bias === undefined ? zeros(channels, input.dtype) : asTensor(bias)
  if (mean !== undefined && variance !== undefined) {
    const given = [asTensor(mean), asTensor(variance)] as const
    const output = batchNormFixed(input, scale, shift, ...given, epsilon)
    return { output, mean: given[0], variance: given[1] }
  }
  const [output, batchMean, batchVariance] = applyMany(batchPrimitive, [input, scale, shift], { epsilon })
  return { output, mean: batchMean, variance: batchVariance }
}
