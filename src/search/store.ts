import { type Connection, connect, Index, type Table } from '@lancedb/lancedb'
import type { RecordBatch } from 'apache-arrow'
import { CollectionError, firstLine } from './collection-error.ts'
import {
  columnKind,
  emptyColumn,
  fixedColumns,
  itemsSchema,
  itemsTable,
  kindOf,
  type MetadataKind,
  type StoredRow,
  textsSchema,
  textsTable,
  vectorValues,
} from './columns.ts'
import type { ItemImage, Metadata, SourceItem } from './source-item.ts'

/** Vectors and everything else of an item, read back; the picture stays in the table. */
export interface LoadedItem {
  readonly id: string
  readonly name: string
  readonly texts: string[]
  /** JSON. */
  readonly metadata: string
  readonly fingerprint: string
  readonly imageVector: Float32Array
  readonly textVector: Float32Array
}

/** Names that a SQL condition can use as they are. */
const columnName = /^[A-Za-z_][A-Za-z0-9_]*$/
const quoted = (text: string) => `'${text.replaceAll("'", "''")}'`

/**
 * The durable side of a collection: two LanceDB tables, `items` and the distinct `texts` with their vectors. Every call that
 * writes is one commit: after a crash it is there as a whole or not at all.
 */
export class Store {
  readonly #folder: string
  readonly #dim: number
  readonly #connection: Connection
  readonly #items: Table
  readonly #texts: Table
  readonly #kinds: Map<string, MetadataKind>

  private constructor(
    folder: string,
    dim: number,
    connection: Connection,
    items: Table,
    texts: Table,
    kinds: Map<string, MetadataKind>,
  ) {
    this.#folder = folder
    this.#dim = dim
    this.#connection = connection
    this.#items = items
    this.#texts = texts
    this.#kinds = kinds
  }

  /** Makes empty tables, over any that a creation which was cut short has left. */
  static async create(folder: string, dim: number): Promise<Store> {
    const connection = await connect(folder)
    const left = await connection.tableNames()
    const mode = (name: string) => (left.includes(name) ? 'overwrite' : 'create')
    const items = await connection.createEmptyTable('items', itemsSchema(dim), { mode: mode('items') })
    const texts = await connection.createEmptyTable('texts', textsSchema(dim), { mode: mode('texts') })
    return new Store(folder, dim, connection, items, texts, new Map())
  }

  /** @throws CollectionError when a table is missing or damaged */
  static async open(folder: string, dim: number): Promise<Store> {
    try {
      const connection = await connect(folder)
      const items = await connection.openTable('items')
      const texts = await connection.openTable('texts')
      const fields = (await items.schema()).fields.filter(({ name }) => !isFixed(name))
      const kinds = new Map(fields.map(({ name, type }) => [name, columnKind(type)]))
      return new Store(folder, dim, connection, items, texts, kinds)
    } catch (error) {
      throw damaged(folder, error)
    }
  }

  /** Every distinct text with its vector, in the order of writing. */
  async *loadTexts(): AsyncGenerator<{ texts: string[]; vectors: Float32Array }> {
    for await (const batch of this.#scan(this.#texts, ['text', 'vector'])) {
      const column = batch.getChild('text')!
      yield { texts: [...(column as Iterable<string>)], vectors: vectorValues(batch, 'vector', this.#dim) }
    }
  }

  async *loadItems(): AsyncGenerator<LoadedItem[]> {
    const columns = ['id', 'name', 'texts', 'metadata', 'fingerprint', 'image_vector', 'text_vector']
    for await (const batch of this.#scan(this.#items, columns)) yield loadedItems(batch, this.#dim)
  }

  async *#scan(table: Table, columns: string[]): AsyncGenerator<RecordBatch> {
    try {
      for await (const batch of table.query().select(columns)) yield batch
    } catch (error) {
      throw damaged(this.#folder, error)
    }
  }

  async addTexts(texts: readonly string[], vectors: readonly Float32Array[]): Promise<void> {
    if (texts.length) await this.#texts.add(textsTable(texts, vectors, this.#dim))
  }

  /** @param replace whether some of the ids are in the table already */
  async writeItems(rows: readonly StoredRow[], replace: boolean): Promise<void> {
    await this.#addColumns(rows)
    const table = itemsTable(rows, this.#dim, this.#kinds)
    if (!replace) await this.#items.add(table)
    else await this.#items.mergeInsert('id').whenMatchedUpdateAll().whenNotMatchedInsertAll().execute(table)
  }

  async removeItems(ids: readonly string[]): Promise<void> {
    for (let at = 0; at < ids.length; at += 1000) {
      await this.#items.delete(
        `id in (${ids
          .slice(at, at + 1000)
          .map(quoted)
          .join(', ')})`,
      )
    }
  }

  async #addColumns(rows: readonly StoredRow[]): Promise<void> {
    const added = new Map<string, MetadataKind>()
    for (const { item } of rows) {
      for (const [key, value] of Object.entries(item.metadata)) {
        const kind = kindOf(value)
        if (kind && !this.#kinds.has(key) && !isFixed(key) && columnName.test(key)) {
          this.#kinds.set(key, kind)
          added.set(key, kind)
        }
      }
    }
    const columns = [...added].map(([name, kind]) => ({ name, valueSql: emptyColumn[kind] }))
    if (columns.length) await this.#items.addColumns(columns)
  }

  /** @returns ids of the items for which the condition holds. @throws CollectionError when it is no condition over the columns */
  async where(condition: string): Promise<string[]> {
    const columns = ['id', 'name', ...this.#kinds.keys()]
    const flaw = structuralFlaw(condition)
    if (flaw) throw new CollectionError(whereMessage(condition, flaw, columns))
    try {
      // In parentheses, or the parser would pass over what follows a complete condition.
      const table = await this.#items.query().where(`(${condition})`).select(['id']).toArrow()
      // A result without rows comes without columns.
      return [...((table.getChild('id') ?? []) as unknown as Iterable<string>)]
    } catch (error) {
      throw new CollectionError(whereMessage(condition, firstLine(error), columns))
    }
  }

  /** The items of these ids that there are, in no particular order. */
  async items(ids: readonly string[]): Promise<SourceItem[]> {
    if (ids.length === 0) return []
    const columns = ['id', 'name', 'texts', 'metadata', 'fingerprint', 'image_kind', 'image']
    const query = this.#items
      .query()
      .where(ids.length === 1 ? `id = ${quoted(ids[0])}` : `id IN (${ids.map(quoted).join(', ')})`)
      .select(columns)
      .limit(ids.length)
    const table = await query.toArrow().catch(error => {
      throw damaged(this.#folder, error)
    })
    const value = <T>(name: string, row: number) => table.getChild(name)!.get(row) as T
    return Array.from({ length: table.numRows }, (_, row) => ({
      id: value<string>('id', row),
      name: value<string>('name', row),
      texts: [...(value<Iterable<string> | null>('texts', row) ?? [])],
      image: readImage(value<string | null>('image_kind', row), value<Uint8Array | null>('image', row)),
      metadata: JSON.parse(value<string>('metadata', row)) as Metadata,
      fingerprint: value<string>('fingerprint', row),
    }))
  }

  count(): Promise<number> {
    return this.#items.countRows()
  }

  /** Merges small fragments and indexes ids, once many batches have been written. */
  async optimize(): Promise<void> {
    await this.#items.optimize()
    await this.#texts.optimize()
    await this.#items.createIndex('id', { config: Index.btree(), replace: true })
  }

  close(): void {
    this.#items.close()
    this.#texts.close()
    this.#connection.close()
  }
}

const isFixed = (name: string): boolean => (fixedColumns as readonly string[]).includes(name.toLowerCase())

function damaged(folder: string, error: unknown): CollectionError {
  return new CollectionError(
    `collection ${folder} is damaged (${firstLine(error).slice(0, 160)}); index its source into a new folder.`,
    { cause: error },
  )
}

/** What would make a text more than one condition: the end of a statement, a comment, or a parenthesis without its other half. */
function structuralFlaw(condition: string): string | undefined {
  const code = condition.replace(/'(?:[^']|'')*'|`[^`]*`|"[^"]*"/g, "''")
  const stray = /;|--|\/\*/.exec(code)?.[0]
  if (stray) return `'${stray}' has no place in a condition`
  let open = 0
  for (const [bracket] of code.matchAll(/[()]/g)) {
    open += bracket === '(' ? 1 : -1
    if (open < 0) break
  }
  return open === 0 ? undefined : 'a parenthesis lacks its other half'
}

function whereMessage(condition: string, reason: string, columns: readonly string[]): string {
  const parser = /sql parser error: ([^)]*)/.exec(reason)?.[1]
  // What the engine offers instead are columns of its own, vectors among them.
  const own = reason
    .replace(/^.*?(Invalid input|Schema error)[,:] ?/, '')
    .replace(/[.,:;]? *(Valid fields|Did you mean|Perhaps).*$/i, '')
  const cause = parser ?? own.slice(0, 200)
  return `where: '${condition.slice(0, 120)}' cannot be used: ${cause.replace(/\.$/, '')}. Columns: ${columns.join(', ')}.`
}

function readImage(kind: string | null, bytes: Uint8Array | null): ItemImage | undefined {
  if (!kind || !bytes) return undefined
  if (kind === 'bytes') return { bytes: new Uint8Array(bytes) }
  const text = new TextDecoder().decode(bytes)
  return kind === 'svg' ? { svg: text } : { path: text }
}

function loadedItems(batch: RecordBatch, dim: number): LoadedItem[] {
  const strings = (name: string) => batch.getChild(name)! as unknown as { get(row: number): string }
  const [ids, names, metadata, fingerprints] = ['id', 'name', 'metadata', 'fingerprint'].map(strings)
  const texts = batch.getChild('texts')!
  const images = vectorValues(batch, 'image_vector', dim)
  const means = vectorValues(batch, 'text_vector', dim)
  return Array.from({ length: batch.numRows }, (_, row) => ({
    id: ids.get(row),
    name: names.get(row),
    texts: [...((texts.get(row) as Iterable<string> | null) ?? [])],
    metadata: metadata.get(row),
    fingerprint: fingerprints.get(row),
    imageVector: images.subarray(row * dim, (row + 1) * dim),
    textVector: means.subarray(row * dim, (row + 1) * dim),
  }))
}
