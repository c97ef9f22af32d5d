import {
  abs,
  add,
  batchNorm,
  cast,
  div,
  groupNorm,
  instanceNorm,
  layerNorm,
  mean,
  mul,
  ones,
  pad,
  pow,
  reshape,
  rsqrt,
  slice,
  sqrt,
  sub,
  sum,
  variance,
} from '../../ops/index.ts'
import { formatShape, normalizeAxis, sameShape } from '../../shape.ts'
import type { Tensor } from '../../tensor.ts'
import type { NodeReader, OperatorReaders } from './node-reader.ts'

/** By given statistics, or in training mode (operator set 14 on) by those of the batch, which are folded into them. */
function batchNormalization(node: NodeReader): Tensor[] {
  const [x, weight, bias, running, spread] = Array.from({ length: 5 }, (_, i) => node.input(i))
  const epsilon = node.float('epsilon', 1e-5)
  if (node.opset < 9 && !node.flag('spatial', true)) throw new Error('statistics for every position are not supported')
  const training = node.opset >= 14 && node.flag('training_mode')
  if (!training) return [batchNorm(x, { weight, bias, mean: running, variance: spread, epsilon }).output]
  const { output, mean: center, variance: width } = batchNorm(x, { weight, bias, epsilon })
  const momentum = node.float('momentum', 0.9)
  const fold = (old: Tensor, now: Tensor): Tensor => add(mul(old, momentum), mul(now, 1 - momentum))
  return [output, fold(running, center), fold(spread, width)]
}

/** Normalises the axes from `axis` on; also gives the mean and 1/deviation that it used. */
function layerNormalization(node: NodeReader): (Tensor | undefined)[] {
  const x = node.input(0)
  const first = normalizeAxis(node.op, node.int('axis', -1), x.rank)
  const epsilon = node.float('epsilon', 1e-5)
  const [weight, bias] = [node.input(1), node.optional(2)]
  const whole = x.shape.slice(first)
  const fits = sameShape(weight.shape, whole) && (!bias || sameShape(bias.shape, whole))
  const axes = x.rank - first
  const plain = fits ? layerNorm(x, { weight, bias, axes, epsilon }) : mul(layerNorm(x, { axes, epsilon }), weight)
  const y = fits || !bias ? plain : add(plain, bias)
  const along = whole.map((_, i) => first + i)
  return [
    y,
    node.wants(1) ? mean(x, along, true) : undefined,
    node.wants(2) ? rsqrt(add(variance(x, along, { keep: true }), epsilon)) : undefined,
  ]
}

/** Weights belong to groups in operator sets 18 to 20, and to channels since 21. */
function groupNormalization(node: NodeReader): Tensor {
  const x = node.input(0)
  const groups = node.int('num_groups', 0)
  const channels = x.shape[1]
  if (!(groups >= 1) || channels % groups !== 0)
    throw new Error(`${channels} channels do not divide into ${groups} groups`)
  const perChannel = (t: Tensor): Tensor => {
    if (node.opset >= 21) return t
    const each = reshape(t, [groups, 1])
    return reshape(mul(each, ones([groups, channels / groups], t.dtype)), [channels])
  }
  return groupNorm(x, groups, {
    weight: perChannel(node.input(1)),
    bias: perChannel(node.input(2)),
    epsilon: node.float('epsilon', 1e-5),
  })
}

/** (x - mean) / (deviation + 1e-9) over some axes. */
function meanVariance(node: NodeReader): Tensor {
  const x = node.input(0)
  const axes = node.ints('axes', [0, 2, 3])
  return div(sub(x, mean(x, axes, true)), add(sqrt(variance(x, axes, { keep: true })), 1e-9))
}

/** x / (bias + alpha/size * sum of squares over neighbouring channels)^beta */
function localResponse(node: NodeReader): Tensor {
  const x = node.input(0)
  const size = node.int('size', 0)
  if (!(size >= 1 && size <= 1024) || x.rank < 2)
    throw new Error(`size ${size} over ${formatShape(x.shape)} is not possible`)
  const channels = x.shape[1]
  const before = Math.floor((size - 1) / 2)
  const padded = pad(
    mul(x, x),
    x.shape.map((_, axis): [number, number] => (axis === 1 ? [before, size - 1 - before] : [0, 0])),
  )
  const squares = Array.from({ length: size }, (_, i) => slice(padded, 1, i, i + channels)).reduce(add)
  const scale = add(mul(squares, node.float('alpha', 1e-4) / size), node.float('bias', 1))
  return div(x, pow(scale, node.float('beta', 0.75)))
}

/** x over its length along an axis, by absolute values (p = 1) or squares (p = 2). */
function lengthNormalization(node: NodeReader): Tensor {
  const x = node.input(0)
  const axis = node.int('axis', -1)
  const p = node.int('p', 2)
  if (p !== 1 && p !== 2) throw new Error(`p is ${p}, expected 1 or 2`)
  return div(x, p === 1 ? sum(abs(x), axis, true) : sqrt(sum(mul(x, x), axis, true)))
}

/** x itself outside training; inside, only a rate of 0 keeps a model's outputs determined. */
function dropout(node: NodeReader): Tensor[] {
  const x = node.input(0)
  const training = node.opset >= 12 ? node.has(2) && node.number(2) !== 0 : node.opset < 7 && !node.flag('is_test')
  const rate = node.opset >= 12 ? (training && node.has(1) ? node.number(1) : 0.5) : node.float('ratio', 0.5)
  if (training && rate !== 0) return node.unsupported('random draw', 'dropout in training mode draws random numbers')
  const kept = ones(x.shape, 'bool')
  return [x, node.opset >= 10 ? kept : cast(kept, x.dtype)]
}

export const normaliseReaders: OperatorReaders = {
  BatchNormalization: batchNormalization,
  Dropout: dropout,
  GroupNormalization: groupNormalization,
  InstanceNormalization: node =>
    instanceNorm(node.input(0), {
      weight: node.input(1),
      bias: node.input(2),
      epsilon: node.float('epsilon', 1e-5),
    }),
  LRN: localResponse,
  LayerNormalization: layerNormalization,
  LpNormalization: lengthNormalization,
  MeanVarianceNormalization: meanVariance,
}
