import type { Pictures, Pixels } from '../data/pictures.ts'
import type { RetrievalEncoder } from '../tasks/retrieve/encoder.ts'
import type { StoredRow } from './columns.ts'
import type { Entries } from './entries.ts'
import { addScaled, truncated } from './nested-vectors.ts'
import type { IndexOptions, IndexReport, SourceItem } from './source-item.ts'
import type { Store } from './store.ts'

/** Pictures or texts in one call of the encoder: searches get their turn between calls. */
const encodeAtOnce = 256

/** Bytes of pixels in a batch at most: three batches are under way at a time. */
const batchPixels = 64 * 2 ** 20

/** Items committed at a time: 2,048 small pictures, fewer large ones. */
const batchFor = ({ imageSize }: RetrievalEncoder): number =>
  Math.max(64, Math.min(2048, Math.floor(batchPixels / (imageSize ** 2 * 3))))

interface Encoded {
  readonly rows: StoredRow[]
  readonly newTexts: string[]
  readonly newVectors: Float32Array[]
}

/** What one indexing works with. */
export interface IndexingPlace {
  readonly encoder: RetrievalEncoder
  readonly store: Store
  readonly entries: Entries
  readonly pictures: Pictures
}

/**
 * Brings a collection up to date with a source. Batches go through three stages, drawing, encoding and writing, each busy
 * with another batch; they are committed in order, and can be found as soon as they are.
 */
export class Indexing {
  readonly #place: IndexingPlace
  readonly #options: IndexOptions
  readonly #started = performance.now()
  readonly #seen = new Set<string>()
  readonly #skipped: { id: string; reason: string }[] = []
  readonly #withoutPicture: { id: string; reason: string }[] = []
  #done = 0
  #indexed = 0
  #unchanged = 0
  #drawing: Promise<unknown> = Promise.resolve()
  #encoding: Promise<unknown> = Promise.resolve()
  #writing: Promise<unknown> = Promise.resolve()

  constructor(place: IndexingPlace, options: IndexOptions) {
    this.#place = place
    this.#options = options
  }

  async run(items: AsyncIterable<SourceItem> | Iterable<SourceItem>): Promise<IndexReport> {
    const { batchSize = batchFor(this.#place.encoder), signal } = this.#options
    let batch: SourceItem[] = []
    try {
      for await (const item of items) {
        if (signal?.aborted) break
        if (this.#isNews(item)) batch.push(item)
        if (batch.length >= batchSize) {
          await this.#pass(batch)
          batch = []
        }
      }
      if (batch.length && !signal?.aborted) await this.#pass(batch)
    } finally {
      // What has been started is finished even when the source fails: nothing writes after this returns.
      await Promise.allSettled([this.#drawing, this.#encoding, this.#writing])
    }
    await this.#writing
    const stopped = signal?.aborted ?? false
    const removed = this.#options.removeMissing && !stopped ? await this.#removeMissing() : 0
    const seconds = (performance.now() - this.#started) / 1000
    return {
      indexed: this.#indexed,
      unchanged: this.#unchanged,
      removed,
      skipped: this.#skipped,
      withoutPicture: this.#withoutPicture,
      seconds,
      rate: this.#done / seconds,
      stopped,
    }
  }

  /** Whether an item has to be worked on; counts those that have not. */
  #isNews(item: SourceItem): boolean {
    if (this.#seen.has(item.id)) {
      this.#skip(item.id, 'its id occurs twice in the source')
      return false
    }
    this.#seen.add(item.id)
    if (this.#place.entries.get(item.id)?.fingerprint !== item.fingerprint) return true
    this.#done++
    this.#unchanged++
    if (this.#done % 1024 === 0) this.#report()
    return false
  }

  #skip(id: string, reason: string): void {
    this.#skipped.push({ id, reason })
    this.#done++
  }

  /** Sends a batch on its way; waits while two others are still before the end. */
  async #pass(batch: SourceItem[]): Promise<void> {
    const before = this.#writing
    const drawn = this.#drawing.then(() => this.#place.pictures.draw(batch.map(({ image }) => image)))
    this.#drawing = drawn
    const encoded = Promise.all([drawn, this.#encoding]).then(([pixels]) => this.#encode(batch, pixels))
    this.#encoding = encoded
    this.#writing = Promise.all([encoded, before]).then(([result]) => this.#write(result))
    // The failure is seen where #writing is awaited.
    for (const stage of [drawn, encoded, this.#writing]) stage.catch(() => undefined)
    await before
    await drawn
  }

  async #encode(batch: readonly SourceItem[], { pixels, failed }: Pixels): Promise<Encoded> {
    const kept: { item: SourceItem; index: number }[] = []
    for (const [index, item] of batch.entries()) {
      const reason = failed.get(index)
      if (reason === undefined) kept.push({ item, index })
      else if (item.imageOptional && item.texts.length > 0) {
        this.#withoutPicture.push({ id: item.id, reason })
        // Another fingerprint than the source gives, so that the picture is looked for again.
        kept.push({ item: { ...item, image: undefined, fingerprint: `${item.fingerprint} without picture` }, index })
      } else this.#skip(item.id, reason)
    }
    const pictured = kept.filter(({ item }) => item.image)
    const images = await this.#encodeImages(
      pixels,
      pictured.map(({ index }) => index),
    )
    const imageOf = new Map(pictured.map(({ index }, at) => [index, images[at]]))
    const { entries, encoder } = this.#place
    const newTexts = [...new Set(kept.flatMap(({ item }) => item.texts))].filter(text => !entries.textUse(text))
    const newVectors = await this.#encodeTexts(newTexts)
    const known = new Map(newTexts.map((text, at) => [text, newVectors[at]]))
    const vectorOf = (text: string) => known.get(text) ?? entries.texts.row(entries.textUse(text)!.row)
    const none = new Float32Array(encoder.dim)
    const rows = kept.map(({ item, index }) => ({
      item,
      imageVector: imageOf.get(index) ?? none,
      textVector: meanDirection(item.texts.map(vectorOf), encoder.dim),
    }))
    return { rows, newTexts, newVectors }
  }

  async #encodeImages(pixels: Uint8Array, indices: readonly number[]): Promise<Float32Array[]> {
    const { encoder } = this.#place
    const bytes = encoder.imageSize ** 2 * 3
    const vectors: Float32Array[] = []
    for (let from = 0; from < indices.length; from += encodeAtOnce) {
      const part = indices.slice(from, from + encodeAtOnce)
      const input = new Uint8Array(part.length * bytes)
      for (const [at, index] of part.entries())
        input.set(pixels.subarray(index * bytes, (index + 1) * bytes), at * bytes)
      vectors.push(...rowsOf(await encoder.encodeImages(input, part.length), encoder.dim))
    }
    return vectors
  }

  async #encodeTexts(texts: readonly string[]): Promise<Float32Array[]> {
    const { encoder } = this.#place
    const vectors: Float32Array[] = []
    for (let from = 0; from < texts.length; from += encodeAtOnce) {
      vectors.push(...rowsOf(await encoder.encodeTexts(texts.slice(from, from + encodeAtOnce)), encoder.dim))
    }
    return vectors
  }

  async #write({ rows, newTexts, newVectors }: Encoded): Promise<void> {
    const { store, entries } = this.#place
    // Encoding of this batch began before the previous one was written: its texts may be known by now.
    const fresh = newTexts
      .map((text, at) => ({ text, vector: newVectors[at] }))
      .filter(({ text }) => !entries.textUse(text))
    const texts = fresh.map(({ text }) => text)
    const vectors = fresh.map(({ vector }) => vector)
    // Texts first: items in the table always find theirs.
    await store.addTexts(texts, vectors)
    for (const { text, vector } of fresh) entries.addText(text, vector)
    if (rows.length) {
      const replace = rows.some(({ item }) => entries.get(item.id))
      await store.writeItems(rows, replace)
    }
    for (const { item, imageVector, textVector } of rows) {
      const { id, name, fingerprint } = item
      entries.set(
        { id, name, texts: item.texts, metadata: JSON.stringify(item.metadata), fingerprint },
        imageVector,
        textVector,
      )
    }
    this.#indexed += rows.length
    this.#done += rows.length
    this.#report()
  }

  async #removeMissing(): Promise<number> {
    const { store, entries } = this.#place
    const gone = [...entries.ids()].filter(id => !this.#seen.has(id))
    await store.removeItems(gone)
    for (const id of gone) entries.remove(id)
    return gone.length
  }

  #report(): void {
    const { total, onProgress } = this.#options
    if (!onProgress) return
    const rate = (1000 * this.#done) / Math.max(1, performance.now() - this.#started)
    onProgress({
      done: this.#done,
      total,
      indexed: this.#indexed,
      unchanged: this.#unchanged,
      skipped: this.#skipped.length,
      rate,
      secondsLeft: total === undefined || rate === 0 ? undefined : Math.max(0, total - this.#done) / rate,
    })
  }
}

const rowsOf = (flat: Float32Array, dim: number): Float32Array[] =>
  Array.from({ length: flat.length / dim }, (_, row) => flat.subarray(row * dim, (row + 1) * dim))

/** The mean of unit vectors, scaled to unit length; zero for none. */
function meanDirection(vectors: readonly Float32Array[], dim: number): Float32Array {
  const sum = new Float32Array(dim)
  for (const vector of vectors) addScaled(sum, vector, 1)
  return truncated(sum, dim)
}
