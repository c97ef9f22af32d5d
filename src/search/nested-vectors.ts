/** Cuts a vector to its first `width` coordinates and scales them to unit length; what is nearly zero becomes zero. */
export function truncated(vector: Float32Array, width: number): Float32Array {
  const prefix = vector.slice(0, width)
  let squares = 0
  for (const value of prefix) squares += value * value
  const scale = squares > 1e-20 ? 1 / Math.sqrt(squares) : 0
  for (let at = 0; at < width; at++) prefix[at] *= scale
  return prefix
}

/** `sum += weight * vector` */
export function addScaled(sum: Float32Array, vector: Float32Array, weight: number): void {
  for (let at = 0; at < sum.length; at++) sum[at] += weight * vector[at]
}

/**
 * A growing matrix of unit vectors whose prefixes are vectors too (Matryoshka), as two flat arrays: the whole rows, and their
 * first coordinates scaled to unit length by themselves. A scan of the short rows reads a fraction of the memory.
 */
export class NestedVectors {
  readonly dim: number
  /** Length of the short rows; equal to `dim` when there are no short ones. */
  readonly width: number
  #rows = 0
  #whole: Float32Array
  #short: Float32Array

  constructor(dim: number, width: number) {
    this.dim = dim
    this.width = width
    this.#whole = new Float32Array(0)
    this.#short = this.#whole
  }

  get rows(): number {
    return this.#rows
  }

  /** Makes room for so many rows at once. */
  reserve(rows: number): void {
    if (rows * this.dim <= this.#whole.length) return
    const capacity = Math.max(rows, Math.ceil((this.#whole.length / this.dim) * 1.5), 1024)
    const whole = new Float32Array(capacity * this.dim)
    whole.set(this.#whole)
    if (this.width < this.dim) {
      const short = new Float32Array(capacity * this.width)
      short.set(this.#short)
      this.#short = short
    } else this.#short = whole
    this.#whole = whole
  }

  /** @param row an existing row, or the next new one */
  set(row: number, vector: Float32Array): void {
    if (row === this.#rows) this.reserve(++this.#rows)
    this.#whole.set(vector, row * this.dim)
    if (this.width < this.dim) this.#short.set(truncated(vector, this.width), row * this.width)
  }

  /** Removes a row; the last one takes its place. */
  remove(row: number): void {
    const last = --this.#rows
    if (row === last) return
    this.#whole.copyWithin(row * this.dim, last * this.dim, (last + 1) * this.dim)
    if (this.width < this.dim) this.#short.copyWithin(row * this.width, last * this.width, (last + 1) * this.width)
  }

  row(row: number): Float32Array {
    return this.#whole.subarray(row * this.dim, (row + 1) * this.dim)
  }

  /** `scores[row] += query . short row`, for every row. @param query [width] */
  addShortScores(query: Float32Array, scores: Float32Array): void {
    addProducts(this.#short, this.width, this.#rows, query, scores)
  }

  /** `scores[row] += query . whole row`, for every row. @param query [dim] */
  addWholeScores(query: Float32Array, scores: Float32Array): void {
    addProducts(this.#whole, this.dim, this.#rows, query, scores)
  }

  /** query . whole row */
  score(row: number, query: Float32Array): number {
    const whole = this.#whole
    let a = 0
    let b = 0
    let c = 0
    let d = 0
    let at = row * this.dim
    const even = this.dim & ~3
    for (let i = 0; i < even; i += 4, at += 4) {
      a += query[i] * whole[at]
      b += query[i + 1] * whole[at + 1]
      c += query[i + 2] * whole[at + 2]
      d += query[i + 3] * whole[at + 3]
    }
    for (let i = even; i < this.dim; i++, at++) a += query[i] * whole[at]
    return a + b + (c + d)
  }
}

/** Products of a matrix and a vector. Blocks of 16 coordinates keep the query's part in registers. */
function addProducts(matrix: Float32Array, width: number, rows: number, query: Float32Array, out: Float32Array): void {
  if (width === 16) {
    addProducts16(matrix, rows, query, out)
    return
  }
  const even = width & ~3
  for (let row = 0, at = 0; row < rows; row++) {
    let a = 0
    let b = 0
    let c = 0
    let d = 0
    for (let i = 0; i < even; i += 4, at += 4) {
      a += query[i] * matrix[at]
      b += query[i + 1] * matrix[at + 1]
      c += query[i + 2] * matrix[at + 2]
      d += query[i + 3] * matrix[at + 3]
    }
    for (let i = even; i < width; i++, at++) a += query[i] * matrix[at]
    out[row] += a + b + (c + d)
  }
}

function addProducts16(matrix: Float32Array, rows: number, query: Float32Array, out: Float32Array): void {
  const [q0, q1, q2, q3, q4, q5, q6, q7, q8, q9, q10, q11, q12, q13, q14, q15] = query
  for (let row = 0, at = 0; row < rows; row++, at += 16) {
    out[row] +=
      q0 * matrix[at] +
      q1 * matrix[at + 1] +
      q2 * matrix[at + 2] +
      q3 * matrix[at + 3] +
      (q4 * matrix[at + 4] + q5 * matrix[at + 5] + q6 * matrix[at + 6] + q7 * matrix[at + 7]) +
      (q8 * matrix[at + 8] + q9 * matrix[at + 9] + q10 * matrix[at + 10] + q11 * matrix[at + 11]) +
      (q12 * matrix[at + 12] + q13 * matrix[at + 13] + q14 * matrix[at + 14] + q15 * matrix[at + 15])
  }
}

/** The shortest trained prefix worth a scan of its own, or the whole length when there is none. */
export function scanWidth(widths: readonly number[], dim: number): number {
  return widths.find(width => width >= 16 && width * 4 <= dim) ?? dim
}
