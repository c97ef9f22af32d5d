import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { emojiKeywords, type IconItem, wordnetSynonyms } from '../../data/icons/index.ts'
import type { LexiconEntry } from '../../data/lexicon/index.ts'
import { type Synonyms, textKey, withoutHeldOut } from './text-pairs.ts'
import type { TextSource } from './train.ts'

/** An icon of a corpus on disk: everything but its drawing. */
export type CorpusItem = Omit<IconItem, 'svg'>

/** A corpus made by `tenet corpus icons`: items and their pixels, row by row. */
export interface Corpus {
  readonly name: string
  readonly items: readonly CorpusItem[]
  readonly size: number
  /** RGB bytes over white, [items, size, size, 3] */
  readonly pixels: Uint8Array
}

/** Reads a corpus folder. @throws one line when it is not one, or its files do not belong together */
export async function readCorpus(folder: string, size = 32): Promise<Corpus> {
  const read = async (name: string): Promise<Buffer> => {
    try {
      return await readFile(join(folder, name))
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
      throw new Error(
        `${folder} is no corpus of ${size}-pixel images: ${name} is missing; make one with \`tenet corpus icons --size ${size} --into ${folder}\``,
      )
    }
  }
  const lines = (await read('items.jsonl')).toString('utf8').split('\n').filter(Boolean)
  const items = lines.map((line, i) => {
    try {
      return JSON.parse(line) as CorpusItem
    } catch {
      throw new Error(`${join(folder, 'items.jsonl')}:${i + 1}: not JSON`)
    }
  })
  const pixels = await read(`pixels-${size}.bin`)
  if (pixels.length !== items.length * size * size * 3)
    throw new Error(`${folder}: ${items.length} items, but pixels of ${pixels.length / (size * size * 3)}`)
  return { name: folder, items, size, pixels }
}

/**
 * Keys of all texts that name what is evaluated: names and aliases of items outside the training part. A word that also
 * names a training concept of its own stays out all the same.
 */
export function heldOutTexts(items: readonly CorpusItem[]): Set<string> {
  const keys = new Set<string>()
  for (const item of items)
    if (item.split !== 'train' && item.split !== 'unseen-set')
      for (const text of [item.words, item.concept, ...item.aliases]) keys.add(textKey(text))
  return keys
}

/** The item's own texts: what its name, aliases and keywords say of one drawing. */
export function* itemSynonyms(items: readonly CorpusItem[]): Generator<Synonyms> {
  const seen = new Set<string>()
  for (const item of items) {
    if (item.split !== 'train') continue
    const texts = [item.words, ...item.aliases, ...item.tags]
    const key = texts.join('\n')
    if (seen.has(key)) continue
    seen.add(key)
    yield { texts, towardsFirst: 0.75 }
  }
}

export interface EmojiWords {
  readonly hexcode: string
  readonly language: string
  readonly label: string
  readonly tags: readonly string[]
}

/** For each emoji and language: its label in English first, then its words in that language. */
export function emojiSynonyms(emoji: readonly EmojiWords[], heldOutCodes: ReadonlySet<string>): Synonyms[] {
  const english = new Map(emoji.filter(e => e.language === 'en').map(e => [e.hexcode, e]))
  return emoji.flatMap(({ hexcode, label, tags }) => {
    const anchor = english.get(hexcode)
    if (!anchor || heldOutCodes.has(hexcode)) return []
    return [{ texts: [anchor.label, label, ...tags, ...anchor.tags.slice(0, 3)], towardsFirst: 0.6 }]
  })
}

/** Synonyms of a dictionary of which at least one word is used in the corpus, with the words above them. */
export function dictionarySynonyms(
  entries: readonly { readonly words: readonly string[]; readonly hypernyms: readonly (readonly string[])[] }[],
  vocabulary: ReadonlySet<string>,
): Synonyms[] {
  return entries.flatMap(({ words: lemmas, hypernyms }) => {
    const known = lemmas.filter(lemma => vocabulary.has(textKey(lemma)))
    if (known.length === 0) return []
    const others = lemmas.filter(lemma => !known.includes(lemma))
    const above = hypernyms.flatMap(words => words.slice(0, 1)).slice(0, 1)
    const texts = [...known, ...others, ...above]
    return texts.length < 2 ? [] : [{ texts, towardsFirst: 0.5 }]
  })
}

/** Longest definition that is learned from, in words. */
const GLOSS_WORDS = 12

/**
 * Definitions of a dictionary with the words they define, so that a description finds what it describes. Definitions that
 * speak of something evaluated are left out.
 */
export function dictionaryDefinitions(
  entries: readonly { readonly words: readonly string[]; readonly gloss: string }[],
  vocabulary: ReadonlySet<string>,
  heldOut: ReadonlySet<string>,
): Synonyms[] {
  return entries.flatMap(({ words: lemmas, gloss }) => {
    const known = lemmas.find(lemma => vocabulary.has(textKey(lemma)) && !heldOut.has(textKey(lemma)))
    const said = textKey(gloss.replace(/\([^)]*\)/g, ' ').split(/[;"]/)[0]).split(' ')
    if (!known || said.length < 2 || said.length > GLOSS_WORDS || said.some(word => heldOut.has(word))) return []
    return [{ texts: [known, said.join(' ')], towardsFirst: 1 }]
  })
}

/** What terms of many languages mean. */
export function lexiconSynonyms(entries: Iterable<LexiconEntry>): Synonyms[] {
  const groups: Synonyms[] = []
  for (const { term, english } of entries)
    if (english[0]) groups.push({ texts: [english[0].text, term], towardsFirst: 1 })
  return groups
}

/** Words and short phrases that name or tag what may be trained on. */
export function vocabularyOf(items: readonly CorpusItem[]): Set<string> {
  const vocabulary = new Set<string>()
  for (const item of items)
    if (item.split === 'train')
      for (const text of [item.words, ...item.aliases, ...item.tags]) {
        const key = textKey(text)
        vocabulary.add(key)
        for (const word of key.split(' ')) if (word.length > 2) vocabulary.add(word)
      }
  return vocabulary
}

/**
 * The texts that an encoder of a corpus learns from: its own names and keywords, emoji words of every language, a
 * dictionary's synonyms and definitions, and what terms of other languages mean.
 */
export function corpusTexts(corpus: Corpus, lexicon: Iterable<LexiconEntry>): TextSource[] {
  const { items } = corpus
  const heldOut = heldOutTexts(items)
  const heldOutCodes = new Set(items.flatMap(({ emoji, split }) => (emoji && split !== 'train' ? [emoji] : [])))
  const vocabulary = vocabularyOf(items)
  const dictionary = wordnetSynonyms()
  return [
    { name: 'names and keywords of drawings', share: 0.35, groups: withoutHeldOut(itemSynonyms(items), heldOut) },
    {
      name: 'emoji words of all languages',
      share: 0.2,
      groups: withoutHeldOut(emojiSynonyms(emojiKeywords(), heldOutCodes), heldOut),
    },
    {
      name: 'synonyms of WordNet',
      share: 0.15,
      groups: withoutHeldOut(dictionarySynonyms(dictionary, vocabulary), heldOut),
    },
    {
      name: 'definitions of WordNet',
      share: 0.1,
      groups: withoutHeldOut(dictionaryDefinitions(dictionary, vocabulary, heldOut), heldOut),
    },
    { name: 'terms of other languages', share: 0.2, groups: withoutHeldOut(lexiconSynonyms(lexicon), heldOut) },
  ]
}
