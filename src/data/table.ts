import { access } from 'node:fs/promises'
import { extname, resolve } from 'node:path'
import { DuckDBInstance, type JS } from '@duckdb/node-api'
import type { PictureSource } from './pictures.ts'

/** A cell of a table. */
export type Cell = JS | undefined

/** Rows of a file, read as they are asked for. */
export interface Table {
  readonly columns: readonly string[]
  /** Number of rows. */
  readonly total: number
  /** @throws TableError naming the row that cannot be read */
  rows(): AsyncGenerator<Readonly<Record<string, Cell>>>
}

/** A table that cannot be used; the message names the file and says why, in one line. */
export class TableError extends Error {
  override readonly name = 'TableError'
}

const readers: Readonly<Record<string, string>> = {
  '.csv': 'read_csv',
  '.tsv': 'read_csv',
  '.jsonl': 'read_json_auto',
  '.ndjson': 'read_json_auto',
  '.json': 'read_json_auto',
  '.parquet': 'read_parquet',
}

/** File name endings of tables, lower case. */
export const tableExtensions: readonly string[] = Object.keys(readers)

const reason = (error: unknown): string => (error as Error).message.split('\n')[0].slice(0, 200)

/**
 * Opens a CSV, JSON lines or Parquet file; DuckDB reads it.
 *
 * @throws TableError when it is none, or cannot be read
 */
export async function openTable(file: string): Promise<Table> {
  const reader = readers[extname(file).toLowerCase()]
  if (!reader) throw new TableError(`${file}: is no table (${tableExtensions.join(', ')})`)
  await access(file).catch(error => {
    throw new TableError(`${file}: ${error.code === 'ENOENT' ? 'does not exist' : `cannot be opened (${error.code})`}`)
  })
  const table = `${reader}('${resolve(file).replaceAll("'", "''")}')`
  const instance = await DuckDBInstance.create(':memory:', { threads: '1' })
  const connection = await instance.connect()
  const run = (sql: string) =>
    connection.runAndReadAll(sql).catch(error => {
      throw new TableError(`${file}: cannot be read as a table (${reason(error)})`)
    })
  const columns = (await run(`select * from ${table} limit 0`)).columnNames()
  const total = Number((await run(`select count(*) from ${table}`)).getRows()[0][0])
  async function* rows(): AsyncGenerator<Record<string, Cell>> {
    const result = await connection.stream(`select * from ${table}`)
    let row = 0
    try {
      for await (const chunk of result.yieldRowObjectJs()) {
        for (const values of chunk) {
          row++
          yield values
        }
      }
    } catch (error) {
      throw new TableError(`${file}: row ${row + 1} cannot be read (${reason(error)})`)
    }
  }
  return { columns, total, rows }
}

/** Names that columns usually have for what they hold, likeliest first. */
export const usualColumns = {
  id: ['id'],
  name: ['name', 'title'],
  texts: ['caption', 'captions', 'text', 'texts', 'description', 'label', 'tags', 'keywords', 'name', 'title'],
  image: ['image', 'image_path', 'path', 'file'],
} as const

/** @throws TableError when a column was asked for that the table does not have */
export function requireColumns(file: string, { columns }: Table, asked: readonly (string | undefined)[]): void {
  const unknown = asked.find(name => name !== undefined && !columns.includes(name))
  if (unknown !== undefined)
    throw new TableError(`${file}: has no column '${unknown}'; its columns are ${columns.join(', ')}`)
}

/** Texts of a cell: of a list each, trimmed; none of an empty one. */
export function cellTexts(value: Cell): string[] {
  if (value === null || value === undefined) return []
  if (Array.isArray(value)) return value.flatMap(cellTexts)
  const text = String(value).trim()
  return text === '' ? [] : [text]
}

/** A cell's picture: bytes of a file, an SVG document, or a path. @param folder what paths are relative to */
export function cellPicture(value: Cell, folder: string): PictureSource | undefined {
  // A copy: the bytes belong to a chunk that DuckDB frees.
  if (value instanceof Uint8Array) return { bytes: new Uint8Array(value) }
  if (typeof value !== 'string' || value === '') return undefined
  return value.trimStart().startsWith('<') ? { svg: value } : { path: resolve(folder, value) }
}
