import { type NestedVectors, truncated } from './nested-vectors.ts'
import { selectLargest } from './select-largest.ts'

/** A matrix and the query that its rows are compared with; the scores of all sides are summed. */
export interface Side {
  readonly vectors: NestedVectors
  /** A weighted sum of queries; each is cut and scaled by itself before the short scan. */
  readonly queries: readonly { readonly vector: Float32Array; readonly weight: number }[]
}

export interface FunnelOptions {
  /** Rows that the short scan passes on. Default 2,000. */
  readonly shortlist?: number
  /** Rows that may be results, one byte each; all when absent. */
  readonly allowed?: Uint8Array
  /** Rows that the whole vectors judge whatever the short scan says of them. */
  readonly include?: Iterable<number>
}

export interface Ranked {
  readonly row: number
  readonly score: number
}

/** A weighted sum of the queries at a width, each cut and scaled by itself. */
function combined({ vectors, queries }: Side, width: number): Float32Array {
  const sum = new Float32Array(width)
  for (const { vector, weight } of queries) {
    const part = width < vectors.dim ? truncated(vector, width) : vector
    for (let at = 0; at < width; at++) sum[at] += weight * part[at]
  }
  return sum
}

/**
 * Two-stage exact search (adaptive retrieval of Matryoshka Representation Learning, arXiv 2205.13147, section 4.3): scores
 * every row by its short prefix, then the best `shortlist` of them by the whole vectors.
 *
 * @param sides matrices of equally many rows
 * @returns rows with their scores by the whole vectors, best first
 */
export function funnelSearch(sides: readonly Side[], options: FunnelOptions = {}): Ranked[] {
  const { shortlist = 2000, allowed, include = [] } = options
  const active = sides.filter(({ queries }) => queries.length > 0)
  if (active.length === 0) return []
  const rows = active[0].vectors.rows
  const scores = new Float32Array(rows)
  for (const side of active) side.vectors.addShortScores(combined(side, side.vectors.width), scores)
  if (allowed) for (let row = 0; row < rows; row++) if (!allowed[row]) scores[row] = Number.NEGATIVE_INFINITY
  const chosen = selectLargest(scores, rows, shortlist)
  const whole = active.map(side => ({ vectors: side.vectors, query: combined(side, side.vectors.dim) }))
  const ranked: Ranked[] = []
  const judge = (row: number) => {
    let score = 0
    for (const { vectors, query } of whole) score += vectors.score(row, query)
    ranked.push({ row, score })
  }
  for (const row of chosen) {
    judge(row)
    // Marks the row as judged.
    scores[row] = Number.NEGATIVE_INFINITY
  }
  for (const row of include) {
    if (scores[row] === Number.NEGATIVE_INFINITY) continue
    judge(row)
    scores[row] = Number.NEGATIVE_INFINITY
  }
  return ranked.sort((a, b) => b.score - a.score || a.row - b.row)
}
