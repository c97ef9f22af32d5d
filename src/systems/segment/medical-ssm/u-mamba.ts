import { concat, formatShape, leakyRelu, resize, type Tensor } from '../../../core/index.ts'
import {
  Conv2d,
  Identity,
  InstanceNorm,
  initialise,
  LayerNorm,
  MambaMixer,
  Module,
  Sequential,
} from '../../../nn/index.ts'

type Sides = readonly [number, number]

/** What all convolutional blocks of a network share. */
export interface ConvStyle {
  /** Added to the variance in instance norms; default 1e-5. */
  readonly epsilon?: number
  readonly affine?: boolean
  /** Slope of leaky ReLU below zero; default 0.01. */
  readonly slope?: number
}

const convolution = (from: number, to: number, kernel: Sides, stride: Sides, bias = true): Conv2d => {
  const layer = new Conv2d(from, to, {
    kernel,
    stride,
    padding: kernel.map(side => Math.floor(side / 2)),
    bias,
    initial: initialise.kaimingNormal('fanIn'),
  })
  layer.bias?.set(new Float32Array(to))
  return layer
}

const unit: Sides = [1, 1]
const normOf = (channels: number, { epsilon, affine = true }: ConvStyle): InstanceNorm =>
  new InstanceNorm(channels, { epsilon, affine })

/** Convolution, norm, leaky ReLU, convolution, norm; beside it a 1x1 convolution; their sum through leaky ReLU. */
export class BasicResBlock extends Module {
  readonly conv1: Conv2d
  readonly norm1: InstanceNorm
  readonly conv2: Conv2d
  readonly norm2: InstanceNorm
  readonly conv3: Conv2d
  readonly #slope?: number

  constructor(from: number, to: number, kernel: Sides, stride: Sides, style: ConvStyle) {
    super()
    this.conv1 = convolution(from, to, kernel, stride)
    this.norm1 = normOf(to, style)
    this.conv2 = convolution(to, to, kernel, unit)
    this.norm2 = normOf(to, style)
    this.conv3 = convolution(from, to, unit, stride)
    this.#slope = style.slope
  }

  override forward(x: Tensor): Tensor {
    const inner = leakyRelu(this.norm1.forward(this.conv1.forward(x)), this.#slope)
    const branch = this.norm2.forward(this.conv2.forward(inner))
    return leakyRelu(branch.add(this.conv3.forward(x)), this.#slope)
  }
}

/** A convolution with its norm, under the official names. */
class ConvNorm extends Module {
  readonly conv: Conv2d
  readonly norm: InstanceNorm
  constructor(channels: number, kernel: Sides, bias: boolean, style: ConvStyle) {
    super()
    this.conv = convolution(channels, channels, kernel, unit, bias)
    this.norm = normOf(channels, style)
  }
  override forward(x: Tensor): Tensor {
    return this.norm.forward(this.conv.forward(x))
  }
}

/** A residual block that keeps the shape: what follows the first block of a stage. */
export class ResidualBlock extends Module {
  readonly conv1: ConvNorm
  readonly conv2: ConvNorm
  readonly #slope?: number

  constructor(channels: number, kernel: Sides, bias: boolean, style: ConvStyle) {
    super()
    this.conv1 = new ConvNorm(channels, kernel, bias, style)
    this.conv2 = new ConvNorm(channels, kernel, bias, style)
    this.#slope = style.slope
  }

  override forward(x: Tensor): Tensor {
    const inner = leakyRelu(this.conv1.forward(x), this.#slope)
    return leakyRelu(this.conv2.forward(inner).add(x), this.#slope)
  }
}

/**
 * LN and Mamba over the positions of a map; or, where `channelTokens`, over its channels, whose maps are then the tokens'
 * contents. The result replaces the map.
 */
export class MambaLayer extends Module {
  readonly norm: LayerNorm
  readonly mamba: MambaMixer
  readonly #channelTokens: boolean

  /** @param dim channels of the map; its number of positions where channels are the tokens */
  constructor(
    readonly dim: number,
    { channelTokens = false, states = 16, kernel = 4, expand = 2 } = {},
  ) {
    super()
    this.norm = new LayerNorm(dim)
    this.mamba = new MambaMixer(dim, { states, kernel, expand })
    this.#channelTokens = channelTokens
  }

  /** [batch, channels, height, width] -> the same shape */
  override forward(map: Tensor): Tensor {
    const [, channels, height, width] = map.shape
    const given = this.#channelTokens ? height * width : channels
    if (given !== this.dim)
      throw new Error(
        this.#channelTokens
          ? `uMamba: this layer reads channels as tokens of ${this.dim} positions, but the map is ${height}x${width}; use pictures of the size that the model was built for`
          : `uMamba: expected a map of ${this.dim} channels, got ${formatShape(map.shape)}`,
      )
    const mix = (tokens: Tensor): Tensor => this.mamba.forward(this.norm.forward(tokens))
    if (this.#channelTokens) return mix(map.rearrange('b c h w -> b c (h w)')).reshape(map.shape)
    return mix(map.rearrange('b c h w -> b (h w) c')).rearrange('b (h w) c -> b c h w', { h: height })
  }
}

export interface ResidualUnetOptions extends ConvStyle {
  readonly channels: number
  readonly classes: number
  /** Channels of each stage. */
  readonly widths: readonly number[]
  /** By how much each stage shrinks the map; default 1 for the first and 2 for the others. */
  readonly strides?: readonly (Sides | number)[]
  /** Sides of each stage's convolutions; default 3. */
  readonly kernels?: readonly (Sides | number)[]
  /** Blocks of each stage; default 1. */
  readonly blocks?: readonly number[]
  /** Blocks of each decoder stage; default 1. */
  readonly blocksDecoder?: readonly number[]
  /** Whether convolutions after a stage's first block have biases; default true. */
  readonly convBias?: boolean
  /** What the map of each encoder stage passes through, which replaces it; default nothing. */
  readonly stageMixers?: readonly MapModule[]
  /** What the deepest map passes through after that; default nothing. */
  readonly bottleneck?: MapModule
  /** What the map of each decoder stage passes through, from the deepest to the full size; default nothing. */
  readonly decoderMixers?: readonly MapModule[]
}

/** A module from maps [batch, channels, height, width] to maps of the same shape. */
export interface MapModule extends Module {
  forward(map: Tensor): Tensor
}

const pair = (value: Sides | number): Sides => (typeof value === 'number' ? [value, value] : value)

class Encoder extends Module {
  readonly stem: Sequential
  readonly stages: Sequential[]
  readonly mamba_layers?: readonly MapModule[]
  constructor(stem: Sequential, stages: Sequential[], mixers: readonly MapModule[] | undefined) {
    super()
    this.stem = stem
    this.stages = stages
    if (mixers) this.mamba_layers = mixers
  }
  /** The map of every stage. */
  override forward(images: Tensor): Tensor[] {
    let map = this.stem.forward(images)
    return this.stages.map((stage, i) => {
      const own = stage.forward(map)
      map = this.mamba_layers?.[i].forward(own) ?? own
      return map
    })
  }
}

/** Enlarges by repeating, then a 1x1 convolution. */
class Upsample extends Module {
  readonly conv: Conv2d
  readonly #scale: Sides
  constructor(from: number, to: number, scale: Sides) {
    super()
    this.conv = convolution(from, to, unit, unit)
    this.#scale = scale
  }
  override forward(x: Tensor): Tensor {
    const size = x.shape.slice(2).map((side, i) => side * this.#scale[i])
    return this.conv.forward(resize(x, { size, mode: 'nearest' }))
  }
}

class Decoder extends Module {
  readonly upsample_layers: Upsample[]
  readonly stages: Sequential[]
  readonly seg_layers: Conv2d[]
  readonly mixers?: readonly MapModule[]
  constructor(upsamples: Upsample[], stages: Sequential[], segments: Conv2d[], mixers?: readonly MapModule[]) {
    super()
    if (mixers) this.mixers = mixers
    this.upsample_layers = upsamples
    this.stages = stages
    this.seg_layers = segments
  }
  /** Scores at every resolution, the full one first. The last stage sees no map of the encoder. */
  override forward(maps: readonly Tensor[]): Tensor[] {
    let below = maps[maps.length - 1]
    return this.stages
      .map((stage, s) => {
        const larger = this.upsample_layers[s].forward(below)
        const own = stage.forward(s < this.stages.length - 1 ? concat([larger, maps[maps.length - 2 - s]], 1) : larger)
        below = this.mixers?.[s].forward(own) ?? own
        return this.seg_layers[s].forward(below)
      })
      .toReversed()
  }
}

/** Residual U-Net whose encoder maps may pass through mixers; what U-Mamba's networks are made of. */
export class ResidualUnet extends Module {
  readonly encoder: Encoder
  readonly mamba_layer?: MapModule
  readonly decoder: Decoder
  readonly #strides: readonly Sides[]

  constructor(options: ResidualUnetOptions) {
    super()
    const { channels, classes, widths, convBias = true } = options
    const count = widths.length
    const strides = (options.strides ?? widths.map((_, i) => (i === 0 ? 1 : 2))).map(pair)
    const kernels = (options.kernels ?? widths.map(() => 3)).map(pair)
    const blocks = options.blocks ?? widths.map(() => 1)
    const blocksDecoder = options.blocksDecoder ?? widths.slice(1).map(() => 1)
    for (const [name, list, length] of [
      ['strides', strides, count],
      ['kernels', kernels, count],
      ['blocks', blocks, count],
      ['blocksDecoder', blocksDecoder, count - 1],
    ] as const)
      if (list.length !== length) throw new Error(`uMamba: ${count} stages need ${length} ${name}, got ${list.length}`)
    if (count < 2) throw new Error(`uMamba: a network needs at least 2 stages, got ${count}`)
    const stage = (from: number, i: number, stride: Sides, repeats: number): Sequential =>
      new Sequential(
        new BasicResBlock(from, widths[i], kernels[i], stride, options),
        ...Array.from({ length: repeats - 1 }, () => new ResidualBlock(widths[i], kernels[i], convBias, options)),
      )
    this.#strides = strides
    this.encoder = new Encoder(
      stage(channels, 0, unit, blocks[0]),
      widths.map((_, i) => stage(widths[Math.max(0, i - 1)], i, strides[i], blocks[i])),
      options.stageMixers,
    )
    if (options.bottleneck) this.mamba_layer = options.bottleneck
    const up = widths.slice(0, -1).map((_, i) => count - 2 - i)
    this.decoder = new Decoder(
      up.map(i => new Upsample(widths[i + 1], widths[i], strides[i + 1])),
      up.map((i, s) => stage(s < up.length - 1 ? 2 * widths[i] : widths[i], i, unit, blocksDecoder[s])),
      up.map(i => convolution(widths[i], classes, unit, unit)),
      options.decoderMixers,
    )
  }

  /**
   * @param images [batch, channels, height, width]
   * @returns scores at every resolution of the decoder, the full one first: [batch, classes, height / k, width / k]
   * @throws when a side is no multiple of the product of the strides
   */
  deepScores(images: Tensor): Tensor[] {
    const product = [0, 1].map(axis => this.#strides.reduce((all, stride) => all * stride[axis], 1))
    if (images.rank !== 4 || images.shape.slice(2).some((side, axis) => side % product[axis] !== 0))
      throw new Error(
        `uMamba: pictures are ${formatShape(images.shape)}; they must be [batch, channels, height, width] with sides that are multiples of ${product.join(' and ')}`,
      )
    const maps = this.encoder.forward(images)
    const deepest = maps[maps.length - 1]
    maps[maps.length - 1] = this.mamba_layer?.forward(deepest) ?? deepest
    return this.decoder.forward(maps)
  }

  /** Logits [batch, classes, height, width] */
  override forward(images: Tensor): Tensor {
    return this.deepScores(images)[0]
  }
}

/**
 * U-Mamba with Mamba at the bottleneck: all information of the deepest map passes it.
 * Names are those of the official state dict. Source: Ma et al. 2024, "U-Mamba"; bowang-lab/U-Mamba
 */
export class UMambaBot extends ResidualUnet {
  constructor({ states, ...options }: Omit<ResidualUnetOptions, 'stageMixers' | 'bottleneck'> & { states?: number }) {
    super({ ...options, bottleneck: new MambaLayer(options.widths[options.widths.length - 1], { states }) })
  }
}

export interface UMambaEncOptions extends Omit<ResidualUnetOptions, 'stageMixers' | 'bottleneck'> {
  /** Height and width of the pictures. */
  readonly size: Sides
  readonly states?: number
}

/**
 * U-Mamba with Mamba after every second encoder stage, the last included. Where a map has no more positions than
 * channels, the channels are the tokens, which ties the network to the size of its pictures.
 */
export class UMambaEnc extends ResidualUnet {
  constructor({ size, states, ...options }: UMambaEncOptions) {
    super({ ...options, stageMixers: encoderMixers(size, options, states) })
  }
}

function encoderMixers(size: Sides, { widths, strides }: ResidualUnetOptions, states?: number): MapModule[] {
  let sides: readonly number[] = size
  return widths.map((width, i) => {
    const stride = pair(strides?.[i] ?? (i === 0 ? 1 : 2))
    sides = sides.map((side, axis) => Math.floor(side / stride[axis]))
    if ((i % 2 === 1) === (widths.length % 2 === 1)) return new Identity()
    const positions = sides[0] * sides[1]
    const channelTokens = positions <= width
    return new MambaLayer(channelTokens ? positions : width, { channelTokens, states })
  })
}
