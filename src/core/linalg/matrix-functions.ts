import { abs, add, ceil, clip, exp, greater, log, mul, requireFloat, rsqrt, sub, where } from '../ops/elementwise.ts'
import { expandDims, flatten, reshape, slice } from '../ops/layout.ts'
import { matmul } from '../ops/matmul.ts'
import { l2Normalize } from '../ops/normalise.ts'
import { max, stopGradient, sum } from '../ops/reduce.ts'
import { formatShape } from '../shape.ts'
import { asTensor, type Tensor, type TensorLike } from '../tensor.ts'
import { solve } from './elimination.ts'
import { eye, lowerTriangle, requireSquare, transposed } from './matrices.ts'

/** A - A^T of the entries below the diagonal: a skew-symmetric matrix from n(n-1)/2 free numbers. a [..., n, n] */
export function skewSymmetric(a: TensorLike): Tensor {
  const input = asTensor(a)
  requireSquare('skewSymmetric', input)
  const lower = lowerTriangle(input, -1)
  return sub(lower, transposed(lower))
}

/** Largest 1-norm for which the Taylor polynomial of degree 8 is exact to float32. */
const TAYLOR_RADIUS = 0.5

/** 1 + A + A^2/2! + … + A^8/8!, in four products. */
function taylor8(a: Tensor): Tensor {
  const size = a.shape[a.rank - 1]
  const square = matmul(a, a)
  const factorial = (n: number): number => (n < 2 ? 1 : n * factorial(n - 1))
  const pair = (n: number): Tensor => add(mul(eye(size), 1 / factorial(n)), mul(a, 1 / factorial(n + 1)))
  let total = add(pair(6), mul(square, 1 / factorial(8)))
  for (const n of [4, 2, 0]) total = add(matmul(square, total), pair(n))
  return total
}

/**
 * The matrix exponential, by scaling and squaring: exp(A) = exp(A / 2^s)^(2^s), with the s that each matrix needs.
 * Orthogonal for skew-symmetric A.
 * @param a [..., n, n]
 * @param squarings how many squarings the graph holds; default 10, which serves 1-norms up to 512. Matrices that need fewer
 * skip the rest
 * @throws when the matrices are not square. Source: Moler & Van Loan 2003
 */
export function matrixExp(a: TensorLike, { squarings = 10 }: { readonly squarings?: number } = {}): Tensor {
  const input = asTensor(a)
  requireSquare('matrixExp', input)
  if (!Number.isInteger(squarings) || squarings < 0)
    throw new Error(`matrixExp: squarings is ${squarings}; it must be a whole number, 0 or more`)
  const norm = max(sum(abs(stopGradient(input)), -2, true), -1, true)
  const needed = clip(ceil(mul(log(mul(norm, 1 / TAYLOR_RADIUS)), Math.LOG2E)), 0, squarings)
  let power = taylor8(mul(input, exp(mul(needed, -Math.LN2))))
  for (let done = 0; done < squarings; done++) power = where(greater(needed, done + 0.5), matmul(power, power), power)
  return power
}

/**
 * The Cayley transform (I + K/2)^-1 (I - K/2), orthogonal with determinant 1 for skew-symmetric K.
 * @param k [..., n, n]
 * @throws when the matrices are not square
 */
export function cayley(k: TensorLike): Tensor {
  const input = asTensor(k)
  requireSquare('cayley', input)
  const half = mul(input, 0.5)
  const identity = eye(input.shape[input.rank - 1])
  return solve(add(identity, half), sub(identity, half))
}

/**
 * Rows of x reflected in the hyperplanes orthogonal to v_1, v_2, … in turn: x - 2 (x·u) u with u = v / |v|.
 * Applied to the identity it gives an orthogonal matrix, the product of Householder reflections.
 * @param x [..., rows, n]
 * @param v [reflections, n]
 * @throws when the widths differ
 */
export function householderReflect(x: TensorLike, v: TensorLike): Tensor {
  const input = asTensor(x)
  const normals = asTensor(v)
  if (input.rank < 2 || normals.rank !== 2 || normals.shape[1] !== input.shape[input.rank - 1])
    throw new Error(
      `householderReflect: expected rows [..., n] and normals [reflections, n], got ${formatShape(input.shape)} and ${formatShape(normals.shape)}`,
    )
  const units = l2Normalize(normals)
  let reflected = input
  for (let i = 0; i < normals.shape[0]; i++) {
    const unit = slice(units, 0, i, i + 1)
    const along = matmul(reflected, unit, { transposeB: true })
    reflected = sub(reflected, mul(mul(along, 2), unit))
  }
  return reflected
}

/**
 * The nearest matrix with orthonormal rows or columns (the polar factor U V^T), by Newton-Schulz iteration
 * X <- 3/2 X - 1/2 X X^T X from X / |X|_F. Products only, so it is cheap to differentiate.
 * @param x [..., m, n]
 * @param steps default 20; small singular values grow by half in each step until they are near 1
 * @throws when x is not a matrix. Source: Björck & Bowie 1971
 */
export function newtonSchulz(x: TensorLike, { steps = 20 }: { readonly steps?: number } = {}): Tensor {
  const input = asTensor(x)
  requireFloat('newtonSchulz', input)
  if (input.rank < 2) throw new Error(`newtonSchulz: expected matrices [..., m, n], got ${formatShape(input.shape)}`)
  const wide = input.shape[input.rank - 2] <= input.shape[input.rank - 1]
  let current = mul(input, rsqrt(sum(mul(input, input), [-2, -1], true)))
  for (let step = 0; step < steps; step++) {
    const gram = matmul(current, current, wide ? { transposeB: true } : { transposeA: true })
    const cubed = wide ? matmul(gram, current) : matmul(current, gram)
    current = sub(mul(current, 1.5), mul(cubed, 0.5))
  }
  return current
}

export interface SpectralNorm {
  /** u^T W v, a scalar; gradient flows through W only */
  readonly sigma: Tensor
  /** Left singular vector estimate [rows], to start from next time */
  readonly u: Tensor
  /** Right singular vector estimate [columns] */
  readonly v: Tensor
}

/**
 * Largest singular value of W by power iteration: v = W^T u, u = W v, each of length 1.
 * @param w [rows, columns]; more axes are merged into the columns
 * @param start u of the last call, or any vector, [rows]
 * @param iterations default 1
 * @throws when start does not have one number for each row. Source: Miyato et al. 2018
 */
export function spectralNorm(
  w: TensorLike,
  start: TensorLike,
  { iterations = 1 }: { readonly iterations?: number } = {},
): SpectralNorm {
  const input = asTensor(w)
  const first = asTensor(start)
  if (input.rank < 2 || first.rank !== 1 || first.shape[0] !== input.shape[0])
    throw new Error(
      `spectralNorm: expected a weight [rows, ...] and a vector [rows], got ${formatShape(input.shape)} and ${formatShape(first.shape)}`,
    )
  if (!Number.isInteger(iterations) || iterations < 1)
    throw new Error(`spectralNorm: iterations is ${iterations}; it must be a whole number, 1 or more`)
  const matrix = input.rank === 2 ? input : flatten(input, 1)
  const still = stopGradient(matrix)
  let u = expandDims(stopGradient(first), 1)
  let v = u
  for (let i = 0; i < iterations; i++) {
    v = l2Normalize(matmul(still, u, { transposeA: true }), { axis: 0 })
    u = l2Normalize(matmul(still, v), { axis: 0 })
  }
  const sigma = sum(mul(u, matmul(matrix, v)))
  return { sigma, u: reshape(u, [input.shape[0]]), v: reshape(v, [matrix.shape[1]]) }
}
