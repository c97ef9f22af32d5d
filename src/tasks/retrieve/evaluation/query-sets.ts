import type { EmojiKeywords, IconItem } from '../../../data/icons/index.ts'
import { RandomStream } from '../../../data/index.ts'
import type { Picture, QuerySet, RetrievalQuery } from './ranker.ts'
import { wordsOf } from './relevance.ts'
import { type SketchOptions, simulatedSketch } from './sketch.ts'

/** Purpose of the random choice of queries. */
const choicePurpose = 0x5ce7c402

/** What a set is made of, and how large it may be. */
export interface SetOptions {
  /** Most queries of a set (of each language, in a set of languages); default 300. */
  readonly limit?: number
  /** Seed of the choice; default 0. */
  readonly seed?: number
}

/** At most `limit` of the values, chosen at random, in their own order. */
function chosen<T>(values: readonly T[], { limit = 300, seed = 0 }: SetOptions): T[] {
  if (values.length <= limit) return [...values]
  const order = new RandomStream(seed, choicePurpose).shuffle(Int32Array.from(values, (_, i) => i))
  return Array.from(order.subarray(0, limit).sort(), i => values[i])
}

function grouped<K, V>(entries: Iterable<readonly [K, V]>): Map<K, V[]> {
  const groups = new Map<K, V[]>()
  for (const [key, value] of entries) {
    const group = groups.get(key)
    if (group) group.push(value)
    else groups.set(key, [value])
  }
  return groups
}

const isTest = (item: IconItem): boolean => item.split === 'test'

/** Every word that the item's own project, or emojibase, gives to it. */
const labelsOf = (item: IconItem): string[] => [item.words, ...item.aliases, ...item.tags, ...item.withheld]

const sharesWord = (text: string, item: IconItem): boolean => {
  const own = new Set(wordsOf(item.words))
  return wordsOf(text).some(word => own.has(word))
}

/** Finds the items whose name holds every word of a text. */
function nameIndex(gallery: readonly IconItem[]): (text: string) => IconItem[] {
  const bearers = grouped(gallery.flatMap(item => [...new Set(wordsOf(item.words))].map(word => [word, item] as const)))
  return text => {
    const [first, ...rest] = wordsOf(text).map(word => new Set(bearers.get(word)))
    return first ? [...first].filter(item => rest.every(items => items.has(item))) : []
  }
}

/**
 * Names of test concepts: the words of a name find every icon of its concept.
 *
 * @param gallery everything that can be found
 */
export function nameQueries(gallery: readonly IconItem[], options: SetOptions = {}): QuerySet {
  const byConcept = grouped(gallery.filter(isTest).map(item => [item.concept, item.id] as const))
  const names = grouped(gallery.filter(isTest).map(item => [item.words, item.concept] as const))
  const queries = chosen([...names], options).map(
    ([text, concepts]): RetrievalQuery => ({
      id: text,
      text,
      language: 'en',
      relevant: new Set(concepts.flatMap(concept => byConcept.get(concept) ?? [])),
    }),
  )
  return { id: 'names', title: 'names of held-out concepts', queries }
}

/**
 * Held-out aliases: words which an icon's project gives to an icon of a test concept and of which none occurs in its name.
 *
 * Right are the icons of test concepts that bear the words or share the concept, as long as their names hold none of the
 * words. What counts neither way: icons whose name does hold them, and icons of training concepts that bear them, because
 * pairs of those with these words were trained on. What is searched must hold names alone.
 *
 * @param gallery everything that can be found. Projects label few of the icons that a word fits, so among all icons many a
 *   good answer counts as wrong; among those of test concepts alone, fewer do
 */
export function aliasQueries(gallery: readonly IconItem[], options: SetOptions = {}): QuerySet {
  const tests = gallery.filter(item => isTest(item) && item.emoji === undefined)
  const sources = grouped(
    tests.flatMap(item =>
      [...item.aliases, ...item.tags]
        .filter(text => wordsOf(text).length > 0 && !sharesWord(text, item))
        .map(text => [text, item.concept] as const),
    ),
  )
  const byConcept = grouped(gallery.filter(isTest).map(item => [item.concept, item] as const))
  const labelled = grouped(gallery.flatMap(item => labelsOf(item).map(text => [text, item] as const)))
  const named = nameIndex(gallery)
  const queries = chosen([...sources], options).map(([text, concepts]): RetrievalQuery => {
    const meant = [...(labelled.get(text) ?? []), ...concepts.flatMap(concept => byConcept.get(concept) ?? [])]
    const right = (item: IconItem) => isTest(item) && !sharesWord(text, item)
    const ignored = [...meant, ...named(text)].filter(item => !right(item))
    return {
      id: text,
      text,
      language: 'en',
      relevant: new Set(meant.filter(right).map(({ id }) => id)),
      ignored: new Set(ignored.map(({ id }) => id)),
    }
  })
  return { id: 'aliases', title: `held-out aliases whose words are not in the name, ${among(gallery)}`, queries }
}

/**
 * Held-out words of emoji: labels and tags that emojibase gives, in several languages, to emoji of test concepts. Right are
 * the emoji that bear them and the other icons of their concepts. English words have to be missing from the name, as with
 * `aliasQueries`.
 *
 * @param gallery everything that can be found
 * @param keywords of every language
 * @param languages codes of emojibase; default English and five others
 */
export function emojiQueries(
  gallery: readonly IconItem[],
  keywords: readonly EmojiKeywords[],
  options: SetOptions = {},
  languages: readonly string[] = ['en', 'es', 'fr', 'de', 'ja', 'zh'],
): QuerySet[] {
  const byHexcode = grouped(gallery.flatMap(item => (item.emoji === undefined ? [] : [[item.emoji, item] as const])))
  const byConcept = grouped(gallery.map(item => [item.concept, item] as const))
  return languages.map(language => {
    const bearers = grouped(
      keywords
        .filter(entry => entry.language === language)
        .flatMap(({ hexcode, label, tags }) =>
          [...new Set([label, ...tags].map(text => text.toLowerCase()))].flatMap(text =>
            (byHexcode.get(hexcode) ?? []).map(item => [text, item] as const),
          ),
        ),
    )
    const right = (text: string, item: IconItem) => isTest(item) && (language !== 'en' || !sharesWord(text, item))
    const askable = [...bearers].filter(([text, items]) => items.some(item => right(text, item)))
    const queries = chosen(askable, options).map(([text, items]): RetrievalQuery => {
      const concepts = new Set(items.map(({ concept }) => concept))
      const meant = [...items, ...[...concepts].flatMap(concept => byConcept.get(concept) ?? [])]
      return {
        id: text,
        text,
        language,
        kind: language,
        relevant: new Set(meant.filter(item => right(text, item)).map(({ id }) => id)),
        ignored: new Set(meant.filter(item => !right(text, item)).map(({ id }) => id)),
      }
    })
    return {
      id: `emoji-${language}`,
      title: `held-out emoji words, ${languageName(language)}, ${among(gallery)}`,
      queries,
    }
  })
}

const among = (gallery: readonly IconItem[]): string => `among ${gallery.length.toLocaleString('en')} icons`

const languageName = (code: string): string => new Intl.DisplayNames('en', { type: 'language' }).of(code) ?? code

/** Draws items; each picture is `size` pixels wide. An item that cannot be drawn gives undefined. */
export type Drawer = (items: readonly IconItem[], size: number) => Promise<(Picture | undefined)[]>

const queryPictureSize = 128

/**
 * The same concept in another set: the drawing of one icon finds its concept's icons of other sets. Icons of the same set
 * and concept (its other styles) count neither way.
 *
 * @param gallery everything that can be found
 * @param sources the icons that are asked with, such as those of a set that was never trained on
 */
export async function conceptQueries(
  id: string,
  title: string,
  gallery: readonly IconItem[],
  sources: readonly IconItem[],
  draw: Drawer,
  options: SetOptions = {},
): Promise<QuerySet> {
  const byConcept = grouped(gallery.map(item => [item.concept, item] as const))
  const others = (item: IconItem) => (byConcept.get(item.concept) ?? []).filter(({ set }) => set !== item.set)
  const picked = chosen(
    sources.filter(item => others(item).length > 0),
    options,
  )
  const pictures = await draw(picked, queryPictureSize)
  const queries = picked.flatMap((item, i): RetrievalQuery[] => {
    const image = pictures[i]
    if (!image) return []
    const own = (byConcept.get(item.concept) ?? []).filter(({ set }) => set === item.set)
    const ignored = new Set([item.id, ...own.map(other => other.id)])
    return [{ id: item.id, image, relevant: new Set(others(item).map(other => other.id)), ignored }]
  })
  return { id, title, queries }
}

/**
 * Simulated sketches of icons of test concepts: each finds the icons of its concept, its own included. Coloured icons are
 * not asked with, since their outlines are not what a person draws.
 *
 * @param gallery everything that can be found
 */
export async function sketchQueries(
  gallery: readonly IconItem[],
  draw: Drawer,
  options: SetOptions = {},
  sketch: SketchOptions = {},
): Promise<QuerySet> {
  const byConcept = grouped(gallery.map(item => [item.concept, item.id] as const))
  const picked = chosen(
    gallery.filter(item => isTest(item) && !item.colour),
    options,
  )
  const pictures = await draw(picked, queryPictureSize)
  const queries = picked.flatMap((item, i): RetrievalQuery[] => {
    const picture = pictures[i]
    if (!picture) return []
    const image = simulatedSketch(picture, i, sketch)
    return [{ id: item.id, image, sketch: true, relevant: new Set(byConcept.get(item.concept)) }]
  })
  return { id: 'sketches', title: 'simulated sketches of held-out concepts', queries }
}
