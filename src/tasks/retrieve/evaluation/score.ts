import {
  type BootstrapInterval,
  bootstrapMean,
  bootstrapPairedDifference,
  hitAtK,
  meanReciprocalRank,
  ndcgAtK,
  precisionAtK,
  recallAtK,
} from '../../../metrics/index.ts'
import type { QuerySet, Ranker, RetrievalQuery } from './ranker.ts'

/** Ranks looked at: beyond them a right item counts as not found. */
export const depth = 50

/**
 * The measures, in the order of a table. `R@k` is that of image-text retrieval: the share of queries with a right item
 * among their first k (success@k). `recall@10` is the share of a query's right items among its first ten, `P@10` the share
 * of the first ten that are right.
 */
export const measures = ['R@1', 'R@5', 'R@10', 'P@10', 'recall@10', 'MRR', 'nDCG@10'] as const
export type Measure = (typeof measures)[number]

/** The measures of one query. */
export type QueryScore = Readonly<Record<Measure, number>>

/**
 * Scores one ranking.
 *
 * @param ranked ids, best first, without repeats; ignored ones do not take a rank
 * @throws RangeError if nothing is relevant, or an id is repeated
 */
export function scoreRanking(
  ranked: readonly string[],
  query: Pick<RetrievalQuery, 'relevant' | 'ignored'>,
): QueryScore {
  const { relevant, ignored } = query
  if (new Set(ranked).size !== ranked.length) throw new RangeError('scoreRanking: an id is ranked twice')
  const counted = ranked.filter(id => !ignored?.has(id)).slice(0, depth)
  const found = counted.filter(id => relevant.has(id)).length
  const missed = [...relevant].filter(id => !ignored?.has(id)).length - found
  // What was not ranked stands behind everything that was, out of reach of every cut-off.
  const padding = Math.max(0, depth - counted.length)
  const cols = counted.length + padding + missed
  const scores = { rows: 1, cols, data: Float64Array.from({ length: cols }, (_, i) => cols - i) }
  const grades = Float64Array.from({ length: cols }, (_, i) =>
    i < counted.length ? Number(relevant.has(counted[i])) : Number(i >= counted.length + padding),
  )
  const relevance = { rows: 1, cols, data: grades }
  return {
    'R@1': hitAtK(scores, relevance, 1),
    'R@5': hitAtK(scores, relevance, 5),
    'R@10': hitAtK(scores, relevance, 10),
    'P@10': precisionAtK(scores, relevance, 10),
    'recall@10': recallAtK(scores, relevance, 10),
    MRR: found ? meanReciprocalRank(scores, relevance) : 0,
    'nDCG@10': ndcgAtK(scores, relevance, 10),
  }
}

/** What a ranker did on one set. */
export interface RankerReport {
  readonly ranker: string
  readonly measures: Readonly<Record<Measure, BootstrapInterval>>
  /** Mean R@10 and P@10 of each kind of query, where queries have kinds. */
  readonly kinds: Readonly<
    Record<string, { readonly queries: number; readonly 'R@10': number; readonly 'P@10': number }>
  >
  /** Median time of one query, in milliseconds. */
  readonly milliseconds: number
  /** Ranked ids of each query, best first, in the set's order. */
  readonly rankings: readonly (readonly string[])[]
  readonly scores: readonly QueryScore[]
}

/** All rankers on one set. */
export interface SetReport {
  readonly id: string
  readonly title: string
  readonly queries: number
  readonly rankers: readonly RankerReport[]
  /** R@10 of the first ranker minus that of each other, by pairs of queries. */
  readonly differences: Readonly<Record<string, BootstrapInterval>>
}

export interface ScoreOptions {
  /** Seed of the bootstrap; default 0. */
  readonly seed?: number
  readonly onProgress?: (done: number, total: number) => void
}

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length

function byKind(queries: readonly RetrievalQuery[], scores: readonly QueryScore[]): RankerReport['kinds'] {
  const groups = new Map<string, QueryScore[]>()
  for (const [i, { kind }] of queries.entries()) {
    if (kind === undefined) continue
    const group = groups.get(kind)
    if (group) group.push(scores[i])
    else groups.set(kind, [scores[i]])
  }
  return Object.fromEntries(
    [...groups].map(([kind, of]) => [
      kind,
      {
        queries: of.length,
        'R@10': mean(of.map(score => score['R@10'])),
        'P@10': mean(of.map(score => score['P@10'])),
      },
    ]),
  )
}

async function runRanker(
  ranker: Ranker,
  queries: readonly RetrievalQuery[],
  onQuery: () => void,
): Promise<Pick<RankerReport, 'rankings' | 'scores' | 'milliseconds'>> {
  const rankings: string[][] = []
  const times: number[] = []
  for (const query of queries) {
    const start = performance.now()
    rankings.push(await ranker.rank(query, depth + (query.ignored?.size ?? 0)))
    times.push(performance.now() - start)
    onQuery()
  }
  times.sort((a, b) => a - b)
  return {
    rankings,
    scores: rankings.map((ranked, i) => scoreRanking(ranked, queries[i])),
    milliseconds: times[times.length >> 1],
  }
}

/**
 * Runs rankers on a set and measures them, with 95 % bootstrap intervals over queries.
 *
 * @param rankers the one in question first, then what it is compared with; those that cannot answer are left out
 * @throws RangeError if the set has no queries
 */
export async function evaluateSet(
  set: QuerySet,
  rankers: readonly Ranker[],
  { seed = 0, onProgress }: ScoreOptions = {},
): Promise<SetReport> {
  const { id, title, queries } = set
  if (queries.length === 0) throw new RangeError(`evaluateSet: the set ${id} has no queries`)
  const able = rankers.filter(ranker => queries.every(query => ranker.answers(query)))
  const reports: RankerReport[] = []
  let done = 0
  for (const ranker of able) {
    const run = await runRanker(ranker, queries, () => onProgress?.(++done, able.length * queries.length))
    const intervals = measures.map(measure => [
      measure,
      bootstrapMean(
        run.scores.map(score => score[measure]),
        { seed },
      ),
    ])
    reports.push({
      ranker: ranker.name,
      measures: Object.fromEntries(intervals),
      kinds: byKind(queries, run.scores),
      ...run,
    })
  }
  const first = reports[0]
  const hits = (report: RankerReport) => report.scores.map(score => score['R@10'])
  return {
    id,
    title,
    queries: queries.length,
    rankers: reports,
    differences: Object.fromEntries(
      reports.slice(1).map(other => [other.ranker, bootstrapPairedDifference(hits(first), hits(other), { seed })]),
    ),
  }
}
