import { type BootstrapInterval, bootstrapMetric } from '../../../metrics/index.ts'
import type { PairItem } from './pairs.ts'

/** Vectors of what is asked and of what can be found, and what belongs together. */
export interface Direction {
  readonly name: 'text to picture' | 'picture to text' | 'text to text'
  /** Rows of the features, by tower. */
  readonly queries: { readonly tower: 'image' | 'text'; readonly rows: readonly number[] }
  readonly gallery: { readonly tower: 'image' | 'text'; readonly rows: readonly number[] }
  /** Columns of the gallery that a query should find. */
  readonly relevant: readonly ReadonlySet<number>[]
  /** Group of each query: what is resampled as one. */
  readonly groups: readonly number[]
}

/** Most queries and most things to find in one direction: more say little more. */
const MOST = 2000

const evenly = <T>(values: readonly T[]): T[] =>
  values.length <= MOST
    ? [...values]
    : Array.from({ length: MOST }, (_, i) => values[Math.floor((i * values.length) / MOST)])

/** What held-out pairs can be asked: pictures by texts, texts by pictures, and texts by texts where there are no pictures. */
export function directionsOf(items: readonly PairItem[]): Direction[] {
  const chosen = evenly(items)
  const pictured = chosen.filter(({ picture }) => picture !== undefined)
  const worded = chosen.filter(({ picture, texts }) => picture === undefined && texts.length > 1)
  const groupsOfText = new Map<number, Set<number>>()
  for (const { group, texts } of chosen)
    for (const text of texts) groupsOfText.set(text, (groupsOfText.get(text) ?? new Set()).add(group))
  const share = (text: number, groups: ReadonlySet<number>): boolean =>
    [...groupsOfText.get(text)!].some(group => groups.has(group))
  const directions: Direction[] = []
  if (pictured.length) {
    const pictures = distinct(pictured, item => [item.picture!])
    const texts = distinct(pictured, item => item.texts)
    const asked = evenly(pictured.flatMap(({ group, texts: said }) => said.map(text => ({ group, text }))))
    directions.push({
      name: 'text to picture',
      queries: { tower: 'text', rows: asked.map(({ text }) => text) },
      gallery: { tower: 'image', rows: pictures.rows },
      // Other groups that say the same words are right too.
      relevant: asked.map(({ text }) =>
        columns(pictures, groups => [...groups].some(group => groupsOfText.get(text)!.has(group))),
      ),
      groups: asked.map(({ group }) => group),
    })
    directions.push({
      name: 'picture to text',
      queries: { tower: 'image', rows: pictures.rows },
      gallery: { tower: 'text', rows: texts.rows },
      relevant: pictures.groups.map(
        groups => new Set(texts.rows.flatMap((text, i) => (share(text, groups) ? [i] : []))),
      ),
      groups: pictures.groups.map(groups => [...groups][0]),
    })
  }
  if (worded.length) {
    const firsts = distinct(worded, item => item.texts.slice(0, 1))
    const asked = evenly(worded.flatMap(({ group, texts: said }) => said.slice(1).map(text => ({ group, text }))))
    directions.push({
      name: 'text to text',
      queries: { tower: 'text', rows: asked.map(({ text }) => text) },
      gallery: { tower: 'text', rows: firsts.rows },
      relevant: asked.map(({ text }) => columns(firsts, groups => share(text, groups))),
      groups: asked.map(({ group }) => group),
    })
  }
  return directions
}

interface Distinct {
  readonly rows: readonly number[]
  readonly groups: readonly ReadonlySet<number>[]
}

/** Rows that items use, each once, with the groups that use them. */
function distinct(items: readonly PairItem[], rowsOf: (item: PairItem) => readonly number[]): Distinct {
  const groups = new Map<number, Set<number>>()
  for (const item of items)
    for (const row of rowsOf(item)) groups.set(row, (groups.get(row) ?? new Set()).add(item.group))
  return { rows: [...groups.keys()], groups: [...groups.values()] }
}

const columns = ({ groups }: Distinct, fits: (groups: ReadonlySet<number>) => boolean): Set<number> =>
  new Set(groups.flatMap((each, i) => (fits(each) ? [i] : [])))

/**
 * Rank, from 1, of the best right answer of each query; equal scores count as better, so that a constant model finds nothing.
 *
 * @param width numbers of each vector that count
 */
export function ranksOf(
  { relevant, queries, gallery }: Direction,
  vectors: { readonly image: Float32Array; readonly text: Float32Array },
  dim: number,
  width = dim,
): Int32Array {
  const [q, g] = [vectors[queries.tower], vectors[gallery.tower]]
  const lengths = gallery.rows.map(row => norm(g, row * dim, width))
  const scores = new Float64Array(gallery.rows.length)
  return Int32Array.from(queries.rows, (query, i) => {
    let best = Number.NEGATIVE_INFINITY
    for (const [column, row] of gallery.rows.entries()) {
      let dot = 0
      for (let d = 0; d < width; d++) dot += q[query * dim + d] * g[row * dim + d]
      scores[column] = dot / lengths[column]
      if (relevant[i].has(column)) best = Math.max(best, scores[column])
    }
    let rank = 1
    for (const [column, score] of scores.entries()) if (score >= best && !relevant[i].has(column)) rank++
    return rank
  })
}

function norm(values: Float32Array, start: number, width: number): number {
  let sum = 0
  for (let d = 0; d < width; d++) sum += values[start + d] ** 2
  return Math.sqrt(sum) || 1
}

export const meanReciprocalRank = (ranks: Int32Array): number =>
  ranks.reduce((sum, rank) => sum + 1 / rank, 0) / ranks.length

const depths = [1, 5, 10] as const
export type RecallMeasure = 'R@1' | 'R@5' | 'R@10'

/** One direction before and after, with 95 % intervals over groups. */
export interface DirectionReport {
  readonly direction: Direction['name']
  readonly queries: number
  readonly gallery: number
  readonly before: Readonly<Record<RecallMeasure, BootstrapInterval>>
  readonly after: Readonly<Record<RecallMeasure, BootstrapInterval>>
  readonly difference: Readonly<Record<RecallMeasure, BootstrapInterval>>
}

/** Recall before and after, and the difference of the two on the same queries. Whole groups are resampled, as pairs of a group stand or fall together. */
export function compareRanks(
  direction: Direction,
  before: Int32Array,
  after: Int32Array,
  seed: number,
): DirectionReport {
  const members = new Map<number, number[]>()
  for (const [i, group] of direction.groups.entries()) members.set(group, [...(members.get(group) ?? []), i])
  const groups = [...members.values()]
  const interval = (value: (query: number) => number): BootstrapInterval => {
    const sums = groups.map(queries => queries.reduce((sum, query) => sum + value(query), 0))
    return bootstrapMetric(
      groups.length,
      drawn => {
        let sum = 0
        let count = 0
        for (const group of drawn) {
          sum += sums[group]
          count += groups[group].length
        }
        return sum / count
      },
      { seed, resamples: 1000 },
    )
  }
  const measures = (value: (query: number, depth: number) => number) =>
    Object.fromEntries(depths.map(depth => [`R@${depth}`, interval(query => value(query, depth))])) as Record<
      RecallMeasure,
      BootstrapInterval
    >
  const hit = (ranks: Int32Array) => (query: number, depth: number) => Number(ranks[query] <= depth)
  return {
    direction: direction.name,
    queries: before.length,
    gallery: direction.gallery.rows.length,
    before: measures(hit(before)),
    after: measures(hit(after)),
    difference: measures((query, depth) => hit(after)(query, depth) - hit(before)(query, depth)),
  }
}
