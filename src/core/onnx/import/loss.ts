import {
  cast,
  div,
  equal,
  expandDims,
  gather,
  logSumExp,
  mean,
  mul,
  neg,
  not,
  reshape,
  sub,
  sum,
  takeAlongAxis,
  where,
} from '../../ops/index.ts'
import { formatShape } from '../../shape.ts'
import type { Tensor } from '../../tensor.ts'
import type { NodeReader, OperatorReaders } from './node-reader.ts'

/**
 * -w[target] logProbability[target] for every target, reduced.
 * @param logProbabilities [batch, classes, …]
 * @param targets [batch, …]; those equal to `ignore_index` count for nothing
 * @param weights [classes]
 */
function negativeLogLikelihood(
  node: NodeReader,
  logProbabilities: Tensor,
  targets: Tensor,
  weights: Tensor | undefined,
): Tensor {
  if (logProbabilities.rank < 2 || targets.rank !== logProbabilities.rank - 1)
    throw new Error(`scores ${formatShape(logProbabilities.shape)} do not fit targets ${formatShape(targets.shape)}`)
  const ignored = node.carries('ignore_index') ? equal(targets, node.int('ignore_index', 0)) : undefined
  const safe = ignored ? where(ignored, 0, targets) : targets
  const picked = reshape(takeAlongAxis(logProbabilities, expandDims(safe, 1), 1), targets.shape)
  const kept = ignored && cast(not(ignored), logProbabilities.dtype)
  const weight = weights ? (kept ? mul(gather(weights, safe), kept) : gather(weights, safe)) : kept
  const losses = weight ? neg(mul(picked, weight)) : neg(picked)
  const reduction = node.choice('reduction', 'mean', ['none', 'sum', 'mean'])
  if (reduction === 'none') return losses
  if (reduction === 'sum') return sum(losses)
  return weight ? div(sum(losses), sum(weight)) : mean(losses)
}

function softmaxCrossEntropy(node: NodeReader): Tensor[] {
  const scores = node.input(0)
  const logProbabilities = sub(scores, logSumExp(scores, 1, true))
  return [negativeLogLikelihood(node, logProbabilities, node.input(1), node.optional(2)), logProbabilities]
}

export const lossReaders: OperatorReaders = {
  NegativeLogLikelihoodLoss: node => negativeLogLikelihood(node, node.input(0), node.input(1), node.optional(2)),
  SoftmaxCrossEntropyLoss: softmaxCrossEntropy,
}
