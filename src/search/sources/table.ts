import { createHash } from 'node:crypto'
import { dirname, resolve } from 'node:path'
import {
  type Cell,
  cellPicture,
  cellTexts,
  openTable,
  requireColumns,
  type Table,
  TableError,
  usualColumns,
} from '../../data/table.ts'
import { CollectionError } from '../collection-error.ts'
import type { Metadata, SourceItem } from '../source-item.ts'
import type { Source } from './source.ts'

/** Which columns of a table mean what; by default those with the usual names. */
export interface TableColumns {
  /** Default: `id`, or else the row's number. */
  readonly id?: string
  /** Default: `name` or `title`. */
  readonly name?: string
  /** Default: those of caption, text, description, label, tags, keywords, name, title that there are. */
  readonly texts?: readonly string[]
  /** Bytes of a picture file, or its path, relative to the table's folder. Default: `image`, `image_path`, `path` or `file`. */
  readonly image?: string
  /** Default: all other columns. */
  readonly metadata?: readonly string[]
}

type Chosen = { id?: string; name?: string; texts: string[]; image?: string; metadata: string[] }

/**
 * Rows of a CSV, JSON lines or Parquet file, read by DuckDB. A text column that holds a list gives several texts.
 *
 * @throws CollectionError when the file cannot be read, or has no column of that name
 */
export async function tableSource(file: string, columns: TableColumns = {}): Promise<Source> {
  const table = await asCollectionError(() => openTable(file))
  const chosen = await asCollectionError(async () => choose(file, table, columns))
  async function* items(): AsyncGenerator<SourceItem> {
    let row = 0
    try {
      for await (const values of table.rows()) yield rowItem(values, ++row, chosen, dirname(resolve(file)))
    } catch (error) {
      throw collectionError(error)
    }
  }
  return { title: file, total: table.total, items, skipped: [] }
}

async function asCollectionError<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw collectionError(error)
  }
}

const collectionError = (error: unknown): unknown =>
  error instanceof TableError ? new CollectionError(`source ${error.message}.`) : error

function choose(file: string, table: Table, columns: TableColumns): Chosen {
  requireColumns(file, table, [
    columns.id,
    columns.name,
    columns.image,
    ...(columns.texts ?? []),
    ...(columns.metadata ?? []),
  ])
  const { columns: names } = table
  const first = (candidates: readonly string[]) => candidates.find(name => names.includes(name))
  const id = columns.id ?? first(usualColumns.id)
  const image = columns.image ?? first(usualColumns.image)
  const texts = [...(columns.texts ?? usualColumns.texts.filter(name => names.includes(name) && name !== image))]
  if (texts.length === 0 && image === undefined)
    throw new CollectionError(
      `source ${file}: none of its columns (${names.join(', ')}) is known to hold texts or pictures; say which with --text or --image.`,
    )
  const name = columns.name ?? first(usualColumns.name)
  const metadata = columns.metadata ?? names.filter(other => ![id, name, image, ...texts].includes(other))
  return { id, name, texts, image, metadata: [...metadata] }
}

function rowItem(values: Readonly<Record<string, Cell>>, row: number, columns: Chosen, folder: string): SourceItem {
  const texts = [...new Set(columns.texts.flatMap(column => cellTexts(values[column])))]
  const id = columns.id === undefined ? String(row) : String(values[columns.id] ?? row)
  const name = columns.name === undefined ? (texts[0] ?? id) : String(values[columns.name] ?? id)
  const metadata: Metadata = Object.fromEntries(columns.metadata.map(key => [key, metadataValue(values[key])]))
  const image = columns.image === undefined ? undefined : cellPicture(values[columns.image], folder)
  const hash = createHash('sha1').update(
    JSON.stringify([name, texts, metadata, image && 'path' in image ? image.path : null]),
  )
  if (image && 'bytes' in image) hash.update(image.bytes)
  return { id, name, texts, image, imageOptional: true, metadata, fingerprint: hash.digest('hex') }
}

function metadataValue(value: Cell): Metadata[string] {
  if (value === null || value === undefined) return null
  if (typeof value === 'string' || typeof value === 'boolean') return value
  if (typeof value === 'number') return Number.isFinite(value) ? value : null
  if (typeof value === 'bigint') return Number.isSafeInteger(Number(value)) ? Number(value) : String(value)
  if (value instanceof Date) return value.toISOString()
  if (Array.isArray(value)) return value.map(String)
  return value instanceof Uint8Array ? null : JSON.stringify(value, (_, v) => (typeof v === 'bigint' ? String(v) : v))
}
