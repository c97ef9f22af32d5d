import { abs, add, div, equal, less, mul, rsqrt, sign, sqrt, sub, where } from '../ops/elementwise.ts'
import { gather, takeAlongAxis } from '../ops/indexing.ts'
import { broadcastTo, expandDims, pad, slice } from '../ops/layout.ts'
import { matmul } from '../ops/matmul.ts'
import { argMax, max, sum } from '../ops/reduce.ts'
import { scan } from '../ops/scan.ts'
import { constant, type Tensor, tensor } from '../tensor.ts'
import { eye, sharedConstant } from './matrices.ts'

/**
 * Jacobi's method with rotations of disjoint pairs side by side (Brent & Luk 1985): columns 0 and 1, 2 and 3, … are rotated
 * together, then all but the first move one seat on, as in a round-robin tournament, so that size - 1 rounds bring every
 * pair together once (a sweep) and everyone back to their seat. Sizes are even; an odd one is padded with a zero column,
 * which no rotation touches.
 */

/** Enough sweeps for float32: convergence is quadratic once the off-diagonal entries are small. */
const sweepsFor = (size: number): number => 6 + Math.ceil(Math.log2(Math.max(size, 2)))

const evenSize = (size: number): number => size + (size % 2)

/** Rounds that leave every column on its own seat. */
const roundsFor = (size: number): number => sweepsFor(size) * (size - 1)

function neighbours(size: number): Tensor {
  return tensor(Int32Array.from({ length: size }, (_, i) => i ^ 1))
}

/** Who sits on each seat in the next round. */
function nextSeats(size: number): Tensor {
  const pairs = size / 2
  const seats = Int32Array.from({ length: size }, (_, i) => i)
  for (let pair = 1; pair < pairs; pair++) seats[2 * pair] = pair === 1 ? 1 : 2 * (pair - 1)
  for (let pair = 0; pair < pairs; pair++) seats[2 * pair + 1] = pair === pairs - 1 ? 2 * pair : 2 * pair + 3
  if (pairs === 1) seats[1] = 1
  return tensor(seats)
}

/** 1 for the first of each pair, -1 for the second. */
const sides = (size: number): Tensor =>
  constant(
    sharedConstant(`sides ${size}`, () => Float32Array.from({ length: size }, (_, i) => (i % 2 ? -1 : 1))),
    [size],
  )

interface Rotation {
  readonly cosine: Tensor
  /** What each column subtracts of its neighbour. */
  readonly sine: Tensor
}

/**
 * The rotations that make the inner products of neighbouring columns vanish, given squared lengths (or diagonal entries)
 * `own` [b, n] and products (or entries) `cross` [b, n] of neighbours.
 */
function rotations(own: Tensor, cross: Tensor): Rotation {
  const size = own.shape[1]
  const difference = mul(sub(gather(own, neighbours(size), 1), own), sides(size))
  const double = mul(cross, 2)
  const root = sqrt(add(mul(difference, difference), mul(double, double)))
  // tan of the smaller angle: 2 cross / (difference +- root), with the sign that adds.
  const denominator = add(difference, where(less(difference, 0), mul(root, -1), root))
  const still = equal(denominator, 0)
  const tangent = where(still, 0, div(double, where(still, 1, denominator)))
  const cosine = rsqrt(add(mul(tangent, tangent), 1))
  return { cosine, sine: mul(mul(tangent, cosine), sides(size)) }
}

/** Applies rotations to neighbouring columns (axis 2) or rows (axis 1). */
function rotate(x: Tensor, { cosine, sine }: Rotation, axis: 1 | 2): Tensor {
  const along = (t: Tensor): Tensor => expandDims(t, axis === 2 ? 1 : 2)
  const other = gather(x, neighbours(cosine.shape[1]), axis)
  return sub(mul(x, along(cosine)), mul(other, along(sine)))
}

/** Largest magnitude of each matrix, 1 where it is 0: squares of what was divided by it cannot overflow. */
function magnitudeOf(x: Tensor): Tensor {
  const largest = max(abs(x), [1, 2], true)
  return where(equal(largest, 0), 1, largest)
}

/** A sign for every column, so that its entry of largest magnitude is positive. */
export function columnSigns(x: Tensor): Tensor {
  const chosen = sign(takeAlongAxis(x, argMax(abs(x), 1, true), 1))
  return where(equal(chosen, 0), 1, chosen)
}

/** Diagonal, and accumulated rotations, of symmetric matrices [b, n, n]; in no order. */
export function diagonalise(a: Tensor): { values: Tensor; vectors: Tensor } {
  const size = evenSize(a.shape[1])
  const extra = size - a.shape[1]
  const scale = magnitudeOf(a)
  const padded = pad(div(a, scale), [
    [0, 0],
    [0, extra],
    [0, extra],
  ])
  const seats = nextSeats(size)
  const swap = gather(eye(size), neighbours(size), 0)
  const { carries } = scan(
    ([matrix, vectors]) => {
      const rotation = rotations(sum(mul(matrix, eye(size)), -1), sum(mul(matrix, swap), -1))
      const turned = rotate(rotate(matrix, rotation, 2), rotation, 1)
      return {
        carries: [gather(gather(turned, seats, 1), seats, 2), gather(rotate(vectors, rotation, 2), seats, 2)],
      }
    },
    [padded, broadcastTo(eye(size), padded.shape)],
    [],
    { length: roundsFor(size) },
  )
  // Hundreds of rotations in float32 leave the vectors a little off; one step of Newton and Schulz puts that right.
  const turned = slice(slice(carries[1], 1, 0, a.shape[1]), 2, 0, a.shape[1])
  const gram = matmul(turned, turned, { transposeA: true })
  const vectors = matmul(turned, sub(mul(eye(a.shape[1]), 1.5), mul(gram, 0.5)))
  return { values: sum(mul(vectors, matmul(a, vectors)), 1), vectors }
}

/** Columns made orthogonal by rotations (Hestenes 1958), and the rotations: a [b, m, n], any m. */
export function orthogonaliseColumns(a: Tensor): { columns: Tensor; rotations: Tensor } {
  const [batch, , width] = a.shape
  const size = evenSize(width)
  const scale = magnitudeOf(a)
  const padded = pad(div(a, scale), [
    [0, 0],
    [0, 0],
    [0, size - width],
  ])
  const seats = nextSeats(size)
  const { carries } = scan(
    ([columns, turns]) => {
      const own = sum(mul(columns, columns), 1)
      const cross = sum(mul(columns, gather(columns, neighbours(size), 2)), 1)
      const rotation = rotations(own, cross)
      const next = (x: Tensor): Tensor => gather(rotate(x, rotation, 2), seats, 2)
      return { carries: [next(columns), next(turns)] }
    },
    [padded, broadcastTo(eye(size), [batch, size, size])],
    [],
    { length: roundsFor(size) },
  )
  return {
    columns: mul(slice(carries[0], 2, 0, width), scale),
    rotations: slice(slice(carries[1], 1, 0, width), 2, 0, width),
  }
}

/** The eigen-decomposition in float64, by Jacobi's method one pair after another. @returns columns of vectors */
export function diagonaliseReference(matrix: Float64Array, size: number): Float64Array {
  const vectors = new Float64Array(size * size)
  for (let i = 0; i < size; i++) vectors[i * size + i] = 1
  for (let sweep = 0; sweep < 60; sweep++) {
    let rotated = false
    for (let p = 0; p < size; p++)
      for (let q = p + 1; q < size; q++) {
        const cross = matrix[p * size + q]
        if (Math.abs(cross) <= 1e-17 * Math.sqrt(Math.abs(matrix[p * size + p] * matrix[q * size + q])) || cross === 0)
          continue
        rotated = true
        const [c, s] = rotationOf(matrix[p * size + p], matrix[q * size + q], cross)
        turnColumns(matrix, size, size, p, q, c, s)
        turnRows(matrix, size, p, q, c, s)
        turnColumns(vectors, size, size, p, q, c, s)
      }
    if (!rotated) break
  }
  return vectors
}

/** One-sided Jacobi in float64: makes the columns of `matrix` orthogonal. @returns the rotations */
export function orthogonaliseReference(matrix: Float64Array, rows: number, columns: number): Float64Array {
  const turns = new Float64Array(columns * columns)
  for (let i = 0; i < columns; i++) turns[i * columns + i] = 1
  const product = (p: number, q: number): number => {
    let total = 0
    for (let r = 0; r < rows; r++) total += matrix[r * columns + p] * matrix[r * columns + q]
    return total
  }
  for (let sweep = 0; sweep < 60; sweep++) {
    let rotated = false
    for (let p = 0; p < columns; p++)
      for (let q = p + 1; q < columns; q++) {
        const [a, b, cross] = [product(p, p), product(q, q), product(p, q)]
        if (Math.abs(cross) <= 1e-16 * Math.sqrt(a * b) || cross === 0) continue
        rotated = true
        const [c, s] = rotationOf(a, b, cross)
        turnColumns(matrix, rows, columns, p, q, c, s)
        turnColumns(turns, columns, columns, p, q, c, s)
      }
    if (!rotated) break
  }
  return turns
}

function rotationOf(first: number, second: number, cross: number): [cosine: number, sine: number] {
  const ratio = (second - first) / (2 * cross)
  const tangent = (ratio < 0 ? -1 : 1) / (Math.abs(ratio) + Math.sqrt(1 + ratio * ratio))
  const cosine = 1 / Math.sqrt(1 + tangent * tangent)
  return [cosine, tangent * cosine]
}

function turnColumns(
  x: Float64Array,
  rows: number,
  columns: number,
  p: number,
  q: number,
  cosine: number,
  sine: number,
): void {
  for (let r = 0; r < rows; r++) {
    const first = x[r * columns + p]
    const second = x[r * columns + q]
    x[r * columns + p] = cosine * first - sine * second
    x[r * columns + q] = sine * first + cosine * second
  }
}

function turnRows(x: Float64Array, size: number, p: number, q: number, cosine: number, sine: number): void {
  for (let c = 0; c < size; c++) {
    const first = x[p * size + c]
    const second = x[q * size + c]
    x[p * size + c] = cosine * first - sine * second
    x[q * size + c] = sine * first + cosine * second
  }
}
