import { textWords } from './lexicon.ts'
import type { DescribedTwice, Translation } from './sources.ts'

/** Translations of one term: English phrases with how sure each is, best first. */
export interface LexiconEntry {
  readonly term: string
  readonly languages: readonly string[]
  readonly english: readonly { readonly text: string; readonly weight: number }[]
}

export interface BuildLexiconOptions {
  /** English words that are worth translating to; phrases of other words are left out. */
  readonly vocabulary: ReadonlySet<string>
  /** Most translations kept of a term; default 3. */
  readonly most?: number
}

const LONGEST = { words: 4, letters: 32 }
/** Messages with places for values, mark-up or several sentences are no names of things. */
const message = /[{}<>%$\\\n_=]|\. |\d{2}/

/** A phrase as it is compared, or undefined when it is a message rather than a name. */
function phrase(text: string): string | undefined {
  if (text.length > LONGEST.letters || message.test(text)) return undefined
  const found = textWords(text.replace(/\([^)]*\)/g, ' '))
  return found.length > 0 && found.length <= LONGEST.words ? found.join(' ') : undefined
}

/**
 * Gathers translations into one entry a term. Aligned texts count by their source's weight; words that describe the same
 * emoji are aligned by how well the sets of emoji they describe agree (Dice's coefficient, 2|A∩B| / (|A|+|B|)).
 */
export function buildLexicon(
  aligned: Iterable<Translation>,
  described: Iterable<DescribedTwice>,
  { vocabulary, most = 3 }: BuildLexiconOptions,
): LexiconEntry[] {
  const terms = new Map<string, Map<string, Map<string, number>>>()
  const vote = ({ language, foreign, english, weight }: Translation): void => {
    const term = phrase(foreign)
    const meant = phrase(english)
    if (!term || !meant || term === meant || !meant.split(' ').every(word => vocabulary.has(word))) return
    let languages = terms.get(term)
    if (!languages) {
      languages = new Map()
      terms.set(term, languages)
    }
    let votes = languages.get(language)
    if (!votes) {
      votes = new Map()
      languages.set(language, votes)
    }
    votes.set(meant, (votes.get(meant) ?? 0) + weight)
  }
  for (const said of aligned) vote(said)
  for (const said of alignDescribed(described)) vote(said)
  return [...terms]
    .map(([term, languages]) => entryOf(term, languages, most))
    .sort((a, b) => (a.term < b.term ? -1 : 1))
}

/** Languages that many people ask in; a word of theirs is likelier meant than the same word of another. */
export const widespreadLanguages: ReadonlySet<string> = new Set('de es fr it pt ru zh ja ko ar hi tr pl nl'.split(' '))
const prior = (language: string): number => (language === 'en' ? 0.5 : widespreadLanguages.has(language) ? 1 : 0.6)

/** Puts together what a term means in its languages: within each, the most voted; across them, the likelier language first. */
function entryOf(
  term: string,
  languages: ReadonlyMap<string, ReadonlyMap<string, number>>,
  most: number,
): LexiconEntry {
  const merged = new Map<string, { weight: number; languages: string[] }>()
  for (const [language, votes] of languages) {
    const ranked = [...votes].sort((a, b) => b[1] - a[1] || a[0].length - b[0].length)
    const best = ranked[0][1]
    // One weak hint of a meaning is worth less than a name that several sources agree on.
    const sure = prior(language) * Math.min(1, 0.4 + 0.6 * best)
    for (const [text, votesFor] of ranked) {
      if (votesFor < 0.4 * best) break
      const known = merged.get(text) ?? { weight: 0, languages: [] }
      known.weight += (sure * votesFor) / best
      known.languages.push(language)
      merged.set(text, known)
    }
  }
  const ranked = [...merged].sort((a, b) => b[1].weight - a[1].weight || a[0].length - b[0].length).slice(0, most)
  const best = ranked[0][1].weight
  return {
    term,
    languages: [...new Set(ranked.flatMap(([, meaning]) => meaning.languages))].sort(),
    english: ranked
      .filter(([, { weight }]) => weight >= 0.3 * best)
      .map(([text, { weight }]) => ({ text, weight: Math.round((100 * weight) / best) / 100 })),
  }
}

/** Least agreement of two words' emoji for one to be the other's translation. */
const AGREEMENT = 0.4

function* alignDescribed(described: Iterable<DescribedTwice>): Generator<Translation> {
  const byLanguage = new Map<string, DescribedTwice[]>()
  for (const one of described) {
    const known = byLanguage.get(one.language)
    if (known) known.push(one)
    else byLanguage.set(one.language, [one])
  }
  for (const [language, pictures] of byLanguage) {
    const uses = (wordsOf: (picture: DescribedTwice) => readonly string[]): Map<string, Set<number>> => {
      const found = new Map<string, Set<number>>()
      for (const [at, picture] of pictures.entries())
        for (const word of new Set(wordsOf(picture))) {
          const known = found.get(word)
          if (known) known.add(at)
          else found.set(word, new Set([at]))
        }
      return found
    }
    const english = uses(({ englishLabel, english: words }) => [englishLabel, ...words])
    for (const { englishLabel, label } of pictures) yield { language, foreign: label, english: englishLabel, weight: 1 }
    for (const [word, places] of uses(({ label, words }) => [label, ...words])) {
      const candidates = new Set([...places].flatMap(at => [pictures[at].englishLabel, ...pictures[at].english]))
      const scored = [...candidates].map(candidate => {
        const others = english.get(candidate)!
        let both = 0
        for (const at of places) if (others.has(at)) both++
        const isLabel = [...places].some(at => pictures[at].label === word && pictures[at].englishLabel === candidate)
        return { candidate, score: (2 * both) / (places.size + others.size) + (isLabel ? 0.1 : 0) }
      })
      scored.sort((a, b) => b.score - a.score)
      // A word of one picture agrees equally with all of that picture's own words, and so says nothing.
      const ties = scored.filter(({ score }) => score === scored[0].score).length
      if (ties > 2) continue
      for (const { candidate, score } of scored.slice(0, 2))
        if (score >= AGREEMENT) yield { language, foreign: word, english: candidate, weight: 0.8 * score }
    }
  }
}
