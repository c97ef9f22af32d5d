import { argMax, compile, hostTensor, type Tensor } from '../../core/index.ts'
import { type OpenScenesOptions, openScenes, type Scenes, tokenLabels } from '../../data/scenes/index.ts'
import { meanIou, segmentationConfusion } from '../../metrics/index.ts'
import { crossEntropy, type Module, withSeed } from '../../nn/index.ts'
import type { ArmResult, ClaimContext } from '../system.ts'
import { trainArm } from './training.ts'

/** A network that gives each patch of a picture its scores: [batch, 3, height, width] -> [batch, classes, rows, columns]. */
export interface PatchLabeller extends Module {
  forward(images: Tensor): Tensor
}

/** How a labeller is trained and measured on scenes of icons. */
export interface SceneLabelling {
  /** Makes the network; its first values are drawn from the seed. @param classes the ground and each concept */
  readonly build: (classes: number) => PatchLabeller
  readonly seed: number
  readonly size: number
  readonly patch: number
  readonly steps: number
  readonly batch: number
  readonly testScenes: number
  readonly learningRate: number
  readonly scenes?: Omit<OpenScenesOptions, 'size' | 'seed'>
}

/**
 * Trains a network to label the patches of scenes by what stands at their centres, and measures it on scenes that it has
 * not seen.
 * @returns mean intersection over union in percent, of the classes that occur
 */
export async function labelScenes(
  { build, seed, size, patch, steps, batch, testScenes, learningRate, scenes }: SceneLabelling,
  context: ClaimContext,
): Promise<ArmResult> {
  const data = await openScenes({ ...scenes, size, seed })
  const classes = data.classes.length + 1
  const model = withSeed(seed, () => build(classes))
  const losses = await trainArm(
    {
      model,
      loss: ({ images, labels }) => ({ loss: crossEntropy(model.forward(images), labels) }),
      batches: batchesOf(data.train, steps, batch, patch),
      steps,
      learningRate,
      seed,
    },
    context,
  )
  const value = await measure(model, data.test, testScenes, patch, classes)
  return { value: 100 * value, losses }
}

function* batchesOf(scenes: Scenes, steps: number, batch: number, patch: number) {
  for (let i = 0; i < steps; i++) yield batchOf(scenes, i * batch, batch, patch)
}

function batchOf(scenes: Scenes, first: number, count: number, patch: number) {
  const [height, width] = scenes.size
  const { images, semantic } = scenes.batch(first, count)
  return {
    images: hostTensor(images, [count, scenes.channels, height, width]),
    labels: hostTensor(tokenLabels(semantic, height, width, patch), [count, height / patch, width / patch]),
  }
}

async function measure(
  model: PatchLabeller,
  scenes: Scenes,
  count: number,
  patch: number,
  classes: number,
): Promise<number> {
  const predict = compile((images: Tensor) => argMax(model.forward(images), 1))
  const each = Math.min(50, count)
  const truth: number[] = []
  const predicted: number[] = []
  for (let first = 0; first + each <= count; first += each) {
    const { images, labels } = batchOf(scenes, first, each, patch)
    predicted.push(...(await predict(images)).numbers())
    truth.push(...labels.numbers())
  }
  await predict.release()
  return meanIou(segmentationConfusion(truth, predicted, classes))
}
