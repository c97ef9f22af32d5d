import { textWords } from './lexicon.ts'
import type { Translation } from './sources.ts'

/** Words of one meaning, and the words of what stands directly above it; which sense of each word that is. */
interface Sense {
  readonly words: readonly string[]
  readonly ranks: readonly number[]
  readonly hypernyms: readonly (readonly string[])[]
  readonly hypernymRanks: readonly (readonly number[])[]
}

/** How close a relation is: the same meaning, the kind a thing belongs to, a thing of that kind. */
const closeness = { synonym: 1, kind: 0.5, example: 0.12 }

/** Most uses of a word that count, so that a frequent word does not win against a nearer one. */
const FREQUENT = 30

/** Share of a phrase against a word: what is called by one word is the more common thing. */
const PHRASE = 0.5

/**
 * Rare English words by frequent ones: a word that `uses` does not know, with its synonyms, kinds and examples that it
 * knows. Of several, those win that have the meaning as their first sense, and that are used more.
 *
 * @param uses how many items each English word names
 */
export function* dictionaryTerms(senses: readonly Sense[], uses: ReadonlyMap<string, number>): Generator<Translation> {
  const known = (text: string): number => {
    const parts = textWords(text)
    return parts.length === 0 ? 0 : Math.min(...parts.map(word => uses.get(word) ?? 0))
  }
  const say = function* (term: string, meaning: string, weight: number): Generator<Translation> {
    const count = known(meaning)
    if (count === 0 || known(term) > 0) return
    const common = 0.3 + Math.min(count, FREQUENT) / FREQUENT
    const short = meaning.includes(' ') ? PHRASE : 1
    yield { language: 'en', foreign: term, english: meaning, weight: weight * common * short }
  }
  for (const { words, ranks, hypernyms, hypernymRanks } of senses)
    for (const [i, word] of words.entries()) {
      for (const [j, other] of words.entries())
        if (other !== word) yield* say(word, other, closeness.synonym / (ranks[i] * ranks[j]))
      for (const [k, above] of hypernyms.entries())
        for (const [j, kind] of above.entries()) {
          const sure = 1 / (ranks[i] * hypernymRanks[k][j])
          yield* say(word, kind, closeness.kind * sure)
          yield* say(kind, word, closeness.example * sure)
        }
    }
}
