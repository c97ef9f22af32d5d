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
  type MatrixLike,
  rowOf,
  shapeOf,
} from '../numerics/matrix.ts'

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

/** The relevant items of one query, best rank first. */
interface RelevantItems {
  /** Ranks, from 0. */
  readonly ranks: readonly number[]
  /** Relevance of the item at each of `ranks`. */
  readonly grades: readonly number[]
}

/** Up to this many relevant items, counting what scores above each is faster than sorting the row. */
const countingLimit = 16

function rankOf(scores: Float64Array, item: number): number {
  const own = scores[item]
  let better = 0
  for (let j = 0; j < item; j++) if (scores[j] >= own) better++
  for (let j = item + 1; j < scores.length; j++) if (scores[j] > own) better++
  return better
}

function ranksBySorting(scores: Float64Array): Int32Array {
  const order = Int32Array.from(scores, (_, j) => j).sort((a, b) => scores[b] - scores[a] || a - b)
  const ranks = new Int32Array(scores.length)
  for (let rank = 0; rank < order.length; rank++) ranks[order[rank]] = rank
  return ranks
}

function relevantItems(scores: MatrixLike, relevance: MatrixLike, row: number): RelevantItems {
  const grades = rowOf(relevance, row)
  const items: number[] = []
  for (let j = 0; j < grades.length; j++) if (grades[j] > 0) items.push(j)
  const ofRow = rowOf(scores, row)
  const ranks = items.length > countingLimit ? ranksBySorting(ofRow) : undefined
  const ranked = items.map(item => ({ rank: ranks?.[item] ?? rankOf(ofRow, item), grade: grades[item] }))
  ranked.sort((a, b) => a.rank - b.rank)
  return { ranks: ranked.map(({ rank }) => rank), grades: ranked.map(({ grade }) => grade) }
}

/** The mean over queries with a relevant item of a value computed from those items' ranks. */
function meanOverQueries(
  metric: string,
  scores: MatrixLike,
  relevance: MatrixLike,
  ofQuery: (items: RelevantItems) => number,
): number {
  checkScored(scores, relevance)
  let sum = 0
  let queries = 0
  for (let i = 0; i < scores.rows; i++) {
    const items = relevantItems(scores, relevance, i)
    if (items.ranks.length === 0) continue
    sum += ofQuery(items)
    queries++
  }
  if (queries === 0) throw new RangeError(`${metric}: no query has a relevant item, so the mean is undefined`)
  return sum / queries
}

const hitsWithin = (ranks: readonly number[], k: number) => ranks.filter(rank => rank < k).length

/**
 * Hit rate: the share of queries with a relevant item among their first k.
 *
 * @param scores [queries, items]
 * @param relevance [queries, items], above 0 where relevant
 * @param k at least 1
 */
export function hitAtK(scores: MatrixLike, relevance: MatrixLike, k: number): number {
  checkInteger('hitAtK: k', k, 1)
  return meanOverQueries('hitAtK', scores, relevance, ({ ranks }) => (ranks[0] < k ? 1 : 0))
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
  return meanOverQueries('recallAtK', scores, relevance, ({ ranks }) => hitsWithin(ranks, k) / ranks.length)
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
  return meanOverQueries('precisionAtK', scores, relevance, ({ ranks }) => hitsWithin(ranks, k) / k)
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
  return meanOverQueries('meanAveragePrecision', scores, relevance, ({ ranks }) => {
    const precisions = ranks.map((rank, hits) => (rank < k ? (hits + 1) / (rank + 1) : 0))
    return precisions.reduce((sum, precision) => sum + precision, 0) / Math.min(k, ranks.length)
  })
}

/**
 * Mean reciprocal rank of the first relevant item.
 *
 * @param scores [queries, items]
 * @param relevance [queries, items], above 0 where relevant
 */
export function meanReciprocalRank(scores: MatrixLike, relevance: MatrixLike): number {
  return meanOverQueries('meanReciprocalRank', scores, relevance, ({ ranks }) => 1 / (1 + ranks[0]))
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
  const cumulated = (ranks: readonly number[], sorted: readonly number[]) =>
    sorted.reduce((sum, grade, i) => (ranks[i] < k ? sum + gained(grade) / Math.log2(ranks[i] + 2) : sum), 0)
  return meanOverQueries('ndcgAtK', scores, grades, items => {
    const best = [...items.grades].sort((a, b) => b - a)
    return cumulated(items.ranks, items.grades) / cumulated([...best.keys()], best)
  })
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
