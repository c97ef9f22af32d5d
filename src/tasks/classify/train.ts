import { join } from 'node:path'
import { compile, type HostTensor, hostTensor, softmax, type Tensor, type Variable } from '../../core/index.ts'
import { DataLoader, type Skipped, stratifiedSplit, subset } from '../../data/index.ts'
import {
  crossEntropy,
  type ImageBackbone,
  loadStateDict,
  namedParameters,
  withSeed,
  withValues,
} from '../../nn/index.ts'
import { averagingDecay, ExponentialMovingAverage, Optimizer } from '../../optim/index.ts'
import {
  type BatchSource,
  BEST,
  type FitResult,
  fit,
  type Progress,
  readCheckpoint,
  type Scores,
} from '../../train/index.ts'
import { parameterGroups } from '../parameter-groups.ts'
import { Classifier, type ClassifierCard } from './classifier.ts'
import type { ClassificationData } from './data.ts'
import { predictAll, scorePredictions, type TestResult } from './evaluate.ts'
import { findModelKind, type ModelOptions, trainingSettings } from './models.ts'

export interface TrainClassifierOptions {
  readonly model: string
  /** Options of the model over its defaults. */
  readonly modelOptions?: ModelOptions
  readonly epochs?: number
  readonly batchSize?: number
  readonly learningRate?: number
  readonly weightDecay?: number
  readonly labelSmoothing?: number
  /** Share of the steps in which the rate grows; default 0.1. */
  readonly warmup?: number
  readonly clipNorm?: number
  /** Decay of the weight average that is validated and kept; 0 for none. Default 0.999, less for short runs. */
  readonly ema?: number
  readonly seed?: number
  readonly device?: string
  /** Train on the first so many samples only. */
  readonly limit?: number
  readonly workers?: number
  /** Random changes of training pictures; default true. */
  readonly augment?: boolean
  readonly patience?: number
  readonly resume?: boolean
  readonly checkpointSeconds?: number
  readonly checkpointBatches?: number
  readonly onProgress?: (progress: Progress) => void
  readonly onEpoch?: (epoch: number, scores: Scores) => void
  readonly onSkip?: (skipped: Skipped) => void
  readonly signal?: AbortSignal
}

export interface TrainClassifierResult {
  readonly classifier: Classifier
  readonly fit: FitResult
  /** On the test part, which nothing was chosen by. Left out when the run was interrupted or there is no such part. */
  readonly test?: TestResult
  readonly path: string
}

type Settings = Required<
  Pick<
    TrainClassifierOptions,
    'epochs' | 'batchSize' | 'learningRate' | 'weightDecay' | 'labelSmoothing' | 'warmup' | 'clipNorm' | 'seed'
  >
>

/** File of the finished classifier in its run's folder. */
export const MODEL = 'model.safetensors'

/**
 * Trains a classifier, keeps the weights that validate best, and measures them once on the test part.
 * The folder gets checkpoints, a log and `model.safetensors`.
 */
export async function trainClassifier(
  given: ClassificationData,
  folder: string,
  options: TrainClassifierOptions,
): Promise<TrainClassifierResult> {
  const data = limited(given, options.limit)
  const kind = await findModelKind(options.model)
  const format = { channels: data.channels, size: data.size, classes: data.classes.length }
  const modelOptions = { ...kind.defaults(format), ...options.modelOptions }
  const settings: Settings = {
    warmup: 0.1,
    clipNorm: 1,
    seed: 0,
    ...trainingSettings(kind, data.train.length),
    ...defined(options),
  }
  const network = withSeed(settings.seed, () => kind.build(format, modelOptions))
  const card: ClassifierCard = {
    kind: 'classifier',
    model: options.model,
    options: modelOptions,
    channels: data.channels,
    size: data.size,
    classes: data.classes,
    normalisation: data.normalisation,
    training: { data: data.name, samples: data.train.length, ...settings },
  }
  const result = await fitNetwork(network, data, folder, settings, card, options)
  const classifier = new Classifier(card, network, options.device)
  const path = join(folder, MODEL)
  if (result.interrupted) return { classifier, fit: result, path }
  loadStateDict(network, (await readCheckpoint(join(folder, BEST))).tensors)
  await classifier.save(path)
  if (data.test.length === 0) return { classifier, fit: result, path }
  const predictions = await predictAll(images => classifier.probabilities(images), data.test, data.normalisation)
  const test = { report: scorePredictions(predictions, data.classes), predictions }
  return { classifier, fit: result, test, path }
}

/** The data with about so many training samples only, evenly from each class and always the same ones. */
function limited(data: ClassificationData, limit: number | undefined): ClassificationData {
  if (limit === undefined || limit >= data.train.length) return data
  const share = limit / data.train.length
  const { test: kept } = stratifiedSplit(data.train.labels, { validation: 0, test: share }, 0)
  return { ...data, train: subset(data.train, kept) }
}

/** The settings among the options that were given. */
function defined(options: TrainClassifierOptions): Partial<Settings> {
  const names = [
    'epochs',
    'batchSize',
    'learningRate',
    'weightDecay',
    'labelSmoothing',
    'warmup',
    'clipNorm',
    'seed',
  ] as const
  return Object.fromEntries(names.filter(name => options[name] !== undefined).map(name => [name, options[name]]))
}

async function fitNetwork(
  network: ImageBackbone,
  data: ClassificationData,
  folder: string,
  settings: Settings,
  card: ClassifierCard,
  options: TrainClassifierOptions,
): Promise<FitResult> {
  const { batchSize, seed, epochs } = settings
  const loader = new DataLoader(data.train, {
    batchSize: Math.min(batchSize, data.train.length),
    seed,
    shuffle: true,
    lastBatch: data.train.length >= batchSize ? 'drop' : 'pad',
    augment: options.augment === false ? undefined : data.augment,
    normalise: data.normalisation,
    workers: options.workers,
    onSkip: options.onSkip,
  })
  const batchesPerEpoch = Math.max(1, Math.floor(data.train.length / batchSize))
  const total = epochs * batchesPerEpoch
  const parameters = [...namedParameters(network).values()]
  const decay = options.ema ?? averagingDecay(total, 0.999)
  const ema = decay > 0 ? new ExponentialMovingAverage(parameters, decay) : undefined
  const score = validator(network, data, options.device)
  try {
    return await fit({
      model: network,
      optimizer: new Optimizer(parameterGroups(parameters, settings, total)),
      loss: batch => classificationLoss(network, batch, settings.labelSmoothing),
      train: source(loader, batchesPerEpoch),
      epochs,
      folder,
      validate: data.validation.length ? score.run : undefined,
      watch: data.validation.length ? { score: 'accuracy', better: 'higher', patience: options.patience } : undefined,
      clipNorm: settings.clipNorm,
      ema,
      seed,
      device: options.device,
      checkpointSeconds: options.checkpointSeconds,
      checkpointBatches: options.checkpointBatches,
      resume: options.resume,
      identity: { ...card, ema: decay, augment: options.augment !== false },
      onProgress: options.onProgress,
      onEpoch: options.onEpoch,
      signal: options.signal,
    })
  } finally {
    await loader.close()
    await score.release()
  }
}

function classificationLoss(network: ImageBackbone, batch: Readonly<Record<string, Tensor>>, labelSmoothing: number) {
  const { images, labels, weights } = batch
  const logits = network.forward(images)
  const correct = logits.argMax(-1).equal(labels.cast('i64')).cast('f32').mul(weights)
  const counted = weights.sum().maximum(1)
  return {
    loss: crossEntropy(logits, labels, { labelSmoothing, sampleWeights: weights }),
    metrics: { accuracy: correct.sum().div(counted) },
  }
}

function source(loader: DataLoader, batchesPerEpoch: number): BatchSource {
  return {
    batchesPerEpoch,
    async *epoch(epoch, from) {
      for await (const batch of loader.epoch(epoch, { startBatch: from })) {
        const { inputs, shape, labels, weights } = batch
        const size = weights.reduce((a, b) => a + b, 0)
        yield {
          batch: {
            images: hostTensor(inputs, shape),
            labels: hostTensor(labels, [labels.length]),
            weights: hostTensor(weights, [weights.length]),
          },
          size,
        }
      }
    },
  }
}

/** Accuracy and loss on the validation part, with the averaged weights where there are any. */
function validator(network: ImageBackbone, data: ClassificationData, device?: string) {
  let averages: ReadonlyMap<Variable, Variable> | undefined
  const probabilities = compile(
    (images: Tensor) => {
      const build = (): Tensor => softmax(network.forward(images), -1)
      return averages ? withValues(network, averages, build) : build()
    },
    { device },
  )
  return {
    run: async (given: ReadonlyMap<Variable, Variable> | undefined): Promise<Scores> => {
      averages = given
      const report = scorePredictions(
        await predictAll((images: HostTensor) => probabilities(images), data.validation, data.normalisation),
        data.classes,
      )
      return { accuracy: report.accuracy, loss: report.negativeLogLikelihood }
    },
    release: () => probabilities.release(),
  }
}
