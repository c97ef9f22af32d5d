import { l2Normalize, maximum, minimum, oneHot, relu, sqrt, type Tensor, where } from '../../core/index.ts'
import { type Reduction, reduceLoss } from './reduction.ts'

/** Inner product of unit vectors along the last axis; norms below epsilon count as epsilon. */
export function cosineSimilarity(a: Tensor, b: Tensor, epsilon = 1e-8): Tensor {
  const norm = (t: Tensor): Tensor => maximum(sqrt(t.mul(t).sum(-1).maximum(1e-30)), epsilon)
  return a
    .mul(b)
    .sum(-1)
    .div(norm(a).mul(norm(b)))
}

/** Euclidean distance along the last axis, with PyTorch's epsilon added to the difference. */
function distance(a: Tensor, b: Tensor, epsilon = 1e-6): Tensor {
  const difference = a.sub(b).add(epsilon)
  return sqrt(difference.mul(difference).sum(-1))
}

export interface TripletOptions {
  /** How much farther the negative must be; default 1. */
  readonly margin?: number
  /** Uses the smaller of anchor-negative and positive-negative distance (Balntas et al. 2016); default false. */
  readonly swap?: boolean
  /** Distance of two batches of vectors; default Euclidean. */
  readonly distance?: (a: Tensor, b: Tensor) => Tensor
  readonly reduction?: Reduction
}

/** max(0, d(anchor, positive) - d(anchor, negative) + margin). Source: Schroff et al. 2015 */
export function tripletLoss(anchor: Tensor, positive: Tensor, negative: Tensor, options: TripletOptions = {}): Tensor {
  const { margin = 1, swap = false, distance: measure = distance, reduction = 'mean' } = options
  const far = measure(anchor, negative)
  const negativeDistance = swap ? minimum(far, measure(positive, negative)) : far
  return reduceLoss(relu(measure(anchor, positive).sub(negativeDistance).add(margin)), reduction)
}

/** 1 - cosine similarity, as a distance for {@link tripletLoss}. */
export const cosineDistance = (a: Tensor, b: Tensor): Tensor => cosineSimilarity(a, b).neg().add(1)

/** 1 - cos where the label is 1, max(0, cos - margin) where it is -1. @param labels [batch], 1 or -1 */
export function cosineEmbeddingLoss(
  a: Tensor,
  b: Tensor,
  labels: Tensor,
  margin = 0,
  reduction: Reduction = 'mean',
): Tensor {
  const similarity = cosineSimilarity(a, b)
  return reduceLoss(where(labels.greater(0), similarity.neg().add(1), relu(similarity.sub(margin))), reduction)
}

/** max(0, -y (a - b) + margin). @param labels 1 where a should be larger, else -1; broadcasts with the scores */
export function marginRankingLoss(
  a: Tensor,
  b: Tensor,
  labels: Tensor,
  margin = 0,
  reduction: Reduction = 'mean',
): Tensor {
  return reduceLoss(relu(b.sub(a).mul(labels.cast(a.dtype)).add(margin)), reduction)
}

/** Mean over classes of max(0, margin - x_y + x_j) for j != y. @param labels [batch] */
export function multiMarginLoss(scores: Tensor, labels: Tensor, margin = 1, reduction: Reduction = 'mean'): Tensor {
  const classes = scores.shape[1]
  const chosen = oneHot(labels, classes, scores.dtype)
  const target = scores.mul(chosen).sum(-1, true)
  const violations = relu(scores.sub(target).add(margin)).mul(chosen.neg().add(1))
  return reduceLoss(violations.sum(-1).div(classes), reduction)
}

/** 2 - 2 cos of prediction and target, averaged; no gradient flows to the target. Source: Grill et al. 2020 */
export function bootstrapCosine(prediction: Tensor, target: Tensor): Tensor {
  return cosineSimilarity(prediction, target.stopGradient()).mul(-2).add(2).mean()
}

/** Rows divided by their length. */
export const unitRows = (x: Tensor): Tensor => l2Normalize(x)
