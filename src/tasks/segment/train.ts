import { join } from 'node:path'
import {
  argMax,
  compile,
  oneHot,
  placeholder,
  softmax,
  type Tensor,
  topologicalOrder,
  type Variable,
} from '../../core/index.ts'
import { crossEntropy, loadStateDict, namedParameters, withSeed, withValues } from '../../nn/index.ts'
import { averagingDecay, ExponentialMovingAverage, Optimizer } from '../../optim/index.ts'
import { BEST, type FitResult, fit, type Progress, readCheckpoint, type Scores } from '../../train/index.ts'
import { MODEL, type ModelOptions, trainingSettings } from '../classify/index.ts'
import { parameterGroups } from '../parameter-groups.ts'
import { trainingBatches } from './batches.ts'
import { IGNORED, type SegmentationData } from './data.ts'
import { evaluateSegmenter, type SegmentationReport } from './evaluate.ts'
import { findSegmenterKind } from './models.ts'
import type { SegmentationNetwork } from './network.ts'
import { Segmenter, type SegmenterCard } from './segmenter.ts'

export interface TrainSegmenterOptions {
  readonly model: string
  /** Options of the model over its defaults. */
  readonly modelOptions?: ModelOptions
  readonly epochs?: number
  readonly batchSize?: number
  readonly learningRate?: number
  readonly weightDecay?: number
  /** Share of the Dice loss beside cross-entropy; default 1, 0 for none. */
  readonly dice?: number
  readonly seed?: number
  readonly device?: string
  /** Random changes of training pictures; default true. */
  readonly augment?: boolean
  readonly patience?: number
  readonly resume?: boolean
  readonly checkpointSeconds?: number
  readonly checkpointBatches?: number
  readonly onProgress?: (progress: Progress) => void
  readonly onEpoch?: (epoch: number, scores: Scores) => void
  readonly signal?: AbortSignal
}

export interface TrainSegmenterResult {
  readonly segmenter: Segmenter
  readonly fit: FitResult
  readonly test?: SegmentationReport
  readonly path: string
}

/** The variables that a network's scores depend on: a backbone's own classifier is not among them. */
function usedParameters(network: SegmentationNetwork, { channels, size }: SegmentationData): Variable[] {
  const scores = network.forward(placeholder('images', [1, channels, ...size], 'f32'))
  const used = new Set(topologicalOrder([scores]).flatMap(({ outputs, inputs }) => [...outputs, ...inputs]))
  return [...namedParameters(network).values()].filter(parameter => used.has(parameter))
}

/**
 * 1 - the mean over classes of (2 sum p t + 1) / (sum p + sum t + 1), sums over the batch and all pixels that count: it looks
 * at the overlap of small classes that cross-entropy hardly sees. Source: Milletari et al. 2016; Isensee et al. 2021 for sums over the batch
 */
function softDice(logits: Tensor, masks: Tensor): Tensor {
  const classes = logits.shape[1]
  const counted = masks.notEqual(IGNORED)
  const weight = counted.cast('f32').expandDims(1)
  const truth = oneHot(masks.mul(counted.cast('i32')), classes, 'f32')
    .moveAxis(-1, 1)
    .mul(weight)
  const probability = softmax(logits, 1).mul(weight)
  const overlap = probability.mul(truth).sum([0, 2, 3]).mul(2).add(1)
  const total = probability
    .sum([0, 2, 3])
    .add(truth.sum([0, 2, 3]))
    .add(1)
  return overlap.div(total).mean().neg().add(1)
}

/**
 * Trains a segmenter with cross-entropy and Dice, keeps the weights that validate best, and measures them once on the test
 * part. The folder gets checkpoints, a log and `model.safetensors`.
 */
export async function trainSegmenter(
  data: SegmentationData,
  folder: string,
  options: TrainSegmenterOptions,
): Promise<TrainSegmenterResult> {
  const { seed = 0, dice = 1, device } = options
  const kind = await findSegmenterKind(options.model)
  const format = { channels: data.channels, size: data.size, classes: data.classes.length }
  const modelOptions = { ...kind.defaults(format), ...options.modelOptions }
  const chosen = trainingSettings(kind, data.train.length)
  const settings = {
    epochs: options.epochs ?? chosen.epochs,
    batchSize: Math.min(options.batchSize ?? chosen.batchSize, data.train.length),
    learningRate: options.learningRate ?? chosen.learningRate,
    weightDecay: options.weightDecay ?? chosen.weightDecay,
    warmup: 0.1,
    seed,
    dice,
  }
  const network = withSeed(seed, () => kind.build(format, modelOptions))
  const card: SegmenterCard = {
    kind: 'segmenter',
    model: options.model,
    options: modelOptions,
    channels: data.channels,
    size: data.size,
    classes: data.classes,
    normalisation: data.normalisation,
    training: { data: data.name, samples: data.train.length, ...settings },
  }
  const segmenter = new Segmenter(card, network, device)
  const train = trainingBatches(data, settings.batchSize, seed, options.augment !== false)
  const total = settings.epochs * train.batchesPerEpoch
  const parameters = usedParameters(network, data)
  const decay = averagingDecay(total, 0.999)
  const score = validator(network, data, device)
  let result: FitResult
  try {
    result = await fit({
      ...options,
      model: network,
      optimizer: new Optimizer(parameterGroups(parameters, settings, total)),
      loss: ({ images, masks }) => {
        const logits = network.forward(images)
        const entropy = crossEntropy(logits, masks, { ignoreIndex: IGNORED })
        return { loss: dice > 0 ? entropy.add(softDice(logits, masks).mul(dice)) : entropy, metrics: { entropy } }
      },
      train,
      epochs: settings.epochs,
      folder,
      validate: data.validation.length ? score.run : undefined,
      watch: data.validation.length ? { score: 'meanIou', better: 'higher', patience: options.patience } : undefined,
      clipNorm: 1,
      ema: decay > 0 ? new ExponentialMovingAverage(parameters, decay) : undefined,
      seed,
      identity: { ...card, augment: options.augment !== false },
    })
  } finally {
    await score.release()
  }
  const path = join(folder, MODEL)
  if (result.interrupted) return { segmenter, fit: result, path }
  if (data.validation.length) loadStateDict(network, (await readCheckpoint(join(folder, BEST))).tensors)
  await segmenter.save(path)
  if (data.test.length === 0) return { segmenter, fit: result, path }
  const test = await evaluateSegmenter(images => segmenter.labels(images), data.test, data, data.normalisation)
  return { segmenter, fit: result, test, path }
}

/** Scores on the validation part, with the averaged weights where there are any. */
function validator(network: SegmentationNetwork, data: SegmentationData, device?: string) {
  let averages: ReadonlyMap<Variable, Variable> | undefined
  const labels = compile(
    (images: Tensor) => {
      const build = (): Tensor => argMax(network.forward(images), 1)
      return averages ? withValues(network, averages, build) : build()
    },
    { device },
  )
  return {
    run: async (given: ReadonlyMap<Variable, Variable> | undefined): Promise<Scores> => {
      averages = given
      const report = await evaluateSegmenter(images => labels(images), data.validation, data, data.normalisation, {
        distances: false,
      })
      return { meanIou: report.meanIou, meanDice: report.meanDice }
    },
    release: () => labels.release(),
  }
}
