/** Linear systems, least squares, determinants and the spectral norm of dense matrices in float64, over ml-matrix. */
import { LuDecomposition } from 'ml-matrix'
import { cholesky, pinv, solveLower, solveLowerTransposed } from './decomposition.ts'
import {
  add,
  checkInteger,
  checkMatrix,
  identity,
  innerProduct,
  type Matrix,
  type MatrixLike,
  matrix,
  multiply,
  scale,
  shapeOf,
  transpose,
} from './matrix.ts'
import { checkFactorable, checkSquare, fromMl, largestMagnitude, toMl } from './ml-matrix-bridge.ts'

/** Whether a pivot of the LU factorisation is what rounding leaves of a zero, judged against the row it came from. */
function isNumericallySingular(lu: LuDecomposition, a: MatrixLike): boolean {
  const upper = lu.upperTriangularMatrix
  return lu.pivotPermutationVector.some((source, k) => {
    const rowScale = largestMagnitude(Array.from({ length: a.cols }, (_, j) => a.data[source * a.cols + j]))
    return Math.abs(upper.get(k, k)) <= a.rows * Number.EPSILON * rowScale
  })
}

/**
 * X with A X = B, by LU factorisation with partial pivoting.
 *
 * @param a [n, n]
 * @param b [n, m]
 * @returns [n, m]
 * @throws RangeError if `a` is not square or `b` has other rows; Error if `a` is singular to working precision
 */
export function solve(a: MatrixLike, b: MatrixLike): Matrix {
  checkSquare('solve', a)
  checkMatrix('solve: right-hand side', b)
  if (a.rows !== b.rows) {
    throw new RangeError(`solve: a is ${shapeOf(a)} and b is ${shapeOf(b)}; they must have the same number of rows`)
  }
  const lu = new LuDecomposition(toMl(a))
  if (isNumericallySingular(lu, a)) {
    throw new Error(`solve: the ${shapeOf(a)} matrix is singular to working precision; use lstsq, pinv or ridge`)
  }
  return fromMl(lu.solve(toMl(b)))
}

/** The inverse of a square matrix. Throws as `solve` does. */
export function inverse(a: MatrixLike): Matrix {
  checkSquare('inverse', a)
  return solve(a, identity(a.rows))
}

/**
 * Sign and logarithm of the magnitude of a determinant, which itself over- or underflows early.
 *
 * @returns determinant = sign * exp(logAbs); sign 0 and logAbs -Infinity if `a` is singular
 * @throws RangeError if `a` is not square or not finite
 */
export function logDeterminant(a: MatrixLike): { sign: number; logAbs: number } {
  checkSquare('logDeterminant', a)
  const lu = new LuDecomposition(toMl(a))
  const upper = lu.upperTriangularMatrix
  let sign = permutationSign(lu.pivotPermutationVector)
  let logAbs = 0
  for (let k = 0; k < a.rows; k++) {
    sign *= Math.sign(upper.get(k, k))
    logAbs += Math.log(Math.abs(upper.get(k, k)))
  }
  return { sign, logAbs }
}

function permutationSign(permutation: readonly number[]): number {
  const seen = new Uint8Array(permutation.length)
  let sign = 1
  for (let start = 0; start < permutation.length; start++) {
    // A cycle of length k is k - 1 swaps.
    for (let at = permutation[start]; !seen[start] && at !== start; at = permutation[at]) {
      seen[at] = 1
      sign = -sign
    }
    seen[start] = 1
  }
  return sign
}

/** The determinant of a square matrix; 0 or infinite where float64 ends. Throws as `logDeterminant` does. */
export function determinant(a: MatrixLike): number {
  checkSquare('determinant', a)
  return new LuDecomposition(toMl(a)).determinant
}

/**
 * Least squares: the X of smallest Frobenius norm among those that minimise ||A X - B||_F.
 *
 * @param a [rows, n], of any rank
 * @param b [rows, m]
 * @returns [n, m]
 */
export function lstsq(a: MatrixLike, b: MatrixLike): Matrix {
  if (a.rows !== b.rows) {
    throw new RangeError(`lstsq: a is ${shapeOf(a)} and b is ${shapeOf(b)}; they must have the same number of rows`)
  }
  return multiply(pinv(a), b)
}

/**
 * Ridge regression without intercept, W = (X^T X + penalty I)^-1 X^T Y.
 *
 * Samples fewer than features are solved in the dual, W = X^T (X X^T + penalty I)^-1 Y, which is the same W for less.
 *
 * @param x [samples, features]; centre the columns first if an intercept is wanted
 * @param y [samples, targets]
 * @param penalty > 0
 * @returns [features, targets]
 */
export function ridge(x: MatrixLike, y: MatrixLike, penalty: number): Matrix {
  checkFactorable('ridge', x)
  if (!(penalty > 0)) throw new RangeError(`ridge: penalty is ${penalty}; it must be above 0 (use lstsq for 0)`)
  if (x.rows !== y.rows) {
    throw new RangeError(`ridge: x is ${shapeOf(x)} and y is ${shapeOf(y)}; they must have the same number of rows`)
  }
  const xt = transpose(x)
  const regularised = (gram: Matrix) => cholesky(add(gram, identity(gram.rows), penalty))
  const solveWith = (lower: Matrix, b: Matrix) => solveLowerTransposed(lower, solveLower(lower, b))
  if (x.rows < x.cols) return multiply(xt, solveWith(regularised(multiply(x, xt)), matrix(y.rows, y.cols, y.data)))
  return solveWith(regularised(multiply(xt, x)), multiply(xt, y))
}

/** The state of a power iteration: the estimate of the largest singular value and its vectors. */
export interface SpectralNorm {
  readonly sigma: number
  readonly u: Float64Array
  readonly v: Float64Array
}

/**
 * Power iteration for the largest singular value: v = W^T u / |.|, u = W v / |.|, sigma = u^T W v (Miyato et al. 2018,
 * "Spectral normalization for GANs", Algorithm 1).
 *
 * @param w [rows, cols]
 * @param start [rows]: where u begins; not orthogonal to the leading left singular vector
 * @param iterations default 1
 * @throws RangeError if `start` has another length than `w` has rows, or is mapped to zero
 */
export function spectralNorm(w: MatrixLike, start: ArrayLike<number>, iterations = 1): SpectralNorm {
  checkFactorable('spectralNorm', w)
  checkInteger('spectralNorm: iterations', iterations, 1)
  if (start.length !== w.rows) {
    throw new RangeError(`spectralNorm: start has ${start.length} values but the matrix is ${shapeOf(w)}`)
  }
  const wt = transpose(w)
  let u = matrix(w.rows, 1, start)
  let v = matrix(w.cols, 1)
  let sigma = 0
  for (let i = 0; i < iterations; i++) {
    v = unit(multiply(wt, u)).vector
    const mapped = unit(multiply(w, v))
    u = mapped.vector
    sigma = mapped.length
  }
  return { sigma, u: u.data, v: v.data }
}

function unit(vector: Matrix): { vector: Matrix; length: number } {
  const length = Math.sqrt(innerProduct(vector, vector))
  if (length === 0) throw new RangeError('spectralNorm: start is mapped to zero; start from another vector')
  return { vector: scale(vector, 1 / length), length }
}
