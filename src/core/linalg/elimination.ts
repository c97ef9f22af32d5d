import { cast } from '../ops/cast.ts'
import { abs, add, div, equal, exp, greater, less, log, mod, mul, neg, sign, sub, where } from '../ops/elementwise.ts'
import { arange, oneHot } from '../ops/indexing.ts'
import { broadcastTo, expandDims, ones, reshape, transpose, zeros } from '../ops/layout.ts'
import { matmul } from '../ops/matmul.ts'
import { argMax, sum } from '../ops/reduce.ts'
import { scan } from '../ops/scan.ts'
import type { Primitive } from '../primitive.ts'
import { apply, applyMany, asTensor, type Tensor, type TensorLike } from '../tensor.ts'
import { eachMatrix, eye, requireSquare, toBatch, transposed } from './matrices.ts'
import { lowerTraced } from './traced-lowering.ts'
import { alignSystems } from './triangular.ts'

/** One step of elimination: the row with the largest entry in the current column, among those not chosen yet. */
function choosePivot(left: Tensor, unit: Tensor, used: Tensor): { pick: Tensor; column: Tensor; pivot: Tensor } {
  const column = sum(mul(left, unit), -1)
  const score = sub(mul(abs(column), sub(1, used)), used)
  const pick = oneHot(argMax(score, -1), left.shape[1], left.dtype)
  return { pick, column, pivot: sum(mul(pick, column), -1, true) }
}

/** Scales the chosen row to pivot 1 and takes its multiples out of all others. rows [b, n, w] */
function eliminate(rows: Tensor, { pick, column, pivot }: ReturnType<typeof choosePivot>): Tensor {
  const chosen = div(matmul(expandDims(pick, 1), rows), expandDims(pivot, 2))
  return where(expandDims(greater(pick, 0), 2), chosen, sub(rows, mul(expandDims(column, 2), chosen)))
}

/** Gauss-Jordan elimination with partial pivoting of [A | I]. */
function gaussJordan(a: Tensor): Tensor {
  const [batch, size] = a.shape
  const { carries, outputs } = scan(
    ([left, right, used], [unit]) => {
      const step = choosePivot(left, unit, used)
      return { carries: [eliminate(left, step), eliminate(right, step), add(used, step.pick)], outputs: [step.pick] }
    },
    [a, broadcastTo(eye(size), a.shape), zeros([batch, size], a.dtype)],
    [eye(size)],
  )
  // Row k of the inverse is the row that was chosen for column k.
  return matmul(transpose(outputs[0], [1, 0, 2]), carries[1])
}

const inversePrimitive: Primitive = {
  name: 'inverse',
  shape: ([a]) => ({ shape: a.shape, dtype: a.dtype }),
  vjp: ({ outputs: [y] }, [ct]) =>
    ct ? [neg(matmul(matmul(y, ct, { transposeA: true }), y, { transposeB: true }))] : [],
  lower: (to, names, node) =>
    to.contributed && node.inputs[0].dtype === 'f32'
      ? to.emit('Inverse', names, {}, 'com.microsoft')
      : lowerTraced(to, names, node, a => [gaussJordan(a)]),
  evaluate: ([a]) => {
    const size = a.shape[1]
    const result = new Float64Array(a.data.length)
    eachMatrix(a.data, a.shape, (matrix, b) => {
      const right = new Float64Array(size * size)
      for (let i = 0; i < size; i++) right[i * size + i] = 1
      reduceRows(matrix, size, right)
      result.set(right, b * size * size)
    })
    return result
  },
}

/** Reduces `matrix` to the identity by row operations, applying them to `right` too. @returns sign and log of |det| */
function reduceRows(matrix: Float64Array, size: number, right: Float64Array): { sign: number; log: number } {
  let positive = 1
  let logarithm = 0
  const exchange = (rows: Float64Array, i: number, j: number): void => {
    for (let c = 0; c < size; c++) {
      const kept = rows[i * size + c]
      rows[i * size + c] = rows[j * size + c]
      rows[j * size + c] = kept
    }
  }
  for (let k = 0; k < size; k++) {
    let best = k
    for (let i = k + 1; i < size; i++) if (Math.abs(matrix[i * size + k]) > Math.abs(matrix[best * size + k])) best = i
    if (best !== k) {
      exchange(matrix, k, best)
      exchange(right, k, best)
      positive = -positive
    }
    const pivot = matrix[k * size + k]
    positive *= Math.sign(pivot)
    logarithm += Math.log(Math.abs(pivot))
    for (let c = 0; c < size; c++) {
      matrix[k * size + c] /= pivot
      right[k * size + c] /= pivot
    }
    for (let i = 0; i < size; i++) {
      const factor = matrix[i * size + k]
      if (i === k || factor === 0) continue
      for (let c = 0; c < size; c++) {
        matrix[i * size + c] -= factor * matrix[k * size + c]
        right[i * size + c] -= factor * right[k * size + c]
      }
    }
  }
  return { sign: positive, log: logarithm }
}

/**
 * A^-1, by elimination with partial pivoting. Infinities or NaN where A is singular.
 * @param a [..., n, n]
 * @throws when the matrices are not square
 */
export function inverse(a: TensorLike): Tensor {
  const input = asTensor(a)
  requireSquare('inverse', input)
  return reshape(apply(inversePrimitive, [toBatch(input)], {}), input.shape)
}

/**
 * X with A X = B.
 * @param a [..., n, n]
 * @param b [..., n, k]; leading axes broadcast
 * @throws when the sizes do not fit
 */
export function solve(a: TensorLike, b: TensorLike): Tensor {
  const { matrices, right, shape } = alignSystems('solve', a, b)
  return reshape(matmul(apply(inversePrimitive, [matrices], {}), right), shape)
}

/** Outputs sign and log |det|, both [b]. */
const slogPrimitive: Primitive = {
  name: 'signedLogDeterminant',
  shape: ([a]) => {
    const each = { shape: a.shape.slice(0, 1), dtype: a.dtype }
    return [each, each]
  },
  vjp: ({ inputs: [a] }, [, ct]) =>
    ct ? [mul(transposed(apply(inversePrimitive, [a], {})), reshape(ct, [a.shape[0], 1, 1]))] : [],
  lower: (to, names, node) => lowerTraced(to, names, node, signedLogDeterminant),
  evaluate: ([a]) => {
    const [batch, size] = a.shape
    const signs = new Float64Array(batch)
    const logs = new Float64Array(batch)
    eachMatrix(a.data, a.shape, (matrix, b) => {
      const { sign: positive, log: logarithm } = reduceRows(matrix, size, new Float64Array(size * size))
      signs[b] = Number.isNaN(positive) || logarithm === Number.NEGATIVE_INFINITY ? 0 : positive
      logs[b] = Number.isNaN(logarithm) ? Number.NEGATIVE_INFINITY : logarithm
    })
    return [signs, logs]
  },
}

function signedLogDeterminant(a: Tensor): Tensor[] {
  const [batch, size] = a.shape
  const places = cast(arange(size), a.dtype)
  const { carries } = scan(
    ([left, used, positive, logarithm], [unit]) => {
      const step = choosePivot(left, unit, used)
      // Choosing a row moves it before the free rows above it: one exchange of neighbours for each.
      const above = less(places, sum(mul(step.pick, places), -1, true))
      const exchanges = sum(mul(cast(above, a.dtype), sub(1, used)), -1, true)
      const parity = sub(1, mul(mod(exchanges, 2), 2))
      const singular = equal(step.pivot, 0)
      return {
        carries: [
          eliminate(left, { ...step, pivot: where(singular, 1, step.pivot) }),
          add(used, step.pick),
          mul(positive, mul(parity, sign(step.pivot))),
          add(logarithm, log(abs(step.pivot))),
        ],
      }
    },
    [a, zeros([batch, size], a.dtype), ones([batch, 1], a.dtype), zeros([batch, 1], a.dtype)],
    [eye(size)],
  )
  return carries.slice(2).map(t => reshape(t, [batch]))
}

export interface SignedLogDeterminant {
  /** -1, 0 or 1; no gradient */
  readonly sign: Tensor
  /** -infinity where A is singular */
  readonly logAbs: Tensor
}

/**
 * Sign and logarithm of the absolute value of det A, without the overflow of their product.
 * @param a [..., n, n]
 * @returns both [...]
 * @throws when the matrices are not square
 */
export function slogDeterminant(a: TensorLike): SignedLogDeterminant {
  const input = asTensor(a)
  requireSquare('slogDeterminant', input)
  const lead = input.shape.slice(0, -2)
  const [positive, logarithm] = applyMany(slogPrimitive, [toBatch(input)], {})
  return { sign: reshape(positive, lead), logAbs: reshape(logarithm, lead) }
}

/** det A: [..., n, n] to [...]. No gradient where A is singular. */
export function determinant(a: TensorLike): Tensor {
  const { sign: positive, logAbs } = slogDeterminant(a)
  return mul(positive, exp(logAbs))
}
