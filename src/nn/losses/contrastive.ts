import {
  arange,
  asTensor,
  concat,
  formatShape,
  logSumExp,
  matmul,
  type Tensor,
  tensor,
  where,
} from '../../core/index.ts'
import { crossEntropy } from './cross-entropy.ts'
import { unitRows } from './metric-learning.ts'

/** True on the diagonal of a square. */
function diagonal(size: number): Tensor {
  const bits = new Uint8Array(size * size)
  for (let i = 0; i < size; i++) bits[i * size + i] = 1
  return tensor(bits, [size, size], 'bool')
}

/**
 * Symmetric InfoNCE of two batches whose rows belong together: cross-entropy over the rows and over the columns of
 * scale * cos(u_i, v_j), averaged. Source: Radford et al. 2021 (CLIP)
 * @param scale a number, or the exponential of a learned scalar
 * @param positives bool [batch, batch]: further pairs that belong together; each row's target is spread over its positives
 */
export function infoNce(u: Tensor, v: Tensor, scale: Tensor | number, positives?: Tensor): Tensor {
  if (formatShape(u.shape) !== formatShape(v.shape))
    throw new Error(`infoNce: the batches are ${formatShape(u.shape)} and ${formatShape(v.shape)}`)
  const [batch] = u.shape
  const logits = matmul(unitRows(u), unitRows(v), { transposeB: true }).mul(scale)
  if (!positives) {
    const labels = arange(batch)
    return crossEntropy(logits, labels).add(crossEntropy(logits.transpose(), labels)).mul(0.5)
  }
  const together = positives.or(diagonal(batch)).cast(logits.dtype)
  const oneWay = (scores: Tensor, mask: Tensor): Tensor => crossEntropy(scores, mask.div(mask.sum(-1, true)))
  return oneWay(logits, together).add(oneWay(logits.transpose(), together.transpose())).mul(0.5)
}

/** Similarities of all rows with each other, those with itself far below any other. */
function selfLogits(z: Tensor, temperature: number): { logits: Tensor; self: Tensor } {
  const unit = unitRows(z)
  const self = diagonal(z.shape[0])
  const scores = matmul(unit, unit, { transposeB: true }).div(temperature)
  return { logits: where(self, asTensor(-1e30, scores.dtype), scores), self }
}

/** Cross-entropy of finding each row's other view among all rows; rows i and i + n are views of one. Source: Chen et al. 2020 (SimCLR) */
export function ntXent(z: Tensor, temperature = 0.5): Tensor {
  const [rows] = z.shape
  if (rows % 2 !== 0) throw new Error(`ntXent: rows must come in two halves of equal size, got ${rows}`)
  const order = arange(rows / 2)
  return crossEntropy(selfLogits(z, temperature).logits, concat([order.add(rows / 2), order]))
}

/** Mean over anchors of the mean over their positives of -log p; anchors without a positive count nothing. Source: Khosla et al. 2020, L_out */
export function supervisedContrastive(z: Tensor, labels: Tensor, temperature = 0.1): Tensor {
  const { logits, self } = selfLogits(z, temperature)
  const alike = labels.expandDims(1).equal(labels.expandDims(0)).and(self.not()).cast(logits.dtype)
  const logProbability = logits.sub(logSumExp(logits, -1, true))
  const positives = alike.sum(-1)
  const summed = where(self, asTensor(0, logits.dtype), logProbability).mul(alike).sum(-1)
  const hasPositive = positives.greater(0)
  const perAnchor = where(hasPositive, summed.div(positives.maximum(1)).neg(), 0)
  return perAnchor.sum().div(hasPositive.cast(logits.dtype).sum().maximum(1))
}
