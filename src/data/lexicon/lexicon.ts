import { access, readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { gunzipSync, gzipSync } from 'node:zlib'
import type { LexiconEntry } from './build-lexicon.ts'

/** What a term means in English. */
export interface Meaning {
  readonly text: string
  /** 1 for the likeliest meaning, less for others. */
  readonly weight: number
}

/** A part of a text that the lexicon knows, and what it means. */
export interface KnownTerm {
  readonly term: string
  readonly meanings: readonly Meaning[]
  readonly languages: readonly string[]
}

/** Words of a text: lower case, without marks on letters, split at what is neither letter nor digit. */
export function textWords(text: string): string[] {
  return text
    .normalize('NFKD')
    .replace(/\p{Mn}+/gu, '')
    .normalize('NFC')
    .toLowerCase()
    .replace(/['’]/g, '')
    .split(/[^\p{L}\p{N}+#]+/u)
    .filter(word => word !== '')
}

const unspaced = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}\p{Script=Khmer}\p{Script=Lao}]/u

/** Words of many languages and what they mean in English, for queries in a language that a collection does not speak. */
export class Lexicon {
  readonly #entries = new Map<string, { languages: readonly string[]; english: readonly Meaning[] }>()
  #longest = 1

  constructor(entries: Iterable<LexiconEntry>) {
    for (const { term, languages, english } of entries) {
      this.#entries.set(term, { languages, english })
      this.#longest = Math.max(this.#longest, unspaced.test(term) ? term.length : term.split(' ').length)
    }
  }

  get size(): number {
    return this.#entries.size
  }

  /** Every entry, in no particular order. */
  *entries(): Generator<LexiconEntry> {
    for (const [term, { languages, english }] of this.#entries) yield { term, languages, english }
  }

  /** The meanings of a whole term. */
  find(text: string): KnownTerm | undefined {
    const term = textWords(text).join(' ')
    const entry = this.#entries.get(term)
    return entry && { term, meanings: entry.english, languages: entry.languages }
  }

  /**
   * Takes a text apart into the longest terms that the lexicon knows and words it does not know. Texts in scripts that
   * write no spaces are cut wherever a term ends.
   */
  parse(text: string): (KnownTerm | string)[] {
    const parts: (KnownTerm | string)[] = []
    const all = textWords(text)
    for (let at = 0; at < all.length; ) {
      let taken = 0
      for (let count = Math.min(this.#longest, all.length - at); count > 0 && !taken; count--) {
        const known = this.find(all.slice(at, at + count).join(' '))
        if (!known) continue
        parts.push(known)
        taken = count
      }
      if (!taken) {
        if (unspaced.test(all[at])) parts.push(...this.#parseUnspaced(all[at]))
        else parts.push(all[at])
        taken = 1
      }
      at += taken
    }
    return parts
  }

  #parseUnspaced(text: string): (KnownTerm | string)[] {
    const characters = [...text]
    const parts: (KnownTerm | string)[] = []
    let unknown = ''
    for (let at = 0; at < characters.length; ) {
      let known: KnownTerm | undefined
      let count = Math.min(this.#longest, characters.length - at)
      for (; count > 0 && !known; count--) known = this.find(characters.slice(at, at + count).join(''))
      if (known) {
        if (unknown) parts.push(unknown)
        unknown = ''
        parts.push(known)
        at += [...known.term].length
      } else {
        unknown += characters[at]
        at += 1
      }
    }
    if (unknown) parts.push(unknown)
    return parts
  }
}

/** The lexicon that comes with Tenet: about 40 languages. */
export const bundledLexiconPath = fileURLToPath(new URL('../../../models/tenet-lexicon.tsv.gz', import.meta.url))

const FORMAT = 'tenet-lexicon 1'

/** A lexicon as the bytes of a file: gzipped lines `term <tab> languages <tab> meaning|weight <tab> …`. */
export function writeLexicon(entries: readonly LexiconEntry[], about: Readonly<Record<string, unknown>>): Uint8Array {
  const lines = entries.map(({ term, languages, english }) =>
    [term, languages.join(','), ...english.map(({ text, weight }) => (weight === 1 ? text : `${text}|${weight}`))].join(
      '\t',
    ),
  )
  return gzipSync([`${FORMAT}\t${JSON.stringify(about)}`, ...lines].join('\n'), { level: 9 })
}

/** Reads a lexicon. @param path default: the one that comes with Tenet. @throws one line when the file is not one */
export async function readLexicon(path = bundledLexiconPath): Promise<Lexicon> {
  const bytes = await readFile(path).catch((error: NodeJS.ErrnoException) => {
    throw new Error(`cannot read the lexicon ${path}: ${error.code ?? error.message}`)
  })
  let lines: string[]
  try {
    lines = gunzipSync(bytes, { maxOutputLength: 256 * 2 ** 20 })
      .toString('utf8')
      .split('\n')
  } catch {
    throw new Error(`${path} is no lexicon: it is not gzipped`)
  }
  if (!lines[0].startsWith(FORMAT)) throw new Error(`${path} is no lexicon: it does not begin with '${FORMAT}'`)
  return new Lexicon(
    lines.slice(1).map(line => {
      const [term, languages, ...english] = line.split('\t')
      return {
        term,
        languages: languages.split(','),
        english: english.map(meaning => {
          const [text, weight] = meaning.split('|')
          return { text, weight: weight === undefined ? 1 : Number(weight) }
        }),
      }
    }),
  )
}

let bundled: Promise<Lexicon | undefined> | undefined

/** The lexicon that comes with Tenet, read once; undefined in a copy without it. @throws when it is damaged */
export function bundledLexicon(): Promise<Lexicon | undefined> {
  bundled ??= access(bundledLexiconPath).then(
    () => readLexicon(),
    () => undefined,
  )
  return bundled
}
