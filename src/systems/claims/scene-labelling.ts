import { argMax, compile, hostTensor, type Tensor } from '../../core/index.ts'
import { type OpenScenesOptions, openScenes, type Scenes, tokenLabels } from '../../data/scenes/index.ts'
import { meanIou, segmentationConfusion } from '../../metrics/index.ts'
import { crossEntropy, type Module, namedParameters, withSeed } from '../../nn/index.ts'
import { adamW, cosine, Optimizer } from '../../optim/index.ts'
import { TrainStep } from '../../train/index.ts'
import type { ArmResult, ClaimContext } from '../system.ts'

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

/** Most losses that are kept of a run. */
const KEPT = 50

/** Parameters that weight decay would pull to a place of no meaning: scales, biases, positions, decays and directions. */
const isDecayed = (path: string, rank: number): boolean =>
  rank > 1 && !/(^|\.)(A_log|A_b_log|A_logs|pos_embed|cls_token\w*|direction_Bs)$/.test(path)

/** AdamW with decay 0.05 on matrices, a tenth of the steps to warm up, then half a cosine to 0. */
export function claimOptimizer(model: Module, learningRate: number, steps: number): Optimizer {
  const rate = cosine({ base: learningRate, total: steps, warmup: Math.min(steps - 1, Math.ceil(steps / 10)) })
  const named = [...namedParameters(model)]
  return new Optimizer(
    [true, false].flatMap(decayed => {
      const parameters = named.filter(([path, { rank }]) => isDecayed(path, rank) === decayed).map(([, p]) => p)
      return parameters.length
        ? [{ parameters, rule: adamW({ weightDecay: decayed ? 0.05 : 0 }), learningRate: rate }]
        : []
    }),
  )
}

/** Every k-th loss, so that about {@link KEPT} are left, and the last. */
export const thinned = (losses: readonly number[]): number[] =>
  losses.filter((_, i) => i % Math.ceil(losses.length / KEPT) === 0 || i === losses.length - 1)

/**
 * Trains a network to label the patches of scenes by what stands at their centres, and measures it on scenes made of
 * drawings it has not seen.
 * @returns mean intersection over union in percent, of the classes that occur
 */
export async function labelScenes(
  { build, seed, size, patch, steps, batch, testScenes, learningRate, scenes }: SceneLabelling,
  { signal, progress }: ClaimContext,
): Promise<ArmResult> {
  const data = await openScenes({ ...scenes, size, seed })
  const classes = data.classes.length + 1
  const model = withSeed(seed, () => build(classes))
  const step = new TrainStep({
    loss: ({ images, labels }) => ({ loss: crossEntropy(model.forward(images), labels) }),
    optimizer: claimOptimizer(model, learningRate, steps),
    clipNorm: 1,
    seed,
  })
  const losses: number[] = []
  let next = batchOf(data.train, 0, batch, patch)
  for (let i = 0; i < steps; i++) {
    signal?.throwIfAborted()
    const running = step.run(next, i)
    // The next scenes are drawn while this step runs.
    next = batchOf(data.train, (i + 1) * batch, batch, patch)
    const { loss } = await running
    losses.push(loss)
    progress((i + 1) / steps, loss)
  }
  await step.release()
  const value = await measure(model, data.test, testScenes, patch, classes)
  return { value: 100 * value, losses: thinned(losses) }
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
