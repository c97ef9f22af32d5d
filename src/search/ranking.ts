import type { Entries, Entry } from './entries.ts'
import { funnelSearch, type Side } from './funnel.ts'
import { rankingWeights } from './ranking-weights.ts'

/** A part of a query as vectors. */
export interface QueryPart {
  readonly kind: 'text' | 'image' | 'sketch' | 'like'
  /** Compared with the items' text vectors. */
  readonly text: Float32Array
  /** Compared with the items' image vectors. */
  readonly image: Float32Array
}

export interface Query {
  readonly parts: readonly QueryPart[]
  /** The texts as they were typed, for the keywords. */
  readonly texts: readonly string[]
  readonly allowed?: Uint8Array
  readonly excluded: ReadonlySet<string>
  readonly mode: 'hybrid' | 'meaning' | 'keywords'
  readonly shortlist: number
}

export interface RankedEntry {
  readonly entry: Entry
  readonly score: number
  readonly meaning: number
  readonly keywords: number
  readonly matched: string[]
}

interface Keywords {
  score: number
  named: boolean
  readonly matched: string[]
}

const partWeights = {
  text: rankingWeights.textQuery,
  image: rankingWeights.imageQuery,
  sketch: rankingWeights.sketchQuery,
  like: rankingWeights.likeQuery,
}

/** Weights of the parts: equal among texts and among pictures, `textBesidesImage` between the two. */
function shares(parts: readonly QueryPart[]): number[] {
  const texts = parts.filter(({ kind }) => kind === 'text').length
  const others = parts.length - texts
  const textShare = others === 0 ? 1 : rankingWeights.textBesidesImage
  return parts.map(({ kind }) => (kind === 'text' ? textShare / texts : (texts === 0 ? 1 : 1 - textShare) / others))
}

/** Ranks items by meaning and keywords; the weights stand in `rankingWeights`. */
export function rank(entries: Entries, query: Query): RankedEntry[] {
  const keywords = query.mode === 'meaning' ? new Map<Entry, Keywords>() : matchKeywords(entries, query)
  const meaning = query.mode === 'keywords' ? undefined : meaningOf(entries, query, keywords)
  const candidates = meaning ? meaning.keys() : keywords.keys()
  const ranked: RankedEntry[] = []
  for (const entry of candidates) {
    if (query.excluded.has(entry.id) || (query.allowed && !query.allowed[entry.row])) continue
    const match = keywords.get(entry)
    const similarity = meaning?.get(entry)
    const score =
      (similarity?.score ?? 0) +
      rankingWeights.keyword.weight * (match?.score ?? 0) +
      (match?.named ? rankingWeights.exactName : 0)
    const matched = [...new Set([...(match?.matched ?? []), ...(similarity?.texts ?? [])])]
    ranked.push({ entry, score, meaning: similarity?.score ?? 0, keywords: match?.score ?? 0, matched })
  }
  return ranked.sort((a, b) => b.score - a.score || a.entry.row - b.entry.row)
}

/** Ranks by several ways to understand a query: each item by the one that suits it best. */
export function rankReadings(
  entries: Entries,
  readings: readonly { readonly query: Query; readonly weight: number }[],
): RankedEntry[] {
  if (readings.length === 1) return rank(entries, readings[0].query)
  const best = new Map<Entry, RankedEntry>()
  for (const { query, weight } of readings)
    for (const found of rank(entries, query)) {
      const score = weight * found.score
      const known = best.get(found.entry)
      if (!known || score > known.score) best.set(found.entry, { ...found, score })
    }
  return [...best.values()].sort((a, b) => b.score - a.score || a.entry.row - b.entry.row)
}

interface Similarity {
  score: number
  readonly texts: string[]
}

/** Scores by meaning of the shortlist, and of all that the keywords found. */
function meaningOf(entries: Entries, query: Query, keywords: ReadonlyMap<Entry, Keywords>): Map<Entry, Similarity> {
  const weights = shares(query.parts)
  const side = (name: 'text' | 'image'): Side['queries'] =>
    query.parts.map((part, at) => ({ vector: part[name], weight: weights[at] * partWeights[part.kind][name] }))
  const lifted = nearestTexts(entries, query.parts, weights)
  const include = [...lifted.keys(), ...keywords.keys()].map(({ row }) => row)
  const sides = [
    { vectors: entries.textVectors, queries: side('text') },
    { vectors: entries.imageVectors, queries: side('image') },
  ]
  const found = new Map<Entry, Similarity>()
  for (const { row, score } of funnelSearch(sides, { shortlist: query.shortlist, allowed: query.allowed, include })) {
    const entry = entries.at(row)
    const lift = lifted.get(entry)
    found.set(entry, { score: score + (lift?.score ?? 0), texts: lift?.texts ?? [] })
  }
  return found
}

/** For every text of the query: what the nearest of an item's texts adds to its score. */
function nearestTexts(
  entries: Entries,
  parts: readonly QueryPart[],
  weights: readonly number[],
): Map<Entry, Similarity> {
  const lifted = new Map<Entry, Similarity>()
  const limit = rankingWeights.nearestTexts
  for (const [at, { kind, text }] of parts.entries()) {
    if (kind !== 'text') continue
    const weight = weights[at] * rankingWeights.textQuery.bestText
    const queries = [{ vector: text, weight: 1 }]
    const near = funnelSearch([{ vectors: entries.texts, queries }], { shortlist: 4 * limit }).slice(0, limit)
    const met = new Set<Entry>()
    for (const { row, score } of near) {
      const use = entries.textAt(row)
      if (lifted.size >= rankingWeights.shortlist) return lifted
      for (const entry of use.users) {
        // Texts come nearest first, so an item's first is its best.
        if (met.has(entry)) continue
        met.add(entry)
        const known = lifted.get(entry)
        if (known) {
          known.score += weight * score
          known.texts.push(use.text)
        } else lifted.set(entry, { score: weight * score, texts: [use.text] })
      }
    }
  }
  return lifted
}

function matchKeywords(entries: Entries, { texts }: Query): Map<Entry, Keywords> {
  const found = new Map<Entry, Keywords>()
  const add = (id: string, score: number, named: boolean, matched: readonly string[]) => {
    const entry = entries.get(id)!
    const known = found.get(entry)
    if (known) {
      known.score += score
      known.named ||= named
      known.matched.push(...matched)
    } else found.set(entry, { score, named, matched: [...matched] })
  }
  for (const text of texts) {
    for (const { id, score, matched } of entries.keywords.search(text).slice(0, rankingWeights.shortlist))
      add(id, score / texts.length, false, matched)
    for (const id of entries.keywords.named(text)) add(id, 0, true, [])
  }
  return found
}
