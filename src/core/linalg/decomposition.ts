import { add, div, equal, mul, requireFloat, sqrt, sub, where } from '../ops/elementwise.ts'
import { takeAlongAxis } from '../ops/indexing.ts'
import { broadcastTo, expandDims, reshape, transpose, zerosLike } from '../ops/layout.ts'
import { matmul } from '../ops/matmul.ts'
import { sum } from '../ops/reduce.ts'
import { scan } from '../ops/scan.ts'
import { topK } from '../ops/sort.ts'
import type { Primitive } from '../primitive.ts'
import { formatShape, requireConcrete } from '../shape.ts'
import { applyMany, asTensor, type Tensor, type TensorLike } from '../tensor.ts'
import {
  columnSigns,
  diagonalise,
  diagonaliseReference,
  orthogonaliseColumns,
  orthogonaliseReference,
} from './jacobi.ts'
import { eachMatrix, eye, lowerTriangle, requireSquare, toBatch, transposed, upperTriangle } from './matrices.ts'
import { lowerTraced } from './traced-lowering.ts'
import { triangularSolve } from './triangular.ts'

/** 1 / (values_j - values_i) for i != j, 0 where they are equal. values [b, n] */
function inverseGaps(values: Tensor): Tensor {
  const gaps = sub(expandDims(values, 1), expandDims(values, 2))
  const none = equal(gaps, 0)
  return where(none, 0, div(1, where(none, 1, gaps)))
}

/** Columns by their values, in order. */
function orderColumns(values: Tensor, largest: boolean, ...columns: Tensor[]): [Tensor, ...Tensor[]] {
  const { values: ordered, indices } = topK(values, values.shape[1], { axis: 1, largest })
  const moved = columns.map(x => takeAlongAxis(x, broadcastTo(expandDims(indices, 1), x.shape), 2))
  return [ordered, ...moved]
}

/** Positions of `values` in order. */
const order = (values: Float64Array, descending: boolean): number[] =>
  [...values.keys()].sort((i, j) => (descending ? values[j] - values[i] : values[i] - values[j]) || i - j)

/** Sign that makes the entry of largest magnitude in a column positive. */
function signOf(x: Float64Array, rows: number, columns: number, column: number): number {
  let largest = x[column]
  for (let r = 1; r < rows; r++)
    if (Math.abs(x[r * columns + column]) > Math.abs(largest)) largest = x[r * columns + column]
  return largest < 0 ? -1 : 1
}

/** Input a [b, n, n]; outputs values [b, n], ascending, and vectors [b, n, n]. */
const eighPrimitive: Primitive = {
  name: 'eigh',
  shape: ([a]) => [
    { shape: a.shape.slice(0, 2), dtype: a.dtype },
    { shape: a.shape, dtype: a.dtype },
  ],
  // dA = V (diag(dvalues) + F * (V' dV)) V', made symmetric; F_ij = 1 / (value_j - value_i) (Giles 2008).
  vjp: ({ outputs: [values, vectors] }, [valueCotangent, vectorCotangent]) => {
    const size = vectors.shape[1]
    const parts: Tensor[] = []
    if (valueCotangent) parts.push(mul(expandDims(valueCotangent, 1), eye(size)))
    if (vectorCotangent) parts.push(mul(matmul(vectors, vectorCotangent, { transposeA: true }), inverseGaps(values)))
    if (parts.length === 0) return []
    const gradient = matmul(matmul(vectors, parts.reduce(add)), vectors, { transposeB: true })
    return [mul(add(gradient, transposed(gradient)), 0.5)]
  },
  lower: (to, names, node) =>
    lowerTraced(to, names, node, a => {
      const found = diagonalise(mul(add(a, transposed(a)), 0.5))
      const [values, vectors] = orderColumns(found.values, false, found.vectors)
      return [values, mul(vectors, columnSigns(vectors))]
    }),
  evaluate: ([a]) => {
    const [batch, size] = a.shape
    const values = new Float64Array(batch * size)
    const vectors = new Float64Array(batch * size * size)
    eachMatrix(a.data, a.shape, (given, b) => {
      const matrix = given.map((value, k) => (value + given[(k % size) * size + Math.floor(k / size)]) / 2)
      const found = diagonaliseReference(matrix, size)
      const diagonals = Float64Array.from({ length: size }, (_, i) => matrix[i * size + i])
      order(diagonals, false).forEach((from, to) => {
        values[b * size + to] = diagonals[from]
        const positive = signOf(found, size, size, from)
        for (let r = 0; r < size; r++) vectors[(b * size + r) * size + to] = positive * found[r * size + from]
      })
    })
    return [values, vectors]
  },
}

export interface Eigen {
  /** [..., n], ascending */
  readonly values: Tensor
  /** [..., n, n]: column j belongs to value j; its entry of largest magnitude is positive */
  readonly vectors: Tensor
}

/**
 * Eigenvalues and orthonormal eigenvectors of symmetric matrices (of (A + A^T)/2, to be exact), by Jacobi's method.
 * The gradient is symmetric; that of the vectors needs distinct eigenvalues, and where two are equal it leaves the turns
 * between their vectors out. Meant for n up to about a hundred.
 * @param a [..., n, n]
 * @throws when the matrices are not square. Source: Brent & Luk 1985; gradient Giles 2008
 */
export function eigh(a: TensorLike): Eigen {
  const input = asTensor(a)
  requireSquare('eigh', input)
  const [values, vectors] = applyMany(eighPrimitive, [toBatch(input)], {})
  return { values: reshape(values, input.shape.slice(0, -1)), vectors: reshape(vectors, input.shape) }
}

/** 1/s, and 0 where s is 0. */
function safeInverse(s: Tensor): Tensor {
  const none = equal(s, 0)
  return where(none, 0, div(1, where(none, 1, s)))
}

/** Input a [b, m, n] with m >= n; outputs u [b, m, n], s [b, n], descending, and v [b, n, n]. */
const svdPrimitive: Primitive = {
  name: 'svd',
  shape: ([{ shape, dtype }]) => [
    { shape, dtype },
    { shape: [shape[0], shape[2]], dtype },
    { shape: [shape[0], shape[2], shape[2]], dtype },
  ],
  // Townsend 2016, "Differentiating the singular value decomposition"; v is square here.
  vjp: ({ outputs: [u, s, v] }, [uCotangent, sCotangent, vCotangent]) => {
    const size = v.shape[1]
    const row = expandDims(s, 1)
    const column = expandDims(s, 2)
    const gaps = inverseGaps(mul(s, s))
    const antisymmetric = (x: Tensor, ct: Tensor): Tensor => {
      const product = matmul(x, ct, { transposeA: true })
      return mul(gaps, sub(product, transposed(product)))
    }
    const inner: Tensor[] = []
    if (sCotangent) inner.push(mul(expandDims(sCotangent, 1), eye(size)))
    if (uCotangent) inner.push(mul(antisymmetric(u, uCotangent), row))
    if (vCotangent) inner.push(mul(column, antisymmetric(v, vCotangent)))
    if (inner.length === 0) return []
    let left = matmul(u, inner.reduce(add))
    if (uCotangent) {
      const outside = sub(uCotangent, matmul(u, matmul(u, uCotangent, { transposeA: true })))
      left = add(left, mul(outside, safeInverse(row)))
    }
    return [matmul(left, v, { transposeB: true })]
  },
  lower: (to, names, node) =>
    lowerTraced(to, names, node, a => {
      const { columns, rotations } = orthogonaliseColumns(a)
      const lengths = sqrt(sum(mul(columns, columns), 1))
      const [s, u, v] = orderColumns(lengths, true, mul(columns, safeInverse(expandDims(lengths, 1))), rotations)
      const signs = columnSigns(u)
      return [mul(u, signs), s, mul(v, signs)]
    }),
  evaluate: ([a]) => {
    const [batch, rows, columns] = a.shape
    const u = new Float64Array(batch * rows * columns)
    const s = new Float64Array(batch * columns)
    const v = new Float64Array(batch * columns * columns)
    eachMatrix(a.data, a.shape, (matrix, b) => {
      const turns = orthogonaliseReference(matrix, rows, columns)
      const lengths = Float64Array.from({ length: columns }, (_, c) => {
        let total = 0
        for (let r = 0; r < rows; r++) total += matrix[r * columns + c] ** 2
        return Math.sqrt(total)
      })
      order(lengths, true).forEach((from, to) => {
        const length = lengths[from]
        s[b * columns + to] = length
        const positive = signOf(matrix, rows, columns, from)
        for (let r = 0; r < rows; r++)
          u[(b * rows + r) * columns + to] = length === 0 ? 0 : (positive * matrix[r * columns + from]) / length
        for (let r = 0; r < columns; r++) v[(b * columns + r) * columns + to] = positive * turns[r * columns + from]
      })
    })
    return [u, s, v]
  },
}

function requireMatrix(op: string, x: Tensor): void {
  requireFloat(op, x)
  if (x.rank < 2) throw new Error(`${op}: expected matrices [..., m, n], got ${formatShape(x.shape)}`)
  requireConcrete(op, x.shape, [x.rank - 2, x.rank - 1])
  if (x.shape[x.rank - 1] === 0 || x.shape[x.rank - 2] === 0)
    throw new Error(`${op}: ${formatShape(x.shape)} holds empty matrices`)
}

export interface Svd {
  /** [..., m, k] with orthonormal columns, k = min(m, n); a column whose singular value is 0 may be 0 */
  readonly u: Tensor
  /** [..., k], descending */
  readonly s: Tensor
  /** [..., n, k] with orthonormal columns: A = U diag(s) V^T */
  readonly v: Tensor
}

/**
 * The thin singular value decomposition A = U diag(s) V^T, by one-sided Jacobi rotations. The gradients of U and V need
 * distinct, non-zero singular values; that of s has no such need. Meant for min(m, n) up to about a hundred.
 * @param a [..., m, n]
 * @throws on empty matrices. Source: Hestenes 1958, Brent & Luk 1985; gradient Townsend 2016
 */
export function svd(a: TensorLike): Svd {
  const input = asTensor(a)
  requireMatrix('svd', input)
  const [rows, columns] = input.shape.slice(-2)
  const lead = input.shape.slice(0, -2)
  const wide = rows < columns
  const small = Math.min(rows, columns)
  const [u, s, v] = applyMany(svdPrimitive, [toBatch(wide ? transposed(input) : input)], {})
  return {
    u: reshape(wide ? v : u, [...lead, rows, small]),
    s: reshape(s, [...lead, small]),
    v: reshape(wide ? u : v, [...lead, columns, small]),
  }
}

/** Singular values, descending: [..., m, n] to [..., min(m, n)]. See {@link svd}. */
export const singularValues = (a: TensorLike): Tensor => svd(a).s

/** Sum of the singular values: [..., m, n] to [...]. Its gradient is U V^T. */
export const nuclearNorm = (a: TensorLike): Tensor => sum(singularValues(a), -1)

/** Q column by column, each made orthogonal to those before it, twice over. a [b, m, n] */
function orthonormalColumns(a: Tensor): Tensor {
  const width = a.shape[2]
  const { carries } = scan(
    ([q], [column, unit]) => {
      const outside = (x: Tensor): Tensor => sub(x, matmul(q, matmul(q, x, { transposeA: true })))
      const rest = outside(outside(expandDims(column, 2)))
      const length = sqrt(sum(mul(rest, rest), 1, true))
      return { carries: [add(q, mul(mul(rest, safeInverse(length)), unit))] }
    },
    [zerosLike(a)],
    [transpose(a, [2, 0, 1]), eye(width)],
  )
  return carries[0]
}

/** Input a [b, m, n] with m >= n; outputs q [b, m, n] and r [b, n, n]. */
const qrPrimitive: Primitive = {
  name: 'qr',
  shape: ([{ shape, dtype }]) => [
    { shape, dtype },
    { shape: [shape[0], shape[2], shape[2]], dtype },
  ],
  // dA = (dQ + Q M) R^-T, M the lower triangle of R dR' - dQ' Q mirrored (Walter & Lehmann 2012).
  vjp: ({ outputs: [q, r] }, [qCotangent, rCotangent]) => {
    const terms: Tensor[] = []
    if (rCotangent) terms.push(matmul(r, rCotangent, { transposeB: true }))
    if (qCotangent) terms.push(mul(matmul(qCotangent, q, { transposeA: true }), -1))
    if (terms.length === 0) return []
    const mixed = terms.reduce(add)
    const mirrored = add(lowerTriangle(mixed), transposed(lowerTriangle(mixed, -1)))
    const turned = matmul(q, mirrored)
    const total = qCotangent ? add(qCotangent, turned) : turned
    return [transposed(triangularSolve(r, transposed(total), { upper: true }))]
  },
  lower: (to, names, node) =>
    lowerTraced(to, names, node, a => {
      const q = orthonormalColumns(a)
      return [q, upperTriangle(matmul(q, a, { transposeA: true }))]
    }),
  evaluate: ([a]) => {
    const [batch, rows, columns] = a.shape
    const q = new Float64Array(batch * rows * columns)
    const r = new Float64Array(batch * columns * columns)
    eachMatrix(a.data, a.shape, (matrix, b) => {
      const at = (row: number, column: number): number => row * columns + column
      const out = q.subarray(b * rows * columns, (b + 1) * rows * columns)
      const triangle = r.subarray(b * columns * columns, (b + 1) * columns * columns)
      for (let j = 0; j < columns; j++) {
        for (let pass = 0; pass < 2; pass++)
          for (let i = 0; i < j; i++) {
            let dot = 0
            for (let row = 0; row < rows; row++) dot += out[at(row, i)] * matrix[at(row, j)]
            triangle[at(i, j)] += dot
            for (let row = 0; row < rows; row++) matrix[at(row, j)] -= dot * out[at(row, i)]
          }
        let square = 0
        for (let row = 0; row < rows; row++) square += matrix[at(row, j)] ** 2
        const length = Math.sqrt(square)
        triangle[at(j, j)] = length
        for (let row = 0; row < rows; row++) out[at(row, j)] = length === 0 ? 0 : matrix[at(row, j)] / length
      }
    })
    return [q, r]
  },
}

export interface Qr {
  /** [..., m, n] with orthonormal columns; a column that depends on those before it gives 0 */
  readonly q: Tensor
  /** [..., n, n], upper triangular with a diagonal that is not negative */
  readonly r: Tensor
}

/**
 * The thin decomposition A = Q R, unique as R's diagonal is positive, by Gram-Schmidt with a second pass.
 * The gradient needs independent columns.
 * @param a [..., m, n] with m >= n
 * @throws when there are more columns than rows. Source: Giraud et al. 2005; gradient Walter & Lehmann 2012
 */
export function qr(a: TensorLike): Qr {
  const input = asTensor(a)
  requireMatrix('qr', input)
  const [rows, columns] = input.shape.slice(-2)
  if (rows < columns)
    throw new Error(`qr: ${formatShape(input.shape)} has more columns than rows; factor the first ${rows} columns`)
  const [q, r] = applyMany(qrPrimitive, [toBatch(input)], {})
  return { q: reshape(q, input.shape), r: reshape(r, [...input.shape.slice(0, -2), columns, columns]) }
}
