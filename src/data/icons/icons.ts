import type { IconifyJSON } from '@iconify/types'
import { getIconData, getIconsTree, iconToHTML, iconToSVG } from '@iconify/utils'
import { Concepts, type Split } from './concepts.ts'
import { type EmojiEntry, englishEmoji, plainHexcode } from './emoji.ts'
import { conceptKey, type ParsedName, parseName, type StyleNaming, spoken, styleNaming } from './names.ts'
import { publishedWords } from './published-tags.ts'
import { emojiSets, installedSets, type LoadedSet, loadSet, trainingSets, unseenSets } from './sets.ts'

/** One icon with everything that is known about it. */
export interface IconItem {
  /** E.g. `mdi:cog-outline`. */
  readonly id: string
  readonly set: string
  readonly name: string
  /** The name's words without the style, e.g. `cog`. */
  readonly words: string
  /** Other names of the same drawing. */
  readonly aliases: string[]
  /** Keywords published by the icon project itself, or English ones of emojibase. */
  readonly tags: string[]
  /**
   * Aliases and tags that name a concept kept for evaluation while this icon is trained on, and aliases that name a
   * trained concept while this icon is for evaluation. They are good words to search by, and must be neither trained on
   * nor tested with; `aliases` and `tags` hold none of them.
   */
  readonly withheld: string[]
  readonly categories: string[]
  /** `outline`, `filled`, `duotone`, `thin`, `light`, `bold`, `broken` or `colour`; in unknown sets their own word. */
  readonly style: string
  readonly colour: boolean
  /** The key of the concept, shared across sets and styles. */
  readonly concept: string
  readonly split: Split
  readonly licence: string
  readonly author: string
  /** A complete `<svg>` document; `currentColor` is black when it is drawn by itself. */
  readonly svg: string
  /** The plain hexcode of an emoji. */
  readonly emoji?: string
}

/** An icon's entry in its set, with the names that point at the very same drawing. */
interface Entry {
  readonly name: string
  readonly aliases: string[]
}

type Transformed = { readonly rotate?: number; readonly hFlip?: boolean; readonly vFlip?: boolean }

const transforms = ({ rotate, hFlip, vFlip }: Transformed): boolean => Boolean(rotate || hFlip || vFlip)

/** The icons of a set that are drawn, each with the names that point at the very same drawing. */
function entries(icons: IconifyJSON): Entry[] {
  const tree = getIconsTree(icons)
  const table = icons.aliases ?? {}
  const drawn = new Map<string, Entry>()
  const isDrawing = (name: string): boolean => name in icons.icons || (name in table && transforms(table[name]))
  for (const [name, parents] of Object.entries(tree)) {
    const hidden = (icons.icons[name] ?? table[name]).hidden
    if (parents && !hidden && isDrawing(name)) drawn.set(name, { name, aliases: [] })
  }
  for (const [name, parents] of Object.entries(tree)) {
    if (!parents || isDrawing(name)) continue
    const target = parents.find(isDrawing)
    if (target) drawn.get(target)?.aliases.push(name)
  }
  return [...drawn.values()]
}

function svgDocument(icons: IconifyJSON, name: string): string {
  const data = getIconData(icons, name)
  if (!data) throw new Error(`${icons.prefix}:${name} has no drawing; install the icon set again.`)
  const { attributes, body } = iconToSVG(data)
  return iconToHTML(body, { ...attributes })
}

/** Categories by icon name, from a table of names by category. */
function categoriesByName(table: Readonly<Record<string, readonly string[]>> = {}): Map<string, string[]> {
  const found = new Map<string, string[]>()
  for (const [category, names] of Object.entries(table))
    for (const name of names) found.set(name, [...(found.get(name) ?? []), category])
  return found
}

const distinct = (words: readonly string[], except: readonly string[]): string[] => [
  ...new Set(words.map(spoken).filter(word => word !== '' && !except.includes(word))),
]

/** Everything about one set that turns its entries into items, except what depends on other sets. */
class SetReader {
  readonly loaded: LoadedSet
  readonly #naming: StyleNaming
  readonly #published: ReturnType<typeof publishedWords>
  readonly #categories: Map<string, string[]>
  readonly #hexcodes: Map<string, string>
  readonly #emoji: ReadonlyMap<string, EmojiEntry>

  constructor(loaded: LoadedSet, emoji: ReadonlyMap<string, EmojiEntry>) {
    this.loaded = loaded
    const { info, metadata, characters } = loaded
    this.#naming = styleNaming(info.set, metadata, info.colour)
    this.#published = publishedWords(info.set)
    this.#categories = categoriesByName(metadata.categories)
    const isEmoji = emojiSets.has(info.set)
    this.#hexcodes = new Map(
      isEmoji ? Object.entries(characters).map(([code, name]) => [name, plainHexcode(code)]) : [],
    )
    this.#emoji = emoji
  }

  entries(): Entry[] {
    return entries(this.loaded.icons)
  }

  parse(name: string): ParsedName {
    return parseName(name, this.#naming)
  }

  emojiOf({ name, aliases }: Entry): { hexcode: string; entry: EmojiEntry | undefined } | undefined {
    const hexcode = [name, ...aliases].map(other => this.#hexcodes.get(other)).find(code => code !== undefined)
    return hexcode === undefined ? undefined : { hexcode, entry: this.#emoji.get(hexcode) }
  }

  /** The names of one drawing as concept keys, the one that its concept is called by first. */
  keys(entry: Entry): string[] {
    const emoji = this.emojiOf(entry)?.entry
    const names = [this.parse(entry.name).words, ...this.#otherNames(entry)].map(conceptKey)
    if (!emoji) return [...new Set(names)]
    const label = conceptKey(emoji.baseLabel)
    // Names of variants by skin tone stand for their variant only, so they are not joined with the emoji.
    return emoji.label === emoji.baseLabel ? [...new Set([label, ...names])] : [label]
  }

  #wordsOf({ name }: Entry) {
    return this.#published(name, this.parse(name).words.replaceAll(' ', '-'))
  }

  /** The words of the names that an entry has besides its own. */
  #otherNames(entry: Entry): string[] {
    return [...entry.aliases, ...this.#wordsOf(entry).aliases].map(alias => this.parse(alias).words)
  }

  item(entry: Entry, concepts: Concepts): IconItem {
    const { info, icons } = this.loaded
    const { style, ...parsed } = this.parse(entry.name)
    const published = this.#wordsOf(entry)
    const emoji = this.emojiOf(entry)
    const label = emoji?.entry?.label
    // Sets abbreviate skin tones differently (`waving-hand-dark`); the label says them in full.
    const isVariant = label !== undefined && label !== emoji?.entry?.baseLabel
    const words = isVariant ? spoken(label) : parsed.words
    const aliases = isVariant ? [] : distinct([...this.#otherNames(entry), label ?? ''], [words])
    const concept = concepts.of(this.keys(entry)[0])
    const item = {
      id: `${info.set}:${entry.name}`,
      set: info.set,
      name: entry.name,
      words,
      aliases,
      tags: distinct([...published.tags, ...(emoji?.entry?.tags ?? [])], [words, ...aliases]),
      withheld: [],
      categories: [...new Set([...(this.#categories.get(entry.name) ?? []), ...published.categories])],
      style,
      colour: info.colour,
      concept,
      split: (unseenSets as readonly string[]).includes(info.set) ? ('unseen-set' as const) : concepts.split(concept),
      licence: info.licence,
      author: info.author,
      svg: svgDocument(icons, entry.name),
      ...(emoji ? { emoji: emoji.hexcode } : {}),
    }
    return withhold(item, concepts)
  }
}

/**
 * Moves words that stand on both sides of the split out of an icon: from one that is trained on, what names an evaluated
 * concept; from one that is evaluated, the aliases that do not belong to its concept alone.
 */
function withhold(item: IconItem, concepts: Concepts): IconItem {
  if (item.split === 'unseen-set') return item
  const evaluated = (word: string) => concepts.isEvaluated(conceptKey(word))
  const trained = item.split === 'train'
  const aliases = item.aliases.filter(word => evaluated(word) === trained)
  const tags = trained ? item.tags.filter(evaluated) : []
  if (aliases.length + tags.length === 0) return item
  return {
    ...item,
    aliases: item.aliases.filter(word => !aliases.includes(word)),
    tags: item.tags.filter(word => !tags.includes(word)),
    withheld: [...aliases, ...tags],
  }
}

let joined: Concepts | undefined

/**
 * The concepts of the training sets: names joined where one is another's alias. They do not depend on which sets are
 * asked for, so that a concept's split never changes.
 */
export function iconConcepts(): Concepts {
  if (joined) return joined
  const concepts = new Concepts()
  const emoji = englishEmoji()
  const installed = new Set(installedSets())
  for (const set of trainingSets.filter(name => installed.has(name))) {
    const reader = new SetReader(loadSet(set), emoji)
    for (const entry of reader.entries()) {
      const [own, ...others] = reader.keys(entry)
      concepts.own(own)
      for (const other of others) concepts.join(own, other)
    }
  }
  joined = concepts
  return concepts
}

/**
 * True when a name, alias or keyword names a concept that is kept for evaluation, so that data from elsewhere (pairs of
 * texts, say) can leave it out.
 */
export function namesEvaluatedConcept(words: string): boolean {
  return iconConcepts().isEvaluated(conceptKey(words))
}

/**
 * The icons of installed Iconify sets, set after set.
 *
 * @param options.sets prefixes; default every installed set
 * @throws Error that names a set which is not installed
 */
export function* icons(options: { sets?: readonly string[] } = {}): Generator<IconItem> {
  const concepts = iconConcepts()
  const emoji = englishEmoji()
  for (const set of options.sets ?? installedSets()) {
    const reader = new SetReader(loadSet(set), emoji)
    for (const entry of reader.entries()) yield reader.item(entry, concepts)
  }
}
