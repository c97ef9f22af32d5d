import { svd } from './decomposition.ts'
import { determinant } from './linalg.ts'
import {
  checkFinite,
  checkMatrix,
  checkSameLength,
  type Matrix,
  type MatrixLike,
  matrix,
  multiply,
  shapeOf,
  transpose,
} from './matrix.ts'

function checkPaired(operation: string, source: MatrixLike, target: MatrixLike): void {
  checkMatrix(`${operation}: source`, source)
  checkMatrix(`${operation}: target`, target)
  if (source.rows !== target.rows || source.cols !== target.cols) {
    throw new RangeError(
      `${operation}: source is ${shapeOf(source)} and target is ${shapeOf(target)}; they must pair row by row`,
    )
  }
}

/** The map source R * scale -> target. */
export interface ProcrustesResult {
  /** [d, d] orthogonal, applied from the right to rows; a reflection is allowed. */
  readonly rotation: Matrix
  /** The scale that, with the rotation, minimises ||scale * source R - target||_F. */
  readonly scale: number
}

/**
 * Orthogonal Procrustes: the R with R^T R = I that minimises ||source R - target||_F, R = U V^T of the SVD of
 * source^T target (Schönemann 1966).
 *
 * @param source [n, d]; centre the columns first if a shift is to be ignored
 * @param target [n, d]
 * @throws RangeError if the shapes differ
 */
export function orthogonalProcrustes(source: MatrixLike, target: MatrixLike): ProcrustesResult {
  checkPaired('orthogonalProcrustes', source, target)
  const { u, s, v } = svd(multiply(transpose(source), target))
  let energy = 0
  for (let i = 0; i < source.data.length; i++) energy += source.data[i] ** 2
  return { rotation: multiply(u, transpose(v)), scale: energy > 0 ? s.reduce((sum, x) => sum + x, 0) / energy : 0 }
}

/** target ~ R source + t, on column vectors. */
export interface RigidMotion {
  /** [d, d] with determinant +1. */
  readonly rotation: Matrix
  /** [d] */
  readonly translation: Float64Array
}

/**
 * The rigid motion that minimises sum_i w_i ||R source_i + t - target_i||^2 (Kabsch 1976; Umeyama 1991 for the sign that
 * keeps det R = +1).
 *
 * @param source [n, d]
 * @param target [n, d]
 * @param weights [n], non-negative with a positive sum; equal weights when left out
 * @throws RangeError if the shapes differ or the weights are negative or all zero
 */
export function kabsch(source: MatrixLike, target: MatrixLike, weights?: ArrayLike<number>): RigidMotion {
  checkPaired('kabsch', source, target)
  const { rows: n, cols: d } = source
  const share = normalisedWeights(n, weights)
  const sourceMean = weightedMean(source, share)
  const targetMean = weightedMean(target, share)
  const covariance = matrix(d, d)
  for (let i = 0; i < n; i++) {
    for (let a = 0; a < d; a++) {
      const moved = share[i] * (source.data[i * d + a] - sourceMean[a])
      for (let b = 0; b < d; b++) covariance.data[a * d + b] += moved * (target.data[i * d + b] - targetMean[b])
    }
  }
  const { u, v } = svd(covariance)
  // A mirror image may fit better than any rotation; flipping the weakest axis gives the best rotation.
  if (determinant(multiply(v, transpose(u))) < 0) for (let a = 0; a < d; a++) v.data[a * d + d - 1] *= -1
  const rotation = multiply(v, transpose(u))
  const rotatedMean = multiply(rotation, matrix(d, 1, sourceMean)).data
  return { rotation, translation: targetMean.map((value, a) => value - rotatedMean[a]) }
}

function normalisedWeights(n: number, weights?: ArrayLike<number>): Float64Array {
  if (weights === undefined) return new Float64Array(n).fill(1 / n)
  checkSameLength('kabsch: points and weights', { length: n }, weights)
  checkFinite('kabsch: weights', weights)
  const share = Float64Array.from(weights)
  const total = share.reduce((sum, weight) => sum + weight, 0)
  if (share.some(weight => weight < 0) || !(total > 0)) {
    throw new RangeError('kabsch: weights must be non-negative with a positive sum')
  }
  return share.map(weight => weight / total)
}

function weightedMean({ rows, cols, data }: MatrixLike, share: Float64Array): Float64Array {
  const mean = new Float64Array(cols)
  for (let i = 0; i < rows; i++) for (let a = 0; a < cols; a++) mean[a] += share[i] * data[i * cols + a]
  return mean
}
