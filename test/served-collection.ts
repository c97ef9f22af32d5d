import { createHash } from 'node:crypto'
import sharp from 'sharp'
import { CollectionError } from '../src/search/index.ts'
import type { Hit, Searchable, SearchRequest, SearchResult, SourceItem } from '../src/server/searchable.ts'

/** Small pictures of ten things in four sets: enough to see a page at work. */
const drawings: Readonly<Record<string, { d: string; words: string[] }>> = {
  cog: {
    d: 'M12 8a4 4 0 1 0 0 8a4 4 0 0 0 0-8M12 2v4M12 18v4M2 12h4M18 12h4M5 5l3 3M16 16l3 3M5 19l3-3M16 8l3-3',
    words: ['settings', 'gear', 'preferences'],
  },
  home: { d: 'M3 11l9-8l9 8v10h-6v-6h-6v6H3z', words: ['house', 'start'] },
  heart: {
    d: 'M12 21C5 15 2 12 2 8a5 5 0 0 1 10-2a5 5 0 0 1 10 2c0 4-3 7-10 13z',
    words: ['love', 'favourite', 'like'],
  },
  star: { d: 'M12 2l3 7h7l-6 4l2 8l-6-5l-6 5l2-8l-6-4h7z', words: ['favourite', 'rating'] },
  bell: { d: 'M6 17v-6a6 6 0 0 1 12 0v6l2 2H4zM10 21h4', words: ['notification', 'alarm'] },
  mail: { d: 'M3 5h18v14H3zM3 6l9 7l9-7', words: ['letter', 'envelope', 'message'] },
  sun: { d: 'M12 7a5 5 0 1 0 0 10a5 5 0 0 0 0-10M12 1v3M12 20v3M1 12h3M20 12h3', words: ['day', 'light', 'weather'] },
  moon: { d: 'M20 14A9 9 0 1 1 10 3a7 7 0 0 0 10 11z', words: ['night', 'dark'] },
  car: { d: 'M3 16v-4l3-6h12l3 6v4zM6 16v3M18 16v3M4 12h16', words: ['vehicle', 'drive', 'automobile'] },
  cloud: { d: 'M7 19a5 5 0 0 1 0-10a6 6 0 0 1 11 2a4 4 0 0 1 0 8z', words: ['weather', 'sky'] },
}

const sets = [
  { set: 'line', style: 'outline', licence: 'MIT', author: 'A. Line' },
  { set: 'solid', style: 'filled', licence: 'Apache 2.0', author: 'B. Solid' },
  { set: 'thin', style: 'thin', licence: 'CC BY 4.0', author: 'C. Thin' },
  { set: 'paint', style: 'colour', licence: 'CC BY 4.0', author: 'D. Paint' },
] as const

function svgOf(d: string, style: string): string {
  const paint =
    style === 'filled'
      ? 'fill="currentColor"'
      : style === 'colour'
        ? 'fill="#fcd34d" stroke="#b45309" stroke-width="1.5"'
        : `fill="none" stroke="currentColor" stroke-width="${style === 'thin' ? 1 : 2}" stroke-linejoin="round" stroke-linecap="round"`
  return `<svg xmlns="http://www.w3.org/2000/svg" width="24" height="24" viewBox="0 0 24 24"><path ${paint} d="${d}"/></svg>`
}

/** `copies` of each drawing in each set. */
export function sampleItems(copies = 1): SourceItem[] {
  return sets.flatMap(({ set, style, licence, author }) =>
    Object.entries(drawings).flatMap(([thing, { d, words }]) =>
      Array.from({ length: copies }, (_, copy) => {
        const name = copy === 0 ? thing : `${thing}-${copy + 1}`
        const svg = svgOf(d, style)
        return {
          id: `${set}:${name}`,
          name,
          texts: [thing, ...words],
          image: { svg },
          metadata: { set, style, licence, author, colour: style === 'colour', concept: thing },
          fingerprint: createHash('sha256').update(svg).digest('hex'),
        }
      }),
    ),
  )
}

/** `field = 'value'`, `field <> 'value'` and `field IN ('a', 'b')`, joined by AND. */
function condition(where: string | undefined): (item: SourceItem) => boolean {
  if (where === undefined) return () => true
  const parts = where.split(/\s+AND\s+/i).map(part => {
    const match = /^"?(\w+)"?\s*(=|<>|IN)\s*\(?\s*('(?:[^']|'')*'(?:\s*,\s*'(?:[^']|'')*')*)\s*\)?$/i.exec(part.trim())
    if (!match) throw new CollectionError(`where: ${JSON.stringify(part.slice(0, 60))} is not a condition.`)
    const values = [...match[3].matchAll(/'((?:[^']|'')*)'/g)].map(([, value]) => value.replaceAll("''", "'"))
    const wanted = match[2] !== '<>'
    return (item: SourceItem) => values.includes(String(item.metadata[match[1]])) === wanted
  })
  return item => parts.every(part => part(item))
}

/** A collection in memory that matches words by substring and pictures by their mean darkness: slow to nobody, wrong to all. */
export class SampleCollection implements Searchable {
  readonly name = 'sample'
  readonly sample: readonly SourceItem[]
  readonly #byId: ReadonlyMap<string, SourceItem>
  /** Called before each search, for tests that need one to take long or to fail. */
  before: (request: SearchRequest) => Promise<void> = async () => {}

  constructor(items = sampleItems()) {
    this.sample = items
    this.#byId = new Map(items.map(item => [item.id, item]))
  }
  get count() {
    return this.sample.length
  }
  async search(request: SearchRequest): Promise<SearchResult> {
    await this.before(request)
    const { text, image, like, where, top = 60, offset = 0 } = request
    const liked = [like ?? []].flat().map(id => {
      const item = this.#byId.get(id)
      if (!item) throw new CollectionError(`like: ${id} is not in the collection.`)
      return item.metadata.concept
    })
    const words = [text ?? []]
      .flat()
      .flatMap(each => each.toLowerCase().split(/\s+/))
      .filter(Boolean)
    const dark = image && (await darkness(image))
    const hits: Hit[] = []
    for (const item of this.sample.filter(condition(where))) {
      const matched = item.texts.filter(each => words.some(word => each.includes(word)))
      if (words.length > 0 && matched.length === 0) continue
      if (liked.length > 0 && (!liked.includes(item.metadata.concept) || [like].flat().includes(item.id))) continue
      const score =
        dark === undefined ? 1 - 0.1 * item.texts.indexOf(matched[0]) : 1 - Math.abs(dark - 0.1 * item.texts.length)
      const { id, name, metadata, texts } = item
      hits.push({
        id,
        name,
        metadata,
        texts,
        score,
        why: { meaning: 0.7 * score, keywords: words.length ? 0.3 : 0, matched },
      })
    }
    hits.sort((a, b) => b.score - a.score)
    return { results: hits.slice(offset, offset + top), total: hits.length, milliseconds: 1 }
  }
  async describe(image: Uint8Array, top = 10) {
    const dark = await darkness(image)
    return Object.keys(drawings)
      .slice(0, top)
      .map((text, place) => ({ text, score: (1 - dark) / (place + 1), count: 4 }))
  }
  async item(id: string) {
    return this.#byId.get(id)
  }
  async items(ids: readonly string[]) {
    return ids.flatMap(id => this.#byId.get(id) ?? [])
  }
  async close() {}
}

async function darkness(image: Uint8Array): Promise<number> {
  const { channels } = await sharp(image).greyscale().stats()
  return 1 - channels[0].mean / 255
}
