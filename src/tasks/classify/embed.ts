import { readdir, rm, stat } from 'node:fs/promises'
import { extname, join } from 'node:path'
import pMap from 'p-map'
import { compile, hostTensor, type Tensor } from '../../core/index.ts'
import { writeSafetensors } from '../../core/safetensors.ts'
import { decodeImage, imageExtensions, imageToFloat32, type Normalisation, type Skipped } from '../../data/index.ts'
import { type ImageBackbone, withSeed } from '../../nn/index.ts'
import { readCheckpoint, writeAtomic } from '../../train/index.ts'
import { loadClassifier } from './classifier.ts'
import { findModelKind, type ModelOptions } from './models.ts'

/** A backbone and how pictures are prepared for it. */
export interface PictureEmbedder {
  readonly network: ImageBackbone
  readonly channels: number
  readonly size: readonly [height: number, width: number]
  readonly normalisation: Normalisation
  /** False for first values: such vectors say what an architecture does, not what it has learned. */
  readonly trained: boolean
}

export interface EmbedderOptions {
  /** Side of the pictures; default the trained one, 64 without training. */
  readonly size?: number
  /** For a model without training; default 3. */
  readonly channels?: 1 | 3
  /** For a model without training. */
  readonly modelOptions?: ModelOptions
  readonly seed?: number
  readonly device?: string
}

/**
 * Opens the backbone of a trained classifier's file, or, by the name of a model, one with its first values.
 * @throws one line when there is no such file or model, or it cannot look at pictures of that size
 */
export async function openEmbedder(model: string, options: EmbedderOptions = {}): Promise<PictureEmbedder> {
  const { size, channels = 3, modelOptions, seed = 0, device } = options
  const isFile = await stat(model).then(
    info => info.isFile(),
    () => false,
  )
  if (isFile) {
    const { card, network } = await loadClassifier(model, device, size === undefined ? undefined : [size, size])
    return { network, channels: card.channels, size: card.size, normalisation: card.normalisation, trained: true }
  }
  if (/\.(safetensors|onnx|pt|pth)$/.test(model)) {
    // Names the file that is missing.
    await readCheckpoint(model)
  }
  const kind = await findModelKind(model)
  const side = size ?? 64
  const format = { channels, size: [side, side] as const, classes: 2 }
  const network = withSeed(seed, () => kind.build(format, { ...kind.defaults(format), ...modelOptions }))
  const level = (value: number): number[] => new Array<number>(channels).fill(value)
  return { network, channels, size: format.size, normalisation: { mean: level(0.5), std: level(0.25) }, trained: false }
}

/** Picture files among the given ones and in the folders among them, each folder in the order of names. */
export async function pictureFiles(paths: readonly string[]): Promise<string[]> {
  const found = await Promise.all(
    paths.map(async path => {
      const info = await stat(path).catch(() => undefined)
      if (!info) throw new Error(`there is no file or folder '${path}'`)
      if (!info.isDirectory()) return [path]
      const names = await readdir(path, { recursive: true })
      return names
        .filter(name => imageExtensions.has(extname(name).toLowerCase()) && !/(^|[/\\])\./.test(name))
        .sort()
        .map(name => join(path, name))
    }),
  )
  return found.flat()
}

export interface Embedded {
  readonly files: readonly string[]
  /** [files, dim] */
  readonly vectors: Float32Array
  readonly dim: number
  readonly skipped: readonly Skipped[]
}

/**
 * Turns pictures into vectors: what the network's classifier would see. Files that cannot be read are left out.
 * @throws when a vector is not finite, or no picture could be read
 */
export async function embedFiles(
  embedder: PictureEmbedder,
  files: readonly string[],
  options: { readonly device?: string; readonly onProgress?: (done: number, total: number) => void } = {},
): Promise<Embedded> {
  const { network, channels, size, normalisation } = embedder
  const features = compile((images: Tensor) => network.features(images), { device: options.device })
  const skipped: Skipped[] = []
  const kept: string[] = []
  const parts: Float32Array[] = []
  const length = channels * size[0] * size[1]
  try {
    for (let first = 0; first < files.length; first += 32) {
      const some = files.slice(first, first + 32)
      const decoded = await pMap(some, file => readPicture(file, embedder, normalisation, skipped), { concurrency: 4 })
      const good = decoded.flatMap((values, i) => (values ? [{ values, file: some[i] }] : []))
      options.onProgress?.(first + some.length, files.length)
      if (good.length === 0) continue
      const images = new Float32Array(good.length * length)
      for (const [i, { values, file }] of good.entries()) {
        images.set(values, i * length)
        kept.push(file)
      }
      const result = await features(hostTensor(images, [good.length, channels, ...size]))
      parts.push(Float32Array.from(result.numbers()))
    }
  } finally {
    await features.release()
  }
  if (kept.length === 0)
    throw new Error(`no picture could be read${skipped[0] ? ` (${skipped[0].name}: ${skipped[0].reason})` : ''}`)
  const dim = parts.reduce((sum, part) => sum + part.length, 0) / kept.length
  const vectors = new Float32Array(kept.length * dim)
  let at = 0
  for (const part of parts) {
    vectors.set(part, at)
    at += part.length
  }
  const odd = vectors.findIndex(value => !Number.isFinite(value))
  if (odd >= 0)
    throw new Error(`${kept[Math.floor(odd / dim)]}: its vector is not finite; the model's weights are damaged`)
  return { files: kept, vectors, dim, skipped }
}

async function readPicture(
  file: string,
  { size, channels }: PictureEmbedder,
  normalisation: Normalisation,
  skipped: Skipped[],
): Promise<Float32Array | undefined> {
  try {
    return imageToFloat32(await decodeImage(file, { size, channels: channels as 1 | 3 }), normalisation)
  } catch (error) {
    skipped.push({ name: file, reason: (error as Error).message.split('\n')[0] })
    return undefined
  }
}

/**
 * Writes vectors with their files' names: JSON lines or Parquet with the columns `file` and `vector`, or safetensors with
 * the tensor `vectors` and the names as JSON under `files` in the metadata.
 * @throws one line on another ending
 */
export async function writeVectors({ files, vectors, dim }: Embedded, path: string): Promise<void> {
  const ending = extname(path).toLowerCase()
  if (ending === '.safetensors') {
    const tensors = new Map([['vectors', hostTensor(vectors, [files.length, dim])]])
    return writeAtomic(path, writeSafetensors(tensors, { files: JSON.stringify(files) }))
  }
  const lines = files
    .map((file, i) => `${JSON.stringify({ file, vector: Array.from(vectors.subarray(i * dim, (i + 1) * dim)) })}\n`)
    .join('')
  if (ending === '.jsonl') return writeAtomic(path, lines)
  if (ending !== '.parquet')
    throw new Error(`${path}: vectors are written as .parquet, .jsonl or .safetensors, not '${ending}'`)
  const rows = `${path}.jsonl.tmp`
  await writeAtomic(rows, lines)
  const quoted = (text: string): string => `'${text.replaceAll("'", "''")}'`
  const { DuckDBInstance } = await import('@duckdb/node-api')
  const instance = await DuckDBInstance.create()
  const connection = await instance.connect()
  try {
    await connection.run(
      `COPY (SELECT * FROM read_json(${quoted(rows)}, format = 'newline_delimited', maximum_object_size = 100000000, columns = {file: 'VARCHAR', vector: 'FLOAT[]'})) TO ${quoted(path)} (FORMAT parquet)`,
    )
  } finally {
    connection.closeSync()
    instance.closeSync()
    await rm(rows, { force: true })
  }
}
