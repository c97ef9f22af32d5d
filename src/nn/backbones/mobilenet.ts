import { clip, formatShape, globalAveragePool, relu, type Tensor } from '../../core/index.ts'
import { Sequential } from '../container.ts'
import { Conv2d } from '../convolution.ts'
import { Dropout } from '../dropout.ts'
import { kaimingNormal, normal } from '../initialise.ts'
import { Linear } from '../linear.ts'
import { Module } from '../module.ts'
import { BatchNorm } from '../normalisation.ts'
import type { ImageBackbone } from './image-backbone.ts'

/** A part of a network that turns maps of some width into maps of another, every `stride`-th position of them. */
export interface MapBlock extends Module {
  readonly inChannels: number
  readonly outChannels: number
  readonly stride: number
  /** [batch, inChannels, height, width] -> [batch, outChannels, …] */
  forward(x: Tensor): Tensor
}

type Activation = (x: Tensor) => Tensor

/** min(max(x, 0), 6). Source: Howard et al. 2017 */
export const relu6 = (x: Tensor): Tensor => clip(x, 0, 6)

interface ConvBnOptions {
  readonly kernel?: number
  readonly stride?: number
  readonly groups?: number
  readonly activation?: Activation
}

/** A convolution of odd kernel that keeps the size (over the stride), batch norm and an activation; parameters at `0` and `1`, as in torchvision. */
export class ConvBn extends Sequential implements MapBlock {
  readonly stride: number

  /** @param options kernel 3, stride 1, groups 1, activation ReLU */
  constructor(
    readonly inChannels: number,
    readonly outChannels: number,
    { kernel = 3, stride = 1, groups = 1, activation = relu }: ConvBnOptions = {},
  ) {
    const padding = (kernel - 1) / 2
    const initial = kaimingNormal('fanOut')
    super(
      new Conv2d(inChannels, outChannels, { kernel, stride, padding, groups, bias: false, initial }),
      new BatchNorm(outChannels),
      activation,
    )
    this.stride = stride
  }
}

/**
 * A depthwise 3x3 convolution and a 1x1 convolution, each with batch norm and ReLU.
 * Source: Howard et al. 2017, "MobileNets", section 3.1
 */
export class DepthwiseSeparable extends Module implements MapBlock {
  readonly depthwise: ConvBn
  readonly pointwise: ConvBn

  constructor(
    readonly inChannels: number,
    readonly outChannels: number,
    readonly stride = 1,
  ) {
    super()
    this.depthwise = new ConvBn(inChannels, inChannels, { stride, groups: inChannels })
    this.pointwise = new ConvBn(inChannels, outChannels, { kernel: 1 })
  }

  override forward(x: Tensor): Tensor {
    return this.pointwise.forward(this.depthwise.forward(x))
  }
}

/**
 * 1x1 expansion, depthwise 3x3 and a linear 1x1 projection, around which the input is added where the shape stays. Names as
 * in torchvision. Source: Sandler et al. 2018, "MobileNetV2", section 3.4
 */
export class InvertedResidual extends Module implements MapBlock {
  readonly conv: Sequential

  /** @param expansion width of the depthwise convolution over that of the input; at 1 there is no expansion layer */
  constructor(
    readonly inChannels: number,
    readonly outChannels: number,
    readonly stride: number,
    expansion: number,
  ) {
    super()
    const hidden = Math.round(inChannels * expansion)
    const activation = relu6
    const initial = kaimingNormal('fanOut')
    this.conv = new Sequential(
      ...(expansion === 1 ? [] : [new ConvBn(inChannels, hidden, { kernel: 1, activation })]),
      new ConvBn(hidden, hidden, { stride, groups: hidden, activation }),
      new Conv2d(hidden, outChannels, { kernel: 1, bias: false, initial }),
      new BatchNorm(outChannels),
    )
  }

  override forward(x: Tensor): Tensor {
    const projected = this.conv.forward(x)
    return this.stride === 1 && this.inChannels === this.outChannels ? projected.add(x) : projected
  }
}

/** Blocks one after another, the mean over positions and a linear classifier; torchvision's parameter names. */
export class MobileNet extends Module implements ImageBackbone {
  readonly featureDim: number
  readonly blocks: readonly MapBlock[]
  readonly #classifier: Linear
  readonly #dropout: Dropout

  /**
   * @param blocks each takes what the one before gives
   * @param dropout rate before the classifier while training; default 0
   * @throws when widths do not fit
   */
  constructor(blocks: readonly MapBlock[], classifier: Linear, dropout = 0) {
    super()
    blocks.forEach(({ inChannels }, i) => {
      if (i > 0 && inChannels !== blocks[i - 1].outChannels)
        throw new Error(
          `mobilenet: block ${i} takes ${inChannels} channels, the one before gives ${blocks[i - 1].outChannels}`,
        )
    })
    this.featureDim = blocks[blocks.length - 1].outChannels
    if (classifier.inFeatures !== this.featureDim)
      throw new Error(`mobilenet: the classifier takes ${classifier.inFeatures} features, there are ${this.featureDim}`)
    this.blocks = blocks
    this.#classifier = classifier
    this.#dropout = new Dropout(dropout)
  }

  /** The same network with other blocks, sharing all parameters of those that stay. */
  withBlocks(blocks: readonly MapBlock[]): MobileNet {
    return new MobileNet(blocks, this.#classifier, this.#dropout.rate)
  }

  override *children(): Iterable<readonly [string, Module]> {
    for (const [i, block] of this.blocks.entries()) yield [`features.${i}`, block]
    yield ['classifier.1', this.#classifier]
  }

  /** Maps after the last block: [batch, channels, height, width] -> [batch, featureDim, …] */
  maps(images: Tensor): Tensor {
    const { inChannels } = this.blocks[0]
    if (images.rank !== 4 || images.shape[1] !== inChannels)
      throw new Error(
        `mobilenet: expected pictures [batch, ${inChannels}, height, width], got ${formatShape(images.shape)}`,
      )
    return this.blocks.reduce((t, block) => block.forward(t), images)
  }

  /** [batch, channels, height, width] -> [batch, featureDim] */
  features(images: Tensor): Tensor {
    return globalAveragePool(this.maps(images))
  }

  override forward(images: Tensor): Tensor {
    return this.#classifier.forward(this.#dropout.forward(this.features(images)))
  }
}

function classifierOf(features: number, classes: number): Linear {
  const layer = new Linear(features, classes, { initial: normal(0.01) })
  layer.bias?.set(new Float32Array(classes))
  return layer
}

/** Rounded to a multiple of 8, never by more than a tenth down. Source: the MobileNet authors' code */
function divisible(width: number): number {
  const rounded = Math.max(8, Math.floor((width + 4) / 8) * 8)
  return rounded < 0.9 * width ? rounded + 8 : rounded
}

export interface MobileNetV1Options {
  readonly channels: number
  readonly classes: number
  /** Width of the first convolution; default 32. */
  readonly stemWidth?: number
  readonly stemStride?: number
  /** Width and stride of each depthwise separable block; default the paper's 13. */
  readonly stages?: readonly (readonly [width: number, stride: number])[]
  /** Factor of all widths; default 1. */
  readonly multiplier?: number
}

const v1Stages: readonly (readonly [number, number])[] = [
  [64, 1],
  [128, 2],
  [128, 1],
  [256, 2],
  [256, 1],
  [512, 2],
  ...new Array<readonly [number, number]>(5).fill([512, 1]),
  [1024, 2],
  [1024, 1],
]

/** A convolution and depthwise separable blocks. Source: Howard et al. 2017, table 1 */
export function mobileNetV1(options: MobileNetV1Options): MobileNet {
  const { channels, classes, stemWidth = 32, stemStride = 2, stages = v1Stages, multiplier = 1 } = options
  const scaled = (width: number): number => (multiplier === 1 ? width : divisible(width * multiplier))
  const widths = [scaled(stemWidth), ...stages.map(([width]) => scaled(width))]
  const blocks = stages.map(([, stride], i) => new DepthwiseSeparable(widths[i], widths[i + 1], stride))
  const stem = new ConvBn(channels, widths[0], { stride: stemStride })
  return new MobileNet([stem, ...blocks], classifierOf(widths[widths.length - 1], classes))
}

export interface MobileNetV2Options {
  readonly channels: number
  readonly classes: number
  /** Factor of all widths; default 1. */
  readonly multiplier?: number
  /** Stride of the first convolution; default 2. */
  readonly stemStride?: number
  /** Expansion, width, blocks and stride of the first of each stage; default the paper's 7. */
  readonly stages?: readonly (readonly [expansion: number, width: number, blocks: number, stride: number])[]
  /** Rate before the classifier while training; default 0.2. */
  readonly dropout?: number
}

const v2Stages: readonly (readonly [number, number, number, number])[] = [
  [1, 16, 1, 1],
  [6, 24, 2, 2],
  [6, 32, 3, 2],
  [6, 64, 4, 2],
  [6, 96, 3, 1],
  [6, 160, 3, 2],
  [6, 320, 1, 1],
]

/** Inverted residuals between two convolutions; takes torchvision's checkpoints. Source: Sandler et al. 2018, table 2 */
export function mobileNetV2(options: MobileNetV2Options): MobileNet {
  const { channels, classes, multiplier = 1, stemStride = 2, stages = v2Stages, dropout = 0.2 } = options
  let width = divisible(32 * multiplier)
  const blocks: MapBlock[] = [new ConvBn(channels, width, { stride: stemStride, activation: relu6 })]
  for (const [expansion, base, count, stride] of stages)
    for (let i = 0; i < count; i++) {
      const next = divisible(base * multiplier)
      blocks.push(new InvertedResidual(width, next, i === 0 ? stride : 1, expansion))
      width = next
    }
  const last = divisible(1280 * Math.max(1, multiplier))
  blocks.push(new ConvBn(width, last, { kernel: 1, activation: relu6 }))
  return new MobileNet(blocks, classifierOf(last, classes), dropout)
}
