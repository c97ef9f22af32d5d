import { join } from 'node:path'
import { compile, hostTensor, type Tensor } from '../../../core/index.ts'
import { RandomStream } from '../../../data/index.ts'
import { loadStateDict, namedParameters, unitRows, withSeed } from '../../../nn/index.ts'
import { adamW, cosine, Optimizer } from '../../../optim/index.ts'
import {
  type BatchSource,
  BEST,
  type FitResult,
  fit as fitModel,
  type Progress,
  readCheckpoint,
  type Scores,
} from '../../../train/index.ts'
import type { RetrievalEncoder } from '../encoder.ts'
import { nestedContrastive, together } from '../objective.ts'
import {
  compareRanks,
  type Direction,
  type DirectionReport,
  directionsOf,
  meanReciprocalRank,
  ranksOf,
} from './pair-score.ts'
import type { PairFeatures, PairItem } from './pairs.ts'
import { baseReference, type ProjectionCard, saveProjection } from './projected-encoder.ts'
import { ProjectionHeads, type ProjectionOptions } from './projection-heads.ts'

export interface TrainProjectionOptions {
  readonly name?: string
  /** Default `linear`. */
  readonly head?: ProjectionOptions['kind']
  /** Width of the vectors; default that of the encoder. */
  readonly dim?: number
  /** Most passes over the pairs. Default 100. */
  readonly epochs?: number
  /** Pairs a step. Default 256. */
  readonly batchSize?: number
  /** Default 1e-3. */
  readonly learningRate?: number
  /** Passes without improvement after which training ends. Default 10. */
  readonly patience?: number
  /** Share of the groups that is held out. Default 0.2. */
  readonly validation?: number
  readonly seed?: number
  readonly resume?: boolean
  readonly device?: string
  readonly checkpointSeconds?: number
  readonly onProgress?: (progress: Progress) => void
  readonly onEpoch?: (epoch: number, scores: Scores) => void
  readonly signal?: AbortSignal
}

export interface ProjectionReport {
  readonly pairs: { readonly train: number; readonly validation: number }
  readonly groups: { readonly train: number; readonly validation: number }
  readonly directions: readonly DirectionReport[]
  /** Whether training found anything better on the held-out pairs; if not, the heads change nothing. */
  readonly improved: boolean
  readonly widths: readonly number[]
}

export interface TrainProjectionResult {
  readonly fit: FitResult
  readonly path: string
  /** Undefined when the run was interrupted. */
  readonly report?: ProjectionReport
}

/** File of the finished encoder in its run's folder. */
const ENCODER = 'encoder.safetensors'

/** Fewest groups that can be split into something to learn from and something to measure on. */
const FEWEST_GROUPS = 4

const PURPOSE = 0x7e70

/** A prefix is worth searching by when it ranks nearly as well as the whole. */
const PREFIX_SHARE = 0.95

/**
 * Trains a small head on each tower of a frozen encoder, with the symmetric contrastive loss over nested prefixes, and keeps the heads
 * that rank held-out groups best (mean reciprocal rank); heads that never rank them better than the encoder itself are not
 * used.
 *
 * @param folder of the run: checkpoint, log, and `encoder.safetensors`, which refers to the frozen encoder
 * @throws one line when there are too few pairs
 */
export async function trainProjection(
  base: RetrievalEncoder,
  features: PairFeatures,
  folder: string,
  options: TrainProjectionOptions = {},
): Promise<TrainProjectionResult> {
  const {
    head = 'linear',
    dim = base.dim,
    epochs = 100,
    batchSize = 256,
    learningRate = 1e-3,
    patience = 10,
    seed = 0,
  } = options
  const { train, held } = split(features, options.validation ?? 0.2, seed)
  const shape: ProjectionOptions = {
    kind: head,
    features: base.dim,
    dim,
    tied: !train.some(({ picture }) => picture !== undefined),
  }
  const widths = nestedWidths(base, dim)
  const heads = withSeed(seed, () => new ProjectionHeads(shape))
  const batches = new PairBatches(features, train, batchSize, seed)
  const total = Math.max(2, epochs * batches.batchesPerEpoch)
  const schedule = cosine({
    base: learningRate,
    total,
    warmup: Math.max(1, Math.round(total * 0.04)),
    min: learningRate * 0.01,
  })
  const validation = new Validation(base.dim, features, held, heads, options.device)
  const training = { pairs: features.title, head, dim, seed, epochs, batchSize, learningRate, patience }
  try {
    const fit = await fitModel({
      model: heads,
      optimizer: new Optimizer([
        {
          parameters: [...namedParameters(heads).values()],
          rule: adamW({ weightDecay: 0.05 }),
          learningRate: schedule,
        },
      ]),
      loss: batch => pairLoss(heads, batch, widths),
      train: batches,
      epochs,
      folder,
      validate: async () => ({ mrr: mean((await validation.ranks()).map(meanReciprocalRank)) }),
      watch: { score: 'mrr', better: 'higher', patience },
      clipNorm: 5,
      seed,
      device: options.device,
      checkpointSeconds: options.checkpointSeconds,
      resume: options.resume,
      identity: { base: base.id, data: features.digest, shape, widths, ...training },
      onProgress: options.onProgress,
      onEpoch: options.onEpoch,
      signal: options.signal,
    })
    const path = join(folder, ENCODER)
    if (fit.interrupted) return { fit, path }
    const before = validation.frozenRanks()
    const improved = fit.best !== undefined && fit.best.scores['mrr'] > mean(before.map(meanReciprocalRank))
    if (improved) loadStateDict(heads, (await readCheckpoint(join(folder, BEST))).tensors)
    // Without a gain the heads are made anew, as they started.
    const finished = improved ? heads : withSeed(seed, () => new ProjectionHeads(shape))
    const kept = improved ? await validation.usefulWidths(widths) : dim === base.dim ? base.widths : [dim]
    const after = improved ? await validation.ranks() : before
    const report: ProjectionReport = {
      pairs: { train: train.length, validation: held.length },
      groups: { train: groupsOf(train).length, validation: groupsOf(held).length },
      directions: validation.directions.map((direction, i) => compareRanks(direction, before[i], after[i], seed)),
      improved,
      widths: kept,
    }
    const card: ProjectionCard = {
      kind: 'projected-encoder',
      name: options.name ?? `${base.name} on ${features.title}`,
      base: baseReference(base, path),
      options: shape,
      widths: kept,
      training: { ...training, epochsRun: fit.epochs, report },
    }
    await saveProjection(path, card, finished)
    return { fit, path, report }
  } finally {
    await validation.release()
  }
}

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length

const groupsOf = (items: readonly PairItem[]): number[] => [...new Set(items.map(({ group }) => group))]

/** Prefixes to train: the encoder's own, or for vectors without any a quarter and a half of them. */
function nestedWidths(base: RetrievalEncoder, dim: number): number[] {
  if (base.widths.length > 1 && dim === base.dim) return [...base.widths]
  return [...new Set([Math.ceil(dim / 4), Math.ceil(dim / 2), dim])]
}

/** Whole groups to learn from and to measure on. @throws one line when there are too few */
function split(
  { items, title, skipped }: PairFeatures,
  share: number,
  seed: number,
): { train: PairItem[]; held: PairItem[] } {
  if (items.length === 0)
    throw new Error(
      `${title}: holds no usable pair${skipped.length ? ` (${skipped[0].id}: ${skipped[0].reason}${skipped.length > 1 ? `, and ${skipped.length - 1} more` : ''})` : ''}`,
    )
  const groups = groupsOf(items)
  if (groups.length < FEWEST_GROUPS)
    throw new Error(
      `${title}: holds pairs of ${groups.length} groups; at least ${FEWEST_GROUPS} are needed, of which some are held out`,
    )
  const order = new RandomStream(seed, PURPOSE, 0).shuffle(Int32Array.from(groups))
  const count = Math.min(groups.length - 2, Math.max(2, Math.round(groups.length * share)))
  const held = new Set(order.subarray(0, count))
  return { train: items.filter(({ group }) => !held.has(group)), held: items.filter(({ group }) => held.has(group)) }
}

function pairLoss(heads: ProjectionHeads, batch: Readonly<Record<string, Tensor>>, widths: readonly number[]) {
  const losses: Tensor[] = []
  if (batch['pictures'])
    losses.push(
      nestedContrastive(
        heads.image.forward(batch['pictures']),
        heads.text.forward(batch['captions']),
        heads.logScale,
        together(batch['groups'], batch['captionKeys']),
        widths,
      ),
    )
  if (batch['left'])
    losses.push(
      nestedContrastive(
        heads.text.forward(batch['left']),
        heads.text.forward(batch['right']),
        heads.logScale,
        together(batch['wordGroups'], batch['leftKeys'], batch['rightKeys']),
        widths,
      ),
    )
  return { loss: losses.reduce((sum, loss) => sum.add(loss)) }
}

/** Batches as a function of (seed, epoch, number), so that a continued run sees the same ones. */
class PairBatches implements BatchSource {
  readonly batchesPerEpoch: number
  readonly #features: PairFeatures
  readonly #pictured: readonly PairItem[]
  readonly #worded: readonly PairItem[]
  readonly #sizes: { readonly pictured: number; readonly worded: number }
  readonly #seed: number

  constructor(features: PairFeatures, items: readonly PairItem[], batchSize: number, seed: number) {
    this.#features = features
    this.#pictured = items.filter(({ picture }) => picture !== undefined)
    this.#worded = items.filter(({ picture }) => picture === undefined)
    this.#seed = seed
    this.#sizes = {
      pictured: Math.min(batchSize, this.#pictured.length),
      worded: Math.min(batchSize, this.#worded.length),
    }
    const { pictured, worded } = this.#sizes
    this.batchesPerEpoch = Math.max(
      pictured ? Math.ceil(this.#pictured.length / pictured) : 0,
      worded ? Math.ceil(this.#worded.length / worded) : 0,
    )
  }

  async *epoch(epoch: number, from: number) {
    const { pictured, worded } = this.#sizes
    const pictures = this.#order(this.#pictured, epoch, 1)
    const words = this.#order(this.#worded, epoch, 2)
    for (let b = from; b < this.batchesPerEpoch; b++) {
      const random = new RandomStream(this.#seed, PURPOSE + 3, epoch, b)
      // The last batch of a pass is filled up from its beginning.
      const take = (order: readonly PairItem[], size: number) =>
        Array.from({ length: size }, (_, i) => order[(b * size + i) % order.length])
      yield {
        batch: {
          ...(pictured && this.#pictures(take(pictures, pictured), random)),
          ...(worded && this.#words(take(words, worded), random)),
        },
        size: pictured + worded,
      }
    }
  }

  #order(items: readonly PairItem[], epoch: number, purpose: number): PairItem[] {
    const order = Int32Array.from(items, (_, i) => i)
    return Array.from(new RandomStream(this.#seed, PURPOSE + purpose, epoch).shuffle(order), i => items[i])
  }

  #pictures(items: readonly PairItem[], random: RandomStream) {
    const texts = items.map(item => item.texts[random.integer(item.texts.length)])
    return {
      pictures: this.#rows(
        this.#features.images,
        items.map(item => item.picture!),
      ),
      captions: this.#rows(this.#features.texts, texts),
      groups: keys(items.map(({ group }) => group)),
      captionKeys: keys(texts),
    }
  }

  #words(items: readonly PairItem[], random: RandomStream) {
    const drawn = items.map(({ texts }) => {
      const first = random.integer(texts.length)
      const other = random.integer(texts.length - 1)
      return [texts[first], texts[other < first ? other : other + 1]]
    })
    const [left, right] = [drawn.map(([a]) => a), drawn.map(([, b]) => b)]
    return {
      left: this.#rows(this.#features.texts, left),
      right: this.#rows(this.#features.texts, right),
      wordGroups: keys(items.map(({ group }) => group)),
      leftKeys: keys(left),
      rightKeys: keys(right),
    }
  }

  #rows(features: Float32Array, rows: readonly number[]) {
    return hostTensor(gathered(features, rows, this.#features.dim), [rows.length, this.#features.dim])
  }
}

const keys = (values: readonly number[]) => hostTensor(Int32Array.from(values), [values.length])

function gathered(features: Float32Array, rows: readonly number[], dim: number): Float32Array {
  const out = new Float32Array(rows.length * dim)
  for (const [i, row] of rows.entries()) out.set(features.subarray(row * dim, (row + 1) * dim), i * dim)
  return out
}

/** Ranks held-out pairs by the heads as they stand, and by the frozen features. */
class Validation {
  readonly directions: readonly Direction[]
  readonly #frozen: { readonly image: Float32Array; readonly text: Float32Array }
  readonly #counts: { readonly image: number; readonly text: number }
  readonly #features: number
  readonly #project

  constructor(
    features: number,
    pairs: PairFeatures,
    held: readonly PairItem[],
    heads: ProjectionHeads,
    device?: string,
  ) {
    const rows = {
      image: [...new Set(held.flatMap(({ picture }) => picture ?? []))],
      text: [...new Set(held.flatMap(({ texts }) => texts))],
    }
    const place = {
      image: new Map(rows.image.map((row, i) => [row, i])),
      text: new Map(rows.text.map((row, i) => [row, i])),
    }
    this.directions = directionsOf(
      held.map(({ group, picture, texts }) => ({
        group,
        picture: picture === undefined ? undefined : place.image.get(picture)!,
        texts: texts.map(text => place.text.get(text)!),
      })),
    )
    this.#frozen = {
      image: gathered(pairs.images, rows.image, features),
      text: gathered(pairs.texts, rows.text, features),
    }
    this.#counts = { image: rows.image.length, text: rows.text.length }
    this.#features = features
    this.#project = {
      image: compile((x: Tensor) => unitRows(heads.image.forward(x)), { device }),
      text: compile((x: Tensor) => unitRows(heads.text.forward(x)), { device }),
    }
  }

  frozenRanks(): Int32Array[] {
    return this.directions.map(direction => ranksOf(direction, this.#frozen, this.#features))
  }

  async #vectors() {
    const project = async (tower: 'image' | 'text') => {
      if (this.#counts[tower] === 0) return { values: new Float32Array(0), dim: 0 }
      const out = await this.#project[tower](hostTensor(this.#frozen[tower], [this.#counts[tower], this.#features]))
      return { values: out.data as Float32Array, dim: out.shape[1] }
    }
    const [image, text] = [await project('image'), await project('text')]
    return { vectors: { image: image.values, text: text.values }, dim: text.dim }
  }

  async ranks(): Promise<Int32Array[]> {
    const { vectors, dim } = await this.#vectors()
    return this.directions.map(direction => ranksOf(direction, vectors, dim))
  }

  /** Those of the trained prefixes that rank nearly as well as the whole. */
  async usefulWidths(widths: readonly number[]): Promise<number[]> {
    const { vectors, dim } = await this.#vectors()
    const score = (width: number): number =>
      mean(this.directions.map(direction => meanReciprocalRank(ranksOf(direction, vectors, dim, width))))
    const whole = score(dim)
    return widths.filter(width => width === dim || score(width) >= PREFIX_SHARE * whole)
  }

  async release(): Promise<void> {
    await this.#project.image.release()
    await this.#project.text.release()
  }
}
