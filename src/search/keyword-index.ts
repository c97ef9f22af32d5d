import MiniSearch from 'minisearch'
import { rankingWeights } from './ranking-weights.ts'
import { Vocabulary } from './spelling.ts'
import { phraseOf, wordsOf } from './words.ts'

interface Document {
  readonly id: string
  readonly name: string
  readonly title: string
  readonly texts: string
}

export interface KeywordMatch {
  readonly id: string
  /** 0..1: the share of the best possible match of this query, times how well the query's words were met. */
  readonly score: number
  /** The item's words that matched. */
  readonly matched: string[]
}

/** Full-text index over names and texts: prefixes, small typing errors, rarer words count more (BM25+). */
export class KeywordIndex {
  readonly #index = new MiniSearch<Document>({
    fields: ['name', 'title', 'texts'],
    tokenize: wordsOf,
    processTerm: term => term,
  })
  readonly #phrases = new Map<string, Set<string>>()
  /** Every word, and how many items hold it. */
  readonly vocabulary = new Vocabulary()

  /** @param replaced the name and texts that the item had before, if it is known already */
  set(id: string, name: string, texts: readonly string[], replaced?: { name: string; texts: readonly string[] }): void {
    if (replaced) this.remove(id, replaced.name, replaced.texts)
    this.#index.add({ id, name, title: texts[0] ?? '', texts: texts.slice(1).join('\n') })
    for (const word of distinctWords(name, texts)) this.vocabulary.add(word)
    for (const phrase of names(name, texts)) {
      const ids = this.#phrases.get(phrase)
      if (ids) ids.add(id)
      else this.#phrases.set(phrase, new Set([id]))
    }
  }

  remove(id: string, name: string, texts: readonly string[]): void {
    this.#index.discard(id)
    for (const word of distinctWords(name, texts)) this.vocabulary.remove(word)
    for (const phrase of names(name, texts)) {
      const ids = this.#phrases.get(phrase)
      ids?.delete(id)
      if (ids?.size === 0) this.#phrases.delete(phrase)
    }
  }

  /** Items that are called exactly so: by their name, or by their first text. */
  named(query: string): ReadonlySet<string> {
    return this.#phrases.get(phraseOf(query)) ?? new Set()
  }

  /** Items that hold words of the query, best first. */
  search(query: string): KeywordMatch[] {
    const terms = wordsOf(query)
    if (terms.length === 0) return []
    const { prefix, fuzzy, boost } = rankingWeights.keyword
    const found = this.#index.search(query, {
      boost,
      weights: { prefix, fuzzy },
      // The word being typed may be unfinished; short beginnings would match everything.
      prefix: (term, index, all) => index === all.length - 1 && term.length >= 3,
      // A word that items hold was not misspelt.
      fuzzy: term => (this.vocabulary.count(term) > 0 ? 0 : term.length >= 8 ? 2 : term.length >= 4 ? 1 : 0),
      maxFuzzy: 2,
    })
    if (found.length === 0) return []
    const best = found[0].score
    return found.map(({ id, score, terms: matched, match: _, queryTerms }) => ({
      id: id as string,
      score: (score / best) * coverage(terms, matched, queryTerms),
      matched,
    }))
  }
}

const distinctWords = (name: string, texts: readonly string[]): Set<string> =>
  new Set([name, ...texts].flatMap(text => wordsOf(text)))

const names = (name: string, texts: readonly string[]): Set<string> =>
  new Set([phraseOf(name), phraseOf(texts[0] ?? name)].filter(phrase => phrase !== ''))

/** Mean over the query's words of how well each was met: exactly 1, by its beginning or a near spelling less, not at all 0. */
function coverage(terms: readonly string[], matched: readonly string[], met: readonly string[]): number {
  const { prefix, fuzzy } = rankingWeights.keyword
  let sum = 0
  for (const term of terms) {
    if (matched.includes(term)) sum += 1
    else if (met.includes(term)) sum += matched.some(word => word.startsWith(term)) ? prefix : fuzzy
  }
  return sum / terms.length
}
