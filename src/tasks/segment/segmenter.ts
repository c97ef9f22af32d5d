import { argMax, compile, type ExportedModel, type HostTensor, softmax, type Tensor } from '../../core/index.ts'
import { exportModel } from '../../core/onnx/export.ts'
import type { Normalisation } from '../../data/index.ts'
import { loadStateDict, nameVariables, stateDict } from '../../nn/index.ts'
import { readCheckpoint, saveCheckpoint } from '../../train/index.ts'
import type { ModelOptions, PictureFormat } from '../classify/index.ts'
import { findSegmenterKind } from './models.ts'
import type { SegmentationNetwork } from './network.ts'

/** Everything that makes a trained segmenter usable. */
export interface SegmenterCard {
  readonly kind: 'segmenter'
  readonly model: string
  readonly options: ModelOptions
  readonly channels: number
  readonly size: readonly [number, number]
  readonly classes: readonly string[]
  readonly normalisation: Normalisation
  readonly training?: Readonly<Record<string, unknown>>
}

/** A segmenter ready to use. */
export class Segmenter {
  readonly card: SegmenterCard
  readonly network: SegmentationNetwork
  readonly #labels

  constructor(card: SegmenterCard, network: SegmentationNetwork, device?: string) {
    this.card = card
    this.network = nameVariables(network)
    this.#labels = compile((images: Tensor) => argMax(this.network.forward(images), 1), { device })
  }

  /** The likeliest class of each pixel, [batch, height, width]. @param images normalised, [batch, channels, height, width] */
  async labels(images: HostTensor): Promise<HostTensor> {
    return this.#labels(images)
  }

  /** Writes weights and card to one safetensors file. */
  async save(path: string): Promise<void> {
    await saveCheckpoint(path, { tensors: await stateDict(this.network), state: { ...this.card } })
  }

  async release(): Promise<void> {
    await this.#labels.release()
  }
}

/** The network that a card describes, with first values. */
export async function buildSegmenter({
  model,
  options,
  channels,
  size,
  classes,
}: Omit<SegmenterCard, 'kind' | 'normalisation'>): Promise<SegmentationNetwork> {
  const format: PictureFormat = { channels, size, classes: classes.length }
  return (await findSegmenterKind(model)).build(format, options)
}

/** Reads a segmenter written by {@link Segmenter.save}. @throws one line when the file is not one */
export async function loadSegmenter(path: string, device?: string): Promise<Segmenter> {
  const { tensors, state } = await readCheckpoint(path)
  if (state.kind !== 'segmenter') throw new Error(`${path} is not a segmenter`)
  const card = state as unknown as SegmenterCard
  const network = await buildSegmenter(card)
  try {
    loadStateDict(network, tensors)
  } catch (error) {
    throw new Error(`${path}: ${(error as Error).message}`)
  }
  return new Segmenter(card, network, device)
}

/** A segmenter as an ONNX model with an open batch: input `images`, and `logits` or `probabilities` of every pixel. */
export function exportSegmenter(
  { card, network }: Segmenter,
  { output = 'logits', dataLocation }: { output?: 'logits' | 'probabilities'; dataLocation?: string } = {},
): ExportedModel {
  return exportModel(
    ({ images }) => {
      const logits = network.forward(images)
      return { [output]: output === 'logits' ? logits : softmax(logits, 1) }
    },
    { images: { shape: [-1, card.channels, ...card.size] } },
    { parameters: dataLocation ? 'beside' : 'inside', dataLocation },
  )
}
