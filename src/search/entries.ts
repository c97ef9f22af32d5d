import type { RetrievalEncoder } from '../tasks/retrieve/encoder.ts'
import { KeywordIndex } from './keyword-index.ts'
import { NestedVectors, scanWidth } from './nested-vectors.ts'

/** An item in memory; its vectors stand in row `row`. */
export interface Entry {
  row: number
  readonly id: string
  readonly name: string
  readonly texts: readonly string[]
  /** JSON, parsed when it is shown. */
  readonly metadata: string
  readonly fingerprint: string
}

/** A distinct text; its vector stands in row `row` of `texts`. */
export interface TextUse {
  readonly row: number
  readonly text: string
  readonly users: Set<Entry>
}

/** The compact side of a collection, all in memory: vectors of items and of their distinct texts, and the keywords. */
export class Entries {
  readonly imageVectors: NestedVectors
  readonly textVectors: NestedVectors
  readonly texts: NestedVectors
  readonly keywords = new KeywordIndex()
  readonly #byId = new Map<string, Entry>()
  readonly #byRow: Entry[] = []
  readonly #uses = new Map<string, TextUse>()
  readonly #useByRow: TextUse[] = []

  constructor({ dim, widths }: RetrievalEncoder) {
    const width = scanWidth(widths, dim)
    this.imageVectors = new NestedVectors(dim, width)
    this.textVectors = new NestedVectors(dim, width)
    this.texts = new NestedVectors(dim, width)
  }

  get count(): number {
    return this.#byRow.length
  }

  get(id: string): Entry | undefined {
    return this.#byId.get(id)
  }

  at(row: number): Entry {
    return this.#byRow[row]
  }

  ids(): IterableIterator<string> {
    return this.#byId.keys()
  }

  values(): readonly Entry[] {
    return this.#byRow
  }

  textUse(text: string): TextUse | undefined {
    return this.#uses.get(text)
  }

  textAt(row: number): TextUse {
    return this.#useByRow[row]
  }

  /** A text that is known already is left as it is. */
  addText(text: string, vector: Float32Array): void {
    if (this.#uses.has(text)) return
    const use: TextUse = { row: this.texts.rows, text, users: new Set() }
    this.texts.set(use.row, vector)
    this.#uses.set(text, use)
    this.#useByRow.push(use)
  }

  /** Adds an item, or puts it in the place of the one with its id. */
  set(item: Omit<Entry, 'row'>, imageVector: Float32Array, textVector: Float32Array): void {
    const old = this.#byId.get(item.id)
    const entry: Entry = { ...item, row: old?.row ?? this.count }
    if (old) for (const text of old.texts) this.#uses.get(text)?.users.delete(old)
    this.#byId.set(entry.id, entry)
    this.#byRow[entry.row] = entry
    for (const text of entry.texts) this.#uses.get(text)?.users.add(entry)
    this.imageVectors.set(entry.row, imageVector)
    this.textVectors.set(entry.row, textVector)
    this.keywords.set(entry.id, entry.name, entry.texts, old)
  }

  remove(id: string): void {
    const entry = this.#byId.get(id)
    if (!entry) return
    this.#byId.delete(id)
    for (const text of entry.texts) this.#uses.get(text)?.users.delete(entry)
    this.keywords.remove(id, entry.name, entry.texts)
    this.imageVectors.remove(entry.row)
    this.textVectors.remove(entry.row)
    const last = this.#byRow.pop()!
    if (last !== entry) {
      last.row = entry.row
      this.#byRow[entry.row] = last
    }
  }
}
