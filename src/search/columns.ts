import {
  Binary,
  Bool,
  type Data,
  type DataType,
  Field,
  FixedSizeList,
  Float32,
  Float64,
  List,
  makeData,
  makeVector,
  RecordBatch,
  Schema,
  Struct,
  Table,
  Utf8,
  vectorFromArray,
} from 'apache-arrow'
import type { Metadata, SourceItem } from './source-item.ts'

/** One item as it is stored. */
export interface StoredRow {
  readonly item: SourceItem
  readonly imageVector: Float32Array
  readonly textVector: Float32Array
}

const textList = new List(new Field('item', new Utf8(), true))
const vectorType = (dim: number) => new FixedSizeList(dim, new Field('item', new Float32(), true))

/** Columns that every collection has; a metadata key of the same name stays in the `metadata` document only. */
export const fixedColumns = [
  'id',
  'name',
  'texts',
  'metadata',
  'fingerprint',
  'image_kind',
  'image',
  'image_vector',
  'text_vector',
] as const

export function itemsSchema(dim: number): Schema {
  return new Schema([
    new Field('id', new Utf8(), false),
    new Field('name', new Utf8(), false),
    new Field('texts', textList, true),
    new Field('metadata', new Utf8(), false),
    new Field('fingerprint', new Utf8(), false),
    new Field('image_kind', new Utf8(), true),
    new Field('image', new Binary(), true),
    new Field('image_vector', vectorType(dim), false),
    new Field('text_vector', vectorType(dim), false),
  ])
}

export function textsSchema(dim: number): Schema {
  return new Schema([new Field('text', new Utf8(), false), new Field('vector', vectorType(dim), false)])
}

export type MetadataKind = 'string' | 'double' | 'boolean' | 'list'

/** The kind of column that holds a value; nothing for null, which fits any. */
export function kindOf(value: Metadata[string]): MetadataKind | undefined {
  if (value === null || value === undefined) return undefined
  if (Array.isArray(value)) return 'list'
  return typeof value === 'number' ? 'double' : typeof value === 'boolean' ? 'boolean' : 'string'
}

/** SQL of an empty column of a kind. */
export const emptyColumn: Readonly<Record<MetadataKind, string>> = {
  string: 'cast(null as string)',
  double: 'cast(null as double)',
  boolean: 'cast(null as boolean)',
  list: "arrow_cast(null, 'List(Utf8)')",
}

/** The kind of an existing column. */
export function columnKind(type: DataType): MetadataKind {
  const name = String(type)
  if (name.startsWith('List')) return 'list'
  if (name === 'Bool') return 'boolean'
  return name.startsWith('Float') ? 'double' : 'string'
}

/** A value as a column of that kind can hold it: what does not fit a number, a list or a truth value is left out. */
function fitted(value: Metadata[string], kind: MetadataKind): Metadata[string] {
  if (value === null || value === undefined) return null
  if (kind === 'string') return Array.isArray(value) ? value.join(', ') : String(value)
  if (kind === 'list') return Array.isArray(value) ? value : [String(value)]
  return kindOf(value) === kind ? value : null
}

const arrowTypes: Readonly<Record<MetadataKind, DataType>> = {
  string: new Utf8(),
  double: new Float64(),
  boolean: new Bool(),
  list: textList,
}

function column(values: readonly unknown[], type: DataType): Data {
  return vectorFromArray(values as unknown[], type).data[0]
}

function vectorColumn(vectors: readonly Float32Array[], dim: number): Data {
  const values = new Float32Array(vectors.length * dim)
  for (const [row, vector] of vectors.entries()) values.set(vector, row * dim)
  const child = makeData({ type: new Float32(), length: values.length, nullCount: 0, data: values })
  return makeVector(makeData({ type: vectorType(dim), length: vectors.length, nullCount: 0, child })).data[0]
}

function tableOf(fields: Field[], children: Data[], length: number): Table {
  const schema = new Schema(fields)
  const data = makeData({ type: new Struct(fields), length, nullCount: 0, children })
  return new Table(schema, [new RecordBatch(schema, data)])
}

const encoder = new TextEncoder()

function imageBytes({ image }: SourceItem): Uint8Array | null {
  if (!image) return null
  if ('bytes' in image) return image.bytes
  return encoder.encode('svg' in image ? image.svg : image.path)
}

function imageKind({ image }: SourceItem): string | null {
  if (!image) return null
  return 'svg' in image ? 'svg' : 'path' in image ? 'path' : 'bytes'
}

/** Rows as Arrow, with the collection's metadata columns. */
export function itemsTable(rows: readonly StoredRow[], dim: number, kinds: ReadonlyMap<string, MetadataKind>): Table {
  const items = rows.map(({ item }) => item)
  const fields = [...itemsSchema(dim).fields]
  const children = [
    column(
      items.map(item => item.id),
      new Utf8(),
    ),
    column(
      items.map(item => item.name),
      new Utf8(),
    ),
    column(
      items.map(item => item.texts),
      textList,
    ),
    column(
      items.map(item => JSON.stringify(item.metadata)),
      new Utf8(),
    ),
    column(
      items.map(item => item.fingerprint),
      new Utf8(),
    ),
    column(items.map(imageKind), new Utf8()),
    column(items.map(imageBytes), new Binary()),
    vectorColumn(
      rows.map(row => row.imageVector),
      dim,
    ),
    vectorColumn(
      rows.map(row => row.textVector),
      dim,
    ),
  ]
  for (const [key, kind] of kinds) {
    fields.push(new Field(key, arrowTypes[kind], true))
    children.push(
      column(
        items.map(item => fitted(item.metadata[key] ?? null, kind)),
        arrowTypes[kind],
      ),
    )
  }
  return tableOf(fields, children, rows.length)
}

export function textsTable(texts: readonly string[], vectors: readonly Float32Array[], dim: number): Table {
  return tableOf([...textsSchema(dim).fields], [column(texts, new Utf8()), vectorColumn(vectors, dim)], texts.length)
}

/** The numbers of a vector column, row-major, of one record batch. */
export function vectorValues(batch: RecordBatch, name: string, dim: number): Float32Array {
  const data = batch.getChild(name)!.data[0]
  const values = data.children[0].values as Float32Array
  return values.subarray(data.offset * dim, (data.offset + batch.numRows) * dim)
}
