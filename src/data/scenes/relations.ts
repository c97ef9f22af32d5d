/** left, top, right, bottom in pixels, the last two exclusive. */
export type Box = readonly [left: number, top: number, right: number, bottom: number]

/** How one object stands to another. */
export type RelationName = 'left of' | 'above' | 'inside' | 'overlapping'

export interface Relation {
  /** Positions in the scene's list of objects. */
  readonly subject: number
  readonly relation: RelationName
  readonly object: number
}

const within = (inner: Box, outer: Box): boolean =>
  inner[0] >= outer[0] && inner[1] >= outer[1] && inner[2] <= outer[2] && inner[3] <= outer[3]

const meet = (a: Box, b: Box): boolean => a[0] < b[2] && b[0] < a[2] && a[1] < b[3] && b[1] < a[3]

/**
 * Every relation between boxes: `left of` and `above` where the first ends before the second begins, `inside` where it lies
 * wholly in it, `overlapping` (once a pair) where they share pixels and neither lies in the other.
 */
export function relationsOf(boxes: readonly Box[]): Relation[] {
  const found: Relation[] = []
  for (const [subject, a] of boxes.entries())
    for (const [object, b] of boxes.entries()) {
      if (subject === object) continue
      const add = (relation: RelationName): void => {
        found.push({ subject, relation, object })
      }
      if (a[2] <= b[0]) add('left of')
      if (a[3] <= b[1]) add('above')
      if (within(a, b)) add('inside')
      else if (subject < object && meet(a, b) && !within(b, a)) add('overlapping')
    }
  return found
}

const withArticle = (words: string): string => `${/^[aeiou]/.test(words) ? 'an' : 'a'} ${words}`

const listed = (parts: readonly string[]): string =>
  parts.length < 2 ? (parts[0] ?? '') : `${parts.slice(0, -1).join(', ')} and ${parts[parts.length - 1]}`

/** One sentence that names every object, and the first relation of each with the one before it. */
export function captionOf(names: readonly string[], relations: readonly Relation[]): string {
  if (names.length === 0) return 'nothing'
  const told: string[] = []
  for (let i = 1; i < names.length; i++) {
    const known = relations.find(
      ({ subject, object }) => (subject === i - 1 && object === i) || (subject === i && object === i - 1),
    )
    if (known) told.push(`the ${names[known.subject]} is ${known.relation} the ${names[known.object]}`)
  }
  return listed(names.map(withArticle)) + (told.length ? `; ${listed(told)}` : '')
}
