import { matmul, oneHot, sqrt, type Tensor, where } from '../../core/index.ts'
import { crossEntropy } from './cross-entropy.ts'
import { unitRows } from './metric-learning.ts'

export interface MarginOptions {
  /** Multiplies the cosines. */
  readonly scale?: number
  readonly margin?: number
}

const cosines = (features: Tensor, weight: Tensor): Tensor =>
  matmul(unitRows(features), unitRows(weight), { transposeB: true })

/** Cross-entropy of scaled cosines between features and class vectors. @param weight [classes, dim]. Source: Wang et al. 2017, NormFace */
export function normalizedSoftmax(features: Tensor, weight: Tensor, labels: Tensor, scale = 16): Tensor {
  return crossEntropy(cosines(features, weight).mul(scale), labels)
}

/** {@link normalizedSoftmax} with the target's cosine lowered by a margin. Defaults 30 and 0.35. Source: Wang et al. 2018, CosFace */
export function cosFace(
  features: Tensor,
  weight: Tensor,
  labels: Tensor,
  { scale = 30, margin = 0.35 }: MarginOptions = {},
): Tensor {
  const cosine = cosines(features, weight)
  const target = oneHot(labels, weight.shape[0], cosine.dtype)
  return crossEntropy(cosine.sub(target.mul(margin)).mul(scale), labels)
}

/**
 * {@link normalizedSoftmax} with a margin added to the target's angle: cos(theta + m), and cos(theta) - m sin(pi - m) once
 * theta + m would pass pi. Defaults 30 and 0.5. Source: Deng et al. 2019, ArcFace
 */
export function arcFace(
  features: Tensor,
  weight: Tensor,
  labels: Tensor,
  { scale = 30, margin = 0.5 }: MarginOptions = {},
): Tensor {
  const cosine = cosines(features, weight)
  // Rounding can carry a cosine past 1; the root's gradient must stay finite there.
  const sine = sqrt(cosine.mul(cosine).neg().add(1).maximum(1e-12))
  const turned = cosine.mul(Math.cos(margin)).sub(sine.mul(Math.sin(margin)))
  const fallback = cosine.sub(margin * Math.sin(Math.PI - margin))
  const target = oneHot(labels, weight.shape[0], 'bool')
  const moved = where(cosine.greater(Math.cos(Math.PI - margin)), turned, fallback)
  return crossEntropy(where(target, moved, cosine).mul(scale), labels)
}
