import { Matrix as MlMatrix } from 'ml-matrix'
import { checkFinite, checkMatrix, type Matrix, type MatrixLike, matrix, shapeOf } from './matrix.ts'

/** A copy of `m` as ml-matrix holds matrices. */
export function toMl(m: MatrixLike): MlMatrix {
  const out = new MlMatrix(m.rows, m.cols)
  for (let i = 0; i < m.rows; i++) for (let j = 0; j < m.cols; j++) out.set(i, j, m.data[i * m.cols + j])
  return out
}

/** A copy of ml-matrix's `m` in row-major order. */
export function fromMl(m: MlMatrix): Matrix {
  const out = matrix(m.rows, m.columns)
  for (let i = 0; i < m.rows; i++) for (let j = 0; j < m.columns; j++) out.data[i * m.columns + j] = m.get(i, j)
  return out
}

/** Checks what every factorisation needs: a well-formed, non-empty, finite matrix. */
export function checkFactorable(operation: string, m: MatrixLike): void {
  checkMatrix(`${operation}: input`, m)
  if (m.rows === 0 || m.cols === 0) throw new RangeError(`${operation}: input is ${shapeOf(m)}; it must not be empty`)
  checkFinite(`${operation}: input`, m.data)
}

/** As `checkFactorable`, and square. */
export function checkSquare(operation: string, m: MatrixLike): void {
  checkFactorable(operation, m)
  if (m.rows !== m.cols) throw new RangeError(`${operation}: input is ${shapeOf(m)}; it must be square`)
}

/** The largest absolute value, 0 if there are none. */
export function largestMagnitude(values: ArrayLike<number>): number {
  let largest = 0
  for (let i = 0; i < values.length; i++) largest = Math.max(largest, Math.abs(values[i]))
  return largest
}

/** Entries this small beside the largest are set to 0: Householder vectors of denormal numbers lose their direction. */
const negligible = 2 ** -960

/**
 * `m` divided by a power of two that brings its largest entry near 1, so that factorisations neither overflow nor lose
 * denormal numbers; the power is exact, and what scales with `m` is multiplied by it afterwards.
 */
export function toScaledMl(m: MatrixLike): { scaled: MlMatrix; power: number } {
  const largest = largestMagnitude(m.data)
  const power = largest === 0 ? 1 : 2 ** Math.floor(Math.log2(largest))
  const scaled = toMl(m)
  for (let i = 0; i < m.rows; i++) {
    for (let j = 0; j < m.cols; j++) {
      const value = scaled.get(i, j) / power
      scaled.set(i, j, Math.abs(value) < negligible ? 0 : value)
    }
  }
  return { scaled, power }
}
