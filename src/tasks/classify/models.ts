import { Cnn, type ImageBackbone, ResNet, Vit } from '../../nn/index.ts'

/** What every classifier of pictures needs to know. */
export interface PictureFormat {
  readonly channels: number
  readonly size: readonly [height: number, width: number]
  readonly classes: number
}

/** Options of a model beside the picture format: plain JSON, kept in the model file. */
export type ModelOptions = Readonly<Record<string, unknown>>

/** A kind of model that `tenet train classify --model` can make. */
export interface ModelKind {
  readonly summary: string
  /** Options for a picture format, where the user gives none. */
  readonly defaults: (format: PictureFormat) => ModelOptions
  readonly build: (format: PictureFormat, options: ModelOptions) => ImageBackbone
  /** Training settings that suit it. */
  readonly training: {
    readonly learningRate: number
    readonly weightDecay: number
    readonly labelSmoothing: number
    readonly epochs: number
    readonly batchSize: number
  }
}

const small = ({ size }: PictureFormat): boolean => Math.max(...size) <= 32

/** Largest patch that divides both sides and leaves at least 16 patches. */
function patchFor({ size: [height, width] }: PictureFormat): number {
  for (const patch of [16, 8, 7, 4, 2])
    if (height % patch === 0 && width % patch === 0 && (height / patch) * (width / patch) >= 16) return patch
  return 1
}

export const modelKinds: Readonly<Record<string, ModelKind>> = {
  cnn: {
    summary: 'plain convolutions with batch norm',
    defaults: () => ({ widths: [32, 64, 128] }),
    build: (format, options) => new Cnn({ ...format, ...options }),
    training: { learningRate: 3e-3, weightDecay: 0.02, labelSmoothing: 0.05, epochs: 8, batchSize: 128 },
  },
  resnet: {
    summary: 'residual network of basic blocks (He et al. 2016)',
    defaults: format =>
      small(format)
        ? { widths: [32, 64, 128], depths: [1, 1, 1], stem: 'pool' }
        : { widths: [32, 64, 128, 256], depths: [1, 1, 1, 1], stem: 'imagenet' },
    build: (format, options) => new ResNet({ ...format, ...options }),
    training: { learningRate: 4e-3, weightDecay: 0.05, labelSmoothing: 0.05, epochs: 20, batchSize: 128 },
  },
  vit: {
    summary: 'vision transformer (Dosovitskiy et al. 2021)',
    defaults: format => ({
      patch: patchFor(format),
      dim: small(format) ? 96 : 192,
      depth: small(format) ? 4 : 6,
      heads: small(format) ? 4 : 3,
    }),
    build: (format, options) => new Vit({ ...format, ...options }),
    training: { learningRate: 1.5e-3, weightDecay: 0.05, labelSmoothing: 0.05, epochs: 30, batchSize: 128 },
  },
}

/** Steps an epoch, and in all, below which a small data set gets smaller batches and more epochs. */
const fewest = { stepsPerEpoch: 24, steps: 600, batch: 8, epochs: 100 }

/**
 * Training settings of a model for so many samples: those of its kind, with smaller batches and more epochs for data so
 * small that a run would end after a few steps.
 */
export function trainingSettings(kind: Pick<ModelKind, 'training'>, samples: number): ModelKind['training'] {
  const { training } = kind
  const fitting = 2 ** Math.floor(Math.log2(Math.max(1, samples / fewest.stepsPerEpoch)))
  const batchSize = Math.min(training.batchSize, Math.max(fewest.batch, fitting))
  const stepsPerEpoch = Math.max(1, Math.floor(samples / batchSize))
  const wanted = Math.min(fewest.epochs, Math.ceil(fewest.steps / stepsPerEpoch))
  return { ...training, batchSize, epochs: Math.max(training.epochs, wanted) }
}

/** Models that a floor above adds: found by name when one is asked for, so that nothing is loaded before. */
export interface ModelProvider {
  /** The kind of this name; undefined when it has none. */
  find(name: string): Promise<ModelKind | undefined>
  /** Names of all its models. */
  names(): Promise<readonly string[]>
}

const providers: ModelProvider[] = []
/** Kinds that a provider has given. */
const provided = new Map<string, ModelKind>()

/** Adds models to those that `--model` and saved classifiers can name. */
export function provideModels(provider: ModelProvider): void {
  if (!providers.includes(provider)) providers.push(provider)
}

/** Names of every kind of model there is. */
export async function modelNames(): Promise<string[]> {
  const others = await Promise.all(providers.map(provider => provider.names()))
  return [...Object.keys(modelKinds), ...others.flat().sort()]
}

/**
 * The kind of model of a name: a built-in one, or one that a provider has.
 * @throws naming the models there are
 */
export async function findModelKind(name: string): Promise<ModelKind> {
  if (Object.hasOwn(modelKinds, name)) return modelKinds[name]
  for (const provider of providers) {
    const kind = provided.get(name) ?? (await provider.find(name))
    if (!kind) continue
    provided.set(name, kind)
    return kind
  }
  throw new Error(`there is no model '${name}'; there are: ${(await modelNames()).join(', ')}`)
}

/**
 * A kind of model that is built in, or that {@link findModelKind} has found before.
 * @throws naming the models there are
 */
export function modelKind(name: string): ModelKind {
  const kind = Object.hasOwn(modelKinds, name) ? modelKinds[name] : provided.get(name)
  if (!kind)
    throw new Error(
      `there is no model '${name}'; there are: ${[...Object.keys(modelKinds), ...provided.keys()].join(', ')}`,
    )
  return kind
}
