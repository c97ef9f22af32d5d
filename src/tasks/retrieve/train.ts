import { join } from 'node:path'
import { compile, concat, hostTensor, slice, type Tensor, type Variable } from '../../core/index.ts'
import { RandomStream } from '../../data/index.ts'
import { loadStateDict, namedParameters, unitRows, withSeed, withValues } from '../../nn/index.ts'
import { adamW, averagingDecay, cosine, ExponentialMovingAverage, Optimizer } from '../../optim/index.ts'
import {
  type BatchSource,
  BEST,
  type FitResult,
  fit,
  type Progress,
  readCheckpoint,
  type Scores,
} from '../../train/index.ts'
import type { Corpus } from './corpus.ts'
import { DrawingAugment } from './drawing-augment.ts'
import { nestedContrastive, together } from './objective.ts'
import { type EncoderCard, saveEncoder } from './tenet-encoder.ts'
import { hash32, TextFeaturizer } from './text-features.ts'
import { drawCaption, drawPair, type Synonyms, textKey, withTypo } from './text-pairs.ts'
import { DualEncoder, type DualEncoderOptions } from './towers.ts'

/** Synonyms of one kind, and how large a share of each batch of text pairs they make up. */
export interface TextSource {
  readonly name: string
  readonly share: number
  readonly groups: readonly Synonyms[]
}

export interface TrainRetrievalOptions {
  readonly name?: string
  readonly epochs?: number
  /** Drawings a step. */
  readonly batchSize?: number
  /** Pairs of texts a step. */
  readonly textBatch?: number
  readonly learningRate?: number
  readonly seed?: number
  readonly ema?: number
  readonly model?: DualEncoderOptions
  readonly resume?: boolean
  readonly device?: string
  readonly checkpointSeconds?: number
  readonly onProgress?: (progress: Progress) => void
  readonly onEpoch?: (epoch: number, scores: Scores) => void
  readonly signal?: AbortSignal
  /** What to say of the data in the encoder's description. */
  readonly described?: Readonly<Record<string, unknown>>
}

export const defaultEncoder: DualEncoderOptions = {
  text: { tableRows: 65_536, lookups: 2, rowDim: 64, hidden: 256 },
  textFeatures: 64,
  image: { size: 32, widths: [32, 64, 128] },
  widths: [8, 16, 32, 64, 128],
}

/** File of the finished encoder in its run's folder. */
export const ENCODER = 'encoder.safetensors'

/** Features of a training caption; longer texts are thinned evenly. */
const CAPTION_FEATURES = 40

const PURPOSE = 0x7e7e

export interface TrainRetrievalResult {
  readonly fit: FitResult
  readonly path: string
  readonly card: EncoderCard
}

/**
 * Trains two towers on a corpus of captioned drawings and on pairs of texts, keeps the weights that validate best, and
 * writes them to `encoder.safetensors` in the folder.
 *
 * A step is `batchSize` drawings with one caption each and `textBatch` pairs of texts: symmetric contrastive losses over
 * nested prefixes, where drawings of one concept and equal texts are no negatives.
 */
export async function trainRetrieval(
  corpus: Corpus,
  texts: readonly TextSource[],
  folder: string,
  options: TrainRetrievalOptions = {},
): Promise<TrainRetrievalResult> {
  const {
    epochs = 12,
    batchSize = 512,
    textBatch = 768,
    learningRate = 2e-3,
    seed = 0,
    model: shape = defaultEncoder,
  } = options
  if (corpus.size !== shape.image.size)
    throw new Error(`the corpus has ${corpus.size}-pixel images, the encoder takes ${shape.image.size}`)
  const batches = new Batches(corpus, texts, { batchSize, textBatch, seed, model: shape })
  const model = withSeed(seed, () => new DualEncoder(shape))
  const total = Math.max(2, epochs * batches.batchesPerEpoch)
  const parameters = [...namedParameters(model).values()]
  const decay = options.ema ?? averagingDecay(total, 0.998)
  const ema = decay > 0 ? new ExponentialMovingAverage(parameters, decay) : undefined
  const schedule = cosine({
    base: learningRate,
    total,
    warmup: Math.max(1, Math.round(total * 0.04)),
    min: learningRate * 0.01,
  })
  const decays = (p: Variable): boolean => p.rank >= 2 && p !== model.text.table.weight
  const validation = validator(model, corpus, shape, options.device)
  const training = { corpus: corpus.name, seed, epochs, batchSize, textBatch, learningRate, ema: decay }
  const card: EncoderCard = {
    kind: 'retrieval-encoder',
    name: options.name ?? 'tenet-icons',
    options: shape,
    training: {
      ...training,
      texts: texts.map(({ name, share, groups }) => ({ name, share, groups: groups.length })),
      ...options.described,
    },
  }
  try {
    const result = await fit({
      model,
      optimizer: new Optimizer([
        { parameters: parameters.filter(decays), rule: adamW({ weightDecay: 0.05 }), learningRate: schedule },
        { parameters: parameters.filter(p => !decays(p)), rule: adamW({ weightDecay: 0 }), learningRate: schedule },
      ]),
      loss: batch => retrievalLoss(model, batch, shape.widths),
      train: batches,
      epochs,
      folder,
      validate: validation.run,
      watch: { score: 'recall@1', better: 'higher' },
      clipNorm: 5,
      ema,
      seed,
      device: options.device,
      checkpointSeconds: options.checkpointSeconds,
      resume: options.resume,
      identity: { options: shape, ...training },
      onProgress: options.onProgress,
      onEpoch: options.onEpoch,
      signal: options.signal,
    })
    const path = join(folder, ENCODER)
    const finished = { ...card, training: { ...card.training, seconds: Math.round(result.seconds), best: result.best } }
    if (!result.interrupted) {
      loadStateDict(model, (await readCheckpoint(join(folder, BEST))).tensors)
      await saveEncoder(path, finished, model)
    }
    return { fit: result, path, card: finished }
  } finally {
    await validation.release()
  }
}

function retrievalLoss(model: DualEncoder, batch: Readonly<Record<string, Tensor>>, widths: readonly number[]) {
  const images = model.image.forward(batch.pixels)
  // All texts go through the tower together: the table's gradient is then summed once.
  const count = batch.captionKeys.shape[0]
  const pairs = batch.leftKeys.shape[0]
  const texts = model.text.forward(
    concat([batch.captionRows, batch.leftRows, batch.rightRows]),
    concat([batch.captionWeights, batch.leftWeights, batch.rightWeights]),
  )
  const captions = slice(texts, 0, 0, count)
  const left = slice(texts, 0, count, count + pairs)
  const right = slice(texts, 0, count + pairs)
  const drawings = nestedContrastive(
    images,
    captions,
    model.logScale,
    together(batch.concepts, batch.captionKeys),
    widths,
  )
  const words = nestedContrastive(left, right, model.logScale, together(batch.leftKeys, batch.rightKeys), widths)
  return { loss: drawings.add(words), metrics: { drawings, words } }
}

interface BatchOptions {
  readonly batchSize: number
  readonly textBatch: number
  readonly seed: number
  readonly model: DualEncoderOptions
}

/** Batches as a function of (seed, epoch, number), so that a continued run sees the same ones. */
class Batches implements BatchSource {
  readonly batchesPerEpoch: number
  readonly #corpus: Corpus
  readonly #texts: readonly TextSource[]
  readonly #options: BatchOptions
  readonly #rows: Int32Array
  readonly #concepts: Map<string, number>
  readonly #featurizer: TextFeaturizer
  readonly #augment: DrawingAugment

  constructor(corpus: Corpus, texts: readonly TextSource[], options: BatchOptions) {
    this.#corpus = corpus
    this.#texts = texts.filter(({ groups }) => groups.length > 0)
    this.#options = options
    this.#rows = Int32Array.from(corpus.items.flatMap((item, i) => (item.split === 'train' ? [i] : [])))
    if (this.#rows.length < options.batchSize)
      throw new Error(`${this.#rows.length} drawings to train on are fewer than one batch of ${options.batchSize}`)
    if (this.#texts.length === 0) throw new Error('there are no pairs of texts to train on')
    const names = [...new Set(corpus.items.map(item => item.concept))]
    this.#concepts = new Map(names.map((name, i) => [name, i]))
    const { text } = options.model
    this.#featurizer = new TextFeaturizer({ tableRows: text.tableRows, lookups: text.lookups, limit: CAPTION_FEATURES })
    this.#augment = new DrawingAugment(corpus.size)
    this.batchesPerEpoch = Math.floor(this.#rows.length / options.batchSize)
  }

  async *epoch(epoch: number, from: number) {
    const { seed, batchSize } = this.#options
    const order = new RandomStream(seed, PURPOSE, epoch).shuffle(this.#rows.slice())
    for (let b = from; b < this.batchesPerEpoch; b++) {
      const random = new RandomStream(seed, PURPOSE + 1, epoch, b)
      const rows = order.subarray(b * batchSize, (b + 1) * batchSize)
      yield { batch: { ...this.#drawings(rows, random), ...this.#pairs(random) }, size: batchSize }
    }
  }

  #drawings(rows: Int32Array, random: RandomStream) {
    const { items, pixels, size } = this.#corpus
    const each = size * size * 3
    const drawn = new Uint8Array(rows.length * each)
    const captions: string[] = []
    const concepts = new Int32Array(rows.length)
    for (const [i, row] of rows.entries()) {
      this.#augment.apply(pixels, row * each, drawn, i * each, random, items[row].colour)
      captions.push(slip(drawCaption(items[row], random), random))
      concepts[i] = this.#concepts.get(items[row].concept)!
    }
    const caption = this.#encode(captions)
    return {
      pixels: hostTensor(drawn, [rows.length, size, size, 3]),
      concepts: hostTensor(concepts, [rows.length]),
      captionRows: caption.rows,
      captionWeights: caption.weights,
      captionKeys: caption.keys,
    }
  }

  #pairs(random: RandomStream) {
    const { textBatch } = this.#options
    const left: string[] = []
    const right: string[] = []
    for (let i = 0; i < textBatch; i++) {
      const { groups } = this.#source(random)
      const [u, v] = drawPair(groups[random.integer(groups.length)], random)
      left.push(slip(u, random))
      right.push(v)
    }
    const [a, b] = [this.#encode(left), this.#encode(right)]
    return {
      leftRows: a.rows,
      leftWeights: a.weights,
      leftKeys: a.keys,
      rightRows: b.rows,
      rightWeights: b.weights,
      rightKeys: b.keys,
    }
  }

  /** A source of pairs, as likely as its share. */
  #source(random: RandomStream): TextSource {
    let left = random.uniform() * this.#texts.reduce((sum, { share }) => sum + share, 0)
    for (const source of this.#texts) {
      left -= source.share
      if (left < 0) return source
    }
    return this.#texts[0]
  }

  #encode(texts: readonly string[]) {
    const { rows, weights, features } = this.#featurizer.batch(texts, CAPTION_FEATURES)
    const { lookups } = this.#options.model.text
    return {
      rows: hostTensor(rows, [texts.length, features, lookups]),
      weights: hostTensor(weights, [texts.length, features]),
      keys: hostTensor(
        Int32Array.from(texts, text => hash32(0, textKey(text)) | 0),
        [texts.length],
      ),
    }
  }
}

/** One text in eight is mistyped. */
const slip = (text: string, random: RandomStream): string => (random.uniform() < 0.125 ? withTypo(text, random) : text)

/** Most drawings that are validated on. */
const VALIDATED = 3000

/** Recall of the validation part's drawings by their names, with the averaged weights: the share of names that find a drawing of their concept among the first 10. */
function validator(model: DualEncoder, corpus: Corpus, shape: DualEncoderOptions, device?: string) {
  let averages: ReadonlyMap<Variable, Variable> | undefined
  const build = (make: () => Tensor): Tensor => (averages ? withValues(model, averages, make) : make())
  const encode = compile(
    (pixels: Tensor, rows: Tensor, weights: Tensor) => ({
      images: build(() => unitRows(model.image.forward(pixels))),
      texts: build(() => unitRows(model.text.forward(rows, weights))),
    }),
    { device },
  )
  const all = corpus.items.flatMap((item, i) => (item.split === 'validation' ? [i] : []))
  const chosen = all.filter(
    (_, i) => Math.floor((i * VALIDATED) / all.length) !== Math.floor(((i - 1) * VALIDATED) / all.length),
  )
  const { text } = shape
  const featurizer = new TextFeaturizer({ tableRows: text.tableRows, lookups: text.lookups, limit: CAPTION_FEATURES })
  const run = async (given: ReadonlyMap<Variable, Variable> | undefined): Promise<Scores> => {
    averages = given
    const dim = shape.widths[shape.widths.length - 1]
    const images = new Float32Array(chosen.length * dim)
    const texts = new Float32Array(chosen.length * dim)
    const each = corpus.size ** 2 * 3
    const size = 250
    for (let start = 0; start < chosen.length; start += size) {
      const part = chosen.slice(start, start + size)
      const pixels = new Uint8Array(size * each).fill(255)
      for (const [i, row] of part.entries()) pixels.set(corpus.pixels.subarray(row * each, (row + 1) * each), i * each)
      const names = Array.from({ length: size }, (_, i) => (i < part.length ? corpus.items[part[i]].words : ''))
      const { rows, weights, features } = featurizer.batch(names, CAPTION_FEATURES)
      const found = await encode(
        hostTensor(pixels, [size, corpus.size, corpus.size, 3]),
        hostTensor(rows, [size, features, text.lookups]),
        hostTensor(weights, [size, features]),
      )
      images.set((found.images.data as Float32Array).subarray(0, part.length * dim), start * dim)
      texts.set((found.texts.data as Float32Array).subarray(0, part.length * dim), start * dim)
    }
    const concepts = chosen.map(row => corpus.items[row].concept)
    return {
      'recall@1': recallByConcept(texts, images, concepts, dim, 1),
      'recall@10': recallByConcept(texts, images, concepts, dim, 10),
      'image recall@10': recallByConcept(images, images, concepts, dim, 10, true),
    }
  }
  return { run, release: () => encode.release() }
}

/**
 * Share of queries that find an item of their own concept among the first k.
 * @param itself queries and items are the same, and finding oneself does not count: queries without a sibling are left out
 */
export function recallByConcept(
  queries: Float32Array,
  items: Float32Array,
  concepts: readonly string[],
  dim: number,
  k: number,
  itself = false,
): number {
  const n = concepts.length
  const counts = new Map<string, number>()
  for (const concept of concepts) counts.set(concept, (counts.get(concept) ?? 0) + 1)
  const scores = new Float32Array(n)
  let hits = 0
  let asked = 0
  for (let q = 0; q < n; q++) {
    if (itself && counts.get(concepts[q]) === 1) continue
    asked++
    for (let i = 0; i < n; i++) {
      let dot = 0
      for (let d = 0; d < dim; d++) dot += queries[q * dim + d] * items[i * dim + d]
      scores[i] = itself && i === q ? Number.NEGATIVE_INFINITY : dot
    }
    // The best of one's own must be better than all but k-1 others; equal scores count as better, so that a constant model finds nothing.
    let best = Number.NEGATIVE_INFINITY
    for (let i = 0; i < n; i++) if (concepts[i] === concepts[q]) best = Math.max(best, scores[i])
    let better = 0
    for (let i = 0; i < n; i++) if (concepts[i] !== concepts[q] && scores[i] >= best) better++
    if (better < k) hits++
  }
  return asked === 0 ? 0 : hits / asked
}
