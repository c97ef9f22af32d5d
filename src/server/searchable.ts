/** What the server asks of a collection. The engine's `Collection` is one; tests serve a small one in memory. */
export interface Searchable {
  readonly name: string
  readonly count: number
  search(request: SearchRequest): Promise<SearchResult>
  describe(image: Uint8Array, top?: number): Promise<readonly DescribedText[]>
  item(id: string): Promise<SourceItem | undefined>
  close(): Promise<void>
}

export type Metadata = Record<string, string | number | boolean | null | string[]>

export interface SearchRequest {
  text?: string | string[]
  image?: Uint8Array
  sketch?: boolean
  like?: string | string[]
  where?: string
  top?: number
  offset?: number
  mode?: 'hybrid' | 'meaning' | 'keywords'
}

export interface Hit {
  id: string
  name: string
  score: number
  metadata: Metadata
  texts: string[]
  why?: { meaning: number; keywords: number; matched: string[] }
}

export interface SearchResult {
  results: Hit[]
  total: number
  milliseconds: number
}

export interface DescribedText {
  text: string
  score: number
  count: number
}

export interface SourceItem {
  id: string
  name: string
  texts: string[]
  image?: { svg: string } | { path: string } | { bytes: Uint8Array }
  metadata: Metadata
  fingerprint: string
}

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
