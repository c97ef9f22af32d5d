import { createHash } from 'node:crypto'
import { dirname, relative, resolve } from 'node:path'
import { compile, hostTensor, type Tensor } from '../../../core/index.ts'
import { isHubName } from '../../../data/hugging-face.ts'
import { loadStateDict, nameVariables, stateDict, unitRows } from '../../../nn/index.ts'
import { type Checkpoint, saveCheckpoint } from '../../../train/index.ts'
import type { RetrievalEncoder } from '../encoder.ts'
import { ProjectionHeads, type ProjectionOptions } from './projection-heads.ts'

/** The frozen encoder that heads stand on: the file refers to it, it holds no copy. */
export interface BaseReference {
  readonly id: string
  readonly name: string
  readonly dim: number
  /** Left out for the encoder that comes with Tenet. */
  readonly source?: string
  /** The same from the folder of the heads' file, so that both can be moved together. */
  readonly beside?: string
}

/** What a file of projection heads says of itself. */
export interface ProjectionCard {
  readonly kind: 'projected-encoder'
  readonly name: string
  readonly base: BaseReference
  readonly options: ProjectionOptions
  /** Prefixes of the vectors that may be searched, ascending; the last is their length. */
  readonly widths: readonly number[]
  readonly training?: Readonly<Record<string, unknown>>
}

/** A frozen encoder with a small trained head on each tower. */
export class ProjectedEncoder implements RetrievalEncoder {
  readonly card: ProjectionCard
  readonly id: string
  readonly source: string | undefined
  readonly #base: RetrievalEncoder
  readonly #heads

  constructor(
    card: ProjectionCard,
    heads: ProjectionHeads,
    base: RetrievalEncoder,
    id: string,
    device?: string,
    source?: string,
  ) {
    this.card = card
    this.id = id
    this.source = source
    this.#base = base
    nameVariables(heads)
    this.#heads = {
      image: compile((x: Tensor) => unitRows(heads.image.forward(x)), { device }),
      text: compile((x: Tensor) => unitRows(heads.text.forward(x)), { device }),
    }
  }

  get name(): string {
    return this.card.name
  }

  get dim(): number {
    return this.card.options.dim
  }

  get widths(): readonly number[] {
    return this.card.widths
  }

  get imageSize(): number {
    return this.#base.imageSize
  }

  get imageFit(): RetrievalEncoder['imageFit'] {
    return this.#base.imageFit
  }

  get imageKernel(): RetrievalEncoder['imageKernel'] {
    return this.#base.imageKernel
  }

  get readsSentences(): boolean | undefined {
    return this.#base.readsSentences
  }

  async encodeTexts(texts: readonly string[]): Promise<Float32Array> {
    return this.#project('text', await this.#base.encodeTexts(texts), texts.length)
  }

  async encodeImages(pixels: Uint8Array, count: number): Promise<Float32Array> {
    return this.#project('image', await this.#base.encodeImages(pixels, count), count)
  }

  async #project(tower: 'image' | 'text', features: Float32Array, count: number): Promise<Float32Array> {
    const width = this.#base.dim
    const out = new Float32Array(count * this.dim)
    for (let start = 0; start < count; start += BATCH) {
      const n = Math.min(BATCH, count - start)
      // Few batch sizes only: each compiles once.
      const rows = n === 1 ? 1 : BATCH
      const part = new Float32Array(rows * width)
      part.set(features.subarray(start * width, (start + n) * width))
      const { data } = await this.#heads[tower](hostTensor(part, [rows, width]))
      out.set((data as Float32Array).subarray(0, n * this.dim), start * this.dim)
    }
    return out
  }

  async close(): Promise<void> {
    await this.#heads.image.release()
    await this.#heads.text.release()
    await this.#base.close()
  }
}

const BATCH = 64

/** How to find a base again from a file at `path`. */
export function baseReference({ id, name, dim, source }: RetrievalEncoder, path: string): BaseReference {
  const beside = source === undefined || isHubName(source) ? undefined : relative(dirname(resolve(path)), source)
  return { id, name, dim, source, beside }
}

/** Writes heads as one safetensors file. Atomic. */
export async function saveProjection(path: string, card: ProjectionCard, heads: ProjectionHeads): Promise<void> {
  await saveCheckpoint(path, { tensors: await stateDict(heads), state: { ...card } })
}

/**
 * Opens heads written by {@link saveProjection} on their frozen encoder.
 *
 * @param bytes of the file, whose digest is the encoder's identity
 * @param load opens the frozen encoder by its source
 * @throws one line when that is gone or has changed, or the file is damaged
 */
export async function openProjection(
  { tensors, state }: Checkpoint,
  bytes: Uint8Array,
  path: string,
  load: (source: string | undefined) => Promise<RetrievalEncoder>,
  device?: string,
): Promise<ProjectedEncoder> {
  const card = state as unknown as ProjectionCard
  const base = await openBase(card.base, path, load)
  try {
    const heads = new ProjectionHeads(card.options)
    loadStateDict(heads, tensors)
    const id = createHash('sha256').update(bytes).digest('hex').slice(0, 16)
    return new ProjectedEncoder(card, heads, base, id, device, path)
  } catch (error) {
    await base.close()
    throw new Error(`${path}: ${(error as Error).message}`)
  }
}

async function openBase(
  { id, name, source, beside }: BaseReference,
  path: string,
  load: (source: string | undefined) => Promise<RetrievalEncoder>,
): Promise<RetrievalEncoder> {
  const moved = beside === undefined ? undefined : resolve(dirname(resolve(path)), beside)
  const base = await load(source).catch(async (error: Error) => {
    if (moved !== undefined && moved !== source) {
      const found = await load(moved).catch(() => undefined)
      if (found) return found
    }
    throw new Error(`${path}: stands on encoder ${name}, which cannot be opened: ${error.message}`)
  })
  if (base.id === id) return base
  await base.close()
  throw new Error(
    `${path}: was trained on encoder ${name} (${id.slice(0, 12)}), but ${source ?? 'the one that comes with Tenet'} is now ${base.id.slice(0, 12)}; put the old one back, or train again`,
  )
}
