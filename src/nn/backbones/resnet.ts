import { globalAveragePool, maxPool, relu, type Tensor } from '../../core/index.ts'
import { Sequential } from '../container.ts'
import { Conv2d } from '../convolution.ts'
import { kaimingNormal } from '../initialise.ts'
import { Linear } from '../linear.ts'
import { Module } from '../module.ts'
import { BatchNorm } from '../normalisation.ts'
import type { DenseBackbone } from './image-backbone.ts'

const conv = (inChannels: number, outChannels: number, kernel: number, stride = 1): Conv2d =>
  new Conv2d(inChannels, outChannels, {
    kernel,
    stride,
    padding: (kernel - 1) / 2,
    bias: false,
    initial: kaimingNormal('fanOut'),
  })

/** Two 3x3 convolutions beside an identity (or a 1x1 convolution where the shape changes). Names as in torchvision. Source: He et al. 2016 */
export class BasicBlock extends Module {
  readonly conv1: Conv2d
  readonly bn1: BatchNorm
  readonly conv2: Conv2d
  readonly bn2: BatchNorm
  readonly downsample?: Sequential

  constructor(inChannels: number, channels: number, stride = 1) {
    super()
    this.conv1 = conv(inChannels, channels, 3, stride)
    this.bn1 = new BatchNorm(channels)
    this.conv2 = conv(channels, channels, 3)
    this.bn2 = new BatchNorm(channels)
    if (stride !== 1 || inChannels !== channels)
      this.downsample = new Sequential(conv(inChannels, channels, 1, stride), new BatchNorm(channels))
  }

  override forward(x: Tensor): Tensor {
    const inner = relu(this.bn1.forward(this.conv1.forward(x)))
    return relu(this.bn2.forward(this.conv2.forward(inner)).add(this.downsample?.forward(x) ?? x))
  }
}

export interface ResNetOptions {
  readonly channels: number
  readonly classes: number
  /** Channels of each stage; each but the first halves the picture. Default [32, 64, 128]. */
  readonly widths?: readonly number[]
  /** Blocks of each stage; default 2 each. */
  readonly depths?: readonly number[]
  /** `small`: a 3x3 convolution. `pool`: the same and a 2x2 max pool. `imagenet`: 7x7 stride 2 and a 3x3 stride-2 max pool. Default `small`. */
  readonly stem?: 'small' | 'pool' | 'imagenet'
}

/**
 * Residual network of basic blocks with torchvision's parameter names: `stem: 'imagenet'`, widths [64, 128, 256, 512] and
 * depths [2, 2, 2, 2] are its ResNet-18. Source: He et al. 2016, "Deep Residual Learning for Image Recognition"
 */
export class ResNet extends Module implements DenseBackbone {
  readonly conv1: Conv2d
  readonly bn1: BatchNorm
  readonly fc: Linear
  readonly featureDim: number
  readonly #layers: readonly Sequential[]
  readonly #stem: NonNullable<ResNetOptions['stem']>

  constructor({
    channels,
    classes,
    widths = [32, 64, 128],
    depths = widths.map(() => 2),
    stem = 'small',
  }: ResNetOptions) {
    super()
    if (depths.length !== widths.length) throw new Error(`resnet: ${widths.length} widths but ${depths.length} depths`)
    this.#stem = stem
    this.conv1 = stem === 'imagenet' ? conv(channels, widths[0], 7, 2) : conv(channels, widths[0], 3)
    this.bn1 = new BatchNorm(widths[0])
    this.#layers = widths.map((width, stage) => {
      const before = stage === 0 ? widths[0] : widths[stage - 1]
      const blocks = Array.from(
        { length: depths[stage] },
        (_, i) => new BasicBlock(i === 0 ? before : width, width, i === 0 && stage > 0 ? 2 : 1),
      )
      return new Sequential(...blocks)
    })
    this.featureDim = widths[widths.length - 1]
    this.fc = new Linear(this.featureDim, classes)
  }

  override *children(): Iterable<readonly [string, Module]> {
    yield ['conv1', this.conv1]
    yield ['bn1', this.bn1]
    for (const [i, layer] of this.#layers.entries()) yield [`layer${i + 1}`, layer]
    yield ['fc', this.fc]
  }

  features(x: Tensor): Tensor {
    return globalAveragePool(this.featureMaps(x).at(-1)!)
  }

  /** The maps of each stage, finest first. */
  featureMaps(x: Tensor): Tensor[] {
    let maps = relu(this.bn1.forward(this.conv1.forward(x)))
    if (this.#stem === 'pool') maps = maxPool(maps, { kernel: 2, stride: 2 })
    if (this.#stem === 'imagenet') maps = maxPool(maps, { kernel: 3, stride: 2, padding: 1 })
    return this.#layers.map(layer => {
      maps = layer.forward(maps)
      return maps
    })
  }

  override forward(x: Tensor): Tensor {
    return this.fc.forward(this.features(x))
  }
}
