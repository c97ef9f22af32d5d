import { readFile, stat } from 'node:fs/promises'
import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { fetchFromHub, type HubDownload, hubReference, isHubName } from '../../data/index.ts'
import { parseCheckpoint } from '../../train/index.ts'
import type { RetrievalEncoder } from './encoder.ts'
import { OnnxEncoder } from './onnx-pair/onnx-encoder.ts'
import { choosePairModels, companionFiles, dataFileNames, findPair, noPair } from './onnx-pair/pair-files.ts'
import { openProjection } from './projection/projected-encoder.ts'
import { readEncoder } from './tenet-encoder.ts'

/** The encoder that comes with Tenet: icons and words in many languages. */
export const defaultEncoderPath = fileURLToPath(new URL('../../../models/tenet-icons.safetensors', import.meta.url))

export interface LoadEncoderOptions {
  readonly device?: string
  /** Told while a model is fetched from a hub. */
  readonly onDownload?: (progress: HubDownload) => void
  /** Where `TENET_CACHE`, `HF_ENDPOINT` and `HF_TOKEN` are read from. Default: the process's environment. */
  readonly environment?: NodeJS.ProcessEnv
}

/**
 * Loads an encoder.
 *
 * @param source a file of Tenet (`.safetensors`); a folder with an ONNX image/text pair, or its manifest (`.json`); a model on
 * the Hugging Face hub (`hf:owner/name`, `hf:owner/name@revision`). Of the last two, `#quantized` and the like at the end choose a
 * precision. Default: the encoder that comes with Tenet
 * @throws one line when there is none, or it is damaged
 */
export async function loadEncoder(source?: string, options: LoadEncoderOptions = {}): Promise<RetrievalEncoder> {
  if (source === undefined) return readFileEncoder(defaultEncoderPath, undefined, options)
  if (isHubName(source)) return hubEncoder(source, options)
  const { path, variant } = await existing(source)
  const remembered = variant === undefined ? path : `${path}#${variant}`
  if (path.endsWith('.onnx'))
    throw new Error(
      `${source}: one model is not an encoder; give the folder that holds both models, the tokenizer and the preprocessing`,
    )
  const info = await stat(path).catch(() => undefined)
  if (info?.isDirectory() || path.endsWith('.json'))
    return OnnxEncoder.open(await findPair(path, { variant }), remembered, options.device)
  return readFileEncoder(path, path, options)
}

/** A path, and the precision behind its `#`; a path that exists as it is written has none. */
async function existing(source: string): Promise<{ path: string; variant?: string }> {
  const [, before, variant] = /^(.*)#([a-z0-9]+)$/.exec(source) ?? []
  const asWritten = await stat(source).catch(() => undefined)
  return asWritten || variant === undefined ? { path: resolve(source) } : { path: resolve(before), variant }
}

async function readFileEncoder(
  path: string,
  source: string | undefined,
  options: LoadEncoderOptions,
): Promise<RetrievalEncoder> {
  const { device } = options
  let bytes: Uint8Array
  try {
    bytes = await readFile(path)
  } catch (error) {
    const missing = (error as NodeJS.ErrnoException).code === 'ENOENT'
    throw new Error(missing ? `there is no encoder at ${path}` : `cannot read ${path}: ${(error as Error).message}`)
  }
  const checkpoint = parseCheckpoint(bytes, path)
  if (checkpoint.state['kind'] !== 'projected-encoder') return readEncoder(bytes, path, device, source)
  return openProjection(checkpoint, bytes, path, base => loadEncoder(base, options), device)
}

async function hubEncoder(
  source: string,
  { device, onDownload, environment }: LoadEncoderOptions,
): Promise<RetrievalEncoder> {
  const [name, variant] = source.split('#')
  const reference = hubReference(name)
  const folder = await fetchFromHub(reference, {
    choice: variant ?? '',
    choose: names => hubFiles(source, names, variant),
    wanted: `onnx/vision_model.onnx and onnx/text_model.onnx (or onnx/model.onnx), ${companionFiles.needed.join(', ')} and ${companionFiles.optional.join(', ')}`,
    onProgress: onDownload,
    environment,
  })
  return OnnxEncoder.open(await findPair(folder, { variant, name: reference.repository }), source, device)
}

/** What of a repository makes an encoder. */
function hubFiles(source: string, names: readonly string[], variant?: string): string[] {
  const models = choosePairModels(names, variant)
  if (!models) throw new Error(`${source}: ${noPair(names, variant)}`)
  const missing = companionFiles.needed.find(name => !names.includes(name))
  if (missing) throw new Error(`${source}: its repository holds no ${missing}`)
  const chosen = [...new Set([models.image, models.text])]
  const data = chosen.flatMap(model => dataFileNames(model, names))
  const optional = companionFiles.optional.filter(name => names.includes(name))
  return [...companionFiles.needed, ...optional, ...data, ...chosen]
}
