import { type KnownTerm, type Lexicon, widespreadLanguages } from '../data/lexicon/index.ts'
import { rankingWeights } from './ranking-weights.ts'
import type { Vocabulary } from './spelling.ts'
import { wordsOf } from './words.ts'

/** One way to understand what was typed. */
export interface Reading {
  readonly text: string
  /** 1 for the likeliest. */
  readonly weight: number
  /** What was changed; absent when the text stands as it was typed. */
  readonly because?: 'spelling' | 'language' | 'synonym' | 'phrase'
  /** Languages that a translated term belongs to. */
  readonly languages?: readonly string[]
}

export interface ReadingContext {
  readonly vocabulary: Vocabulary
  readonly lexicon?: Lexicon
  /** How many items are called exactly so. */
  named(text: string): number
}

/**
 * Words that only hold an English phrase together. Words of direction and denial (up, off, no …) stay: in names they mean
 * something.
 */
const fillers = new Set(
  (
    'a an the my your our their his her its this that these those some any i we you they he she it is are am be was were been ' +
    'to of for with from at by as and or please something someone somebody somewhere thing things what how where which who ' +
    'want need show me find icon icons symbol go do does make get give can another other one some just'
  ).split(' '),
)

interface Part {
  readonly typed: string
  readonly meant: string
  readonly because?: Reading['because']
  readonly languages?: readonly string[]
  /** Another meaning, and how sure it is. */
  readonly other?: { readonly text: string; readonly weight: number }
}

/**
 * Ways to understand a text, likeliest first, at most `rankingWeights.readings.most`:
 * words that the collection does not know are read as the lexicon translates them, or else as the word they were probably
 * meant to be; words that only hold a phrase together are left out. What the collection names exactly so stays as it is.
 */
export function readingsOf(text: string, context: ReadingContext): Reading[] {
  const { readings: weights } = rankingWeights
  const named = context.named(text)
  const asTyped: Reading = { text, weight: 1 }
  const parts = partsOf(text, context)
  if (named > 0) {
    // What few items are called in English may be more common a word elsewhere: `Auto`.
    const [part] = parts
    if (parts.length !== 1 || named >= weights.commonName || !part.other) return [asTyped]
    return [
      asTyped,
      { text: part.other.text, weight: weights.translationOfKnown, because: 'language', languages: part.languages },
    ]
  }
  const kept = parts.filter(({ typed }) => !fillers.has(typed))
  const meaningful = kept.length > 0 ? kept : parts
  const meant = meaningful.map(part => part.meant).join(' ')
  const changed = meaningful.find(part => part.because)
  const readings: Reading[] = []
  if (changed)
    readings.push({
      text: meant,
      weight: 1,
      because: changed.because,
      languages: meaningful.flatMap(part => part.languages ?? []),
    })
  else if (meaningful.length < parts.length)
    readings.push({ text: meant, weight: 1, because: 'phrase' }, { text, weight: weights.asTyped })
  else readings.push(asTyped)
  for (const [at, { other, because, languages }] of meaningful.entries()) {
    if (!other) continue
    const said = meaningful.map((part, i) => (i === at ? other.text : part.meant)).join(' ')
    readings.push({ text: said, weight: other.weight, because: because ?? 'language', languages })
  }
  return readings.slice(0, weights.most)
}

function partsOf(text: string, { vocabulary, lexicon }: ReadingContext): Part[] {
  const parsed = lexicon?.parse(text) ?? wordsOf(text)
  return parsed.flatMap(part => (typeof part === 'string' ? [readWord(part, vocabulary)] : readTerm(part, vocabulary)))
}

function readWord(word: string, vocabulary: Vocabulary): Part {
  if (vocabulary.count(word) > 0 || fillers.has(word)) return { typed: word, meant: word }
  const [right, next] = vocabulary.corrections(word)
  if (!right) return { typed: word, meant: word }
  const other = next === undefined ? undefined : { text: next, weight: rankingWeights.readings.nextCorrection }
  return { typed: word, meant: right, because: 'spelling', other }
}

function readTerm({ term, meanings, languages }: KnownTerm, vocabulary: Vocabulary): Part[] {
  const { readings: weights } = rankingWeights
  const words = term.split(' ')
  const english = languages.length === 1 && languages[0] === 'en'
  const because = english ? 'synonym' : 'language'
  const known = Math.min(...words.map(word => vocabulary.count(word)))
  const [first, second] = meanings
  if (known >= weights.commonWord || words.every(word => fillers.has(word)))
    return words.map((word, i) => ({
      typed: word,
      meant: word,
      ...(i === 0 &&
        words.length === 1 &&
        !english && { other: { text: first.text, weight: weights.translationOfKnown }, languages }),
    }))
  // A term of a language that few ask in may as well be a common word with one slip.
  const rare = words.length === 1 && !languages.some(language => widespreadLanguages.has(language))
  const [slip] = rare ? vocabulary.corrections(term, 1) : []
  const other =
    slip !== undefined && vocabulary.count(slip) >= weights.commonWord
      ? { text: slip, weight: weights.slipBesidesTerm }
      : second && second.weight >= weights.secondMeaning
        ? { text: second.text, weight: second.weight * weights.second }
        : undefined
  return [{ typed: term, meant: first.text, because, languages, other }]
}
