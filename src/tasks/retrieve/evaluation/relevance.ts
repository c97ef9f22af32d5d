/**
 * Relevance written down as patterns over words: what a person would accept for a query, judged by the names that the
 * authors of the items gave them.
 */

/** One alternative: words next to each other, or groups of `|`-separated alternatives of which each must occur. */
export type RelevancePattern = string | readonly string[]

/** A name as words, each with the forms under which it may be matched. */
type Words = readonly (readonly string[])[]

/** Splits a name into lower-case words, also at the humps of camel case. */
export function wordsOf(name: string): string[] {
  return name
    .replace(/(\p{Ll})(\p{Lu})/gu, '$1 $2')
    .toLowerCase()
    .split(/[^\p{L}\p{N}]+/u)
    .filter(Boolean)
}

/** A word, without trailing digits (`cart2`), and without a plural s. */
function formsOf(word: string): string[] {
  const bare = word.replace(/(?<=\p{L})\d+$/u, '')
  return [...new Set([word, bare, bare.replace(/(?<=..)s$/, '')])]
}

/** Every name of an item, split once however many queries are judged against it. */
export const namesAsWords = (names: readonly string[]): readonly Words[] =>
  names.map(name => wordsOf(name).map(formsOf))

/** Names share few different words, so what an expression says of each is remembered. */
function wordMatcher(word: string): (forms: readonly string[]) => boolean {
  const expression = new RegExp(`^(?:${word})$`, 'u')
  const known = new Map<string, boolean>()
  return forms => {
    const seen = known.get(forms[0])
    if (seen !== undefined) return seen
    const matches = forms.some(form => expression.test(form))
    known.set(forms[0], matches)
    return matches
  }
}

function phraseMatcher(phrase: string): (words: Words) => boolean {
  const matchers = phrase.trim().split(/\s+/).map(wordMatcher)
  return words => {
    for (let start = 0; start + matchers.length <= words.length; start++) {
      if (matchers.every((matches, i) => matches(words[start + i]))) return true
    }
    return false
  }
}

function patternMatcher(pattern: RelevancePattern): (words: Words) => boolean {
  if (typeof pattern === 'string') return phraseMatcher(pattern)
  const groups = pattern.map(group => group.split('|').map(phraseMatcher))
  return words => groups.every(group => group.some(matches => matches(words)))
}

/**
 * Compiles patterns into a judge of items.
 *
 * @param relevant alternatives, any of which makes a name relevant. Each is words that must match whole words of the name,
 *   next to each other; a word may be a regular expression. A list of groups wants one phrase of each group
 * @param except alternatives that make a name irrelevant all the same
 * @returns whether any of an item's names, split by `namesAsWords`, is relevant
 * @throws SyntaxError if a word is no regular expression
 * @example relevanceJudge(['recycle bin', 'trash', ['volume|speaker', 'off|mute']])(namesAsWords(['volume-high-off']))
 */
export function relevanceJudge(
  relevant: readonly RelevancePattern[],
  except: readonly RelevancePattern[] = [],
): (names: readonly Words[]) => boolean {
  const accepted = relevant.map(patternMatcher)
  const refused = except.map(patternMatcher)
  return names =>
    names.some(words => accepted.some(accepts => accepts(words)) && !refused.some(refuses => refuses(words)))
}
