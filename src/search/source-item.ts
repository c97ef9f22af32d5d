import type { PictureSource } from '../data/pictures.ts'
import type { SvgRasterizer } from '../data/svg/index.ts'

export type Metadata = Record<string, string | number | boolean | null | string[]>

/** Where an item's picture comes from: an SVG document, a file, or a file's bytes. */
export type ItemImage = PictureSource

/** One thing to be found: by its picture, its texts, or both. */
export interface SourceItem {
  /** Unique within a collection. */
  id: string
  name: string
  /** Captions, aliases, tags: best first. */
  texts: string[]
  image?: ItemImage
  /** The item is worth finding by its texts alone when its picture cannot be read; by default it is skipped then. */
  imageOptional?: boolean
  /** Values that a `where` clause can filter by. */
  metadata: Metadata
  /** Changes when the item changes; an item whose fingerprint is known is not looked at again. */
  fingerprint: string
}

export interface SearchRequest {
  /** Several texts are fused into one query. */
  text?: string | string[]
  /** Bytes of a picture file. */
  image?: Uint8Array
  /** The picture is a drawing: its ink is centred before it is looked at. */
  sketch?: boolean
  /** Ids of items that results should resemble; they are no results themselves. */
  like?: string | string[]
  /** SQL condition over id, name and the metadata, such as `set = 'lucide' and style = 'outline'`. */
  where?: string
  /** Default 20, at most 2,000. */
  top?: number
  /** Results to pass over. Default 0. */
  offset?: number
  /** Default `hybrid`: meaning and keywords together. */
  mode?: 'hybrid' | 'meaning' | 'keywords'
}

export interface Hit {
  id: string
  name: string
  score: number
  metadata: Metadata
  texts: string[]
  /** The parts of the score, and the item's words that the query matched. */
  why?: { meaning: number; keywords: number; matched: string[] }
}

export interface SearchResult {
  results: Hit[]
  /** Ranked results that `offset` can page through. */
  total: number
  milliseconds: number
  /** How the texts were understood, where not as they were typed: corrected, translated, or without small words. */
  understood?: {
    text: string
    because: 'spelling' | 'language' | 'synonym' | 'phrase'
    languages?: string[]
  }[]
}

export interface DescribedText {
  text: string
  /** Cosine of the picture and the text. */
  score: number
  /** Items that carry the text. */
  count: number
}

export interface IndexProgress {
  /** Items looked at so far, those that had not changed included. */
  readonly done: number
  readonly total?: number
  readonly indexed: number
  readonly unchanged: number
  readonly skipped: number
  /** Items a second since the start. */
  readonly rate: number
  /** Known when `total` is. */
  readonly secondsLeft?: number
}

export interface IndexOptions {
  /** Number of items, where it is known. */
  total?: number
  onProgress?: (progress: IndexProgress) => void
  /** Ends the work after the batch at hand; what is committed stays. */
  signal?: AbortSignal
  /** Draws SVG; by default one is started when the first SVG comes, and ended afterwards. */
  rasterizer?: SvgRasterizer
  /** Remove items that the source no longer holds. Default false. */
  removeMissing?: boolean
  /** Items committed at a time. Default 2,048, fewer where an encoder takes large pictures. */
  batchSize?: number
}

export interface IndexReport {
  readonly indexed: number
  readonly unchanged: number
  readonly removed: number
  readonly skipped: { readonly id: string; readonly reason: string }[]
  /** Items whose pictures cannot be read, found by their texts alone; they are looked at again next time. */
  readonly withoutPicture: { readonly id: string; readonly reason: string }[]
  readonly seconds: number
  /** Items looked at a second. */
  readonly rate: number
  /** Whether `signal` ended it early. */
  readonly stopped: boolean
}
