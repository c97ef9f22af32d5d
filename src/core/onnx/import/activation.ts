import { isFloat } from '../../dtype.ts'
import {
  add,
  argMax,
  div,
  elu,
  gelu,
  geluTanh,
  greater,
  hardSigmoid,
  hardSwish,
  leakyRelu,
  less,
  logSoftmax,
  maximum,
  mish,
  moveAxis,
  mul,
  neg,
  oneHot,
  relu,
  reshape,
  softmax,
  softplus,
  softsign,
  sub,
  where,
} from '../../ops/index.ts'
import { normalizeAxis, sizeOf } from '../../shape.ts'
import type { Tensor } from '../../tensor.ts'
import type { NodeReader, OperatorReader, OperatorReaders } from './node-reader.ts'

type Along = (x: Tensor, axis: number) => Tensor

/** Until operator set 12 everything from `axis` (default 1) on is one line; since 13 the axis alone (default the last) is. */
const along =
  (f: Along): OperatorReader =>
  node => {
    const x = node.input(0)
    if (node.opset >= 13) return f(x, normalizeAxis(node.op, node.int('axis', -1), x.rank))
    const axis = normalizeAxis(node.op, node.int('axis', 1), x.rank)
    const lines = [sizeOf(x.shape.slice(0, axis)), sizeOf(x.shape.slice(axis))]
    return reshape(f(reshape(x, lines), 1), x.shape)
  }

/** 1 at the first largest entry along the axis, 0 elsewhere. */
function hardmax(x: Tensor, axis: number): Tensor {
  return moveAxis(oneHot(argMax(x, axis), x.shape[axis], x.dtype), -1, axis)
}

function parametricRelu(node: NodeReader): Tensor {
  const x = node.input(0)
  const slope = node.input(1)
  if (!isFloat(x.dtype)) return where(less(x, 0), mul(x, slope), x)
  // Before operator set 7 a vector of slopes belongs to the channels.
  const perChannel = node.opset < 7 && slope.rank === 1 && x.rank > 2
  const weight = perChannel ? reshape(slope, [slope.shape[0], ...x.shape.slice(2).map(() => 1)]) : slope
  return sub(relu(x), mul(weight, relu(neg(x))))
}

function shrink(node: NodeReader): Tensor {
  const x = node.input(0)
  const [threshold, bias] = [node.float('lambd', 0.5), node.float('bias', 0)]
  return where(less(x, -threshold), add(x, bias), where(greater(x, threshold), sub(x, bias), 0))
}

const SELU_ALPHA = 1.6732631921768188
const SELU_GAMMA = 1.0507010221481323

export const activationReaders: OperatorReaders = {
  Celu: node => {
    const alpha = node.float('alpha', 1)
    return mul(elu(div(node.input(0), alpha)), alpha)
  },
  Elu: node => elu(node.input(0), node.float('alpha', 1)),
  Gelu: node =>
    node.choice('approximate', 'none', ['none', 'tanh']) === 'none' ? gelu(node.input(0)) : geluTanh(node.input(0)),
  HardSigmoid: node => hardSigmoid(node.input(0), { slope: node.float('alpha', 0.2), shift: node.float('beta', 0.5) }),
  HardSwish: node => hardSwish(node.input(0)),
  Hardmax: along(hardmax),
  LeakyRelu: node => leakyRelu(node.input(0), node.float('alpha', 0.01)),
  LogSoftmax: along(logSoftmax),
  Mish: node => mish(node.input(0)),
  PRelu: parametricRelu,
  Relu: node => (isFloat(node.input(0).dtype) ? relu(node.input(0)) : maximum(node.input(0), 0)),
  Selu: node => mul(elu(node.input(0), node.float('alpha', SELU_ALPHA)), node.float('gamma', SELU_GAMMA)),
  Shrink: shrink,
  Softmax: along(softmax),
  Softplus: node => softplus(node.input(0)),
  Softsign: node => softsign(node.input(0)),
  ThresholdedRelu: node => where(greater(node.input(0), node.float('alpha', 1)), node.input(0), 0),
}
