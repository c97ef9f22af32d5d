import { argMax, compile, hostTensor, type Tensor } from '../../core/index.ts'
import { type AugmentOptions, DataLoader, type Dataset, type Normalisation } from '../../data/index.ts'
import { crossEntropy, type ImageBackbone, withSeed } from '../../nn/index.ts'
import type { Batch } from '../../train/index.ts'
import type { ArmResult, ClaimContext } from '../system.ts'
import { trainArm } from './training.ts'

/** How a classifier is trained and measured on labelled pictures. */
export interface PictureClassification {
  /** Makes the network; its first values are drawn from the seed. */
  readonly build: () => ImageBackbone
  readonly train: Dataset
  readonly test: Dataset
  readonly normalisation: Normalisation
  /** Random changes of training pictures. */
  readonly augment: AugmentOptions
  readonly steps: number
  readonly batch: number
  readonly learningRate: number
  readonly seed: number
  readonly undecayed?: RegExp
}

/** Trains a network and measures it. @returns accuracy on the test part in percent */
export async function classifyPictures(options: PictureClassification, context: ClaimContext): Promise<ArmResult> {
  const { build, seed, steps, learningRate, undecayed } = options
  const model = withSeed(seed, build)
  const losses = await trainArm(
    {
      model,
      loss: ({ images, labels }) => ({ loss: crossEntropy(model.forward(images), labels, { labelSmoothing: 0.05 }) }),
      batches: trainingBatches(options),
      steps,
      learningRate,
      seed,
      undecayed,
    },
    context,
  )
  return { value: 100 * (await accuracy(model, options)), losses }
}

/** Epoch after epoch, without end. */
async function* trainingBatches(options: PictureClassification): AsyncGenerator<Batch, void, undefined> {
  const { train, batch: batchSize, seed, augment, normalisation: normalise } = options
  const loader = new DataLoader(train, {
    batchSize,
    seed,
    shuffle: true,
    lastBatch: 'drop',
    augment,
    normalise,
    workers: 0,
  })
  try {
    for (let epoch = 0; ; epoch++)
      for await (const { inputs, shape, labels } of loader.epoch(epoch))
        yield { images: hostTensor(inputs, shape), labels: hostTensor(labels, [labels.length]) }
  } finally {
    await loader.close()
  }
}

async function accuracy(
  model: ImageBackbone,
  { test, normalisation: normalise }: PictureClassification,
): Promise<number> {
  const predict = compile((images: Tensor) => argMax(model.forward(images), -1))
  const loader = new DataLoader(test, { batchSize: 250, normalise, workers: 0 })
  let correct = 0
  try {
    for await (const { inputs, shape, labels, weights } of loader.epoch(0)) {
      const predicted = (await predict(hostTensor(inputs, shape))).numbers()
      for (let i = 0; i < labels.length; i++) if (weights[i] > 0 && Number(predicted[i]) === labels[i]) correct++
    }
  } finally {
    await loader.close()
    await predict.release()
  }
  return correct / test.length
}
