import { compile, type HostTensor, hostTensor, placeholder, softmax, type Tensor } from '../../core/index.ts'
import type { Normalisation } from '../../data/index.ts'
import { type ImageBackbone, loadStateDict, nameVariables, stateDict } from '../../nn/index.ts'
import { readCheckpoint, saveCheckpoint } from '../../train/index.ts'
import { findModelKind, type ModelKind, type ModelOptions, modelKind, type PictureFormat } from './models.ts'

/** Everything that makes a trained classifier usable: what it is, how pictures are prepared, what its outputs mean. */
export interface ClassifierCard {
  readonly kind: 'classifier'
  readonly model: string
  readonly options: ModelOptions
  readonly channels: number
  readonly size: readonly [number, number]
  readonly classes: readonly string[]
  readonly normalisation: Normalisation
  /** How it was trained, for people. */
  readonly training?: Readonly<Record<string, unknown>>
}

/** A classifier ready to use. */
export class Classifier {
  readonly card: ClassifierCard
  readonly network: ImageBackbone
  readonly #probabilities
  readonly #logits

  constructor(card: ClassifierCard, network?: ImageBackbone, device?: string) {
    this.card = card
    this.network = nameVariables(network ?? modelKind(card.model).build(formatOf(card), card.options))
    this.#logits = compile((images: Tensor) => this.network.forward(images), { device })
    this.#probabilities = compile((images: Tensor) => softmax(this.network.forward(images), -1), { device })
  }

  /** Class scores before the softmax. @param images normalised, [batch, channels, height, width] */
  async logits(images: HostTensor): Promise<HostTensor> {
    return this.#logits(images)
  }

  /** Class probabilities. @param images normalised, [batch, channels, height, width] */
  async probabilities(images: HostTensor): Promise<HostTensor> {
    return this.#probabilities(images)
  }

  /** Writes weights and card to one safetensors file. */
  async save(path: string): Promise<void> {
    await saveCheckpoint(path, { tensors: await stateDict(this.network), state: { ...this.card } })
  }

  async release(): Promise<void> {
    await this.#logits.release()
    await this.#probabilities.release()
  }
}

const formatOf = ({ channels, size, classes }: ClassifierCard): PictureFormat => ({
  channels,
  size,
  classes: classes.length,
})

/**
 * Reads a classifier written by {@link Classifier.save}.
 * @param size height and width of the pictures it is to look at, where the architecture can take others than it was trained on
 * @throws one line when the file is not one, or the model cannot look at pictures of that size
 */
export async function loadClassifier(
  path: string,
  device?: string,
  size?: readonly [number, number],
): Promise<Classifier> {
  const { tensors, state } = await readCheckpoint(path)
  if (state.kind !== 'classifier') throw new Error(`${path} is not a classifier`)
  const card = state as unknown as ClassifierCard
  const kind = await findModelKind(card.model)
  const classifier = size ? atAnotherSize(card, kind, size, device) : new Classifier(card, undefined, device)
  try {
    loadStateDict(classifier.network, tensors)
  } catch (error) {
    throw new Error(`${path}: ${(error as Error).message}`)
  }
  return classifier
}

/** The trained network over pictures of another size: its positions, where it has any, are stretched. */
function atAnotherSize(
  card: ClassifierCard,
  kind: ModelKind,
  size: readonly [number, number],
  device: string | undefined,
): Classifier {
  const network = kind.build(formatOf(card), { ...card.options, interpolate: true })
  try {
    network.forward(placeholder('images', [1, card.channels, ...size], 'f32'))
  } catch (error) {
    throw new Error(
      `model '${card.model}' was trained on pictures of ${card.size.join('x')} and cannot look at ${size.join('x')}: ${(error as Error).message}`,
    )
  }
  return new Classifier({ ...card, size }, network, device)
}

/** One picture's values as a batch of one. */
export const asBatch = (
  values: Float32Array,
  { channels, size }: Pick<ClassifierCard, 'channels' | 'size'>,
): HostTensor => hostTensor(values, [values.length / (channels * size[0] * size[1]), channels, ...size])
