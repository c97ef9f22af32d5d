import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Emoji } from 'emojibase'
import { packageFolder, readJson } from './sets.ts'

/** The words of one emoji in one language. */
export interface EmojiKeywords {
  readonly emoji: string
  /** Its characters in hexadecimal without variation selectors, e.g. `1f3f4-200d-2620`. */
  readonly hexcode: string
  /** Language code as emojibase writes it, e.g. `en`, `es-mx`, `zh-hant`. */
  readonly language: string
  readonly label: string
  readonly tags: string[]
}

/** What English says about one emoji, for matching it with icons. */
export interface EmojiEntry {
  readonly label: string
  readonly tags: readonly string[]
  /** The label of the emoji without its skin tone. */
  readonly baseLabel: string
}

/** One way to write a hexcode: lower case, without the selector that only asks for a coloured drawing. */
export function plainHexcode(hexcode: string): string {
  return hexcode
    .toLowerCase()
    .split('-')
    .filter(part => part !== 'fe0f')
    .join('-')
}

function emojiFolder(): string {
  const folder = packageFolder('emojibase-data')
  if (!folder) throw new Error('emojibase-data is not installed; install it with: npm install emojibase-data')
  return folder
}

const readLanguage = (folder: string, language: string) => readJson<Emoji[]>(join(folder, language, 'data.json'))

/**
 * Labels and tags of every emoji in every language of emojibase-data; variants by skin tone are not listed apart.
 *
 * @throws Error when emojibase-data is not installed
 */
export function emojiKeywords(): EmojiKeywords[] {
  const folder = emojiFolder()
  const languages = readdirSync(folder).filter(name => existsSync(join(folder, name, 'data.json')))
  return languages.sort().flatMap(language =>
    readLanguage(folder, language).flatMap(({ emoji, hexcode, label, tags }) =>
      // Letters that flags are composed of have a label in no language but English, and no tags.
      label === undefined ? [] : [{ emoji, hexcode: plainHexcode(hexcode), language, label, tags: tags ?? [] }],
    ),
  )
}

/** English labels and tags by plain hexcode, variants by skin tone included; empty when emojibase-data is not installed. */
export function englishEmoji(): ReadonlyMap<string, EmojiEntry> {
  const found = new Map<string, EmojiEntry>()
  if (!packageFolder('emojibase-data')) return found
  for (const { hexcode, label, tags = [], skins = [] } of readLanguage(emojiFolder(), 'en')) {
    found.set(plainHexcode(hexcode), { label, tags, baseLabel: label })
    for (const skin of skins) found.set(plainHexcode(skin.hexcode), { label: skin.label, tags, baseLabel: label })
  }
  return found
}
