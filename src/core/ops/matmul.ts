import type { Primitive } from '../primitive.ts'
import { broadcastShapes, broadcastStrides, forEachOffset, formatShape, sizeOf } from '../shape.ts'
import type { Tensor, TensorLike } from '../tensor.ts'
import { apply, asTensor } from '../tensor.ts'
import { requireFloat } from './elementwise.ts'
import { reshape, sumTo } from './layout.ts'

interface MatmulAttributes {
  /** Whether the last two axes of the operand are read exchanged. */
  readonly transposeA: boolean
  readonly transposeB: boolean
}

const core = (shape: readonly number[], transposed: boolean): [number, number] => {
  const [rows, columns] = shape.slice(-2)
  return transposed ? [columns, rows] : [rows, columns]
}

const matmulPrimitive: Primitive<MatmulAttributes> = {
  name: 'matmul',
  shape: ([a, b], { transposeA, transposeB }) => {
    requireFloat('matmul', a)
    if (a.dtype !== b.dtype) throw new Error(`matmul: operands are ${a.dtype} and ${b.dtype}`)
    const [rows, inner] = core(a.shape, transposeA)
    const [innerB, columns] = core(b.shape, transposeB)
    if (inner !== innerB)
      throw new Error(
        `matmul: ${formatShape(a.shape)}${transposeA ? ' transposed' : ''} and ${formatShape(b.shape)}${transposeB ? ' transposed' : ''} disagree on the inner size (${inner} and ${innerB})`,
      )
    return {
      shape: [...broadcastShapes('matmul', a.shape.slice(0, -2), b.shape.slice(0, -2)), rows, columns],
      dtype: a.dtype,
    }
  },
  vjp: (node, [ct]) => {
    if (!ct) return []
    const [a, b] = node.inputs
    const { transposeA, transposeB } = node.attributes
    const da = transposeA ? multiply(b, ct, transposeB, true) : multiply(ct, b, false, !transposeB)
    const db = transposeB ? multiply(ct, a, true, transposeA) : multiply(a, ct, !transposeA, false)
    return [sumTo(da, a.shape), sumTo(db, b.shape)]
  },
  lower: (to, [a, b], node) => {
    const { transposeA, transposeB } = node.attributes
    if (!transposeA && !transposeB) return to.emit('MatMul', [a, b])
    const [left, right] = node.inputs
    if (left.rank === 2 && right.rank === 2)
      return to.emit('Gemm', [a, b], { transA: { int: Number(transposeA) }, transB: { int: Number(transposeB) } })
    if (to.contributed && left.dtype === 'f32' && left.rank >= 2 && right.rank >= 2)
      return to.emit(
        'FusedMatMul',
        [a, b],
        { transA: { int: Number(transposeA) }, transB: { int: Number(transposeB) } },
        'com.microsoft',
      )
    const swap = (name: string, rank: number): string => {
      const perm = Array.from({ length: rank }, (_, axis) => axis)
      perm.splice(rank - 2, 2, rank - 1, rank - 2)
      return to.emit('Transpose', [name], { perm: { ints: perm } })
    }
    return to.emit('MatMul', [transposeA ? swap(a, left.rank) : a, transposeB ? swap(b, right.rank) : b])
  },
  evaluate: ([a, b], { transposeA, transposeB }, [out]) => {
    const [rows, inner] = core(a.shape, transposeA)
    const [, columns] = core(b.shape, transposeB)
    const batch = out.shape.slice(0, -2)
    const result = new Float64Array(sizeOf(out.shape))
    const strides = [broadcastStrides(a.shape.slice(0, -2), batch), broadcastStrides(b.shape.slice(0, -2), batch)]
    forEachOffset(batch, strides, ([i, j], k) => {
      const aBase = i * rows * inner
      const bBase = j * inner * columns
      for (let r = 0; r < rows; r++)
        for (let c = 0; c < columns; c++) {
          let total = 0
          for (let n = 0; n < inner; n++)
            total +=
              a.data[aBase + (transposeA ? n * rows + r : r * inner + n)] *
              b.data[bBase + (transposeB ? c * inner + n : n * columns + c)]
          result[(k * rows + r) * columns + c] = total
        }
    })
    return result
  },
  rewrite: node => {
    const { transposeA, transposeB } = node.attributes
    const [a, b] = node.inputs
    if (swapsLastTwo(a)) return multiply(a.node.inputs[0], b, !transposeA, transposeB)
    if (swapsLastTwo(b)) return multiply(a, b.node.inputs[0], transposeA, !transposeB)
    return undefined
  },
}

function swapsLastTwo(t: Tensor): boolean {
  if (t.node.primitive.name !== 'transpose') return false
  const { permutation } = t.node.attributes as { permutation: readonly number[] }
  const rank = permutation.length
  return permutation.every((axis, i) => axis === (i === rank - 1 ? rank - 2 : i === rank - 2 ? rank - 1 : i))
}

const multiply = (a: Tensor, b: Tensor, transposeA: boolean, transposeB: boolean): Tensor =>
  apply(matmulPrimitive, [a, b], { transposeA, transposeB })

/**
 * Matrix product over the last two axes, leading axes broadcast: [..., m, k] x [..., k, n] -> [..., m, n].
 * A 1-D operand is a row on the left and a column on the right, as in NumPy.
 * @throws when the inner sizes differ, naming both shapes
 */
export function matmul(a: TensorLike, b: TensorLike, { transposeA = false, transposeB = false } = {}): Tensor {
  const left = asTensor(a)
  const right = asTensor(b)
  if (left.rank === 0 || right.rank === 0) throw new Error('matmul: a scalar cannot be a matrix operand; use mul')
  const row = left.rank === 1 ? reshape(left, [1, left.shape[0]]) : left
  const column = right.rank === 1 ? reshape(right, [right.shape[0], 1]) : right
  // One matrix for the whole batch: fold the batch into its rows, one large product instead of many small ones.
  if (row.rank > 2 && column.rank === 2 && !transposeA) {
    const rows = sizeOf(row.shape.slice(0, -1))
    const flat = multiply(reshape(row, [rows, row.shape[row.rank - 1]]), column, false, transposeB && right.rank > 1)
    return reshape(flat, right.rank === 1 ? row.shape.slice(0, -1) : [...row.shape.slice(0, -1), flat.shape[1]])
  }
  const product = multiply(row, column, transposeA && left.rank > 1, transposeB && right.rank > 1)
  if (left.rank > 1 && right.rank > 1) return product
  const shape = [...product.shape]
  if (right.rank === 1) shape.pop()
  if (left.rank === 1) shape.splice(right.rank === 1 ? shape.length - 1 : shape.length - 2, 1)
  return reshape(product, shape)
}
