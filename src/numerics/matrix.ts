/** A dense matrix in row-major order: entry (i, j) is `data[i * cols + j]`. */
export interface MatrixLike {
  readonly rows: number
  readonly cols: number
  readonly data: ArrayLike<number>
}

/** A matrix that this floor returns: always float64. */
export interface Matrix extends MatrixLike {
  readonly data: Float64Array
}

/** `2x3`, for messages. */
export const shapeOf = ({ rows, cols }: { rows: number; cols: number }): string => `${rows}x${cols}`

/**
 * Throws unless `m` is a matrix whose data fit its shape.
 *
 * @param name how the message calls it, e.g. `svd: input`
 */
export function checkMatrix(name: string, m: MatrixLike): void {
  const whole = Number.isInteger(m.rows) && Number.isInteger(m.cols) && m.rows >= 0 && m.cols >= 0
  if (!whole) throw new RangeError(`${name} is ${shapeOf(m)}; rows and cols must be non-negative integers`)
  if (m.data.length !== m.rows * m.cols) {
    throw new RangeError(`${name} is ${shapeOf(m)} but its data has ${m.data.length} values, not ${m.rows * m.cols}`)
  }
}

/** Throws unless every value is finite: iterative factorisations never end on NaN or infinity. */
export function checkFinite(name: string, values: ArrayLike<number>): void {
  for (let i = 0; i < values.length; i++) {
    if (!Number.isFinite(values[i])) throw new RangeError(`${name} holds ${values[i]} at index ${i}; use finite values`)
  }
}

/** Throws unless `value` is an integer within [low, high]. */
export function checkInteger(name: string, value: number, low: number, high = Number.MAX_SAFE_INTEGER): void {
  if (!Number.isInteger(value) || value < low || value > high) {
    const range = high === Number.MAX_SAFE_INTEGER ? `of at least ${low}` : `from ${low} to ${high}`
    throw new RangeError(`${name} is ${value}; it must be an integer ${range}`)
  }
}

/** Throws unless both lists have the same length. */
export function checkSameLength(name: string, a: ArrayLike<unknown>, b: ArrayLike<unknown>): void {
  if (a.length !== b.length)
    throw new RangeError(`${name} have ${a.length} and ${b.length} entries; they must be equal`)
}

/**
 * A float64 matrix.
 *
 * @param rows number of rows
 * @param cols number of columns
 * @param data row-major values, copied; zeros when left out
 * @throws RangeError if the number of values is not rows * cols
 */
export function matrix(rows: number, cols: number, data?: ArrayLike<number>): Matrix {
  const made = { rows, cols, data: data === undefined ? new Float64Array(rows * cols) : Float64Array.from(data) }
  checkMatrix('matrix', made)
  return made
}

/**
 * A matrix from its rows.
 *
 * @throws RangeError if the rows differ in length
 */
export function fromRows(rows: readonly ArrayLike<number>[]): Matrix {
  const cols = rows.length === 0 ? 0 : rows[0].length
  const made = matrix(rows.length, cols)
  for (let i = 0; i < rows.length; i++) {
    if (rows[i].length !== cols) {
      throw new RangeError(`fromRows: row ${i} has ${rows[i].length} values but row 0 has ${cols}; rows must be equal`)
    }
    made.data.set(rows[i], i * cols)
  }
  return made
}

/** The identity matrix of the given size. */
export function identity(size: number): Matrix {
  const made = matrix(size, size)
  for (let i = 0; i < size; i++) made.data[i * size + i] = 1
  return made
}

/** Row `index` as an array of its own. */
export function rowOf(m: MatrixLike, index: number): Float64Array {
  checkInteger('rowOf: index', index, 0, m.rows - 1)
  const out = new Float64Array(m.cols)
  for (let j = 0; j < m.cols; j++) out[j] = m.data[index * m.cols + j]
  return out
}

/** The transpose, as a copy. */
export function transpose(m: MatrixLike): Matrix {
  checkMatrix('transpose: input', m)
  const out = matrix(m.cols, m.rows)
  for (let i = 0; i < m.rows; i++) {
    for (let j = 0; j < m.cols; j++) out.data[j * m.rows + i] = m.data[i * m.cols + j]
  }
  return out
}

/**
 * The matrix product a b.
 *
 * @param a [n, k]
 * @param b [k, m]
 * @returns [n, m]
 * @throws RangeError if the inner sizes differ
 */
export function multiply(a: MatrixLike, b: MatrixLike): Matrix {
  checkMatrix('multiply: a', a)
  checkMatrix('multiply: b', b)
  if (a.cols !== b.rows) {
    throw new RangeError(`multiply: a is ${shapeOf(a)} and b is ${shapeOf(b)}; a's columns must equal b's rows`)
  }
  const out = matrix(a.rows, b.cols)
  const right = Float64Array.from(b.data)
  for (let i = 0; i < a.rows; i++) {
    for (let k = 0; k < a.cols; k++) {
      const factor = a.data[i * a.cols + k]
      for (let j = 0, at = i * b.cols, from = k * b.cols; j < b.cols; j++) out.data[at + j] += factor * right[from + j]
    }
  }
  return out
}

/**
 * a + factor * b, entry by entry.
 *
 * @throws RangeError if the shapes differ
 */
export function add(a: MatrixLike, b: MatrixLike, factor = 1): Matrix {
  if (a.rows !== b.rows || a.cols !== b.cols) {
    throw new RangeError(`add: a is ${shapeOf(a)} and b is ${shapeOf(b)}; the shapes must be equal`)
  }
  const out = matrix(a.rows, a.cols, a.data)
  for (let i = 0; i < out.data.length; i++) out.data[i] += factor * b.data[i]
  return out
}

/** factor * m, entry by entry. */
export function scale(m: MatrixLike, factor: number): Matrix {
  const out = matrix(m.rows, m.cols, m.data)
  for (let i = 0; i < out.data.length; i++) out.data[i] *= factor
  return out
}

/**
 * The mean of every column.
 *
 * @throws RangeError if there are no rows
 */
export function columnMeans(m: MatrixLike): Float64Array {
  checkMatrix('columnMeans: input', m)
  checkInteger('columnMeans: number of rows', m.rows, 1)
  const mean = new Float64Array(m.cols)
  for (let i = 0; i < m.rows; i++) for (let j = 0; j < m.cols; j++) mean[j] += m.data[i * m.cols + j]
  for (let j = 0; j < m.cols; j++) mean[j] /= m.rows
  return mean
}

/** m with `mean` (its column means unless given) taken from every row. */
export function centreColumns(m: MatrixLike, mean: ArrayLike<number> = columnMeans(m)): Matrix {
  checkMatrix('centreColumns: input', m)
  if (mean.length !== m.cols) {
    throw new RangeError(`centreColumns: the mean has ${mean.length} values but the matrix is ${shapeOf(m)}`)
  }
  const out = matrix(m.rows, m.cols, m.data)
  for (let i = 0; i < m.rows; i++) for (let j = 0; j < m.cols; j++) out.data[i * m.cols + j] -= mean[j]
  return out
}

/** The Frobenius inner product, sum over ij of a_ij b_ij. */
export function innerProduct(a: MatrixLike, b: MatrixLike): number {
  if (a.rows !== b.rows || a.cols !== b.cols) {
    throw new RangeError(`innerProduct: a is ${shapeOf(a)} and b is ${shapeOf(b)}; the shapes must be equal`)
  }
  let sum = 0
  for (let i = 0; i < a.data.length; i++) sum += a.data[i] * b.data[i]
  return sum
}
