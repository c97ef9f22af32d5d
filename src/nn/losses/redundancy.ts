import { matmul, relu, sqrt, type Tensor, tensor } from '../../core/index.ts'
import { meanSquaredError } from './regression.ts'

/** 1 off the diagonal, 0 on it. */
function offDiagonal(size: number): Tensor {
  const values = new Float32Array(size * size).fill(1)
  for (let i = 0; i < size; i++) values[i * size + i] = 0
  return tensor(values, [size, size])
}

/**
 * Sum of (1 - C_ii)^2 and lambda times the sum of C_ij^2, with C the correlation of the two views' features over the batch
 * (unbiased standard deviation). Source: Zbontar et al. 2021
 */
export function barlowTwins(a: Tensor, b: Tensor, lambda = 0.005): Tensor {
  const [batch, dim] = a.shape
  const standard = (x: Tensor): Tensor => x.sub(x.mean(0)).div(x.standardDeviation(0, { correction: 1 }))
  const correlation = matmul(standard(a), standard(b), { transposeA: true }).div(batch)
  const off = offDiagonal(dim)
  const missing = correlation.sub(1).mul(off.neg().add(1))
  const redundant = correlation.mul(off)
  return missing.mul(missing).sum().add(redundant.mul(redundant).sum().mul(lambda))
}

export interface VicRegOptions {
  readonly invariance?: number
  readonly variance?: number
  readonly covariance?: number
  readonly epsilon?: number
}

/**
 * Invariance (mean squared error), variance (hinge on each feature's standard deviation, averaged over both views) and
 * covariance (squared off-diagonal entries over the width). Weights default 25, 25, 1. Source: Bardes et al. 2022
 */
export function vicReg(
  a: Tensor,
  b: Tensor,
  { invariance = 25, variance = 25, covariance = 1, epsilon = 1e-4 }: VicRegOptions = {},
): Tensor {
  const [batch, dim] = a.shape
  const views = [a, b].map(x => x.sub(x.mean(0)))
  const spread = views.map(x =>
    relu(
      sqrt(
        x
          .mul(x)
          .sum(0)
          .div(batch - 1)
          .add(epsilon),
      )
        .neg()
        .add(1),
    ).mean(),
  )
  const overlap = views.map(x => {
    const entries = matmul(x, x, { transposeA: true })
      .div(batch - 1)
      .mul(offDiagonal(dim))
    return entries.mul(entries).sum().div(dim)
  })
  return meanSquaredError(a, b)
    .mul(invariance)
    .add(spread[0].add(spread[1]).mul(variance / 2))
    .add(overlap[0].add(overlap[1]).mul(covariance))
}
