import { createHash } from 'node:crypto'
import { type Split as ConceptSplit, iconSets, icons, installedSets } from '../icons/index.ts'
import { emojiSets } from '../icons/sets.ts'
import { type Drawing, type Drawn, draw } from './drawings.ts'

/** What is kept of an icon beside its pixels. */
export interface DrawnIcon {
  /** E.g. `mdi:cog-outline`. */
  readonly id: string
  readonly set: string
  readonly style: string
  /** The concept's key, shared across sets and styles. */
  readonly concept: string
  /** Where the concept belongs when concepts are split. */
  readonly conceptSplit: ConceptSplit
  /** The same for all sizes and styles of one drawing in one set. */
  readonly drawing: string
  readonly category: string
}

/** Ten things that most sets draw, and that look different. */
export const plainConcepts = [
  'bell',
  'camera',
  'cart',
  'cloud',
  'sun',
  'email',
  'eye',
  'home',
  'rocket',
  'umbrella',
] as const

export interface IconDrawingOptions {
  /** Side in pixels. */
  readonly size: number
  /** Names of concepts, or how many: those that most sets draw. Default {@link plainConcepts}. */
  readonly concepts?: readonly string[] | number
  /** A concept counts only if so many sets draw it. Default 1 */
  readonly minimumSets?: number
  /** Prefixes of icon sets. Default every installed one that is drawn in one colour; with `colour`, the emoji. */
  readonly sets?: readonly string[]
  /** Most icons of one concept, taken evenly over its sets. Default: all. */
  readonly mostPerConcept?: number
  readonly colour?: boolean
  readonly cache?: string
}

/** A number from 0 to 1 that depends on nothing but the text. */
export const hashShare = (text: string): number => createHash('sha256').update(text).digest().readUInt32BE(0) / 2 ** 32

interface Candidate {
  readonly drawing: Drawing<DrawnIcon>
  readonly rank: number
}

/**
 * Icons of installed Iconify sets as pixels, by concept.
 *
 * @throws Error that names a concept which no chosen set draws, or a set which is not installed
 */
export async function drawIcons(options: IconDrawingOptions): Promise<Drawn<DrawnIcon>> {
  const { size, concepts = plainConcepts, minimumSets = 1, mostPerConcept, colour = false, cache } = options
  const plain = installedSets().filter(set => emojiSets.has(set) === colour)
  const sets = options.sets ?? plain
  if (sets.length === 0)
    throw new Error(
      'there are no icon sets to draw; install some with: npm install @iconify-json/mdi @iconify-json/tabler',
    )
  const versions = iconSets(sets).map(({ set, version }) => `${set}@${version}`)
  const key = JSON.stringify({ versions, concepts, minimumSets, mostPerConcept })
  return draw(() => choose(sets, concepts, minimumSets, mostPerConcept), { size, colour, key: `icons ${key}`, cache })
}

/** The chosen icons: concept by concept in the order asked for, then by set and name. */
function choose(
  sets: readonly string[],
  wanted: readonly string[] | number,
  minimumSets: number,
  most: number | undefined,
): Drawing<DrawnIcon>[] {
  const named = typeof wanted === 'number' ? undefined : new Set(wanted)
  const found = new Map<string, Candidate[]>()
  for (const icon of icons({ sets })) {
    const { id, set, style, concept, split, svg, words, categories } = icon
    if (named && !named.has(concept)) continue
    const item = {
      id,
      set,
      style,
      concept,
      conceptSplit: split,
      drawing: `${set}:${words}`,
      category: categories[0]?.replaceAll(' & ', ' ') ?? '',
    }
    const list = found.get(concept)
    const candidate = { drawing: { item, svg }, rank: hashShare(id) }
    if (list) list.push(candidate)
    else found.set(concept, [candidate])
  }
  const setsOf = (list: readonly Candidate[]): number => new Set(list.map(({ drawing }) => drawing.item.set)).size
  for (const [concept, list] of found) if (setsOf(list) < minimumSets) found.delete(concept)
  const missing = [...(named ?? [])].filter(concept => !found.has(concept))
  if (missing.length)
    throw new Error(`no icon of ${missing.join(', ')} in ${minimumSets} of the sets ${sets.join(', ')}`)
  const order = named
    ? [...named]
    : [...found.keys()]
        .sort((a, b) => setsOf(found.get(b)!) - setsOf(found.get(a)!) || (a < b ? -1 : 1))
        .slice(0, wanted as number)
  return order.flatMap(concept => thinned(found.get(concept)!, most).map(({ drawing }) => drawing))
}

/** At most so many, one set after another, so that no set with many styles crowds out the others. */
function thinned(list: Candidate[], most: number | undefined): Candidate[] {
  if (most === undefined || list.length <= most) return list
  const bySet = new Map<string, Candidate[]>()
  for (const one of [...list].sort((a, b) => a.rank - b.rank)) {
    const { set } = one.drawing.item
    bySet.set(set, [...(bySet.get(set) ?? []), one])
  }
  const kept = new Set<Candidate>()
  for (let round = 0; kept.size < most; round++)
    for (const members of bySet.values()) if (members[round] && kept.size < most) kept.add(members[round])
  return list.filter(one => kept.has(one))
}
