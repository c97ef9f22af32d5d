import { munkres } from 'munkres'
import { checkMatrix, type MatrixLike, shapeOf } from './matrix.ts'

/** A matching of rows to columns: as many pairs as the shorter side has entries. */
export interface Assignment {
  /** For each row its column, or -1 where there are more rows than columns and the row stays free. */
  readonly columnOfRow: Int32Array
  /** For each column its row, or -1 where the column stays free. */
  readonly rowOfColumn: Int32Array
  /** The sum of the costs of the pairs. */
  readonly total: number
}

/** Options of `linearSumAssignment`. */
export interface AssignmentOptions {
  /** Find the largest total instead of the smallest; default false. */
  readonly maximise?: boolean
}

/**
 * The linear sum assignment problem (Kuhn 1955, Munkres 1957): pairs rows with columns, each used at most once, at the
 * smallest total cost.
 *
 * @param cost [rows, cols], any shape; Infinity (-Infinity when maximising) forbids a pair
 * @throws RangeError if a cost is NaN or infinite the wrong way; Error if the forbidden pairs leave no full matching
 */
export function linearSumAssignment(cost: MatrixLike, { maximise = false }: AssignmentOptions = {}): Assignment {
  checkMatrix('linearSumAssignment: cost', cost)
  const sign = maximise ? -1 : 1
  const rows = Array.from({ length: cost.rows }, () => new Float64Array(cost.cols))
  for (let i = 0; i < cost.rows; i++) {
    for (let j = 0; j < cost.cols; j++) {
      const value = sign * cost.data[i * cost.cols + j]
      if (Number.isNaN(value) || value === -Infinity) {
        const forbidding = maximise ? '-Infinity' : 'Infinity'
        throw new RangeError(
          `linearSumAssignment: cost (${i}, ${j}) is ${sign * value}; use finite costs, and ${forbidding} to forbid a pair`,
        )
      }
      rows[i][j] = value
    }
  }
  const columnOfRow = new Int32Array(cost.rows).fill(-1)
  const rowOfColumn = new Int32Array(cost.cols).fill(-1)
  let total = 0
  const pairs = cost.rows === 0 || cost.cols === 0 ? [] : munkres(rows)
  for (const [i, j] of pairs) {
    if (rows[i][j] === Infinity) {
      throw new Error(`linearSumAssignment: the forbidden pairs of the ${shapeOf(cost)} costs leave no full matching`)
    }
    columnOfRow[i] = j
    rowOfColumn[j] = i
    total += sign * rows[i][j]
  }
  return { columnOfRow, rowOfColumn, total }
}
