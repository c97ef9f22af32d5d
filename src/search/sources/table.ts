import { createHash } from 'node:crypto'
import { access } from 'node:fs/promises'
import { dirname, extname, resolve } from 'node:path'
import { DuckDBInstance, type JS } from '@duckdb/node-api'
import { CollectionError, firstLine } from '../collection-error.ts'
import type { ItemImage, Metadata, SourceItem } from '../source-item.ts'
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

const readers: Readonly<Record<string, string>> = {
  '.csv': 'read_csv',
  '.tsv': 'read_csv',
  '.jsonl': 'read_json_auto',
  '.ndjson': 'read_json_auto',
  '.json': 'read_json_auto',
  '.parquet': 'read_parquet',
}

export const tableExtensions: readonly string[] = Object.keys(readers)

const usual = {
  id: ['id'],
  name: ['name', 'title'],
  texts: ['caption', 'captions', 'text', 'texts', 'description', 'label', 'tags', 'keywords', 'name', 'title'],
  image: ['image', 'image_path', 'path', 'file'],
}

type Chosen = { id?: string; name?: string; texts: string[]; image?: string; metadata: string[] }

/**
 * Rows of a CSV, JSON lines or Parquet file, read by DuckDB. A text column that holds a list gives several texts.
 *
 * @throws CollectionError when the file cannot be read, or has no column of that name
 */
export async function tableSource(file: string, columns: TableColumns = {}): Promise<Source> {
  const reader = readers[extname(file).toLowerCase()]
  await access(file).catch(error => {
    throw new CollectionError(
      `source ${file}: ${error.code === 'ENOENT' ? 'does not exist' : `cannot be opened (${error.code})`}.`,
    )
  })
  const table = `${reader}('${resolve(file).replaceAll("'", "''")}')`
  const instance = await DuckDBInstance.create(':memory:', { threads: '1' })
  const connection = await instance.connect()
  const run = (sql: string) =>
    connection.runAndReadAll(sql).catch(error => {
      throw new CollectionError(`source ${file}: cannot be read as a table (${firstLine(error).slice(0, 200)}).`)
    })
  const names = (await run(`select * from ${table} limit 0`)).columnNames()
  const chosen = choose(file, names, columns)
  const total = Number((await run(`select count(*) from ${table}`)).getRows()[0][0])
  async function* items(): AsyncGenerator<SourceItem> {
    const result = await connection.stream(`select * from ${table}`)
    let row = 0
    try {
      for await (const rows of result.yieldRowObjectJs()) {
        for (const values of rows) yield rowItem(values, ++row, chosen, dirname(resolve(file)))
      }
    } catch (error) {
      throw new CollectionError(`source ${file}: row ${row + 1} cannot be read (${firstLine(error).slice(0, 200)}).`)
    }
  }
  return { title: file, total, items, skipped: [] }
}

function choose(file: string, names: readonly string[], columns: TableColumns): Chosen {
  const given = [columns.id, columns.name, columns.image, ...(columns.texts ?? []), ...(columns.metadata ?? [])]
  const unknown = given.find(name => name !== undefined && !names.includes(name))
  if (unknown !== undefined)
    throw new CollectionError(`source ${file}: has no column '${unknown}'; its columns are ${names.join(', ')}.`)
  const first = (candidates: readonly string[]) => candidates.find(name => names.includes(name))
  const id = columns.id ?? first(usual.id)
  const image = columns.image ?? first(usual.image)
  const texts = [...(columns.texts ?? usual.texts.filter(name => names.includes(name) && name !== image))]
  if (texts.length === 0 && image === undefined)
    throw new CollectionError(
      `source ${file}: none of its columns (${names.join(', ')}) is known to hold texts or pictures; say which with --text or --image.`,
    )
  const name = columns.name ?? first(usual.name)
  const metadata = columns.metadata ?? names.filter(other => ![id, name, image, ...texts].includes(other))
  return { id, name, texts, image, metadata: [...metadata] }
}

function rowItem(values: Record<string, JS>, row: number, columns: Chosen, folder: string): SourceItem {
  const texts = [...new Set(columns.texts.flatMap(column => textsOf(values[column])))]
  const id = columns.id === undefined ? String(row) : String(values[columns.id] ?? row)
  const name = columns.name === undefined ? (texts[0] ?? id) : String(values[columns.name] ?? id)
  const metadata: Metadata = Object.fromEntries(columns.metadata.map(key => [key, metadataValue(values[key])]))
  const image = columns.image === undefined ? undefined : imageOf(values[columns.image], folder)
  const hash = createHash('sha1').update(
    JSON.stringify([name, texts, metadata, image && 'path' in image ? image.path : null]),
  )
  if (image && 'bytes' in image) hash.update(image.bytes)
  return { id, name, texts, image, metadata, fingerprint: hash.digest('hex') }
}

function textsOf(value: JS | undefined): string[] {
  if (value === null || value === undefined) return []
  if (Array.isArray(value)) return value.flatMap(textsOf)
  const text = String(value).trim()
  return text === '' ? [] : [text]
}

function metadataValue(value: JS | undefined): Metadata[string] {
  if (value === null || value === undefined) return null
  if (typeof value === 'string' || typeof value === 'boolean') return value
  if (typeof value === 'number') return Number.isFinite(value) ? value : null
  if (typeof value === 'bigint') return Number.isSafeInteger(Number(value)) ? Number(value) : String(value)
  if (value instanceof Date) return value.toISOString()
  if (Array.isArray(value)) return value.map(String)
  return value instanceof Uint8Array ? null : JSON.stringify(value, (_, v) => (typeof v === 'bigint' ? String(v) : v))
}

function imageOf(value: JS | undefined, folder: string): ItemImage | undefined {
  // A copy: the bytes belong to a chunk that DuckDB frees.
  if (value instanceof Uint8Array) return { bytes: new Uint8Array(value) }
  if (typeof value !== 'string' || value === '') return undefined
  return value.trimStart().startsWith('<') ? { svg: value } : { path: resolve(folder, value) }
}
