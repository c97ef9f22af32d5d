import { add, div, mul, neg, requireFloat, sqrt, sub } from '../ops/elementwise.ts'
import { broadcastTo, expandDims, moveAxis, reshape, transpose, zerosLike } from '../ops/layout.ts'
import { matmul } from '../ops/matmul.ts'
import { sum } from '../ops/reduce.ts'
import { scan } from '../ops/scan.ts'
import type { Primitive } from '../primitive.ts'
import { broadcastShapes, formatShape } from '../shape.ts'
import { apply, asTensor, type Tensor, type TensorLike } from '../tensor.ts'
import { eachMatrix, eye, lowerTriangle, requireSquare, toBatch, transposed, upperTriangle } from './matrices.ts'
import { lowerTraced } from './traced-lowering.ts'

interface TriangularAttributes {
  readonly upper: boolean
}

/** Rows of x one after another, each from the rows before it. a [b, n, n], right [b, n, k] */
function substituteRows(a: Tensor, right: Tensor, upper: boolean): Tensor {
  const size = a.shape[1]
  const kept = upper ? upperTriangle(a) : lowerTriangle(a)
  const { carries } = scan(
    ([x], [row, wanted, unit]) => {
      const pivot = sum(mul(row, unit), -1, true)
      const known = reshape(matmul(expandDims(row, 1), x), wanted.shape)
      const next = div(sub(wanted, known), pivot)
      return { carries: [add(x, mul(reshape(unit, [size, 1]), expandDims(next, 1)))] }
    },
    [zerosLike(right)],
    [moveAxis(kept, 1, 0), moveAxis(right, 1, 0), eye(size)],
    { reverse: upper },
  )
  return carries[0]
}

/** Inputs a [b, n, n] and right [b, n, k]. */
const triangularSolvePrimitive: Primitive<TriangularAttributes> = {
  name: 'triangularSolve',
  shape: ([, right]) => ({ shape: right.shape, dtype: right.dtype }),
  vjp: ({ inputs: [a], outputs: [x], attributes: { upper } }, [ct]) => {
    if (!ct) return []
    const right = apply(triangularSolvePrimitive, [transposed(a), ct], { upper: !upper })
    const left = neg(matmul(right, x, { transposeB: true }))
    return [upper ? upperTriangle(left) : lowerTriangle(left), right]
  },
  lower: (to, names, node) =>
    lowerTraced(to, names, node, (a, right) => [substituteRows(a, right, node.attributes.upper)]),
  evaluate: ([a, right], { upper }) => {
    const [, size, columns] = right.shape
    const result = new Float64Array(right.data.length)
    eachMatrix(a.data, a.shape, (matrix, b) => {
      for (let step = 0; step < size; step++) {
        const i = upper ? size - 1 - step : step
        for (let c = 0; c < columns; c++) {
          const place = (row: number): number => (b * size + row) * columns + c
          let rest = right.data[place(i)]
          for (let j = upper ? i + 1 : 0; j < (upper ? size : i); j++) rest -= matrix[i * size + j] * result[place(j)]
          result[place(i)] = rest / matrix[i * size + i]
        }
      }
    })
    return result
  },
}

/** Matrices and right-hand sides with the same leading axes, merged into one. */
export function alignSystems(
  op: string,
  a: TensorLike,
  b: TensorLike,
): { matrices: Tensor; right: Tensor; shape: readonly number[] } {
  const left = asTensor(a)
  const given = asTensor(b)
  requireSquare(op, left)
  requireFloat(op, given)
  if (given.rank < 2 || given.shape[given.rank - 2] !== left.shape[left.rank - 1])
    throw new Error(
      `${op}: matrices ${formatShape(left.shape)} need a right-hand side [..., ${left.shape[left.rank - 1]}, k], got ${formatShape(given.shape)}`,
    )
  const lead = broadcastShapes(op, left.shape.slice(0, -2), given.shape.slice(0, -2))
  const shape = [...lead, ...given.shape.slice(-2)]
  return {
    matrices: toBatch(broadcastTo(left, [...lead, ...left.shape.slice(-2)])),
    right: toBatch(broadcastTo(given, shape)),
    shape,
  }
}

export interface TriangularOptions {
  /** The upper triangle of `a` counts instead of the lower; default false. */
  readonly upper?: boolean
  /** Solves with the transpose of that triangle; default false. */
  readonly transpose?: boolean
}

/**
 * X with A X = B for triangular A, by substitution. Entries in A's other triangle are not read.
 * @param a [..., n, n]
 * @param b [..., n, k]; leading axes broadcast
 * @throws when the sizes do not fit. A zero on the diagonal gives infinities
 */
export function triangularSolve(
  a: TensorLike,
  b: TensorLike,
  { upper = false, transpose: flipped = false }: TriangularOptions = {},
): Tensor {
  const { matrices, right, shape } = alignSystems('triangularSolve', a, b)
  const solved = apply(triangularSolvePrimitive, [flipped ? transposed(matrices) : matrices, right], {
    upper: upper !== flipped,
  })
  return reshape(solved, shape)
}

/** Columns of L one after another, each taken out of what is left of a. a [b, n, n] */
function choleskyColumns(a: Tensor): Tensor {
  const size = a.shape[1]
  const { outputs } = scan(
    ([rest], [unit, below]) => {
      const column = sum(mul(rest, unit), -1)
      const pivot = sum(mul(column, unit), -1, true)
      const factor = mul(div(column, sqrt(pivot)), below)
      return { carries: [sub(rest, mul(expandDims(factor, 2), expandDims(factor, 1)))], outputs: [factor] }
    },
    [a],
    // Row j of this constant marks the entries of column j on and below the diagonal.
    [eye(size), upperTriangle(broadcastTo(asTensor(1), [size, size]))],
  )
  return transpose(outputs[0], [1, 2, 0])
}

/** Input a [b, n, n], of which the lower triangle is read. */
const choleskyPrimitive: Primitive = {
  name: 'cholesky',
  shape: ([a]) => ({ shape: a.shape, dtype: a.dtype }),
  // With P = tril(L' dL), its diagonal halved: dA = L^-T (P + P') L^-1 / 2 (Murray 2016).
  vjp: ({ outputs: [factor] }, [ct]) => {
    if (!ct) return []
    const product = lowerTriangle(matmul(factor, ct, { transposeA: true }))
    const strict = lowerTriangle(product, -1)
    const both = add(product, transposed(strict))
    const left = triangularSolve(factor, both, { transpose: true })
    const gradient = transposed(triangularSolve(factor, transposed(left), { transpose: true }))
    return [mul(gradient, 0.5)]
  },
  lower: (to, names, node) => lowerTraced(to, names, node, a => [choleskyColumns(a)]),
  evaluate: ([a]) => {
    const result = new Float64Array(a.data.length)
    const size = a.shape[1]
    eachMatrix(a.data, a.shape, (matrix, b) => {
      const factor = result.subarray(b * size * size, (b + 1) * size * size)
      for (let j = 0; j < size; j++)
        for (let i = j; i < size; i++) {
          let rest = matrix[i * size + j]
          for (let k = 0; k < j; k++) rest -= factor[i * size + k] * factor[j * size + k]
          factor[i * size + j] = i === j ? Math.sqrt(rest) : rest / factor[j * size + j]
        }
    })
    return result
  },
}

/**
 * The lower triangular L with L L^T = A, for symmetric positive definite A; the gradient is symmetric.
 * NaN where A is not positive definite. Only the lower triangle of A is read.
 * @param a [..., n, n]
 * @throws when the matrices are not square
 */
export function cholesky(a: TensorLike): Tensor {
  const input = asTensor(a)
  requireSquare('cholesky', input)
  return reshape(apply(choleskyPrimitive, [toBatch(input)], {}), input.shape)
}
