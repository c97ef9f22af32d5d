import { asTensor, log, logSoftmax, softmax, type Tensor, where } from '../../core/index.ts'

/** How a divergence is averaged: over the batch, over all elements, or not. */
export type DivergenceReduction = 'batchmean' | 'mean' | 'sum'

function reduceDivergence(terms: Tensor, reduction: DivergenceReduction): Tensor {
  if (reduction === 'mean') return terms.mean()
  return reduction === 'sum' ? terms.sum() : terms.sum().div(terms.shape[0])
}

/**
 * KL(target || prediction) = sum target (log target - log prediction); elements with target 0 count 0.
 * @param logPrediction log-probabilities
 * @param target probabilities of the same shape
 * @param reduction `mean` divides by the number of elements, `batchmean` by the batch
 */
export function klDivergence(
  logPrediction: Tensor,
  target: Tensor,
  reduction: DivergenceReduction = 'batchmean',
): Tensor {
  const positive = target.greater(0)
  const entropy = target.mul(log(where(positive, target, 1)))
  return reduceDivergence(where(positive, entropy, asTensor(0, target.dtype)).sub(target.mul(logPrediction)), reduction)
}

/** Mean of KL(p || m) and KL(q || m) with m = (p+q)/2, from logits over the last axis, averaged over the batch. Source: Lin 1991 */
export function jensenShannon(logitsP: Tensor, logitsQ: Tensor): Tensor {
  const [p, q] = [softmax(logitsP, -1), softmax(logitsQ, -1)]
  const logMiddle = log(p.add(q).mul(0.5))
  return klDivergence(logMiddle, p).add(klDivergence(logMiddle, q)).mul(0.5)
}

/**
 * Knowledge distillation: KL of the student's softened probabilities from the teacher's, times T^2.
 * @param temperature divides both logits. Source: Hinton et al. 2015
 */
export function distillation(student: Tensor, teacher: Tensor, temperature = 4): Tensor {
  const soft = softmax(teacher.div(temperature), -1)
  return klDivergence(logSoftmax(student.div(temperature), -1), soft).mul(temperature * temperature)
}

/** KL(N(mean, e^logVariance) || N(0, 1)), summed over the last axis and averaged over the rest. Source: Kingma & Welling 2014, appendix B */
export function gaussianKl(mean: Tensor, logVariance: Tensor): Tensor {
  return logVariance.add(1).sub(mean.mul(mean)).sub(logVariance.exp()).sum(-1).mul(-0.5).mean()
}
