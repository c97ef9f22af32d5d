import { readFile } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import type { Picture, QuerySet, RetrievalQuery } from './ranker.ts'
import { namesAsWords, type RelevancePattern, relevanceJudge } from './relevance.ts'

/** What a query file is judged against: an item's id and every name it goes by. */
export interface NamedItem {
  readonly id: string
  readonly names: readonly string[]
}

interface QueryLine {
  readonly text?: string
  /** Path of a picture, from the query file's folder. */
  readonly image?: string
  readonly sketch?: boolean
  readonly language?: string
  readonly kind?: string
  readonly relevant: readonly RelevancePattern[]
  readonly except?: readonly RelevancePattern[]
}

const isPattern = (value: unknown): value is RelevancePattern =>
  typeof value === 'string' || (Array.isArray(value) && value.length > 0 && value.every(g => typeof g === 'string'))

const isPatterns = (value: unknown): value is RelevancePattern[] => Array.isArray(value) && value.every(isPattern)

const isOptional = (value: unknown, type: 'string' | 'boolean'): boolean => value === undefined || typeof value === type

function parseLine(line: string, where: string): QueryLine {
  let value: Record<string, unknown>
  try {
    value = JSON.parse(line) as Record<string, unknown>
  } catch {
    throw new Error(`${where} is not JSON; write one query such as {"text": "car", "relevant": ["mdi:car"]} a line`)
  }
  const { text, image, sketch, language, kind, relevant, except } = value ?? {}
  if ((typeof text === 'string') === (typeof image === 'string'))
    throw new Error(`${where} needs either "text" or "image", a string`)
  if (!isPatterns(relevant) || relevant.length === 0)
    throw new Error(`${where} needs "relevant", a list of ids or of words of names`)
  if (except !== undefined && !isPatterns(except)) throw new Error(`${where}: "except" must be a list like "relevant"`)
  if (!isOptional(language, 'string') || !isOptional(kind, 'string') || !isOptional(sketch, 'boolean'))
    throw new Error(`${where}: "language" and "kind" must be strings, "sketch" true or false`)
  return value as unknown as QueryLine
}

/** Finds what lines accept; lines that accept the same share one pass over the items. */
class RelevanceLookup {
  readonly #ids: ReadonlySet<string>
  readonly #items: readonly { readonly id: string; readonly names: ReturnType<typeof namesAsWords> }[]
  readonly #known = new Map<string, ReadonlySet<string>>()

  constructor(items: readonly NamedItem[]) {
    this.#ids = new Set(items.map(item => item.id))
    this.#items = items.map(({ id, names }) => ({ id, names: namesAsWords(names) }))
  }

  /** The entries themselves where every one is an id; else the items that the patterns accept. */
  relevant({ relevant, except }: QueryLine): ReadonlySet<string> {
    if (relevant.every(entry => typeof entry === 'string' && this.#ids.has(entry))) return new Set(relevant as string[])
    const key = JSON.stringify([relevant, except])
    const known = this.#known.get(key)
    if (known) return known
    const judge = relevanceJudge(relevant, except)
    const found = new Set(this.#items.filter(({ names }) => judge(names)).map(({ id }) => id))
    this.#known.set(key, found)
    return found
  }
}

async function readPicture(path: string, size = 224): Promise<Picture> {
  const { default: sharp } = await import('sharp')
  const white = { r: 255, g: 255, b: 255 }
  const pixels = await sharp(path)
    .resize(size, size, { fit: 'contain', background: white })
    .flatten({ background: white })
    .toColourspace('srgb')
    .removeAlpha()
    .raw()
    .toBuffer()
  return { pixels: new Uint8Array(pixels), size }
}

/** A query file with what could not be used of it. */
export interface QueryFile {
  readonly set: QuerySet
  /** Queries for which no item is relevant, which therefore measure nothing. */
  readonly unanswerable: readonly string[]
}

/**
 * Reads a file of queries, one JSON object a line.
 *
 * Each has `text`, or `image` (a path from the file's folder), and `relevant`: ids of items, or patterns over whole words of
 * their names (see `relevanceJudge`) with `except`; optionally `language`, `kind` and `sketch`.
 *
 * @param items everything that can be found
 * @throws Error that names the line if one cannot be used, or the file if none can
 */
export async function readQueryFile(path: string, items: readonly NamedItem[]): Promise<QueryFile> {
  const source = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw new Error(
      `cannot read the queries ${path}: ${error.code === 'ENOENT' ? 'there is no such file' : error.message}`,
    )
  })
  const lookup = new RelevanceLookup(items)
  const queries: RetrievalQuery[] = []
  const unanswerable: string[] = []
  for (const [i, line] of source.split(/\r?\n/).entries()) {
    if (line.trim() === '') continue
    const where = `${path}, line ${i + 1}`
    const parsed = parseLine(line, where)
    let relevant: ReadonlySet<string>
    try {
      relevant = lookup.relevant(parsed)
    } catch (error) {
      throw new Error(`${where}: ${(error as Error).message}`)
    }
    const id = parsed.text ?? (parsed.image as string)
    if (relevant.size === 0) {
      unanswerable.push(id)
      continue
    }
    const { text, language, kind, sketch } = parsed
    const image = parsed.image === undefined ? undefined : await readPicture(resolve(dirname(path), parsed.image))
    queries.push({ id, text, image, sketch, language, kind, relevant })
  }
  if (queries.length === 0)
    throw new Error(`${path} has no query for which any of the ${items.length} items is relevant`)
  return { set: { id: 'queries', title: `queries of ${path}`, queries }, unanswerable }
}
