import { randomBytes } from 'node:crypto'
import { existsSync, readdirSync } from 'node:fs'
import { type FileHandle, mkdir, open, rename, rm, writeFile } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { SvgRasterizer } from '../svg/index.ts'
import type { Split } from './concepts.ts'
import { type IconItem, iconConcepts, icons } from './icons.ts'
import { iconSets, installedSets } from './sets.ts'

export interface CorpusOptions {
  /** Folder to make. One that holds a corpus already is replaced; one that holds anything else is refused. */
  into: string
  /** Prefixes of installed Iconify sets. Default all of them. */
  sets?: readonly string[]
  /** Side of the pictures in pixels. Default 32. */
  size?: number
  /** Threads that draw. */
  workers?: number
  onProgress?: (done: number, total: number) => void
  /** Stops the work and leaves nothing behind. */
  signal?: AbortSignal
}

/** What `corpus.json` says about a set. */
export interface CorpusSet {
  set: string
  name: string
  version: string
  licence: string
  licenceUrl: string | undefined
  author: string
  authorUrl: string | undefined
  icons: number
  skipped: number
}

/** What `corpus.json` holds. */
export interface CorpusReport {
  format: 'tenet icon corpus 1'
  size: number
  items: number
  concepts: number
  splits: Record<Split, number>
  sets: CorpusSet[]
  /** Icons that could not be drawn; they are in neither file. */
  skipped: { id: string; reason: string }[]
  /** Joins of concepts that would have grown past the limit. */
  refusedJoins: number
}

/** Icons drawn in one request: enough to keep every thread busy, little enough to hold twice in memory. */
const chunkSize = 1024

/** The files of a corpus while they are being written. */
class CorpusWriter {
  readonly report: CorpusReport
  readonly #items: FileHandle
  readonly #pixels: FileHandle
  readonly #stride: number
  readonly #concepts = new Set<string>()
  readonly #sets: Map<string, CorpusSet>

  private constructor(items: FileHandle, pixels: FileHandle, size: number, sets: CorpusSet[]) {
    this.#items = items
    this.#pixels = pixels
    this.#stride = size * size * 3
    this.#sets = new Map(sets.map(set => [set.set, set]))
    this.report = {
      format: 'tenet icon corpus 1',
      size,
      items: 0,
      concepts: 0,
      splits: { train: 0, validation: 0, test: 0, 'unseen-set': 0 },
      sets,
      skipped: [],
      refusedJoins: 0,
    }
  }

  static async open(folder: string, size: number, sets: CorpusSet[]): Promise<CorpusWriter> {
    const items = await open(join(folder, 'items.jsonl'), 'w')
    const pixels = await open(join(folder, `pixels-${size}.bin`), 'w')
    return new CorpusWriter(items, pixels, size, sets)
  }

  /** Adds icons with their pixels; those that failed are only listed. */
  async add(chunk: readonly IconItem[], pixels: Uint8Array, failed: ReadonlyMap<number, string>): Promise<void> {
    const lines: string[] = []
    const rows = new Uint8Array((chunk.length - failed.size) * this.#stride)
    for (const [index, { svg: _, ...item }] of chunk.entries()) {
      const set = this.#sets.get(item.set)!
      const reason = failed.get(index)
      if (reason !== undefined) {
        this.report.skipped.push({ id: item.id, reason })
        set.skipped++
        continue
      }
      rows.set(pixels.subarray(index * this.#stride, (index + 1) * this.#stride), lines.length * this.#stride)
      lines.push(`${JSON.stringify(item)}\n`)
      set.icons++
      this.report.splits[item.split]++
      this.#concepts.add(item.concept)
    }
    this.report.items += lines.length
    this.report.concepts = this.#concepts.size
    await Promise.all([this.#items.writeFile(lines.join('')), this.#pixels.writeFile(rows)])
  }

  async close(): Promise<void> {
    await Promise.all([this.#items.close(), this.#pixels.close()])
  }
}

function* chunks(items: Iterable<IconItem>): Generator<IconItem[]> {
  let chunk: IconItem[] = []
  for (const item of items) {
    chunk.push(item)
    if (chunk.length < chunkSize) continue
    yield chunk
    chunk = []
  }
  if (chunk.length > 0) yield chunk
}

async function drawAll(writer: CorpusWriter, rasterizer: SvgRasterizer, options: CorpusOptions): Promise<void> {
  const { sets, size = 32, onProgress, signal } = options
  const total = writer.report.sets.reduce((sum, set) => sum + set.icons, 0)
  for (const set of writer.report.sets) set.icons = 0
  let done = 0
  let previous: Promise<void> = Promise.resolve()
  for (const chunk of chunks(icons({ sets }))) {
    signal?.throwIfAborted()
    const drawing = rasterizer.rasterise(
      chunk.map(({ svg }) => svg),
      size,
    )
    // The next icons are read while these are drawn.
    await previous
    previous = drawing.then(async ({ pixels, failed }) => {
      await writer.add(chunk, pixels, new Map(failed.map(({ index, reason }) => [index, reason])))
      done += chunk.length
      onProgress?.(done, Math.max(done, total))
    })
    previous.catch(() => undefined)
  }
  await previous
}

/** Puts a finished folder in the place of an earlier one. */
async function putInPlace(finished: string, into: string): Promise<void> {
  const old = `${finished}.old`
  if (existsSync(into)) await rename(into, old)
  await rename(finished, into)
  await rm(old, { recursive: true, force: true })
}

/**
 * Makes a data set of icons: `corpus.json` (sets, versions, licences, authors, counts, splits, what was skipped),
 * `items.jsonl` (an `IconItem` a line, without its drawing) and `pixels-<size>.bin` (bytes, RGB over white,
 * [items, size, size, 3]; row i belongs to line i). The folder appears whole, or not at all.
 *
 * @returns what `corpus.json` holds
 * @throws Error that names a set which is not installed, or a folder that holds something else
 */
export async function writeIconCorpus(options: CorpusOptions): Promise<CorpusReport> {
  const { size = 32, workers, sets: names = installedSets() } = options
  const into = resolve(options.into)
  if (existsSync(into) && !existsSync(join(into, 'corpus.json')) && readdirSync(into).length > 0)
    throw new Error(`${options.into} holds files that are no corpus; name a new folder.`)
  if (names.length === 0)
    throw new Error('no icon set is installed; install one, for example with: npm install @iconify-json/lucide')
  const infos = iconSets(names)
  const temporary = join(dirname(into), `.corpus-${randomBytes(4).toString('hex')}.tmp`)
  await mkdir(temporary, { recursive: true })
  const rasterizer = await SvgRasterizer.create({ workers })
  try {
    const sets = infos.map(({ colour: _, folder: __, total, ...info }) => ({ ...info, icons: total, skipped: 0 }))
    const writer = await CorpusWriter.open(temporary, size, sets)
    try {
      await drawAll(writer, rasterizer, { ...options, sets: names })
    } finally {
      await writer.close()
    }
    writer.report.refusedJoins = iconConcepts().refused.length
    await writeFile(join(temporary, 'corpus.json'), `${JSON.stringify(writer.report, undefined, 2)}\n`)
    await putInPlace(temporary, into)
    return writer.report
  } finally {
    await rasterizer.close()
    await rm(temporary, { recursive: true, force: true })
  }
}
