import { constantData, formatShape, logSoftmax, moveAxis, oneHot, type Tensor, where } from '../../core/index.ts'
import { type Reduction, reduceLoss } from './reduction.ts'

export interface CrossEntropyOptions {
  /** Share of the target spread evenly over all classes; default 0. */
  readonly labelSmoothing?: number
  /** A label that counts for nothing. */
  readonly ignoreIndex?: number
  /** [classes]; weight of each class. */
  readonly classWeights?: Tensor
  /** [batch, ...]; weight of each sample: the mean divides by their sum. */
  readonly sampleWeights?: Tensor
  readonly reduction?: Reduction
}

/**
 * (1-e) * -log p_target + e * mean over classes of -log p, averaged over targets that are not ignored. With class weights
 * each -log p_c is weighted by w_c, and the mean divides by the sum of the targets' weights. Where no target counts, the
 * mean is 0.
 * @param logits [batch, classes, ...]
 * @param targets labels (i32 or i64) [batch, ...], or class probabilities of the shape of the logits
 * @throws when the shapes do not fit, or a constant label is no class; one that is computed makes its loss NaN. Source: PyTorch's CrossEntropyLoss; Szegedy et al. 2016 for smoothing
 */
export function crossEntropy(logits: Tensor, targets: Tensor, options: CrossEntropyOptions = {}): Tensor {
  const { labelSmoothing = 0, classWeights, reduction = 'mean', sampleWeights } = options
  const classes = logits.shape[1]
  if (logits.rank < 2)
    throw new Error(`crossEntropy: logits must be [batch, classes, ...], got ${formatShape(logits.shape)}`)
  if (!(labelSmoothing >= 0 && labelSmoothing <= 1))
    throw new Error(`crossEntropy: labelSmoothing must be in [0, 1], got ${labelSmoothing}`)
  const last = moveAxis(logits, 1, -1)
  const logProbabilities = logSoftmax(last, -1)
  const weighted = classWeights ? logProbabilities.mul(classWeights) : logProbabilities
  if (targets.dtype === 'f32' || targets.dtype === 'f16') {
    if (formatShape(targets.shape) !== formatShape(logits.shape))
      throw new Error(
        `crossEntropy: probabilities are ${formatShape(targets.shape)}, the logits ${formatShape(logits.shape)}`,
      )
    const smooth = moveAxis(targets, 1, -1)
      .mul(1 - labelSmoothing)
      .add(labelSmoothing / classes)
    return reduceLoss(smooth.mul(weighted).sum(-1).neg(), reduction, sampleWeights)
  }
  if (formatShape(targets.shape) !== formatShape(last.shape.slice(0, -1)))
    throw new Error(
      `crossEntropy: labels are ${formatShape(targets.shape)}, expected ${formatShape(last.shape.slice(0, -1))} for logits ${formatShape(logits.shape)}`,
    )
  return fromLabels(weighted, targets, { ...options, classes })
}

function fromLabels(weighted: Tensor, targets: Tensor, options: CrossEntropyOptions & { classes: number }): Tensor {
  const { labelSmoothing = 0, ignoreIndex, classWeights, sampleWeights, reduction = 'mean', classes } = options
  const counted = ignoreIndex === undefined ? undefined : targets.notEqual(ignoreIndex)
  const labels = counted ? where(counted, targets, 0) : targets
  const known = labelsAreKnown(targets, classes, ignoreIndex)
  const picked = oneHot(labels, classes, weighted.dtype)
  const chosen = weighted.mul(picked).sum(-1).neg()
  const exact = known ? chosen : where(labels.greaterOrEqual(0).and(labels.less(classes)), chosen, Number.NaN)
  const loss = labelSmoothing === 0 ? exact : exact.mul(1 - labelSmoothing).sub(weighted.mean(-1).mul(labelSmoothing))
  const weights = [
    counted?.cast(loss.dtype),
    sampleWeights,
    // The losses carry the class weights already; only the divisor of the mean needs them.
  ].filter(w => w !== undefined)
  const mask = weights.length ? weights.reduce((a, b) => a.mul(b)) : undefined
  if (reduction !== 'mean' || !classWeights) return reduceLoss(loss, reduction, mask)
  const targetWeights = picked.mul(classWeights).sum(-1)
  const divisor = (mask ? targetWeights.mul(mask) : targetWeights).sum()
  return (mask ? loss.mul(mask) : loss).sum().div(where(divisor.equal(0), 1, divisor))
}

/** Whether labels are constants, which must then be classes. @throws naming the first that is not */
function labelsAreKnown(targets: Tensor, classes: number, ignoreIndex: number | undefined): boolean {
  const labels = constantData(targets)
  if (!labels) return false
  const wrong = Array.from(labels, Number).findIndex(label => label !== ignoreIndex && !(label >= 0 && label < classes))
  if (wrong >= 0)
    throw new Error(
      `crossEntropy: label ${labels[wrong]} at position ${wrong} is not one of ${classes} classes (0 to ${classes - 1})${ignoreIndex === undefined ? '; pass ignoreIndex to leave it out' : ` nor the ignored ${ignoreIndex}`}`,
    )
  return true
}
