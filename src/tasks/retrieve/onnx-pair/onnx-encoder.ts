import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { type DType, HostTensor, hostTensor, ModelSession, type ModelValue } from '../../../core/index.ts'
import { fileSha256 } from '../../../data/index.ts'
import type { RetrievalEncoder } from '../encoder.ts'
import { type ImagePreprocessing, normalisePixels, readPreprocessing } from './image-preprocessing.ts'
import { type PairFiles, readJson } from './pair-files.ts'
import { TextTokens, type TokenBatch, tokenSettings } from './text-tokens.ts'

/** Pictures or texts in one run of a model that takes any number. */
const BATCH = 32

/** One model of a pair: what it is fed, and which of its outputs is the vector. */
interface Tower {
  readonly file: string
  readonly session: ModelSession
  readonly output: string
  /** Rows of a run, where the model insists on a number. */
  readonly batch: number | undefined
}

const isFloat = ({ dtype }: ModelValue): boolean => dtype === 'f32' || dtype === 'f16'
const fixedSize = (size: number | string | undefined): number | undefined =>
  typeof size === 'number' && size > 0 ? size : undefined

/** The input that takes pictures. */
const pictureInput = ({ inputs }: ModelSession): ModelValue | undefined =>
  inputs.find(({ name }) => name === 'pixel_values') ?? inputs.find(input => isFloat(input) && input.shape.length === 4)

/** The input that takes token numbers. */
const tokenInput = ({ inputs }: ModelSession): ModelValue | undefined =>
  inputs.find(({ name }) => name === 'input_ids') ??
  inputs.find(
    ({ dtype, shape, name }) =>
      (dtype === 'i64' || dtype === 'i32') && shape.length === 2 && !/mask|type|position/.test(name),
  )

/** Outputs that hold a vector for each picture or text, by the names that exporters give them, best first. */
const vectorOutputs = {
  image: [
    'image_embeds',
    'image_features',
    'image_embeddings',
    'unnorm_image_features',
    'pooler_output',
    'embedding',
    'embeddings',
  ],
  text: [
    'text_embeds',
    'text_features',
    'text_embeddings',
    'unnorm_text_features',
    'pooler_output',
    'sentence_embedding',
    'embedding',
    'embeddings',
  ],
} as const

function vectorOutput(
  { outputs }: ModelSession,
  kind: 'image' | 'text',
  file: string,
  named: string | undefined,
): string {
  if (named !== undefined && !outputs.some(({ name }) => name === named))
    throw new Error(`${file}: has no output '${named}'; its outputs are ${outputs.map(({ name }) => name).join(', ')}`)
  const usual = named ?? vectorOutputs[kind].find(name => outputs.some(output => output.name === name))
  const flat = outputs.filter(output => isFloat(output) && output.shape.length === 2)
  const chosen = usual ?? (flat.length === 1 ? flat[0].name : undefined)
  if (chosen === undefined)
    throw new Error(
      `${file}: not the ${kind} tower of a pair: none of its outputs (${outputs.map(({ name }) => name).join(', ')}) is known to be a vector of each ${kind}; name it as ${kind}Output in an encoder.json`,
    )
  return chosen
}

/**
 * Two ONNX models into one space, such as CLIP or SigLIP, with their tokenizer and preprocessing. The vectors are trained as a whole:
 * `widths` holds their length only.
 */
export class OnnxEncoder implements RetrievalEncoder {
  readonly id: string
  readonly name: string
  readonly source: string
  readonly dim: number
  readonly readsSentences = true
  readonly imageSize: number
  readonly imageFit: ImagePreprocessing['fit']
  readonly imageKernel: ImagePreprocessing['kernel']
  readonly #parts: Parts

  private constructor(parts: Parts, id: string, name: string, source: string, dim: number) {
    this.#parts = parts
    this.id = id
    this.name = name
    this.source = source
    this.dim = dim
    this.imageSize = parts.preprocessing.side
    this.imageFit = parts.preprocessing.fit
    this.imageKernel = parts.preprocessing.kernel
  }

  /**
   * @param source what a collection remembers to find the encoder again
   * @throws one line when a file is damaged, or the two models are no pair
   */
  static async open(files: PairFiles, source: string, device?: string): Promise<OnnxEncoder> {
    const parts = await Parts.open(files, device)
    try {
      const dim = await parts.width()
      return new OnnxEncoder(parts, await identityOf(files), files.name, source, dim)
    } catch (error) {
      await parts.close()
      throw error
    }
  }

  get widths(): readonly number[] {
    return [this.dim]
  }

  encodeTexts(texts: readonly string[]): Promise<Float32Array> {
    return this.#encode(texts.length, this.#parts.text.batch, (start, count, rows) => {
      const part = [...texts.slice(start, start + count), ...Array<string>(rows - count).fill('')]
      return this.#parts.texts(part)
    })
  }

  async encodeImages(pixels: Uint8Array, count: number): Promise<Float32Array> {
    const each = this.imageSize ** 2 * 3
    if (pixels.length !== count * each)
      throw new RangeError(
        `encodeImages: expected ${count} images of ${this.imageSize}x${this.imageSize} RGB bytes (${count * each}), got ${pixels.length} bytes`,
      )
    return this.#encode(count, this.#parts.image.batch, (start, n, rows) => {
      const part = new Uint8Array(rows * each).fill(255)
      part.set(pixels.subarray(start * each, (start + n) * each))
      return this.#parts.images(part, rows)
    })
  }

  async #encode(
    count: number,
    fixed: number | undefined,
    run: (start: number, count: number, rows: number) => Promise<HostTensor>,
  ): Promise<Float32Array> {
    const out = new Float32Array(count * this.dim)
    const most = fixed ?? BATCH
    for (let start = 0; start < count; start += most) {
      const part = Math.min(most, count - start)
      const values = (await run(start, part, fixed ?? part)).numbers()
      out.set(unitRows(values.subarray(0, part * this.dim), this.dim, this.name), start * this.dim)
    }
    return out
  }

  close(): Promise<void> {
    return this.#parts.close()
  }
}

function unitRows(values: Float64Array, dim: number, name: string): Float64Array {
  for (let at = 0; at < values.length; at += dim) {
    const row = values.subarray(at, at + dim)
    const length = Math.hypot(...row)
    if (!Number.isFinite(length))
      throw new Error(`encoder ${name}: gave a vector that is not finite; take its model in full precision`)
    for (let i = 0; i < dim; i++) row[i] /= length || 1
  }
  return values
}

/** The running side of a pair: from pixels and strings to what the models give. */
class Parts {
  readonly image: Tower
  readonly text: Tower
  readonly preprocessing: ImagePreprocessing
  readonly #tokens: TextTokens
  readonly #sessions: readonly ModelSession[]

  private constructor(image: Tower, text: Tower, preprocessing: ImagePreprocessing, tokens: TextTokens) {
    this.image = image
    this.text = text
    this.preprocessing = preprocessing
    this.#tokens = tokens
    this.#sessions = [...new Set([image.session, text.session])]
  }

  static async open(files: PairFiles, device?: string): Promise<Parts> {
    const json = async (path: string | undefined) => (path === undefined ? {} : readJson(path))
    const preprocessing = readPreprocessing(await readJson(files.preprocessing), files.preprocessing)
    const sources = {
      tokenizer: await json(files.tokenizer),
      tokenizerConfig: await json(files.tokenizerConfig),
      config: await json(files.config),
    }
    const image = await ModelSession.open(files.image, device)
    let text = image
    try {
      if (files.text !== files.image) text = await ModelSession.open(files.text, device)
      const ids = tokenInput(text)
      const pictures = pictureInput(image)
      if (!ids)
        throw new Error(`${files.text}: not the text tower of a pair: it takes no token numbers (${inputsOf(text)})`)
      if (!pictures)
        throw new Error(`${files.image}: not the image tower of a pair: it takes no pictures (${inputsOf(image)})`)
      checkSide(files, pictures, preprocessing)
      const told = tokenSettings(sources, {
        fixed: fixedSize(ids.shape[1]),
        masked: text.inputs.some(({ name }) => name === 'attention_mask'),
      })
      const { maxLength = told.maxLength, padding = told.padding, imageOutput, textOutput } = files.manifest ?? {}
      const tokens = new TextTokens(sources.tokenizer, sources.tokenizerConfig, { maxLength, padding }, files.tokenizer)
      const tower = (session: ModelSession, kind: 'image' | 'text', input: ModelValue, named?: string): Tower => ({
        file: files[kind],
        session,
        output: vectorOutput(session, kind, files[kind], named),
        batch: fixedSize(input.shape[0]),
      })
      return new Parts(
        tower(image, 'image', pictures, imageOutput),
        tower(text, 'text', ids, textOutput),
        preprocessing,
        tokens,
      )
    } catch (error) {
      await image.release()
      if (text !== image) await text.release()
      throw error
    }
  }

  /** Length of the vectors, by running each model once. @throws one line when the two differ */
  async width(): Promise<number> {
    const { side } = this.preprocessing
    const rows = this.image.batch ?? 1
    const image = await this.images(new Uint8Array(rows * side * side * 3).fill(255), rows)
    const text = await this.texts(Array<string>(this.text.batch ?? 1).fill('a'))
    for (const [value, { file, output }] of [
      [image, this.image],
      [text, this.text],
    ] as const)
      if (value.shape.length !== 2)
        throw new Error(`${file}: its output '${output}' is ${JSON.stringify(value.shape)}, not one vector a row`)
    if (image.shape[1] !== text.shape[1])
      throw new Error(
        `${this.image.file} gives vectors of ${image.shape[1]} numbers and ${this.text.file} of ${text.shape[1]}: not an image/text pair`,
      )
    return image.shape[1]
  }

  async images(pixels: Uint8Array, count: number): Promise<HostTensor> {
    const { session } = this.image
    return this.#run(this.image, { ...this.#pictureFeeds(session, pixels, count), ...this.#otherTokens(session) })
  }

  async texts(texts: readonly string[]): Promise<HostTensor> {
    const { session } = this.text
    return this.#run(this.text, {
      ...tokenFeeds(session, this.#tokens.batch(texts), texts.length),
      ...this.#otherPicture(session),
    })
  }

  async #run({ file, session, output }: Tower, feeds: Record<string, HostTensor>): Promise<HostTensor> {
    try {
      return (await session.run(feeds, [output]))[output]
    } catch (error) {
      throw new Error(`${file}: ${(error as Error).message}`)
    }
  }

  #pictureFeeds(session: ModelSession, pixels: Uint8Array, count: number): Record<string, HostTensor> {
    const input = pictureInput(session)!
    const { crop } = this.preprocessing
    const last = takesChannelsLast(input)
    const values = normalisePixels(pixels, count, this.preprocessing, last)
    const shape = last ? [count, crop, crop, 3] : [count, 3, crop, crop]
    return { [input.name]: asType(values, shape, input.dtype ?? 'f32') }
  }

  /** A model that takes both wants a text beside pictures. */
  #otherTokens(session: ModelSession): Record<string, HostTensor> {
    const input = tokenInput(session)
    if (!input) return {}
    const texts = Array<string>(fixedSize(input.shape[0]) ?? 1).fill('')
    return tokenFeeds(session, this.#tokens.batch(texts), texts.length)
  }

  /** A model that takes both wants a picture beside texts. */
  #otherPicture(session: ModelSession): Record<string, HostTensor> {
    const input = pictureInput(session)
    if (!input) return {}
    const count = fixedSize(input.shape[0]) ?? 1
    return this.#pictureFeeds(session, new Uint8Array(count * this.preprocessing.side ** 2 * 3), count)
  }

  async close(): Promise<void> {
    for (const session of this.#sessions) await session.release()
  }
}

const inputsOf = ({ inputs }: ModelSession): string =>
  `its inputs are ${inputs.map(({ name, shape }) => `${name} [${shape.join(', ')}]`).join(', ')}`

const takesChannelsLast = ({ shape }: ModelValue): boolean => shape[3] === 3 && shape[1] !== 3

function checkSide({ image, preprocessing: file }: PairFiles, input: ModelValue, { crop }: ImagePreprocessing): void {
  const [height, width] = takesChannelsLast(input) ? input.shape.slice(1, 3) : input.shape.slice(2, 4)
  for (const size of [fixedSize(height), fixedSize(width)])
    if (size !== undefined && size !== crop)
      throw new Error(`${image} takes pictures of ${size} pixels, but ${file} makes ones of ${crop}`)
}

/** Token numbers, and what else a text model asks for, each in the type that it declares. */
function tokenFeeds(
  session: ModelSession,
  { ids, mask, length }: TokenBatch,
  count: number,
): Record<string, HostTensor> {
  const feeds: Record<string, HostTensor> = {}
  const token = tokenInput(session)!
  for (const { name, dtype = 'i64', shape } of session.inputs) {
    const values =
      name === token.name
        ? ids
        : /attention_mask/.test(name)
          ? mask
          : /token_type/.test(name)
            ? new Int32Array(ids.length)
            : /position_ids/.test(name)
              ? Int32Array.from(ids, (_, i) => i % length)
              : undefined
    if (values) feeds[name] = asType(values, shape.length === 1 ? [values.length] : [count, length], dtype)
  }
  return feeds
}

const asType = (values: Float32Array | Int32Array, shape: readonly number[], dtype: DType): HostTensor =>
  dtype === 'f32' && values instanceof Float32Array
    ? new HostTensor(values, shape)
    : hostTensor(Float64Array.from(values), shape, dtype)

/** Digest of everything that decides the vectors. */
async function identityOf(files: PairFiles): Promise<string> {
  const models = [...new Set([files.image, files.text])]
  const data = (await Promise.all(models.map(dataFilesOf))).flat()
  const texts = [files.preprocessing, files.tokenizer, files.tokenizerConfig, files.config]
  const paths = [...models, ...new Set(data), ...texts.filter(path => path !== undefined)]
  const digests = await Promise.all(paths.map(fileSha256))
  const { manifest } = files
  const told = manifest && [manifest.maxLength, manifest.padding, manifest.imageOutput, manifest.textOutput]
  return createHash('sha256')
    .update(JSON.stringify([digests, told ?? null]))
    .digest('hex')
    .slice(0, 16)
}

/** Files beside a model that it names: those in which it keeps weights. */
async function dataFilesOf(model: string): Promise<string[]> {
  const folder = dirname(model)
  const others = (await readdir(folder)).filter(name => !/\.(onnx|json|txt|md)$/i.test(name)).sort()
  if (others.length === 0) return []
  const bytes = await readFile(model)
  return others.filter(name => bytes.includes(name)).map(name => join(folder, name))
}
