/**
 * Texts as bags of hashed features: whole words, and their character n-grams, so that typos, unseen words and every script
 * have a vector. Words in scripts without spaces are cut into characters and pairs of characters.
 *
 * Each feature looks the one shared table up `lookups` times with seeds of its own. Source: Coleman et al. 2023, "Unified
 * Embedding: Battle-Tested Feature Representations for Web-Scale ML Systems" (feature multiplexing); Bojanowski et al.
 * 2017, "Enriching Word Vectors with Subword Information" (n-grams)
 */

/** 32-bit hash of a string's UTF-8 bytes: FNV-1a from a seeded start, finished by murmur3's mixer. */
export function hash32(seed: number, text: string): number {
  let h = (0x811c9dc5 ^ Math.imul(seed, 0x9e3779b1)) >>> 0
  for (let i = 0; i < text.length; ) {
    const code = text.codePointAt(i)!
    i += code > 0xffff ? 2 : 1
    for (const byte of utf8(code)) h = Math.imul(h ^ byte, 0x01000193)
  }
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return (h ^ (h >>> 16)) >>> 0
}

function utf8(code: number): readonly number[] {
  if (code < 0x80) return [code]
  if (code < 0x800) return [0xc0 | (code >> 6), 0x80 | (code & 63)]
  if (code < 0x10000) return [0xe0 | (code >> 12), 0x80 | ((code >> 6) & 63), 0x80 | (code & 63)]
  return [0xf0 | (code >> 18), 0x80 | ((code >> 12) & 63), 0x80 | ((code >> 6) & 63), 0x80 | (code & 63)]
}

const unspaced = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}]/u
const wordPattern = /[\p{L}\p{M}\p{N}]+/gu

/** The words of a text: lower case, without accents in Latin script, camelCase and digits apart from letters. */
export function words(text: string): string[] {
  const plain = text
    .slice(0, 1000)
    .replace(/(\p{Ll})(\p{Lu})/gu, '$1 $2')
    .normalize('NFKD')
    .replace(/(?<=\p{Script=Latin})\p{M}+/gu, '')
    .normalize('NFC')
    .toLowerCase()
    .replace(/['’]/g, '')
  return plain.match(wordPattern) ?? []
}

/** Kinds of features; each is a namespace of hashes. */
const WORD = 'w:'
const GRAM = 'g:'

/** The features of one word: itself, and its n-grams of 3 and 4 characters with its ends marked. */
function wordFeatures(word: string, into: string[]): void {
  if (unspaced.test(word)) {
    const characters = [...word]
    into.push(WORD + word)
    for (const [i, c] of characters.entries()) {
      into.push(WORD + c)
      if (i + 1 < characters.length) into.push(WORD + c + characters[i + 1])
    }
    return
  }
  // The word itself counts for as much as its pieces together would otherwise drown.
  into.push(WORD + word, WORD + word)
  const marked = [...`<${word.slice(0, 24)}>`]
  for (let n = 3; n <= 4; n++)
    for (let i = 0; i + n <= marked.length; i++) into.push(GRAM + marked.slice(i, i + n).join(''))
}

/** All features of a text, first words first; at most `limit`, taken evenly when there are more. */
export function featuresOf(text: string, limit: number): string[] {
  const features: string[] = []
  for (const word of words(text)) wordFeatures(word, features)
  if (features.length <= limit) return features
  return Array.from({ length: limit }, (_, i) => features[Math.floor((i * features.length) / limit)])
}

export interface TextBatch {
  /** Rows of the table, [texts, features, lookups] */
  readonly rows: Int32Array
  /** One over the root of the number of features, 0 where there is none: [texts, features] */
  readonly weights: Float32Array
  readonly features: number
}

export interface TextFeatureOptions {
  /** Rows of the table. */
  readonly tableRows: number
  readonly lookups: number
  /** Most features of a text. */
  readonly limit: number
}

/** Cuts texts into features and looks up their rows; remembers what it has seen, so repeated texts are cheap. */
export class TextFeaturizer {
  readonly options: TextFeatureOptions
  readonly #rows = new Map<string, readonly number[]>()
  readonly #texts = new Map<string, Int32Array>()

  constructor(options: TextFeatureOptions) {
    this.options = options
  }

  #lookup(feature: string): readonly number[] {
    const known = this.#rows.get(feature)
    if (known) return known
    const { lookups, tableRows } = this.options
    const rows = Array.from({ length: lookups }, (_, i) => hash32(i + 1, feature) % tableRows)
    if (this.#rows.size > 500_000) this.#rows.clear()
    this.#rows.set(feature, rows)
    return rows
  }

  /** Rows of all features of a text, [features, lookups]. */
  #rowsOf(text: string, limit: number): Int32Array {
    const key = `${limit}:${text}`
    const known = this.#texts.get(key)
    if (known) return known
    const rows = Int32Array.from(featuresOf(text, limit).flatMap(feature => this.#lookup(feature)))
    if (this.#texts.size > 200_000) this.#texts.clear()
    this.#texts.set(key, rows)
    return rows
  }

  /** @param features columns of the batch; default: as many as the longest text needs, in steps of 16 so that few programs are compiled */
  batch(texts: readonly string[], features?: number): TextBatch {
    const { lookups, limit } = this.options
    const all = texts.map(text => this.#rowsOf(text, features ?? limit))
    const longest = all.reduce((most, found) => Math.max(most, found.length / lookups), 1)
    const columns = features ?? Math.min(limit, Math.ceil(longest / 16) * 16)
    const rows = new Int32Array(texts.length * columns * lookups)
    const weights = new Float32Array(texts.length * columns)
    for (const [t, found] of all.entries()) {
      const count = found.length / lookups
      rows.set(found, t * columns * lookups)
      weights.fill(1 / Math.sqrt(Math.max(1, count)), t * columns, t * columns + count)
    }
    return { rows, weights, features: columns }
  }
}
