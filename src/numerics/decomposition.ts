/**
 * Factorisations of dense matrices in float64, and what they give at once: rank, pseudo-inverse, functions of a matrix.
 *
 * ml-matrix does the work; this file gives it one convention (row-major data, thin factors, fixed signs where the
 * factorisation leaves them open) and checks that turn silent garbage into a sentence.
 */
import { CholeskyDecomposition, EigenvalueDecomposition, QrDecomposition, SingularValueDecomposition } from 'ml-matrix'
import { checkInteger, type Matrix, type MatrixLike, matrix, multiply, shapeOf, transpose } from './matrix.ts'
import { checkFactorable, checkSquare, fromMl, largestMagnitude, toMl, toScaledMl } from './ml-matrix-bridge.ts'

/** Float32 products such as X^T X are symmetric only up to rounding, so a relative 1e-5 passes; beyond that it is a mistake. */
const symmetryTolerance = 1e-5

function symmetrised(operation: string, m: MatrixLike): Matrix {
  checkSquare(operation, m)
  const bound = symmetryTolerance * largestMagnitude(m.data)
  const out = matrix(m.rows, m.cols, m.data)
  for (let i = 0; i < m.rows; i++) {
    for (let j = 0; j < i; j++) {
      const below = m.data[i * m.cols + j]
      const above = m.data[j * m.cols + i]
      if (Math.abs(below - above) > bound) {
        throw new RangeError(
          `${operation}: input is not symmetric: entry (${i}, ${j}) is ${below} but entry (${j}, ${i}) is ${above}`,
        )
      }
      out.data[i * m.cols + j] = out.data[j * m.cols + i] = (below + above) / 2
    }
  }
  return out
}

/** A = U diag(s) V^T. */
export interface SvdResult {
  /** [rows, rank bound]: left singular vectors as columns. */
  readonly u: Matrix
  /** Singular values, descending; min(rows, cols) of them. */
  readonly s: Float64Array
  /** [cols, rank bound]: right singular vectors as columns. */
  readonly v: Matrix
}

/**
 * Thin singular value decomposition A = U diag(s) V^T.
 *
 * Signs are fixed: the entry of largest magnitude in each column of V is positive.
 *
 * @param a [rows, cols], finite
 * @returns U [rows, r], s [r] descending, V [cols, r] with r = min(rows, cols)
 * @throws RangeError if `a` is empty or not finite
 */
export function svd(a: MatrixLike): SvdResult {
  checkFactorable('svd', a)
  const { scaled, power } = toScaledMl(a)
  const result = new SingularValueDecomposition(scaled, { autoTranspose: true })
  const rank = Math.min(a.rows, a.cols)
  const u = fromMl(result.leftSingularVectors)
  const v = fromMl(result.rightSingularVectors)
  for (let j = 0; j < rank; j++) {
    let peak = 0
    for (let i = 0; i < v.rows; i++) {
      if (Math.abs(v.data[i * v.cols + j]) > Math.abs(v.data[peak * v.cols + j])) peak = i
    }
    if (v.data[peak * v.cols + j] >= 0) continue
    for (const factor of [u, v]) {
      for (let i = 0; i < factor.rows; i++) factor.data[i * factor.cols + j] *= -1
    }
  }
  return { u, s: Float64Array.from(result.diagonal, value => value * power), v }
}

/** U diag(weights) V^T over the first `weights.length` columns. */
function assemble(u: Matrix, weights: ArrayLike<number>, v: Matrix): Matrix {
  const scaled = matrix(u.rows, weights.length)
  const basis = matrix(weights.length, v.rows)
  for (let j = 0; j < weights.length; j++) {
    for (let i = 0; i < u.rows; i++) scaled.data[i * weights.length + j] = u.data[i * u.cols + j] * weights[j]
    for (let i = 0; i < v.rows; i++) basis.data[j * v.rows + i] = v.data[i * v.cols + j]
  }
  return multiply(scaled, basis)
}

/** The singular values of `a`, descending. Throws as `svd` does. */
export const singularValues = (a: MatrixLike): Float64Array => svd(a).s

/** The sum of the singular values of `a`. Throws as `svd` does. */
export const nuclearNorm = (a: MatrixLike): number => singularValues(a).reduce((sum, value) => sum + value, 0)

/**
 * The closest matrix of rank at most `rank` in Frobenius and spectral norm (Eckart and Young 1936).
 *
 * @param rank from 1 to min(rows, cols)
 */
export function lowRank(a: MatrixLike, rank: number): Matrix {
  const { u, s, v } = svd(a)
  checkInteger('lowRank: rank', rank, 1, s.length)
  return assemble(u, s.subarray(0, rank), v)
}

/** Singular values at most this share of the largest count as zero, as in NumPy's `matrix_rank`. */
const rankTolerance = (m: MatrixLike) => Math.max(m.rows, m.cols) * Number.EPSILON

/**
 * The number of singular values above `relativeTolerance` times the largest.
 *
 * @param relativeTolerance default max(rows, cols) * 2.2e-16
 */
export function matrixRank(a: MatrixLike, relativeTolerance = rankTolerance(a)): number {
  const s = singularValues(a)
  return s.filter(value => value > relativeTolerance * s[0]).length
}

/**
 * Moore-Penrose pseudo-inverse.
 *
 * @param a [rows, cols]
 * @param relativeTolerance singular values at most this share of the largest count as zero; default max(rows, cols) * 2.2e-16
 * @returns [cols, rows]
 */
export function pinv(a: MatrixLike, relativeTolerance = rankTolerance(a)): Matrix {
  const { u, s, v } = svd(a)
  return assemble(
    v,
    s.map(value => (value > relativeTolerance * s[0] ? 1 / value : 0)),
    u,
  )
}

/** S = V diag(values) V^T. */
export interface EighResult {
  /** Eigenvalues, ascending. */
  readonly values: Float64Array
  /** Orthonormal eigenvectors as columns, in the order of `values`; the entry of largest magnitude in each is positive. */
  readonly vectors: Matrix
}

/**
 * Eigendecomposition of a symmetric matrix.
 *
 * @param s [n, n], symmetric up to float32 rounding
 * @throws RangeError if `s` is not square, not finite or not symmetric
 */
export function eigh(s: MatrixLike): EighResult {
  const { scaled, power } = toScaledMl(symmetrised('eigh', s))
  const result = new EigenvalueDecomposition(scaled, { assumeSymmetric: true })
  const order = result.realEigenvalues.map((_, index) => index)
  order.sort((a, b) => result.realEigenvalues[a] - result.realEigenvalues[b])
  const vectors = matrix(s.rows, s.rows)
  for (let j = 0; j < order.length; j++) {
    const column = result.eigenvectorMatrix.getColumn(order[j])
    const peak = column.reduce((best, value) => (Math.abs(value) > Math.abs(best) ? value : best), 0)
    for (let i = 0; i < s.rows; i++) vectors.data[i * s.rows + j] = peak < 0 ? -column[i] : column[i]
  }
  return { values: Float64Array.from(order, index => result.realEigenvalues[index] * power), vectors }
}

/**
 * A function of a symmetric matrix, V diag(f(values)) V^T.
 *
 * @example matrixFunction(covariance, value => 1 / Math.sqrt(value + 1e-5)) // the symmetric (ZCA) whitening matrix
 */
export function matrixFunction(s: MatrixLike, f: (eigenvalue: number) => number): Matrix {
  const { values, vectors } = eigh(s)
  return assemble(vectors, values.map(f), vectors)
}

/**
 * The generalised symmetric eigenproblem A v = lambda B v, by the Cholesky factor of B.
 *
 * @param a [n, n], symmetric
 * @param b [n, n], symmetric positive definite
 * @returns eigenvalues ascending; eigenvectors as columns, V^T B V = I
 * @throws RangeError as `eigh`; Error if `b` is not positive definite
 */
export function generalisedEigh(a: MatrixLike, b: MatrixLike): EighResult {
  const symmetricA = symmetrised('generalisedEigh', a)
  if (a.rows !== b.rows) {
    throw new RangeError(`generalisedEigh: a is ${shapeOf(a)} and b is ${shapeOf(b)}; the sizes must be equal`)
  }
  const lower = cholesky(b)
  // C = L^-1 A L^-T has the same eigenvalues; v = L^-T w.
  const half = solveLower(lower, symmetricA)
  const { values, vectors } = eigh(solveLower(lower, transpose(half)))
  return { values, vectors: solveLowerTransposed(lower, vectors) }
}

/**
 * Thin QR decomposition A = Q R, made unique by a non-negative diagonal of R.
 *
 * @param a [rows, cols]
 * @returns Q [rows, r] with orthonormal columns, R [r, cols] upper triangular, r = min(rows, cols)
 * @throws RangeError if `a` is empty or not finite
 */
export function qr(a: MatrixLike): { q: Matrix; r: Matrix } {
  checkFactorable('qr', a)
  const rank = Math.min(a.rows, a.cols)
  // A wide matrix shares Q with its leading square block.
  const leading = matrix(a.rows, rank)
  for (let i = 0; i < a.rows; i++) {
    for (let j = 0; j < rank; j++) leading.data[i * rank + j] = a.data[i * a.cols + j]
  }
  const q = fromMl(new QrDecomposition(toScaledMl(leading).scaled).orthogonalMatrix)
  const r = multiply(transpose(q), a)
  for (let i = 0; i < rank; i++) {
    const flip = r.data[i * a.cols + i] < 0
    for (let j = 0; j < a.cols; j++)
      r.data[i * a.cols + j] = j < i ? 0 : flip ? -r.data[i * a.cols + j] : r.data[i * a.cols + j]
    if (flip) for (let k = 0; k < a.rows; k++) q.data[k * rank + i] *= -1
  }
  return { q, r }
}

/**
 * Cholesky factor L of S = L L^T.
 *
 * @param s [n, n], symmetric positive definite
 * @returns [n, n] lower triangular with a positive diagonal
 * @throws RangeError if `s` is not square, finite and symmetric; Error if it is not positive definite
 */
export function cholesky(s: MatrixLike): Matrix {
  const symmetric = symmetrised('cholesky', s)
  const result = new CholeskyDecomposition(toMl(symmetric))
  const lower = result.isPositiveDefinite() ? fromMl(result.lowerTriangularMatrix) : undefined
  if (lower === undefined || !lower.data.every(Number.isFinite)) {
    throw new Error(
      `cholesky: the ${shapeOf(s)} input is not positive definite; add a multiple of the identity or drop dependent columns`,
    )
  }
  return lower
}

/** X with L X = B, by forward substitution; L [n, n] lower triangular, B [n, m]. */
export function solveLower(lower: Matrix, b: MatrixLike): Matrix {
  const x = matrix(b.rows, b.cols, b.data)
  for (let i = 0; i < b.rows; i++) {
    for (let j = 0; j < b.cols; j++) {
      let sum = x.data[i * b.cols + j]
      for (let k = 0; k < i; k++) sum -= lower.data[i * lower.cols + k] * x.data[k * b.cols + j]
      x.data[i * b.cols + j] = sum / lower.data[i * lower.cols + i]
    }
  }
  return x
}

/** X with L^T X = B, by back substitution; L [n, n] lower triangular, B [n, m]. */
export function solveLowerTransposed(lower: Matrix, b: MatrixLike): Matrix {
  const x = matrix(b.rows, b.cols, b.data)
  for (let i = b.rows - 1; i >= 0; i--) {
    for (let j = 0; j < b.cols; j++) {
      let sum = x.data[i * b.cols + j]
      for (let k = i + 1; k < b.rows; k++) sum -= lower.data[k * lower.cols + i] * x.data[k * b.cols + j]
      x.data[i * b.cols + j] = sum / lower.data[i * lower.cols + i]
    }
  }
  return x
}
