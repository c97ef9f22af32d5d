/**
 * How well scores put what is relevant first.
 *
 * Every metric takes scores and relevance as matrices of one row a query and one column an item. Items are ordered by
 * descending score, the lower index first among equals. A mean runs over the queries that have any relevant item.
 */
import {
  checkFinite,
  checkInteger,
  checkMatrix,
  checkSameLength,
  type Matrix,
  type MatrixLike,
  matrix,
  shapeOf,
} from '../numerics/matrix.ts'

/** The columns of one row by descending score, the lower index first among equals. */
function orderOfRow(scores: MatrixLike, row: number): number[] {
  const at = row * scores.cols
  return Array.from({ length: scores.cols }, (_, j) => j).sort(
    (a, b) => scores.data[at + b] - scores.data[at + a] || a - b,
  )
}

function checkScored(scores: MatrixLike, relevance: MatrixLike): void {
  checkMatrix('ranking: scores', scores)
  checkMatrix('ranking: relevance', relevance)
  if (scores.rows !== relevance.rows || scores.cols !== relevance.cols) {
    throw new RangeError(
      `ranking: scores are ${shapeOf(scores)} and relevance is ${shapeOf(relevance)}; the shapes must be equal`,
    )
  }
  for (let i = 0; i < scores.data.length; i++) {
    if (Number.isNaN(scores.data[i])) throw new RangeError(`ranking: score ${i} is NaN; scores must be comparable`)
  }
  checkFinite('ranking: relevance', relevance.data)
}

/**
 * The relevance of every query's items, best score first.
 *
 * @param scores [queries, items]
 * @param relevance [queries, items]
 * @returns [queries, items]
 */
export function rankedRelevance(scores: MatrixLike, relevance: MatrixLike): Matrix {
  checkScored(scores, relevance)
  const out = matrix(scores.rows, scores.cols)
  for (let i = 0; i < scores.rows; i++) {
    const order = orderOfRow(scores, i)
    for (let j = 0; j < order.length; j++) out.data[i * scores.cols + j] = relevance.data[i * scores.cols + order[j]]
  }
  return out
}

/** The mean over queries with a relevant item of a value computed from their relevance in rank order. */
function meanOverQueries(
  metric: string,
  scores: MatrixLike,
  relevance: MatrixLike,
  ofQuery: (ranked: Float64Array, relevant: number) => number,
): number {
  const ranked = rankedRelevance(scores, relevance)
  let sum = 0
  let queries = 0
  for (let i = 0; i < ranked.rows; i++) {
    const row = ranked.data.subarray(i * ranked.cols, (i + 1) * ranked.cols)
    const relevant = row.filter(value => value > 0).length
    if (relevant === 0) continue
    sum += ofQuery(row, relevant)
    queries++
  }
  if (queries === 0) throw new RangeError(`${metric}: no query has a relevant item, so the mean is undefined`)
  return sum / queries
}

const hitsWithin = (ranked: Float64Array, k: number) => ranked.subarray(0, k).filter(value => value > 0).length

/**
 * Hit rate: the share of queries with a relevant item among their first k.
 *
 * @param scores [queries, items]
 * @param relevance [queries, items], above 0 where relevant
 * @param k at least 1
 */
export function hitAtK(scores: MatrixLike, relevance: MatrixLike, k: number): number {
  checkInteger('hitAtK: k', k, 1)
  return meanOverQueries('hitAtK', scores, relevance, ranked => (hitsWithin(ranked, k) > 0 ? 1 : 0))
}

/**
 * Recall: the share of a query's relevant items that are among its first k, averaged over queries.
 *
 * @param scores [queries, items]
 * @param relevance [queries, items], above 0 where relevant
 * @param k at least 1
 */
export function recallAtK(scores: MatrixLike, relevance: MatrixLike, k: number): number {
  checkInteger('recallAtK: k', k, 1)
  return meanOverQueries('recallAtK', scores, relevance, (ranked, relevant) => hitsWithin(ranked, k) / relevant)
}

/**
 * Precision: the share of a query's first k items that are relevant, averaged over queries. The divisor is k even where
 * there are fewer items.
 *
 * @param scores [queries, items]
 * @param relevance [queries, items], above 0 where relevant
 * @param k at least 1
 */
export function precisionAtK(scores: MatrixLike, relevance: MatrixLike, k: number): number {
  checkInteger('precisionAtK: k', k, 1)
  return meanOverQueries('precisionAtK', scores, relevance, ranked => hitsWithin(ranked, k) / k)
}

/**
 * Mean average precision: the mean over relevant items of the precision at their rank, averaged over queries.
 *
 * @param scores [queries, items]
 * @param relevance [queries, items], above 0 where relevant
 * @param k counts only the first k ranks and divides by min(k, relevant items); default all
 */
export function meanAveragePrecision(scores: MatrixLike, relevance: MatrixLike, k = scores.cols): number {
  checkInteger('meanAveragePrecision: k', k, 1)
  return meanOverQueries('meanAveragePrecision', scores, relevance, (ranked, relevant) => {
    let hits = 0
    let sum = 0
    for (let rank = 0; rank < Math.min(k, ranked.length); rank++) {
      if (ranked[rank] > 0) sum += ++hits / (rank + 1)
    }
    return sum / Math.min(k, relevant)
  })
}

/**
 * Mean reciprocal rank of the first relevant item.
 *
 * @param scores [queries, items]
 * @param relevance [queries, items], above 0 where relevant
 */
export function meanReciprocalRank(scores: MatrixLike, relevance: MatrixLike): number {
  return meanOverQueries(
    'meanReciprocalRank',
    scores,
    relevance,
    ranked => 1 / (1 + ranked.findIndex(value => value > 0)),
  )
}

/** How a grade counts in nDCG: itself, or 2^grade - 1. */
export type Gain = 'linear' | 'exponential'

/**
 * Normalised discounted cumulative gain: sum over the first k ranks r of gain(grade) / log2(r + 1), divided by that of the
 * best order, averaged over queries (Järvelin and Kekäläinen 2002; exponential gain: Burges et al. 2005).
 *
 * @param scores [queries, items]
 * @param grades [queries, items], 0 or above
 * @param k at least 1
 * @param gain default `linear`
 */
export function ndcgAtK(scores: MatrixLike, grades: MatrixLike, k: number, gain: Gain = 'linear'): number {
  checkInteger('ndcgAtK: k', k, 1)
  for (let i = 0; i < grades.data.length; i++) {
    if (grades.data[i] < 0)
      throw new RangeError(`ndcgAtK: grade ${i} is ${grades.data[i]}; grades must not be negative`)
  }
  const gained = gain === 'linear' ? (grade: number) => grade : (grade: number) => 2 ** grade - 1
  const discounted = (ranked: Float64Array) =>
    ranked.subarray(0, k).reduce((sum, grade, rank) => sum + gained(grade) / Math.log2(rank + 2), 0)
  return meanOverQueries(
    'ndcgAtK',
    scores,
    grades,
    ranked => discounted(ranked) / discounted(ranked.slice().sort().reverse()),
  )
}

/**
 * The rank, from 1, that each query gives to its one right item.
 *
 * @param scores [queries, items]
 * @param targets [queries]: the column of the right item
 * @throws RangeError if a target is not a column
 */
export function targetRanks(scores: MatrixLike, targets: ArrayLike<number>): Int32Array {
  checkMatrix('targetRanks: scores', scores)
  checkSameLength('targetRanks: queries and targets', { length: scores.rows }, targets)
  const ranks = new Int32Array(scores.rows)
  for (let i = 0; i < scores.rows; i++) {
    checkInteger(`targetRanks: target ${i}`, targets[i], 0, scores.cols - 1)
    const own = scores.data[i * scores.cols + targets[i]]
    let better = 0
    for (let j = 0; j < scores.cols; j++) {
      const other = scores.data[i * scores.cols + j]
      if (Number.isNaN(other)) throw new RangeError(`targetRanks: score (${i}, ${j}) is NaN; scores must be comparable`)
      if (other > own || (other === own && j < targets[i])) better++
    }
    ranks[i] = better + 1
  }
  return ranks
}
