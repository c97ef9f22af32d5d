import { emojiKeywords, type IconItem } from '../../../data/icons/index.ts'
import {
  aliasQueries,
  conceptQueries,
  type Drawer,
  emojiQueries,
  nameQueries,
  type SetOptions,
  sketchQueries,
} from './query-sets.ts'
import type { QuerySet } from './ranker.ts'

/** What can be measured on icons, in the order of reports. */
export const iconSetKinds = ['names', 'aliases', 'emoji', 'concepts', 'sketches'] as const
export type IconSetKind = (typeof iconSetKinds)[number]

/** What the query sets are made of. */
export interface IconSetSources {
  /** What can be found by aliases and emoji words: names alone may be known of it. */
  readonly withheld: readonly IconItem[]
  /** What can be found otherwise. */
  readonly gallery: readonly IconItem[]
  /** Icons of sets that nothing was trained on; they are asked with. */
  readonly unseen: readonly IconItem[]
  readonly draw: Drawer
}

/** Makes the query sets of some kinds; those that have no query, because the gallery lacks what they need, are left out. */
export async function iconQuerySets(
  kinds: readonly IconSetKind[],
  { withheld, gallery, unseen, draw }: IconSetSources,
  options: SetOptions = {},
): Promise<QuerySet[]> {
  const sets: QuerySet[] = []
  if (kinds.includes('names')) sets.push(nameQueries(gallery, options))
  if (kinds.includes('aliases')) sets.push(aliasQueries(withheld, options))
  if (kinds.includes('emoji')) sets.push(...emojiQueries(withheld, emojiKeywords(), options))
  if (kinds.includes('concepts')) {
    const tests = gallery.filter(({ split }) => split === 'test')
    const title = 'the same concept in other sets, held-out concepts'
    sets.push(await conceptQueries('concepts', title, gallery, tests, draw, options))
    for (const set of new Set(unseen.map(item => item.set))) {
      const sources = unseen.filter(item => item.set === set)
      sets.push(
        await conceptQueries(`from ${set}`, `the same concept, drawn by ${set}`, gallery, sources, draw, options),
      )
    }
  }
  if (kinds.includes('sketches')) sets.push(await sketchQueries(gallery, draw, options))
  return sets.filter(({ queries }) => queries.length > 0)
}
