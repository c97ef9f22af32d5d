import type { SourceItem } from '../source-item.ts'

/** Where items come from. */
export interface Source {
  /** What it is, for people. */
  readonly title: string
  /** Number of items, where it is known beforehand. */
  readonly total?: number
  items(): AsyncIterable<SourceItem> | Iterable<SourceItem>
  /** What was left out before any item was made, with the reason. */
  readonly skipped: readonly { readonly id: string; readonly reason: string }[]
}
