import { mkdir, readdir, stat } from 'node:fs/promises'
import { basename, resolve } from 'node:path'
import { bundledLexicon } from '../data/lexicon/index.ts'
import { Pictures } from '../data/pictures.ts'
import type { RetrievalEncoder } from '../tasks/retrieve/encoder.ts'
import { CollectionError } from './collection-error.ts'
import { Entries } from './entries.ts'
import { funnelSearch } from './funnel.ts'
import { Indexing } from './index-items.ts'
import { queryPixels } from './item-images.ts'
import { checkEncoder, manifestOf, readManifest, writeManifest } from './manifest.ts'
import { readingsOf } from './query-readings.ts'
import { type Query, type QueryPart, type RankedEntry, rankReadings } from './ranking.ts'
import { rankingWeights } from './ranking-weights.ts'
import type {
  DescribedText,
  Hit,
  IndexOptions,
  IndexReport,
  Metadata,
  SearchRequest,
  SearchResult,
  SourceItem,
} from './source-item.ts'
import { Store } from './store.ts'
import { lockWriter } from './writer-lock.ts'

/** What creation makes before the manifest; a folder that holds only these is a creation that was cut short. */
const ownFiles = /^(items\.lance|texts\.lance|writer\.lock|manifest\.json\..*\.tmp)$/

/** Texts in one query, and characters in each. */
const queryLimits = { texts: 16, characters: 1000, where: 2000 }

interface Understood {
  readonly variants: readonly { readonly texts: readonly string[]; readonly weight: number }[]
  readonly understood: NonNullable<SearchResult['understood']>
}

function checkTexts(texts: readonly string[]): void {
  if (texts.length > queryLimits.texts)
    throw new CollectionError(`text: ${texts.length} queries at once; the limit is ${queryLimits.texts}.`)
  const long = texts.find(words => words.length > queryLimits.characters)
  if (long) throw new CollectionError(`text: ${long.length} characters; the limit is ${queryLimits.characters}.`)
}

/**
 * Items with a picture, texts or both, in a folder on disk, searched by meaning and by keywords.
 *
 * LanceDB tables hold them durably; a compact index over all of them stands in memory and is built when the collection opens.
 *
 * @example
 * const collection = await Collection.open('icons', encoder)
 * const { results } = await collection.search({ text: 'settings', where: "set = 'lucide'" })
 */
export class Collection {
  readonly folder: string
  readonly name: string
  readonly encoder: RetrievalEncoder
  readonly #store: Store
  readonly #entries: Entries
  readonly #pictures: Pictures
  /** Rows that a condition allows; forgotten when items change. */
  readonly #conditions = new Map<string, Uint8Array>()

  private constructor(folder: string, encoder: RetrievalEncoder, store: Store) {
    this.folder = folder
    this.name = basename(folder)
    this.encoder = encoder
    this.#store = store
    this.#entries = new Entries(encoder)
    this.#pictures = new Pictures(encoder)
  }

  /** @throws CollectionError when the folder holds something else, or a collection already */
  static async create(folder: string, encoder: RetrievalEncoder): Promise<Collection> {
    const path = resolve(folder)
    await mkdir(path, { recursive: true }).catch(error => {
      throw new CollectionError(`collection ${folder}: the folder cannot be made (${error.code}).`)
    })
    if (await readManifest(path)) throw new CollectionError(`collection ${folder} exists already; open it instead.`)
    const foreign = (await readdir(path)).find(name => !ownFiles.test(name))
    if (foreign !== undefined)
      throw new CollectionError(
        `folder ${folder} is no collection and not empty (${foreign}); name a new or empty folder.`,
      )
    const unlock = await lockWriter(path)
    try {
      const store = await Store.create(path, encoder.dim)
      await writeManifest(path, manifestOf(encoder, 0))
      return new Collection(path, encoder, store)
    } finally {
      await unlock()
    }
  }

  /**
   * @throws CollectionError when there is none, when it is damaged, or when another encoder made it
   */
  static async open(folder: string, encoder: RetrievalEncoder): Promise<Collection> {
    const path = resolve(folder)
    const manifest = await readManifest(path)
    if (!manifest) throw new CollectionError(`there is no collection at ${folder}; make one with \`tenet index\`.`)
    checkEncoder(folder, manifest, encoder)
    const collection = new Collection(path, encoder, await Store.open(path, encoder.dim))
    await collection.#load()
    return collection
  }

  /** Opens the collection, or creates it where the folder is missing, empty, or was left by a creation that was cut short. */
  static async openOrCreate(folder: string, encoder: RetrievalEncoder): Promise<Collection> {
    const exists = await stat(folder).then(
      info => info.isDirectory(),
      () => false,
    )
    if (exists && (await readManifest(resolve(folder)))) return Collection.open(folder, encoder)
    return Collection.create(folder, encoder)
  }

  get count(): number {
    return this.#entries.count
  }

  async #load(): Promise<void> {
    const { dim } = this.encoder
    for await (const { texts, vectors } of this.#store.loadTexts()) {
      for (const [row, text] of texts.entries()) {
        this.#entries.addText(text, vectors.subarray(row * dim, (row + 1) * dim))
      }
    }
    for await (const items of this.#store.loadItems()) {
      for (const { imageVector, textVector, ...item } of items) this.#entries.set(item, imageVector, textVector)
    }
  }

  /**
   * Brings the collection up to date with a source: new and changed items (by fingerprint) are encoded, others left alone.
   * A batch is one commit, so that work which is cut short goes on where it ended. Searches answer meanwhile.
   *
   * @throws CollectionError when it is being indexed already
   */
  async index(
    items: AsyncIterable<SourceItem> | Iterable<SourceItem>,
    options: IndexOptions = {},
  ): Promise<IndexReport> {
    const unlock = await lockWriter(this.folder)
    const pictures = new Pictures(this.encoder, options.rasterizer)
    try {
      const place = { encoder: this.encoder, store: this.#store, entries: this.#entries, pictures }
      const onProgress: IndexOptions['onProgress'] = progress => {
        this.#conditions.clear()
        options.onProgress?.(progress)
      }
      const report = await new Indexing(place, { ...options, onProgress }).run(items)
      if (report.indexed + report.removed > 0) {
        await this.#store.optimize()
        await writeManifest(this.folder, manifestOf(this.encoder, this.count))
      }
      return report
    } finally {
      this.#conditions.clear()
      await pictures.close()
      await unlock()
    }
  }

  /**
   * @returns the best items; without text, picture or example, all that `where` allows, in the order of indexing
   * @throws CollectionError when the request cannot be used
   */
  async search(request: SearchRequest): Promise<SearchResult> {
    const started = performance.now()
    const { top = 20, offset = 0 } = request
    if (!Number.isInteger(top) || top < 1 || top > rankingWeights.shortlist)
      throw new CollectionError(`top: expected a whole number from 1 to ${rankingWeights.shortlist}, not ${top}.`)
    if (!Number.isInteger(offset) || offset < 0)
      throw new CollectionError(`offset: expected a whole number of at least 0, not ${offset}.`)
    const { variants, understood } = await this.#understand(request)
    const queries = await this.#queries(request, variants)
    const [first] = queries
    if (first.mode === 'keywords' ? first.texts.length === 0 : first.parts.length === 0)
      return this.#list(first, top, offset, started)
    const ranked = rankReadings(
      this.#entries,
      queries.map((query, i) => ({ query, weight: variants[i].weight })),
    )
    return {
      results: ranked.slice(offset, offset + top).map(hit),
      total: ranked.length,
      milliseconds: performance.now() - started,
      ...(understood.length > 0 && { understood }),
    }
  }

  /** The ways to understand a request's texts: of one text its readings, of several the likeliest reading of each. */
  async #understand({ text = [] }: SearchRequest): Promise<Understood> {
    const typed = [text].flat().filter(words => words.trim() !== '')
    checkTexts(typed)
    if (this.encoder.readsSentences) return { variants: [{ texts: typed, weight: 1 }], understood: [] }
    const lexicon = typed.length > 0 ? await bundledLexicon() : undefined
    const { keywords } = this.#entries
    const context = { vocabulary: keywords.vocabulary, lexicon, named: (said: string) => keywords.named(said).size }
    const readings = typed.map(words => readingsOf(words, context))
    const variants =
      readings.length === 1
        ? readings[0].map(({ text: said, weight }) => ({ texts: [said], weight }))
        : [{ texts: readings.map(([first]) => first.text), weight: 1 }]
    const changed = readings.flatMap(([first]) => (first.because ? [{ ...first, because: first.because }] : []))
    return {
      variants,
      understood: changed.map(({ text: said, because, languages }) => ({
        text: said,
        because,
        ...(languages && { languages: [...languages] }),
      })),
    }
  }

  #list({ allowed, excluded }: Query, top: number, offset: number, started: number): SearchResult {
    const entries = this.#entries.values().filter(({ row, id }) => (!allowed || allowed[row]) && !excluded.has(id))
    const results = entries
      .slice(offset, offset + top)
      .map(({ id, name, texts, metadata }) => ({ id, name, score: 0, metadata: parse(metadata), texts: [...texts] }))
    return { results, total: entries.length, milliseconds: performance.now() - started }
  }

  /** One query for each way to understand the texts; they share the pictures, the examples and the condition. */
  async #queries(
    { image, sketch = false, like = [], where, mode = 'hybrid' }: SearchRequest,
    variants: readonly { readonly texts: readonly string[] }[],
  ): Promise<Query[]> {
    const distinct = [...new Set(variants.flatMap(({ texts }) => texts))]
    const { dim } = this.encoder
    const vectors = distinct.length && mode !== 'keywords' ? await this.encoder.encodeTexts(distinct) : undefined
    const textParts = ({ texts }: { readonly texts: readonly string[] }): QueryPart[] =>
      texts.flatMap(said => {
        const row = distinct.indexOf(said)
        const vector = vectors?.subarray(row * dim, (row + 1) * dim)
        return vector ? [{ kind: 'text', text: vector, image: vector }] : []
      })
    const parts: QueryPart[] = []
    if (image) {
      const vector = await this.#encodePicture(image, sketch)
      parts.push({ kind: sketch ? 'sketch' : 'image', text: vector, image: vector })
    }
    const examples = [like].flat()
    // Last of all that waits: rows may move while an indexing writes, and what follows is done without a pause.
    const condition = where?.trim()
    const allowed = condition ? await this.#allowed(condition) : undefined
    for (const id of examples) parts.push(this.#example(id))
    const shared = { allowed, excluded: new Set(examples), mode, shortlist: rankingWeights.shortlist }
    return variants.length > 0
      ? variants.map(variant => ({ ...shared, texts: variant.texts, parts: [...textParts(variant), ...parts] }))
      : [{ ...shared, texts: [], parts }]
  }

  #example(id: string): QueryPart {
    const entry = this.#entries.get(id)
    if (!entry) throw new CollectionError(`like: the collection holds no item '${id.slice(0, 100)}'.`)
    return {
      kind: 'like',
      text: this.#entries.textVectors.row(entry.row).slice(),
      image: this.#entries.imageVectors.row(entry.row).slice(),
    }
  }

  async #encodePicture(bytes: Uint8Array, sketch: boolean): Promise<Float32Array> {
    const pixels = await queryPixels(this.#pictures, bytes, this.encoder.imageSize, sketch)
    return this.encoder.encodeImages(pixels, 1)
  }

  /** Rows for which a condition holds. */
  async #allowed(condition: string): Promise<Uint8Array> {
    if (condition.length > queryLimits.where)
      throw new CollectionError(`where: ${condition.length} characters; the limit is ${queryLimits.where}.`)
    const known = this.#conditions.get(condition)
    if (known?.length === this.count) return known
    const ids = await this.#store.where(condition)
    const allowed = new Uint8Array(this.count)
    for (const id of ids) {
      const entry = this.#entries.get(id)
      if (entry) allowed[entry.row] = 1
    }
    if (this.#conditions.size >= 64) this.#conditions.delete(this.#conditions.keys().next().value!)
    this.#conditions.set(condition, allowed)
    return allowed
  }

  /**
   * Ranks the distinct texts of the items by how well they say what a picture shows (cosine of picture and text).
   *
   * @param image bytes of a picture file
   * @param top default 10
   */
  async describe(image: Uint8Array, top = 10): Promise<DescribedText[]> {
    const vector = await this.#encodePicture(image, false)
    const queries = [{ vector, weight: 1 }]
    const found: DescribedText[] = []
    for (const { row, score } of funnelSearch([{ vectors: this.#entries.texts, queries }])) {
      const { text, users } = this.#entries.textAt(row)
      if (users.size > 0) found.push({ text, score, count: users.size })
      if (found.length === top) break
    }
    return found
  }

  /** An item as it was indexed, its picture included. */
  async item(id: string): Promise<SourceItem | undefined> {
    return (await this.items([id]))[0]
  }

  /** Several items at the price of little more than one; ids that are not in the collection are passed over. */
  items(ids: readonly string[]): Promise<SourceItem[]> {
    return this.#store.items(ids.filter(id => this.#entries.get(id)))
  }

  /** The values of metadata keys with the items that have them, most frequent first. */
  facets(keys: readonly string[], limit = 100): Record<string, { value: string; count: number }[]> {
    const counts = new Map(keys.map(key => [key, new Map<string, number>()]))
    for (const { metadata } of this.#entries.values()) {
      const values = parse(metadata)
      for (const [key, count] of counts) {
        for (const value of [values[key] ?? []].flat()) count.set(String(value), (count.get(String(value)) ?? 0) + 1)
      }
    }
    return Object.fromEntries(
      [...counts].map(([key, count]) => [
        key,
        [...count]
          .map(([value, n]) => ({ value, count: n }))
          .sort((a, b) => b.count - a.count)
          .slice(0, limit),
      ]),
    )
  }

  /** Leaves the encoder open: it may serve other collections. */
  async close(): Promise<void> {
    await this.#pictures.close()
    this.#store.close()
  }
}

const parse = (metadata: string) => JSON.parse(metadata) as Metadata

function hit({ entry, score, meaning, keywords, matched }: RankedEntry): Hit {
  const { id, name, metadata, texts } = entry
  return { id, name, score, metadata: parse(metadata), texts: [...texts], why: { meaning, keywords, matched } }
}
