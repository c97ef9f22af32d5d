import { matrixFunction } from '../numerics/decomposition.ts'
import {
  centreColumns,
  checkInteger,
  columnMeans,
  type Matrix,
  type MatrixLike,
  multiply,
  scale,
  shapeOf,
  transpose,
} from '../numerics/matrix.ts'

/**
 * Fréchet distance between Gaussians fitted to two sets of features, ||mu_a - mu_b||^2 + tr(A + B - 2 (A^1/2 B A^1/2)^1/2)
 * with A and B the covariances (n - 1 in the denominator). On Inception features this is the FID (Heusel et al. 2017).
 *
 * @param a [n, d] features, n at least 2
 * @param b [m, d] features, m at least 2
 * @returns at least 0
 * @throws RangeError if the features differ in width or there are too few
 */
export function frechetDistance(a: MatrixLike, b: MatrixLike): number {
  checkInteger('frechetDistance: rows of a', a.rows, 2)
  checkInteger('frechetDistance: rows of b', b.rows, 2)
  if (a.cols !== b.cols) {
    throw new RangeError(`frechetDistance: a is ${shapeOf(a)} and b is ${shapeOf(b)}; the features must be as wide`)
  }
  const covariance = (samples: MatrixLike): Matrix => {
    const centred = centreColumns(samples)
    return scale(multiply(transpose(centred), centred), 1 / (samples.rows - 1))
  }
  const [covarianceA, covarianceB] = [covariance(a), covariance(b)]
  // Rounding may leave eigenvalues of a covariance just below 0.
  const root = (m: Matrix) => matrixFunction(m, value => Math.sqrt(Math.max(0, value)))
  const trace = ({ rows, data }: Matrix) => {
    let sum = 0
    for (let i = 0; i < rows; i++) sum += data[i * rows + i]
    return sum
  }
  const rootA = root(covarianceA)
  const [meanA, meanB] = [columnMeans(a), columnMeans(b)]
  const shift = meanA.reduce((sum, value, i) => sum + (value - meanB[i]) ** 2, 0)
  const overlap = trace(root(multiply(multiply(rootA, covarianceB), rootA)))
  return Math.max(0, shift + trace(covarianceA) + trace(covarianceB) - 2 * overlap)
}
