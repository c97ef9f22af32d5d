import { log, oneHot, softmax, type Tensor } from '../../../core/index.ts'
import { crossEntropy } from '../../../nn/index.ts'

function requireShape(loss: string, what: string, t: Tensor, expected: readonly number[]): void {
  if (t.shape.join() !== expected.join()) throw new Error(`${loss}: ${what} are [${t.shape}], expected [${expected}]`)
}

/**
 * Binary cross-entropy of probabilities plus 1 - mean over pictures of (2 sum p g + 1) / (sum p + sum g + 1).
 * @param probability [batch, 1, height, width] in [0, 1]; logarithms are cut off at -100
 * @param target of the same shape, 0 or 1
 * @throws when the shapes differ. Source: Ruan & Xiang 2024, "VM-UNet", section 3.3; JCruan519/VM-UNet, utils.py
 */
export function bceDiceLoss(probability: Tensor, target: Tensor): Tensor {
  requireShape('bceDiceLoss', 'targets', target, probability.shape)
  const opposite = (t: Tensor): Tensor => t.neg().add(1)
  const logarithm = (t: Tensor): Tensor => log(t).maximum(-100)
  const entropy = target
    .mul(logarithm(probability))
    .add(opposite(target).mul(logarithm(opposite(probability))))
    .mean()
    .neg()
  const perPicture = (t: Tensor): Tensor => t.flatten(1).sum(1)
  const overlap = perPicture(probability.mul(target)).mul(2).add(1)
  const dice = overlap.div(perPicture(probability).add(perPicture(target)).add(1)).mean()
  return entropy.add(opposite(dice))
}

/**
 * 0.4 cross-entropy + 0.6 Dice loss of the softmax, the latter for each class over the whole batch with squared
 * denominators, 1 - (2 sum p g + 1e-5) / (sum p^2 + sum g^2 + 1e-5), averaged over classes.
 * @param logits [batch, classes, height, width]
 * @param labels whole numbers [batch, height, width]
 * @throws when the shapes do not fit. Source: as {@link bceDiceLoss}
 */
export function ceDiceLoss(logits: Tensor, labels: Tensor): Tensor {
  const [batch, classes, ...size] = logits.shape
  requireShape('ceDiceLoss', 'labels', labels, [batch, ...size])
  const probability = softmax(logits, 1)
  const truth = oneHot(labels, classes).moveAxis(-1, 1)
  const perClass = (t: Tensor): Tensor => t.sum([0, 2, 3])
  const overlap = perClass(probability.mul(truth)).mul(2).add(1e-5)
  const total = perClass(probability.mul(probability)).add(perClass(truth)).add(1e-5)
  const dice = overlap.div(total).neg().add(1).mean()
  return crossEntropy(logits, labels).mul(0.4).add(dice.mul(0.6))
}
