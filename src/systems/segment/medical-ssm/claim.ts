import { compile, hostTensor, leakyRelu, sigmoid, type Tensor } from '../../../core/index.ts'
import { type CueScenes, openCueScenes } from '../../../data/scenes/index.ts'
import {
  binaryCrossEntropy,
  Conv2d,
  diceLoss,
  InstanceNorm,
  Module,
  parameterCount,
  withSeed,
} from '../../../nn/index.ts'
import { TrainStep } from '../../../train/index.ts'
import { claimOptimizer, thinned } from '../../claims/training.ts'
import type { ArmResult, Claim, ClaimContext } from '../../system.ts'
import { selectiveCopying } from './selective-copying.ts'
import { MambaLayer, type MapModule, ResidualUnet, UMambaBot } from './u-mamba.ts'
import { VMUNet } from './vm-unet.ts'

const SIZE = 64
const widths = [16, 24, 32, 48]
const deepest = widths[widths.length - 1]

/** x + convolution of leaky ReLU of the norm of a convolution, both 3x3. */
class ResidualConvolution extends Module {
  readonly conv1: Conv2d
  readonly norm: InstanceNorm
  readonly conv2: Conv2d
  constructor(channels: number, hidden: number) {
    super()
    this.conv1 = new Conv2d(channels, hidden, { kernel: 3, padding: 1 })
    this.norm = new InstanceNorm(hidden, { affine: true })
    this.conv2 = new Conv2d(hidden, channels, { kernel: 3, padding: 1 })
  }
  override forward(map: Tensor): Tensor {
    return map.add(this.conv2.forward(leakyRelu(this.norm.forward(this.conv1.forward(map)))))
  }
}

/** The candidate whose number of parameters comes nearest. */
function nearest<M extends Module>(wanted: number, candidates: readonly (() => M)[]): () => M {
  const miss = (make: () => M): number => Math.abs(withSeed(0, () => parameterCount(make())) - wanted)
  return candidates.reduce((best, make) => (miss(make) < miss(best) ? make : best))
}

const upTo = (count: number): number[] => Array.from({ length: count }, (_, i) => i + 1)

function convolutional(): ResidualUnet {
  const wanted = withSeed(0, () => parameterCount(new MambaLayer(deepest)))
  const bottleneck: () => MapModule = nearest(
    wanted,
    upTo(40).map(hidden => () => new ResidualConvolution(deepest, hidden)),
  )
  return new ResidualUnet({ channels: 1, classes: 1, widths, bottleneck: bottleneck() })
}

function vmUnet(): VMUNet {
  const wanted = withSeed(0, () => parameterCount(new UMambaBot({ channels: 1, classes: 1, widths })))
  const make = (dim: number, states: number) => (): VMUNet =>
    new VMUNet({
      classes: 1,
      channels: 1,
      dims: [1, 2, 4, 8].map(times => times * dim),
      depths: [1, 1, 1, 1],
      depthsDecoder: [1, 1, 1, 1],
      states,
    })
  return nearest(
    wanted,
    [8, 12, 16].flatMap(dim => upTo(24).map(states => make(dim, states))),
  )()
}

/** The network of an arm. */
export function segmenterOf(arm: string): UMambaBot | ResidualUnet | VMUNet {
  if (arm === 'Mamba at the bottleneck') return new UMambaBot({ channels: 1, classes: 1, widths })
  return arm === 'convolutions' ? convolutional() : vmUnet()
}

function batchOf(scenes: CueScenes, first: number, count: number) {
  const { images, masks } = scenes.batch(first, count)
  const shape = [count, 1, scenes.size, scenes.size]
  return { images: hostTensor(images, shape), masks: hostTensor(Float32Array.from(masks), shape) }
}

async function run(arm: string, seed: number, { quick, signal, progress }: ClaimContext): Promise<ArmResult> {
  const [steps, batch, pictures] = quick ? [8, 4, 20] : [500, 16, 500]
  const { train, test } = await openCueScenes({ size: SIZE, seed })
  const model = withSeed(seed, () => segmenterOf(arm))
  const step = new TrainStep({
    loss: ({ images, masks }) => {
      const logits = model.forward(images)
      return { loss: binaryCrossEntropy(logits, masks).add(diceLoss(logits, masks)) }
    },
    optimizer: claimOptimizer(model, 3e-3, steps),
    clipNorm: 1,
    seed,
  })
  const losses: number[] = []
  let next = batchOf(train, 0, batch)
  for (let i = 0; i < steps; i++) {
    signal?.throwIfAborted()
    const running = step.run(next, i)
    // The next pictures are drawn while this step runs.
    next = batchOf(train, (i + 1) * batch, batch)
    const { loss } = await running
    losses.push(loss)
    progress((i + 1) / steps, loss)
  }
  await step.release()
  const value = await meanDice(model, test, pictures)
  // The second check needs no picture: it is measured once, beside the first arm's first seed.
  if (arm !== claim.arms[0].name || seed !== 0) return { value, losses: thinned(losses) }
  const copying = quick ? { steps: 4, batch: 8 } : {}
  const also = {
    'selective copying, S6, % right': await selectiveCopying('s6', { seed, ...copying }),
    'selective copying, S4, % right': await selectiveCopying('s4', { seed, ...copying }),
  }
  return { value, losses: thinned(losses), also }
}

/** Mean over pictures of 2 |p and g| / (|p| + |g|), in percent. */
async function meanDice(
  model: Module & { forward(images: Tensor): Tensor },
  scenes: CueScenes,
  count: number,
): Promise<number> {
  const each = 20
  const score = compile((images: Tensor, masks: Tensor) => {
    const marked = sigmoid(model.forward(images)).greater(0.5).cast('f32')
    const perPicture = (t: Tensor): Tensor => t.sum([1, 2, 3])
    const overlap = perPicture(marked.mul(masks)).mul(2)
    return overlap.div(perPicture(marked).add(perPicture(masks)).maximum(1)).sum()
  })
  let total = 0
  for (let first = 0; first < count; first += each) {
    const { images, masks } = batchOf(scenes, first, each)
    total += (await score(images, masks)).item()
  }
  await score.release()
  return (100 * total) / count
}

export const claim: Claim = {
  statement:
    'A selective state-space layer at the bottleneck of a U-Net buys long-range context: it marks the copies of a cue in the corner better than convolutions of as many parameters.',
  data: 'cue segmentation: 64x64 gray pictures, a cue icon in the corner and four more, two of the cue’s shape; tested on shapes that were not trained on',
  metric: { name: 'Dice of 500 held-out pictures', unit: '%', better: 'higher' },
  arms: [
    { name: 'Mamba at the bottleneck', what: 'U-Mamba_Bot, widths 16-24-32-48' },
    { name: 'convolutions', what: 'the same U-Net with a residual 3x3 convolution block in place of Mamba' },
    { name: 'VM-UNet', what: 'VM-UNet of about as many parameters' },
  ],
  expected: { gain: 2 },
  run,
}
