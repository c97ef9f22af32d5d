import MiniSearch from 'minisearch'
import type { NamedItem } from './query-file.ts'
import type { Ranker } from './ranker.ts'

/**
 * What the search boxes of icon sites do: the whole query, its spaces as hyphens, somewhere in a name. An exact name comes
 * first, then the earlier and the tighter match.
 */
export function substringRanker(items: readonly NamedItem[]): Ranker {
  const known = items.map(({ id, names }) => ({ id, names: names.map(hyphenated) }))
  return {
    name: 'substring',
    answers: query => query.text !== undefined,
    async rank({ text = '' }, k) {
      const wanted = hyphenated(text)
      const hits: { id: string; exact: boolean; at: number; length: number }[] = []
      for (const { id, names } of known) {
        const name = names.find(candidate => candidate.includes(wanted))
        if (name === undefined) continue
        const exact = names.includes(wanted)
        hits.push({ id, exact, at: exact ? 0 : name.indexOf(wanted), length: name.length })
      }
      hits.sort((a, b) => Number(b.exact) - Number(a.exact) || a.at - b.at || a.length - b.length)
      return hits.slice(0, k).map(({ id }) => id)
    },
  }
}

const hyphenated = (text: string): string =>
  text
    .trim()
    .toLowerCase()
    .replace(/[\s_]+/g, '-')

/** A full-text index (BM25+) over names whose words may be begun or misspelt: within a fifth of a word's length in edits. */
export function fullTextRanker(items: readonly NamedItem[]): Ranker {
  const index = new MiniSearch<{ id: string; names: string }>({
    fields: ['names'],
    searchOptions: { prefix: true, fuzzy: 0.2 },
  })
  index.addAll(items.map(({ id, names }) => ({ id, names: names.join(' ').replace(/[-_]/g, ' ') })))
  return {
    name: 'full text',
    answers: query => query.text !== undefined,
    async rank({ text = '' }, k) {
      return index
        .search(text)
        .slice(0, k)
        .map(hit => hit.id as string)
    },
  }
}
