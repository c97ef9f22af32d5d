import type { RetrievalEncoder } from '../src/tasks/retrieve/encoder.ts'

/** A direction that depends on a word only. */
function direction(word: string, dim: number): Float32Array {
  let state = 2166136261
  for (const letter of word) state = Math.imul(state ^ letter.codePointAt(0)!, 16777619)
  return Float32Array.from({ length: dim }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0
    return state / 2 ** 31
  })
}

/** Words that mean the same to this encoder, and colours, which it sees in pictures. */
const meanings: Readonly<Record<string, string>> = { cog: 'gear', settings: 'gear', automobile: 'car', crimson: 'red' }

const colours = ['black', 'blue', 'green', 'cyan', 'red', 'magenta', 'yellow', 'white']

function encode(words: readonly string[], dim: number): Float32Array {
  const sum = new Float32Array(dim)
  for (const word of words) {
    for (const [at, value] of direction(meanings[word] ?? word, dim).entries()) sum[at] += value
  }
  const length = Math.hypot(...sum) || 1
  return sum.map(value => value / length)
}

/** A small deterministic encoder: texts by their words with a few synonyms, pictures by their mean colour's name. */
export function wordEncoder(id = 'a'.repeat(64), dim = 64): RetrievalEncoder {
  const rows = (vectors: Float32Array[]) => {
    const flat = new Float32Array(vectors.length * dim)
    for (const [row, vector] of vectors.entries()) flat.set(vector, row * dim)
    return flat
  }
  return {
    id,
    name: 'words',
    dim,
    widths: [16, dim],
    imageSize: 8,
    encodeTexts: async texts => rows(texts.map(text => encode(text.toLowerCase().split(/\W+/).filter(Boolean), dim))),
    encodeImages: async (pixels, count) => {
      const bytes = 8 * 8 * 3
      if (pixels.length !== count * bytes) throw new RangeError('pixels: wrong size')
      const means = Array.from({ length: count }, (_, image) => {
        const channel = (c: number) => {
          let sum = 0
          for (let at = c; at < bytes; at += 3) sum += pixels[image * bytes + at]
          return sum / 64 > 127 ? 1 : 0
        }
        return encode([colours[4 * channel(0) + 2 * channel(1) + channel(2)]], dim)
      })
      return rows(means)
    },
    close: async () => undefined,
  }
}
