import { compile, hostTensor, type Tensor } from '../../../core/index.ts'
import { openScenes, type SceneObject, type Scenes } from '../../../data/index.ts'
import { meanIou, segmentationConfusion } from '../../../metrics/index.ts'
import { crossEntropy, withSeed } from '../../../nn/index.ts'
import type { Batch } from '../../../train/index.ts'
import { trainArm } from '../../claims/training.ts'
import type { ArmResult, Claim, ClaimContext } from '../../system.ts'
import { DenseVit } from './plain-vit.ts'
import { PyramidSegmenter } from './pyramid-segmenter.ts'
import { SimplePyramid } from './simple-pyramid.ts'
import { ViTCoMer } from './vit-comer.ts'

const SIDE = 64
/** Longest side of a small object, in pixels. */
const SMALL = 14

/** Widths that give the baselines about as many parameters as the system. */
export const widths = { system: 32, patch16: 48, patch8: 52 } as const

const plain = (dim: number, patch: number): DenseVit =>
  new DenseVit({ dim, patch, depth: 4, heads: 4, grid: [SIDE / patch, SIDE / patch], layerScale: false })

/** The network of an arm. */
export function segmenterOf(arm: string, seed: number, classes: number): PyramidSegmenter {
  return withSeed(seed, () => {
    if (arm === 'two branches') {
      const options = { stages: 2, heads: 4, points: 2, cnnWidth: 16, pyramidRatio: 1, extra: 0 }
      return new PyramidSegmenter(new ViTCoMer(plain(widths.system, 16), options), classes)
    }
    const vit = arm === 'plain ViT' ? plain(widths.patch16, 16) : plain(widths.patch8, 8)
    return new PyramidSegmenter(new SimplePyramid(vit), classes)
  })
}

function batchOf(scenes: Scenes, first: number, count: number) {
  const { images, semantic, instances, scenes: list } = scenes.batch(first, count)
  return {
    images: hostTensor(images, [count, scenes.channels, SIDE, SIDE]),
    labels: hostTensor(semantic, [count, SIDE, SIDE]),
    semantic,
    instances,
    list,
  }
}

function* batchesOf(scenes: Scenes, steps: number, batch: number): Generator<Batch> {
  for (let i = 0; i < steps; i++) {
    const { images, labels } = batchOf(scenes, i * batch, batch)
    yield { images, labels }
  }
}

const isSmall = ({ box: [left, top, right, bottom] }: SceneObject): boolean =>
  Math.max(right - left, bottom - top) <= SMALL

/** Mean IoU in percent, and how much of small and of larger objects is labelled right, on scenes not trained with. */
async function measure(network: PyramidSegmenter, scenes: Scenes, count: number, classes: number) {
  const predict = compile((images: Tensor) => network.forward(images).argMax(1))
  const [truth, predicted]: [number[], number[]] = [[], []]
  const right = { small: [0, 0], large: [0, 0] }
  const each = 25
  for (let first = 0; first < count; first += each) {
    const { images, semantic, instances, list } = batchOf(scenes, first, each)
    const labels = (await predict(images)).numbers()
    for (let i = 0; i < semantic.length; i++) {
      truth.push(semantic[i])
      predicted.push(Number(labels[i]))
      if (instances[i] === 0) continue
      const object = list[Math.floor(i / SIDE ** 2)].objects[instances[i] - 1]
      const counted = right[isSmall(object) ? 'small' : 'large']
      counted[0] += Number(Number(labels[i]) === semantic[i])
      counted[1]++
    }
  }
  await predict.release()
  const share = ([good, all]: number[]): number => (100 * good) / Math.max(all, 1)
  const value = 100 * meanIou(segmentationConfusion(truth, predicted, classes))
  return { value, small: share(right.small), large: share(right.large) }
}

async function run(arm: string, seed: number, context: ClaimContext): Promise<ArmResult> {
  const { quick } = context
  const data = await openScenes({
    size: SIDE,
    objects: [3, 6],
    objectSize: [8, 28],
    split: 'none',
    sets: ['lucide'],
    seed,
  })
  const classes = data.classes.length + 1
  const network = segmenterOf(arm, seed, classes)
  const [steps, batch] = quick ? [12, 8] : [1250, 16]
  const losses = await trainArm(
    {
      model: network,
      loss: ({ images, labels }) => ({ loss: crossEntropy(network.forward(images), labels) }),
      batches: batchesOf(data.train, steps, batch),
      steps,
      learningRate: 3e-3,
      seed,
      undecayed: /level_embed$|sampling_offsets|gamma\d?$/,
    },
    context,
  )
  const { value, small, large } = await measure(network, data.test, quick ? 25 : 500, classes)
  return { value, losses, also: { small, large } }
}

export const claim: Claim = {
  statement:
    'A plain ViT with a convolutional branch beside it, exchanging features in both directions, segments scenes better than a plain ViT with a simple pyramid at equal parameters, by at least 3 points, and gains more on small objects.',
  data: 'scenes: 3 to 6 icons of 10 concepts, 8 to 28 pixels wide, on a textured ground, 64x64 pixels, a label for every pixel; 20,000 scenes to train on',
  metric: { name: 'mean IoU of 500 held-out scenes', unit: '%', better: 'higher' },
  arms: [
    { name: 'two branches', what: `ViT-CoMer, patches of 16, ${widths.system} wide, 4 blocks in 2 stages, r 1` },
    { name: 'plain ViT', what: `patches of 16, ${widths.patch16} wide for equal parameters, 4 blocks, simple pyramid` },
    { name: 'plain ViT, patches of 8', what: `${widths.patch8} wide for equal parameters, 4 blocks, simple pyramid` },
  ],
  expected: { gain: 3 },
  conditions: results => {
    const [ours, plainVit] = ['two branches', 'plain ViT'].map(arm => results.get(arm) ?? [])
    const gain = (key: 'small' | 'large'): number =>
      ours.reduce((sum, { also }, i) => sum + (also?.[key] ?? 0) - (plainVit[i]?.also?.[key] ?? 0), 0) /
      Math.max(1, ours.length)
    const [small, large] = [gain('small'), gain('large')]
    return [
      {
        what: `a larger gain on pixels of objects up to ${SMALL} pixels than on those of larger ones`,
        measured: `${small.toFixed(1)} against ${large.toFixed(1)} points`,
        holds: small > large,
      },
    ]
  },
  run,
}
