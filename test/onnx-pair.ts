import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { exportModel, placeholder, tensor, Variable } from '../src/core/index.ts'

/** What the pair knows: colours, each with a word of another language. */
export const colours: Readonly<Record<string, readonly [number, number, number]>> = {
  red: [255, 0, 0],
  rot: [255, 0, 0],
  green: [0, 160, 0],
  blue: [0, 0, 255],
  blau: [0, 0, 255],
  yellow: [255, 230, 0],
  black: [0, 0, 0],
  white: [255, 255, 255],
}

/** Special tokens as CLIP has them: the end doubles as filling. */
const special = ['<s>', '</s>', '[UNK]']
const vocabulary = [...special, ...Object.keys(colours)]

export const tokenizerJson = {
  version: '1.0',
  truncation: null,
  padding: null,
  added_tokens: special.map((content, id) => ({
    id,
    content,
    special: true,
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
  })),
  normalizer: { type: 'Lowercase' },
  pre_tokenizer: { type: 'Whitespace' },
  post_processor: {
    type: 'TemplateProcessing',
    single: [
      { SpecialToken: { id: '<s>', type_id: 0 } },
      { Sequence: { id: 'A', type_id: 0 } },
      { SpecialToken: { id: '</s>', type_id: 0 } },
    ],
    pair: [],
    special_tokens: {
      '<s>': { id: '<s>', ids: [0], tokens: ['<s>'] },
      '</s>': { id: '</s>', ids: [1], tokens: ['</s>'] },
    },
  },
  decoder: null,
  model: {
    type: 'WordPiece',
    unk_token: '[UNK]',
    continuing_subword_prefix: '##',
    max_input_chars_per_word: 50,
    vocab: Object.fromEntries(vocabulary.map((word, id) => [word, id])),
  },
}

export interface PairOptions {
  readonly dim?: number
  readonly textDim?: number
  readonly side?: number
  readonly length?: number
  /** Changes the weights, and so the identity. */
  readonly scale?: number
  /** Rows of a run; -1 (default) leaves the number open. */
  readonly batch?: number
  readonly halves?: boolean
  readonly size?: unknown
}

const mean = [0.5, 0.5, 0.5]

/** Direction of a colour in the shared space: its normalised channels, spread over `dim` numbers by fixed sines. */
const spread = (dim: number, scale: number): number[][] =>
  Array.from({ length: 3 }, (_, c) =>
    Array.from({ length: dim }, (_, d) => scale * Math.sin(1 + (c + 1) * (d + 1) * 1.7)),
  )

function imageOutputs({ dim = 12, side = 8, batch = -1, scale = 1, halves = false }: PairOptions) {
  const pixels = placeholder('pixel_values', [batch, 3, side, side], halves ? 'f16' : 'f32')
  const weight = new Variable(Float32Array.from(spread(dim, scale).flat()), [3, dim], 'f32', 'image.weight')
  const means = pixels
    .cast('f32')
    .reshape([batch, 3, side * side])
    .mean(-1)
  const embeds = means.matmul(weight)
  return { inputs: { pixel_values: pixels }, outputs: { image_embeds: halves ? embeds.cast('f16') : embeds } }
}

function textOutputs({ dim = 12, textDim = dim, length = 6, batch = -1, scale = 1, halves = false }: PairOptions) {
  const ids = placeholder('input_ids', [batch, length], 'i64')
  const rows = vocabulary.map(word => {
    const rgb = colours[word]
    if (!rgb) return new Array<number>(textDim).fill(0)
    const channels = rgb.map((value, c) => (value / 255 - mean[c]) / 0.5)
    const weights = spread(textDim, scale)
    return Array.from({ length: textDim }, (_, d) => channels.reduce((sum, value, c) => sum + value * weights[c][d], 0))
  })
  const table = new Variable(Float32Array.from(rows.flat()), [vocabulary.length, textDim], 'f32', 'text.table')
  const one = tensor(Float32Array.from({ length: vocabulary.length }, (_, i) => i))
  const hot = ids.cast('f32').expandDims(2).equal(one).cast('f32')
  const embeds = hot.matmul(table).sum(1)
  return { inputs: { input_ids: ids }, outputs: { text_embeds: halves ? embeds.cast('f16') : embeds } }
}

export const imageTower = (options: PairOptions = {}): Uint8Array => {
  const { inputs, outputs } = imageOutputs(options)
  return exportModel(outputs, inputs).model
}

export const textTower = (options: PairOptions = {}): Uint8Array => {
  const { inputs, outputs } = textOutputs(options)
  return exportModel(outputs, inputs).model
}

/** One model that takes pictures and texts, as some exporters write CLIP. */
export function bothTowers(options: PairOptions = {}): Uint8Array {
  const image = imageOutputs(options)
  const text = textOutputs(options)
  return exportModel({ ...image.outputs, ...text.outputs }, { ...image.inputs, ...text.inputs }).model
}

/** The files of a small pair in the layout of the Hugging Face hub: it knows the colours of pictures and their names. */
export function pairFiles(options: PairOptions = {}): Map<string, Uint8Array> {
  const json = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value))
  const { side = 8 } = options
  return new Map([
    ['onnx/vision_model.onnx', imageTower(options)],
    ['onnx/text_model.onnx', textTower(options)],
    ['tokenizer.json', json(tokenizerJson)],
    ['tokenizer_config.json', json({ model_max_length: 77, pad_token: '</s>' })],
    ['config.json', json({ model_type: 'clip' })],
    [
      'preprocessor_config.json',
      json({
        size: options.size ?? { shortest_edge: side },
        crop_size: { height: side, width: side },
        do_center_crop: true,
        resample: 2,
        image_mean: mean,
        image_std: [0.5, 0.5, 0.5],
      }),
    ],
  ])
}

export async function writePair(folder: string, files = pairFiles()): Promise<string> {
  for (const [name, bytes] of files) {
    await mkdir(dirname(join(folder, name)), { recursive: true })
    await writeFile(join(folder, name), bytes)
  }
  return folder
}

/** A picture of one colour, RGB bytes. */
export const plain = (rgb: readonly number[], side = 8): Uint8Array =>
  Uint8Array.from({ length: side * side * 3 }, (_, i) => rgb[i % 3])
