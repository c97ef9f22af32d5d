import { createHash } from 'node:crypto'
import { type IconItem, iconSets, icons } from '../../data/icons/index.ts'
import type { SourceItem } from '../source-item.ts'
import type { Source } from './source.ts'

/** Goes into every fingerprint: raise it when icons become other items than before. */
const mapping = 1

/** Icons of the installed Iconify sets. @param sets names such as `lucide`; all by default */
export function iconSource(sets?: readonly string[]): Source {
  const total = iconSets(sets).reduce((sum, set) => sum + set.total, 0)
  return { title: sets ? `icons of ${sets.join(', ')}` : 'icons', total, items: () => iconItems(sets), skipped: [] }
}

function* iconItems(sets?: readonly string[]): Generator<SourceItem> {
  for (const icon of icons(sets ? { sets } : {})) yield iconItem(icon)
}

export function iconItem(icon: IconItem): SourceItem {
  const { id, set, name, words, aliases, tags, withheld, categories, style, colour, licence, author, svg } = icon
  const texts = [...new Set([words, ...aliases, ...tags, ...withheld].filter(text => text !== ''))]
  const metadata = { set, style, colour, categories, licence, author, ...(icon.emoji ? { emoji: icon.emoji } : {}) }
  const fingerprint = createHash('sha1')
    .update(JSON.stringify([mapping, name, texts, metadata, svg]))
    .digest('hex')
  return { id, name, texts, image: { svg }, metadata, fingerprint }
}
