import { createHash } from 'node:crypto'
import { dirname, resolve } from 'node:path'
import { type PictureSource, Pictures } from '../../../data/pictures.ts'
import {
  type Cell,
  cellPicture,
  cellTexts,
  openTable,
  requireColumns,
  TableError,
  usualColumns,
} from '../../../data/table.ts'
import type { RetrievalEncoder } from '../encoder.ts'

/** Which columns of a table make pairs. */
export interface PairColumns {
  /** Default: `image`, `image_path`, `path` or `file`, where there is one. */
  readonly image?: string
  /** Default: those of the usual names of texts that there are. */
  readonly texts?: readonly string[]
  /** Rows of one value belong together and stay on one side of the split. Default: rows of one picture. */
  readonly group?: string
}

/** What belongs together: a picture and its texts, or two and more texts. Numbers are rows of the features. */
export interface PairItem {
  readonly group: number
  readonly picture?: number
  readonly texts: readonly number[]
}

export interface Skipped {
  readonly id: string
  readonly reason: string
}

/** Pairs of a table. Equal pictures and equal texts stand once. */
export interface PairSet {
  readonly title: string
  readonly items: readonly PairItem[]
  readonly pictures: readonly { readonly name: string; readonly source: PictureSource }[]
  readonly texts: readonly string[]
  readonly skipped: readonly Skipped[]
}

/** Numbers in the order in which keys first come. */
class Numbering {
  readonly #numbers = new Map<string, number>()

  of(key: string): number {
    const known = this.#numbers.get(key) ?? this.#numbers.size
    this.#numbers.set(key, known)
    return known
  }

  get keys(): string[] {
    return [...this.#numbers.keys()]
  }
}

/**
 * Reads pairs from a CSV, JSON lines or Parquet file. A row with a picture pairs it with each of its texts; a row
 * without pairs its texts with each other.
 *
 * @throws TableError when the file cannot be read, has no column of that name, or none that is known to hold texts
 */
export async function readPairs(file: string, columns: PairColumns = {}): Promise<PairSet> {
  const table = await openTable(file)
  requireColumns(file, table, [columns.image, columns.group, ...(columns.texts ?? [])])
  const image = columns.image ?? usualColumns.image.find(name => table.columns.includes(name))
  const texts = columns.texts ?? usualColumns.texts.filter(name => table.columns.includes(name) && name !== image)
  if (texts.length === 0)
    throw new TableError(
      `${file}: none of its columns (${table.columns.join(', ')}) is known to hold texts; say which with --text`,
    )
  const [groupNumbers, textNumbers, pictureNumbers] = [new Numbering(), new Numbering(), new Numbering()]
  const pictures: { name: string; source: PictureSource }[] = []
  const items: PairItem[] = []
  const skipped: Skipped[] = []
  const folder = dirname(resolve(file))
  let row = 0
  for await (const values of table.rows()) {
    row++
    const said = [...new Set(texts.flatMap(column => cellTexts(values[column])))]
    const source = image === undefined ? undefined : cellPicture(values[image], folder)
    const name = source && 'path' in source ? String(values[image!]) : `row ${row}`
    if (said.length < (source ? 1 : 2)) {
      skipped.push({ id: name, reason: source ? 'has no text' : 'has no picture and fewer than two texts' })
      continue
    }
    const key = source && pictureKey(source)
    const picture = key === undefined ? undefined : pictureNumbers.of(key)
    if (source && picture === pictures.length) pictures.push({ name, source })
    const group = groupNumbers.of(groupKey(columns.group === undefined ? undefined : values[columns.group], key, row))
    items.push({ group, picture, texts: said.map(text => textNumbers.of(text)) })
  }
  return { title: file, items, pictures, texts: textNumbers.keys, skipped }
}

function groupKey(value: Cell, picture: string | undefined, row: number): string {
  if (value !== undefined && value !== null) return `group ${String(value)}`
  return picture ?? `row ${row}`
}

function pictureKey(source: PictureSource): string {
  if ('path' in source) return `path ${source.path}`
  const content = 'svg' in source ? source.svg : source.bytes
  return `content ${createHash('sha1').update(content).digest('hex')}`
}

/** Frozen features of pairs, row-major and of unit length. */
export interface PairFeatures {
  readonly title: string
  readonly dim: number
  readonly items: readonly PairItem[]
  readonly images: Float32Array
  readonly texts: Float32Array
  /** Rows that are left out, those whose pictures cannot be read among them. */
  readonly skipped: readonly Skipped[]
  /** Digest of the pairs and of the encoder, by which a run knows its data again. */
  readonly digest: string
}

/** Pictures decoded and encoded at a time. */
const DECODED = 64

/**
 * Encodes every distinct picture and text of pairs once. A picture that is missing or broken is listed, and its rows are left out.
 *
 * @param onProgress pictures and texts done, of all
 */
export async function encodePairs(
  encoder: RetrievalEncoder,
  pairs: PairSet,
  onProgress?: (done: number, total: number) => void,
): Promise<PairFeatures> {
  const { dim, imageSize } = encoder
  const total = pairs.pictures.length + pairs.texts.length
  const images = new Float32Array(pairs.pictures.length * dim)
  const failed = new Map<number, string>()
  const reader = new Pictures(encoder)
  try {
    for (let start = 0; start < pairs.pictures.length; start += DECODED) {
      const part = pairs.pictures.slice(start, start + DECODED)
      const drawn = await reader.draw(part.map(({ source }) => source))
      for (const [i, reason] of drawn.failed) failed.set(start + i, reason)
      images.set(
        await encoder.encodeImages(drawn.pixels.subarray(0, part.length * imageSize ** 2 * 3), part.length),
        start * dim,
      )
      onProgress?.(start + part.length, total)
    }
  } finally {
    await reader.close()
  }
  const texts = new Float32Array(pairs.texts.length * dim)
  for (let start = 0; start < pairs.texts.length; start += 256) {
    const part = pairs.texts.slice(start, start + 256)
    texts.set(await encoder.encodeTexts(part), start * dim)
    onProgress?.(pairs.pictures.length + start + part.length, total)
  }
  const items = pairs.items.filter(({ picture }) => picture === undefined || !failed.has(picture))
  const unread = [...failed].map(([i, reason]) => ({ id: pairs.pictures[i].name, reason }))
  const digest = createHash('sha256')
    .update(JSON.stringify([encoder.id, items, pairs.texts, [...failed.keys()]]))
    .update(images)
    .digest('hex')
    .slice(0, 16)
  return { title: pairs.title, dim, items, images, texts, skipped: [...pairs.skipped, ...unread], digest }
}
