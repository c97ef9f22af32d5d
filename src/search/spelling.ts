import damerauLevenshtein from 'damerau-levenshtein'

/** Shortest words that are corrected, and from which length on two slips are allowed. */
const correctable = { shortest: 4, twoSlips: 6 }

/** Letters of a word as bits: words within d edits differ in at most 2d of them. */
function letterBits(word: string): number {
  let bits = 0
  for (let i = 0; i < word.length; i++) bits |= 1 << (word.charCodeAt(i) & 31)
  return bits
}

function bitCount(bits: number): number {
  let count = 0
  for (let rest = bits; rest !== 0; rest &= rest - 1) count++
  return count
}

/** The words of a collection with how many items hold each; finds the word that a misspelt one was meant to be. */
export class Vocabulary {
  readonly #counts = new Map<string, number>()
  #byLength: { word: string; bits: number }[][] | undefined

  add(word: string): void {
    const count = this.#counts.get(word)
    this.#counts.set(word, (count ?? 0) + 1)
    if (count === undefined) this.#byLength = undefined
  }

  remove(word: string): void {
    const count = this.#counts.get(word) ?? 0
    if (count > 1) this.#counts.set(word, count - 1)
    else {
      this.#counts.delete(word)
      this.#byLength = undefined
    }
  }

  /** Items that hold the word. */
  count(word: string): number {
    return this.#counts.get(word) ?? 0
  }

  /**
   * Words within one slip of a misspelt one (two from six letters on), likeliest first: letters left out, doubled, hit
   * beside or swapped. Few slips count most, then a right first letter, then that letters were only left out, then how
   * common the word is.
   */
  corrections(word: string, slips = 2): string[] {
    if (word.length < correctable.shortest) return []
    const most = Math.min(slips, word.length >= correctable.twoSlips ? 2 : 1)
    const bits = letterBits(word)
    const found: { word: string; score: number }[] = []
    for (let length = word.length - most; length <= word.length + most; length++)
      for (const candidate of this.#words()[length] ?? []) {
        if (bitCount(bits ^ candidate.bits) > 2 * most) continue
        const { steps } = damerauLevenshtein(word, candidate.word)
        if (steps === 0 || steps > most) continue
        const score =
          Math.log10(this.count(candidate.word)) -
          2 * steps +
          (candidate.word[0] === word[0] ? 1 : 0) +
          (isWithin(word, candidate.word) ? 0.7 : 0)
        found.push({ word: candidate.word, score })
      }
    return found.sort((a, b) => b.score - a.score).map(({ word: right }) => right)
  }

  #words(): { word: string; bits: number }[][] {
    if (!this.#byLength) {
      this.#byLength = []
      for (const word of this.#counts.keys()) {
        if (word.length < correctable.shortest - 1) continue
        this.#byLength[word.length] ??= []
        this.#byLength[word.length].push({ word, bits: letterBits(word) })
      }
    }
    return this.#byLength
  }
}

/** Whether a word is another one with letters left out. */
function isWithin(short: string, long: string): boolean {
  let at = 0
  for (const letter of long) if (letter === short[at]) at++
  return at === short.length
}
