import { requireFloat, where } from '../ops/elementwise.ts'
import { reshape, swapAxes } from '../ops/layout.ts'
import { sum } from '../ops/reduce.ts'
import type { Spec } from '../primitive.ts'
import { formatShape, requireConcrete, sizeOf } from '../shape.ts'
import { asTensor, constant, type Tensor, type TensorLike } from '../tensor.ts'

/** Constants that depend on sizes only are made once, so that equal ones are one object and graphs share them. */
const made = new Map<string, Float32Array | Uint8Array>()

export function sharedConstant<D extends Float32Array | Uint8Array>(key: string, make: () => D): D {
  const known = made.get(key)
  if (known) return known as D
  const fresh = make()
  made.set(key, fresh)
  return fresh
}

/** The n x n identity. */
export function eye(size: number): Tensor {
  const data = sharedConstant(`eye ${size}`, () => {
    const entries = new Float32Array(size * size)
    for (let i = 0; i < size; i++) entries[i * size + i] = 1
    return entries
  })
  return constant(data, [size, size])
}

/** True where column - row satisfies the comparison with `offset`. */
function bandMask(rows: number, columns: number, keep: 'above' | 'below' | 'on', offset: number): Tensor {
  const data = sharedConstant(`band ${rows} ${columns} ${keep} ${offset}`, () =>
    Uint8Array.from({ length: rows * columns }, (_, k) => {
      const distance = (k % columns) - Math.floor(k / columns) - offset
      return Number(keep === 'above' ? distance >= 0 : keep === 'below' ? distance <= 0 : distance === 0)
    }),
  )
  return constant(data, [rows, columns], 'bool')
}

function band(op: string, x: TensorLike, keep: 'above' | 'below', offset: number): Tensor {
  const input = asTensor(x)
  if (input.rank < 2) throw new Error(`${op}: expected a matrix, got ${formatShape(input.shape)}`)
  const [rows, columns] = input.shape.slice(-2)
  requireConcrete(op, input.shape, [input.rank - 2, input.rank - 1])
  return where(bandMask(rows, columns, keep, offset), input, 0)
}

/** The entries on and below diagonal number `offset` (0 is the main one, negative ones lie below it); zeros above. */
export const lowerTriangle = (x: TensorLike, offset = 0): Tensor => band('lowerTriangle', x, 'below', offset)
/** The entries on and above diagonal number `offset`; zeros below. */
export const upperTriangle = (x: TensorLike, offset = 0): Tensor => band('upperTriangle', x, 'above', offset)

/** The main diagonals of square matrices: [..., n, n] to [..., n]. */
export function diagonal(x: TensorLike): Tensor {
  const input = asTensor(x)
  requireSquare('diagonal', input)
  const size = input.shape[input.rank - 1]
  return sum(where(bandMask(size, size, 'on', 0), input, 0), -1)
}

/** Sum of the main diagonal: [..., n, n] to [...]. */
export const trace = (x: TensorLike): Tensor => sum(diagonal(x), -1)

/** Exchanges rows and columns of matrices. */
export const transposed = (x: Tensor): Tensor => swapAxes(x, -1, -2)

/** @throws unless the last two axes are a concrete square of floats */
export function requireSquare(op: string, x: Spec): void {
  requireFloat(op, x)
  const [rows, columns] = x.shape.slice(-2)
  if (x.shape.length < 2 || rows !== columns)
    throw new Error(`${op}: expected square matrices [..., n, n], got ${formatShape(x.shape)}`)
  requireConcrete(op, x.shape, [x.shape.length - 1])
  if (rows === 0) throw new Error(`${op}: ${formatShape(x.shape)} holds empty matrices`)
}

/** Leading axes merged into one, which is what the primitives of this folder work on: [batch, rows, columns]. */
export const toBatch = (x: Tensor): Tensor => reshape(x, [sizeOf(x.shape.slice(0, -2)), ...x.shape.slice(-2)])

/** Calls `f` with each matrix of a [batch, rows, columns] reference. */
export function eachMatrix(
  data: Float64Array,
  [batch, rows, columns]: readonly number[],
  f: (matrix: Float64Array, index: number) => void,
): void {
  for (let b = 0; b < batch; b++) f(data.slice(b * rows * columns, (b + 1) * rows * columns), b)
}
