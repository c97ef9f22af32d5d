import { sigmoid, softplus, type Tensor } from '../../core/index.ts'
import { type Reduction, reduceLoss, requireSameShape } from './reduction.ts'

export interface BinaryOptions {
  /** Weight of positive targets; broadcasts with the logits. */
  readonly positiveWeight?: Tensor
  /** Weight of each element; broadcasts with the logits. */
  readonly weights?: Tensor
  readonly reduction?: Reduction
}

/**
 * -t log s(x) - (1-t) log(1-s(x)) from logits, without overflow.
 * @param targets in [0, 1], of the logits' shape
 * @throws when the shapes differ
 */
export function binaryCrossEntropy(
  logits: Tensor,
  targets: Tensor,
  { positiveWeight, weights, reduction = 'mean' }: BinaryOptions = {},
): Tensor {
  requireSameShape('binaryCrossEntropy', logits, targets)
  // log s(x) = -softplus(-x) and log(1-s(x)) = -softplus(x).
  const positive = softplus(logits.neg()).mul(targets)
  const negative = softplus(logits).mul(targets.neg().add(1))
  return reduceLoss((positiveWeight ? positive.mul(positiveWeight) : positive).add(negative), reduction, weights)
}

export interface FocalOptions {
  /** Weight of positive targets, 1-alpha of negative ones; negative for no weighting. Default 0.25. */
  readonly alpha?: number
  /** How much easy examples count less; default 2. */
  readonly gamma?: number
  readonly reduction?: Reduction
}

/** alpha_t (1-p_t)^gamma times the binary cross-entropy. Source: Lin et al. 2017, "Focal Loss for Dense Object Detection" */
export function focalLoss(
  logits: Tensor,
  targets: Tensor,
  { alpha = 0.25, gamma = 2, reduction = 'mean' }: FocalOptions = {},
): Tensor {
  requireSameShape('focalLoss', logits, targets)
  const probability = sigmoid(logits)
  const opposite = targets.neg().add(1)
  const missed = probability.mul(opposite).add(probability.neg().add(1).mul(targets))
  const focused = binaryCrossEntropy(logits, targets, { reduction: 'none' }).mul(missed.pow(gamma))
  return reduceLoss(alpha < 0 ? focused : focused.mul(targets.mul(alpha).add(opposite.mul(1 - alpha))), reduction)
}

/**
 * 1 - (2 sum(p m) + epsilon) / (sum(p) + sum(m) + epsilon) for each mask, averaged. Source: Milletari et al. 2016
 * @param logits [batch, ...], passed through a sigmoid
 * @param masks of the same shape, in [0, 1]
 * @param options.epsilon keeps empty masks defined: two empty ones agree fully; default 1
 */
export function diceLoss(
  logits: Tensor,
  masks: Tensor,
  { epsilon = 1, reduction = 'mean' }: { readonly epsilon?: number; readonly reduction?: Reduction } = {},
): Tensor {
  requireSameShape('diceLoss', logits, masks)
  const axes = logits.shape.map((_, axis) => axis).slice(1)
  const probability = sigmoid(logits)
  const overlap = probability.mul(masks).sum(axes).mul(2).add(epsilon)
  const total = probability.sum(axes).add(masks.sum(axes)).add(epsilon)
  return reduceLoss(overlap.div(total).neg().add(1), reduction)
}
