import { readdir, readFile, stat } from 'node:fs/promises'
import { basename, dirname, extname, join, resolve } from 'node:path'
import { z } from 'zod'

/** Where the parts of an image/text pair stand, as paths. */
export interface PairFiles {
  readonly name: string
  /** Model of pictures and model of texts; the same file where one model takes both. */
  readonly image: string
  readonly text: string
  readonly tokenizer: string
  readonly tokenizerConfig?: string
  readonly preprocessing: string
  /** The model's own `config.json`. */
  readonly config?: string
  /** What a manifest says beyond the files. */
  readonly manifest?: PairManifest
}

const manifestSchema = z.strictObject({
  name: z.string().min(1).optional(),
  image: z.string().min(1),
  text: z.string().min(1),
  tokenizer: z.string().default('tokenizer.json'),
  tokenizerConfig: z.string().optional(),
  preprocessing: z.string().default('preprocessor_config.json'),
  config: z.string().optional(),
  maxLength: z.int().min(1).optional(),
  padding: z.enum(['longest', 'maxLength']).optional(),
  imageOutput: z.string().optional(),
  textOutput: z.string().optional(),
})

/** A manifest that names the parts of a pair where their names are not the usual ones; paths are relative to it. */
export type PairManifest = z.infer<typeof manifestSchema>

export const MANIFEST = 'encoder.json'

const imageStems = ['vision_model', 'visual', 'image_model', 'vision_encoder', 'image_encoder', 'vision', 'image']
const textStems = ['text_model', 'textual', 'text_encoder', 'text']
const bothStems = ['model']
/** Precisions as exporters write them, best first. */
const variants = ['', 'fp16', 'quantized', 'int8', 'uint8', 'q4f16', 'q4', 'bnb4']
const folders = ['onnx/', '']

const fileOf = (folder: string, stem: string, variant: string): string =>
  `${folder}${stem}${variant && `_${variant}`}.onnx`

/** The two models of a pair among the files of a folder: the same name twice where one model takes both. */
export interface ChosenModels {
  readonly image: string
  readonly text: string
}

/**
 * Finds an image and a text model by the names that exporters give them: `onnx/vision_model.onnx` with
 * `onnx/text_model.onnx`, or one `onnx/model.onnx`; also without the folder, and in lower precision (`_fp16`, `_quantized` …).
 *
 * @param names files, relative to their folder, with forward slashes
 * @param variant take this precision only; default the highest there is
 */
export function choosePairModels(names: Iterable<string>, variant?: string): ChosenModels | undefined {
  const known = new Set(names)
  const pick = (folder: string, stems: readonly string[], precision: string): string | undefined =>
    stems.map(stem => fileOf(folder, stem, precision)).find(name => known.has(name))
  for (const precision of variant === undefined ? variants : [variant]) {
    for (const folder of folders) {
      const image = pick(folder, imageStems, precision)
      const text = pick(folder, textStems, precision)
      if (image && text) return { image, text }
    }
    for (const folder of folders) {
      const both = pick(folder, bothStems, precision)
      if (both) return { image: both, text: both }
    }
  }
  return undefined
}

/** What else a pair needs, and what it may have. */
export const companionFiles = {
  needed: ['tokenizer.json', 'preprocessor_config.json'],
  optional: ['tokenizer_config.json', 'config.json'],
} as const

/** Files in which a model keeps weights that do not stand in itself, by the names that exporters give them. */
export const dataFileNames = (model: string, names: Iterable<string>): string[] =>
  [...names].filter(name => name.startsWith(model) && /^[._]data(_\d+)?$/.test(name.slice(model.length))).sort()

/** Files of a folder and its `onnx` folder, with forward slashes. */
export async function listFiles(folder: string): Promise<string[]> {
  const names = await readdir(folder)
  const inner = await readdir(join(folder, 'onnx')).catch(() => [])
  return [...names, ...inner.map(name => `onnx/${name}`)]
}

/**
 * Finds the parts of an image/text pair in a folder, or as a manifest (JSON) names them.
 *
 * @param path a folder, or a manifest file
 * @param variant precision, such as `quantized`; default the highest there is
 * @throws one line that says what is missing
 */
export async function findPair(
  path: string,
  { variant, name }: { variant?: string; name?: string } = {},
): Promise<PairFiles> {
  const info = await stat(path).catch(() => {
    throw new Error(`there is no encoder at ${path}`)
  })
  if (info.isFile()) return fromManifest(path)
  const names = await listFiles(path)
  if (names.includes(MANIFEST)) return fromManifest(join(path, MANIFEST))
  const models = choosePairModels(names, variant)
  if (!models) throw new Error(`${path}: ${noPair(names, variant)}`)
  for (const needed of companionFiles.needed)
    if (!names.includes(needed))
      throw new Error(`${path}: ${needed} is missing; it belongs to the model, beside its config.json`)
  const optional = (file: string): string | undefined => (names.includes(file) ? join(path, file) : undefined)
  return {
    name: name ?? basename(resolve(path)),
    image: join(path, models.image),
    text: join(path, models.text),
    tokenizer: join(path, 'tokenizer.json'),
    tokenizerConfig: optional('tokenizer_config.json'),
    preprocessing: join(path, 'preprocessor_config.json'),
    config: optional('config.json'),
  }
}

/** Why there is no pair among these files. */
export function noPair(names: readonly string[], variant?: string): string {
  const suffix = variant ? `_${variant}` : ''
  const models = names.filter(name => name.endsWith('.onnx'))
  const found = models.length
    ? `its models are ${models.slice(0, 6).join(', ')}${models.length > 6 ? ' …' : ''}`
    : 'it holds no .onnx file'
  return `not an image/text pair: expected onnx/vision_model${suffix}.onnx with onnx/text_model${suffix}.onnx, one onnx/model${suffix}.onnx, or an ${MANIFEST} that names the two; ${found}`
}

async function fromManifest(path: string): Promise<PairFiles> {
  const parsed = manifestSchema.safeParse(await readJson(path))
  if (!parsed.success) {
    const [{ path: at, message }] = parsed.error.issues
    throw new Error(`${path}: not the manifest of an encoder (${at.length ? `${at.join('.')}: ` : ''}${message})`)
  }
  const manifest = parsed.data
  const folder = dirname(path)
  const at = async (file: string): Promise<string> => {
    const full = resolve(folder, file)
    await stat(full).catch(() => {
      throw new Error(`${path}: names ${file}, which does not exist`)
    })
    return full
  }
  const beside = async (named: string | undefined, usual: string): Promise<string | undefined> => {
    if (named !== undefined) return at(named)
    return at(usual).catch(() => undefined)
  }
  return {
    name: manifest.name ?? (basename(path) === MANIFEST ? basename(resolve(folder)) : basename(path, extname(path))),
    image: await at(manifest.image),
    text: await at(manifest.text),
    tokenizer: await at(manifest.tokenizer),
    tokenizerConfig: await beside(manifest.tokenizerConfig, 'tokenizer_config.json'),
    preprocessing: await at(manifest.preprocessing),
    config: await beside(manifest.config, 'config.json'),
    manifest,
  }
}

/** @throws one line when the file cannot be read, or holds no JSON object */
export async function readJson(path: string): Promise<Record<string, unknown>> {
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw new Error(`cannot read ${path} (${error.code})`)
  })
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>
  } catch {
    // Falls through to the same message as any other content.
  }
  throw new Error(`${path}: not a JSON object`)
}
