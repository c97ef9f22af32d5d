import { createHash } from 'node:crypto'
import { compile, HostTensor, hostTensor, type Tensor } from '../../core/index.ts'
import { loadStateDict, nameVariables, stateDict, unitRows } from '../../nn/index.ts'
import { parseCheckpoint, saveCheckpoint } from '../../train/index.ts'
import type { RetrievalEncoder } from './encoder.ts'
import { TextFeaturizer } from './text-features.ts'
import { DualEncoder, type DualEncoderOptions } from './towers.ts'

/** What a saved encoder says of itself. */
export interface EncoderCard {
  readonly kind: 'retrieval-encoder'
  readonly name: string
  readonly options: DualEncoderOptions
  readonly training?: Readonly<Record<string, unknown>>
}

const TABLE = 'text.table.weight'

/** Texts or images encoded in one call; more are cut into so many. */
const BATCH = 256

const paddedSize = (count: number): number => (count === 1 ? 1 : count <= 16 ? 16 : BATCH)

/** Tenet's own two towers, ready to use. Few texts at a time run on small programs, so that a query waits for nothing. */
export class TenetEncoder implements RetrievalEncoder {
  readonly card: EncoderCard
  readonly model: DualEncoder
  readonly id: string
  readonly source: string | undefined
  readonly #features: TextFeaturizer
  readonly #text
  readonly #image

  constructor(card: EncoderCard, model: DualEncoder, id: string, device?: string, source?: string) {
    this.source = source
    this.card = card
    this.model = nameVariables(model)
    this.id = id
    const { text, textFeatures } = card.options
    this.#features = new TextFeaturizer({ tableRows: text.tableRows, lookups: text.lookups, limit: textFeatures })
    this.#text = compile((rows: Tensor, weights: Tensor) => unitRows(model.text.forward(rows, weights)), { device })
    this.#image = compile((pixels: Tensor) => unitRows(model.image.forward(pixels)), { device })
  }

  get name(): string {
    return this.card.name
  }

  get widths(): readonly number[] {
    return this.card.options.widths
  }

  get dim(): number {
    return this.widths[this.widths.length - 1]
  }

  get imageSize(): number {
    return this.card.options.image.size
  }

  async encodeTexts(texts: readonly string[]): Promise<Float32Array> {
    const { dim } = this
    const { lookups } = this.card.options.text
    const out = new Float32Array(texts.length * dim)
    for (let start = 0; start < texts.length; start += BATCH) {
      const part = texts.slice(start, start + BATCH)
      const count = part.length
      // Few batch sizes only: each compiles once for each number of features.
      const padded = [...part, ...Array<string>(paddedSize(count) - count).fill('')]
      const { rows, weights, features } = this.#features.batch(padded)
      const { data } = await this.#text(
        hostTensor(rows, [padded.length, features, lookups]),
        hostTensor(weights, [padded.length, features]),
      )
      out.set((data as Float32Array).subarray(0, count * dim), start * dim)
    }
    return out
  }

  async encodeImages(pixels: Uint8Array, count: number): Promise<Float32Array> {
    const { imageSize: size, dim } = this
    const each = size * size * 3
    if (pixels.length !== count * each)
      throw new RangeError(
        `encodeImages: expected ${count} images of ${size}x${size} RGB bytes (${count * each}), got ${pixels.length} bytes`,
      )
    const out = new Float32Array(count * dim)
    for (let start = 0; start < count; start += BATCH) {
      const n = Math.min(BATCH, count - start)
      const rows = paddedSize(n)
      let part = pixels.subarray(start * each, (start + n) * each)
      if (n < rows) {
        const filled = new Uint8Array(rows * each).fill(255)
        filled.set(part)
        part = filled
      }
      const { data } = await this.#image(hostTensor(part.slice(), [rows, size, size, 3]))
      out.set((data as Float32Array).subarray(0, n * dim), start * dim)
    }
    return out
  }

  async close(): Promise<void> {
    await this.#text.release()
    await this.#image.release()
  }
}

/** Rows of a table as bytes, each with a scale of its own: value = byte * scale. */
function quantiseRows(table: HostTensor): { bytes: HostTensor; scales: HostTensor } {
  const [rows, width] = table.shape
  const values = table.data as Float32Array
  const bytes = new Uint8Array(rows * width)
  const scales = new Float32Array(rows)
  for (let r = 0; r < rows; r++) {
    let largest = 0
    for (let i = r * width; i < (r + 1) * width; i++) largest = Math.max(largest, Math.abs(values[i]))
    scales[r] = largest / 127
    for (let i = r * width; i < (r + 1) * width; i++)
      bytes[i] = 128 + (largest === 0 ? 0 : Math.round(values[i] / scales[r]))
  }
  return { bytes: new HostTensor(bytes, [rows, width], 'u8'), scales: new HostTensor(scales, [rows], 'f32') }
}

function dequantiseRows(bytes: HostTensor, scales: HostTensor): HostTensor {
  const [rows, width] = bytes.shape
  const values = new Float32Array(rows * width)
  for (let r = 0; r < rows; r++)
    for (let i = r * width; i < (r + 1) * width; i++) values[i] = (Number(bytes.data[i]) - 128) * Number(scales.data[r])
  return new HostTensor(values, [rows, width], 'f32')
}

/** Writes an encoder as one safetensors file, its table of text rows in bytes. Atomic. */
export async function saveEncoder(path: string, card: EncoderCard, model: DualEncoder): Promise<void> {
  const tensors = new Map(await stateDict(model))
  const { bytes, scales } = quantiseRows(tensors.get(TABLE)!)
  tensors.delete(TABLE)
  tensors.set(`${TABLE}.bytes`, bytes)
  tensors.set(`${TABLE}.scales`, scales)
  await saveCheckpoint(path, { tensors, state: { ...card } })
}

/**
 * Reads an encoder written by {@link saveEncoder}.
 *
 * @param source what `loadEncoder` finds it by; undefined for the one that comes with Tenet
 * @throws one line when the bytes are not one, or are damaged
 */
export function readEncoder(bytes: Uint8Array, path: string, device?: string, source?: string): TenetEncoder {
  const { tensors, state } = parseCheckpoint(bytes, path)
  const card = state as unknown as EncoderCard
  if (card.kind !== 'retrieval-encoder') throw new Error(`${path} is not a retrieval encoder`)
  const all = new Map(tensors)
  const table = all.get(`${TABLE}.bytes`)
  const scales = all.get(`${TABLE}.scales`)
  if (!table || !scales || table.shape.length !== 2 || scales.shape[0] !== table.shape[0])
    throw new Error(`${path}: the encoder's table of text rows is missing or damaged`)
  all.delete(`${TABLE}.bytes`)
  all.delete(`${TABLE}.scales`)
  all.set(TABLE, dequantiseRows(table, scales))
  const model = new DualEncoder(card.options)
  try {
    loadStateDict(model, all)
  } catch (error) {
    throw new Error(`${path}: ${(error as Error).message}`)
  }
  const id = createHash('sha256').update(bytes).digest('hex').slice(0, 16)
  return new TenetEncoder(card, model, id, device, source)
}
