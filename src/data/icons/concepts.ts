import { createHash } from 'node:crypto'

export type Split = 'train' | 'validation' | 'test' | 'unseen-set'

/** Of 100 concepts, 90 are trained on, 3 choose settings and 7 are for the final numbers. */
const shares = { train: 0.9, validation: 0.03 } as const

/** A union of concepts that was not made because it would have grown past the limit. */
export interface RefusedUnion {
  readonly names: readonly [string, string]
  readonly size: number
}

/**
 * Names that mean the same icon, joined: an alias belongs to the concept of the icon that it points at.
 *
 * Joining is transitive, so loose aliases could chain thousands of names together; a union that would hold more than
 * `limit` names is refused and remembered.
 */
export class Concepts {
  readonly refused: RefusedUnion[] = []
  /** Names that icons have of their own, not only as aliases or keywords. */
  readonly #owned = new Set<string>()
  readonly #splits = new Map<string, Exclude<Split, 'unseen-set'>>()
  readonly #parent = new Map<string, string>()
  readonly #size = new Map<string, number>()
  readonly #limit: number

  constructor(limit = 12) {
    this.#limit = limit
  }

  /** The name that stands for the concept of `name`: of all joined names, the first in the alphabet. */
  of(name: string): string {
    let root = name
    for (let next = this.#parent.get(root); next !== undefined; next = this.#parent.get(root)) root = next
    return root
  }

  /** The number of names joined with this one, itself included. */
  size(name: string): number {
    return this.#size.get(this.of(name)) ?? 1
  }

  /** Remembers that there is an icon of this name. */
  own(name: string): void {
    this.#owned.add(this.of(name))
  }

  /** True when a name means the concept of some icon, and that concept is kept for evaluation. */
  isEvaluated(name: string): boolean {
    const concept = this.of(name)
    return this.#owned.has(concept) && this.split(concept) !== 'train'
  }

  /** The part of the data that the concept of a name belongs to. */
  split(name: string): Exclude<Split, 'unseen-set'> {
    const concept = this.of(name)
    const known = this.#splits.get(concept)
    if (known) return known
    const split = conceptSplit(concept)
    this.#splits.set(concept, split)
    return split
  }

  /** Joins two names, unless that makes too large a concept. */
  join(one: string, other: string): void {
    const [first, second] = [this.of(one), this.of(other)].sort()
    if (first === second) return
    const size = this.size(first) + this.size(second)
    if (size > this.#limit) {
      this.refused.push({ names: [one, other], size })
      return
    }
    this.#parent.set(second, first)
    if (this.#owned.delete(second)) this.#owned.add(first)
    this.#size.set(first, size)
  }
}

/**
 * The part of the data that a concept belongs to, by a hash of its name, so that it is the same on every machine
 * whatever else is installed.
 *
 * @param concept the name that stands for it
 */
export function conceptSplit(concept: string): Exclude<Split, 'unseen-set'> {
  const hash = createHash('sha256').update(`tenet icons ${concept}`).digest()
  const fraction = hash.readUInt32BE(0) / 2 ** 32
  if (fraction < shares.train) return 'train'
  return fraction < shares.train + shares.validation ? 'validation' : 'test'
}
