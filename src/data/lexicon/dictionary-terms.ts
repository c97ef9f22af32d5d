import { textWords } from './lexicon.ts'
import type { Translation } from './sources.ts'

/** Words of one meaning, and the words of what stands directly above it. */
interface Sense {
  readonly words: readonly string[]
  readonly hypernyms: readonly (readonly string[])[]
}

/** How close a relation is: the same meaning, the kind a thing belongs to, a thing of that kind. */
const closeness = { synonym: 1, kind: 0.5, example: 0.12 }

/** Most uses of a word that count, so that a frequent word does not win against a nearer one. */
const FREQUENT = 30

/**
 * Rare English words by frequent ones: a word that `uses` does not know, with its synonyms, kinds and examples that it
 * knows. Among a word's several senses, those win whose words are used more.
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
    if (count > 0 && known(term) === 0)
      yield {
        language: 'en',
        foreign: term,
        english: meaning,
        weight: weight * (0.3 + Math.min(count, FREQUENT) / FREQUENT),
      }
  }
  for (const { words, hypernyms } of senses)
    for (const word of words) {
      for (const other of words) if (other !== word) yield* say(word, other, closeness.synonym)
      for (const above of hypernyms)
        for (const kind of above) {
          yield* say(word, kind, closeness.kind)
          yield* say(kind, word, closeness.example)
        }
    }
}
