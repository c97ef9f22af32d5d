import { eigh, svd } from './decomposition.ts'
import {
  centreColumns,
  checkFinite,
  checkInteger,
  checkMatrix,
  columnMeans,
  type Matrix,
  type MatrixLike,
  matrix,
  multiply,
  scale,
  transpose,
} from './matrix.ts'

/** The directions of largest variance of a sample. */
export interface PrincipalComponents {
  /** [d]: what to subtract first. */
  readonly mean: Float64Array
  /** [components, d]: orthonormal directions as rows, by descending variance; in each the largest entry is positive. */
  readonly components: Matrix
  /** [components]: variance along each direction, with n - 1 in the denominator. */
  readonly variances: Float64Array
  /** Sum of the variances of all d features, of which `variances` explain a share. */
  readonly totalVariance: number
}

/** Above this many samples a feature, the covariance's eigenvectors cost less than an SVD of all samples. */
const samplesPerFeatureForCovariance = 10

/**
 * Principal component analysis (Pearson 1901).
 *
 * @param samples [n, d], n at least 2, finite
 * @param components how many directions, from 1 to min(n - 1, d); default all of them
 */
export function principalComponents(
  samples: MatrixLike,
  components = Math.min(samples.rows - 1, samples.cols),
): PrincipalComponents {
  checkMatrix('principalComponents: samples', samples)
  checkInteger('principalComponents: number of samples', samples.rows, 2)
  checkInteger('principalComponents: components', components, 1, Math.min(samples.rows - 1, samples.cols))
  checkFinite('principalComponents: samples', samples.data)
  const mean = columnMeans(samples)
  const centred = centreColumns(samples, mean)
  const degrees = samples.rows - 1
  let totalVariance = 0
  for (const value of centred.data) totalVariance += value ** 2 / degrees
  const { vectors, variances } = leadingDirections(centred, components)
  return { mean, components: vectors, variances, totalVariance }
}

function leadingDirections(centred: Matrix, components: number): { vectors: Matrix; variances: Float64Array } {
  const { rows: n, cols: d } = centred
  const vectors = matrix(components, d)
  const variances = new Float64Array(components)
  const byCovariance = n >= samplesPerFeatureForCovariance * d
  const spectrum = byCovariance ? eigh(scale(multiply(transpose(centred), centred), 1 / (n - 1))) : svd(centred)
  for (let k = 0; k < components; k++) {
    // eigh sorts upwards, svd downwards.
    const column = 'values' in spectrum ? d - 1 - k : k
    const basis = 'values' in spectrum ? spectrum.vectors : spectrum.v
    variances[k] = 'values' in spectrum ? Math.max(0, spectrum.values[column]) : spectrum.s[column] ** 2 / (n - 1)
    for (let a = 0; a < d; a++) vectors.data[k * d + a] = basis.data[a * basis.cols + column]
  }
  return { vectors, variances }
}

/** Options of `project`. */
export interface ProjectionOptions {
  /** Divide each coordinate by sqrt(variance + epsilon), so that all have variance about 1; default false. */
  readonly whiten?: boolean
  /** Keeps directions without variance from blowing up; default 0. */
  readonly epsilon?: number
}

/**
 * Coordinates of samples along principal components, (x - mean) components^T.
 *
 * @param pca from `principalComponents`, fitted on training samples
 * @param samples [n, d]
 * @returns [n, components]
 */
export function project(
  pca: PrincipalComponents,
  samples: MatrixLike,
  { whiten = false, epsilon = 0 }: ProjectionOptions = {},
): Matrix {
  const coordinates = multiply(centreColumns(samples, pca.mean), transpose(pca.components))
  if (!whiten) return coordinates
  const width = coordinates.cols
  for (let at = 0; at < coordinates.data.length; at++) {
    coordinates.data[at] /= Math.sqrt(pca.variances[at % width] + epsilon)
  }
  return coordinates
}
