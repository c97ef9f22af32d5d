/** RGB bytes of a square picture over white, row-major [size, size, 3]. */
export interface Picture {
  readonly pixels: Uint8Array
  readonly size: number
}

/** What is asked. Exactly one of `text` and `image` is set. */
export interface RetrievalQuery {
  /** Names the query in reports. */
  readonly id: string
  readonly text?: string
  readonly image?: Picture
  /** Whether the image is a drawing by hand. */
  readonly sketch?: boolean
  /** ISO 639-1 code of `text`. */
  readonly language?: string
  /** What sort of query it is, for numbers by kind. */
  readonly kind?: string
  /** Ids of the items that are right. */
  readonly relevant: ReadonlySet<string>
  /** Ids that do not count, neither as right nor as wrong: the item that the query was made from, say. */
  readonly ignored?: ReadonlySet<string>
}

/** Anything that can order items for a query: a collection, or what it is compared with. */
export interface Ranker {
  readonly name: string
  /** Whether it can answer such a query at all; one that cannot is left out of a set's table. */
  answers(query: RetrievalQuery): boolean
  /**
   * @param k how many at most, best first
   * @returns ids of items, without repeats
   */
  rank(query: RetrievalQuery, k: number): Promise<string[]>
}

/** A named list of queries with the number that it is judged by. */
export interface QuerySet {
  readonly id: string
  /** One line for people. */
  readonly title: string
  readonly queries: readonly RetrievalQuery[]
}
