import type { Collection, Hit, Metadata, SearchRequest, SearchResult, SourceItem } from '../search/index.ts'

export type { Hit, Metadata, SearchRequest, SearchResult, SourceItem }

/** What the server asks of a collection; tests serve a small one in memory. */
export type Searchable = Pick<Collection, 'name' | 'count' | 'search' | 'describe' | 'item' | 'items' | 'close'>

/** How far a collection's indexing is. */
export interface IndexingProgress {
  readonly done: number
  /** Undefined while the items are still being counted. */
  readonly total?: number
  /** Items a second, over the last few seconds. */
  readonly rate: number
  readonly secondsLeft?: number
  /** Items that were skipped, with the reason kept in the index's report. */
  readonly failed: number
  /** Set when indexing ended with an error; the collection answers with what it has. */
  readonly error?: string
}

/** Values that a filter of the page can choose from, most frequent first. */
export type Facets = Readonly<
  Record<string, readonly { readonly value: string; readonly count: number; readonly title?: string }[]>
>

export interface ServedCollection {
  readonly collection: Searchable
  /** Undefined when nothing is being indexed. */
  readonly indexing?: () => IndexingProgress | undefined
  readonly facets?: () => Facets | Promise<Facets>
}
