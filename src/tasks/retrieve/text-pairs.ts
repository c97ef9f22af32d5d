import type { RandomStream } from '../../data/index.ts'
import { words } from './text-features.ts'

/** What the texts of an item of the corpus say. */
export interface Captioned {
  readonly words: string
  readonly aliases: readonly string[]
  readonly tags: readonly string[]
  readonly categories: readonly string[]
  readonly style: string
}

/** A text as it is compared: its words, one space apart. */
export const textKey = (text: string): string => words(text).join(' ')

/** One of the ways in which people call an item: its name, an alias, a keyword, its name with its style. */
export function drawCaption(item: Captioned, random: RandomStream): string {
  const draw = random.uniform()
  if (draw < 0.35 && item.tags.length) return item.tags[random.integer(item.tags.length)]
  if (draw < 0.5 && item.aliases.length) return item.aliases[random.integer(item.aliases.length)]
  if (draw < 0.62 && item.style) return `${item.words} ${item.style}`
  return item.words
}

/** Two texts of one meaning. */
export type TextPair = readonly [string, string]

/** Several texts of one meaning, any two of which make a pair; the first is what the others are said to mean. */
export interface Synonyms {
  readonly texts: readonly string[]
  /** Chance that a pair is (another, the first) rather than any two. */
  readonly towardsFirst: number
}

/** Draws two different texts of a group. */
export function drawPair({ texts, towardsFirst }: Synonyms, random: RandomStream): TextPair {
  const other = 1 + random.integer(texts.length - 1)
  if (random.uniform() < towardsFirst) return [texts[other], texts[0]]
  const third = random.integer(texts.length - 1)
  return [texts[other], texts[third < other ? third : third + 1]]
}

/**
 * Keeps what may be trained on: texts that are no held-out text, groups of at least two.
 * @param heldOut keys ({@link textKey}) of names and aliases that are evaluated
 */
export function withoutHeldOut(groups: Iterable<Synonyms>, heldOut: ReadonlySet<string>): Synonyms[] {
  const kept: Synonyms[] = []
  for (const { texts, towardsFirst } of groups) {
    const allowed = new Map<string, string>()
    for (const text of texts) {
      const key = textKey(text)
      if (key && !heldOut.has(key) && !allowed.has(key)) allowed.set(key, text)
    }
    if (allowed.size >= 2) kept.push({ texts: [...allowed.values()], towardsFirst })
  }
  return kept
}

const letters = 'abcdefghijklmnopqrstuvwxyz'

/** A slip of the finger: two letters swapped, one left out, doubled, or hit beside. Short words stay as they are. */
export function withTypo(text: string, random: RandomStream): string {
  const parts = text.split(' ')
  const long = parts.flatMap((part, i) => (part.length >= 4 && /^[a-z]+$/i.test(part) ? [i] : []))
  if (long.length === 0) return text
  const chosen = long[random.integer(long.length)]
  const word = parts[chosen]
  const at = 1 + random.integer(word.length - 2)
  const slips = [
    () => word.slice(0, at) + word[at + 1] + word[at] + word.slice(at + 2),
    () => word.slice(0, at) + word.slice(at + 1),
    () => word.slice(0, at) + word[at] + word.slice(at),
    () => word.slice(0, at) + letters[random.integer(26)] + word.slice(at + 1),
  ]
  parts[chosen] = slips[random.integer(slips.length)]()
  return parts.join(' ')
}
