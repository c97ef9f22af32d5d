/** What one request, and all of them together, may cost. */
export interface ServerLimits {
  /** Largest request body, in bytes; base64 makes a picture a third larger than its file. */
  bodyBytes: number
  /** Largest picture file, in bytes. */
  imageBytes: number
  /** Largest picture, in pixels before it is made smaller. */
  imagePixels: number
  /** Longest time that unpacking one picture may take, in milliseconds. */
  decodeMilliseconds: number
  /** Longest text of one query, in characters. */
  textLength: number
  /** Most texts, or items of `like`, in one query. */
  queryParts: number
  /** Longest `where`, in characters. */
  whereLength: number
  /** Most results of one answer. */
  top: number
  /** Farthest result that paging reaches. */
  offset: number
  /** Most pictures of one answer. */
  pictures: number
  /** Searches that run at the same time. */
  concurrent: number
  /** Searches that wait for their turn; one more is refused with 429. */
  waiting: number
  /** Searches a minute from one address; 0 for no limit. */
  searchesPerMinute: number
}

export const defaultLimits: ServerLimits = {
  bodyBytes: 12 * 2 ** 20,
  imageBytes: 8 * 2 ** 20,
  imagePixels: 40e6,
  decodeMilliseconds: 5_000,
  textLength: 500,
  queryParts: 16,
  whereLength: 2_000,
  top: 1_000,
  offset: 100_000,
  pictures: 256,
  concurrent: 4,
  waiting: 2_000,
  searchesPerMinute: 0,
}
