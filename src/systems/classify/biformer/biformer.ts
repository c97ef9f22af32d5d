import { gelu, globalAveragePool, type Tensor } from '../../../core/index.ts'
import { FeedForwardConv } from '../../../nn/depthwise.ts'
import {
  BatchNorm,
  Conv2d,
  DropPath,
  type ImageBackbone,
  initialise,
  LayerNorm,
  Linear,
  Module,
  namedModules,
  type Parameter,
  parameter,
  Sequential,
} from '../../../nn/index.ts'
import { BiLevelRoutingAttention, type BiLevelRoutingOptions, GridAttention } from '../../../nn/routing-attention.ts'

/**
 * What mixes positions in a block: attention over so many routed regions, full attention, full attention with a
 * depthwise convolution of its input (LePE), or a large depthwise convolution between two pointwise ones.
 */
export type Mixing = number | 'full' | 'fullLepe' | 'convolution'

export interface BiFormerBlockOptions extends Omit<BiLevelRoutingOptions, 'topK' | 'heads'> {
  /** Heads of routed attention; full attention always has 8. */
  readonly heads: number
  readonly mixing: Mixing
  /** Width of the feed-forward's hidden layer over the block's; default 3. */
  readonly mlpRatio?: number
  /** Whether the feed-forward has a depthwise 3x3 convolution in its middle; default false. */
  readonly mlpConv?: boolean
  /** Side of the depthwise convolution that gives positions before attention: 3 (default) or 0 for none. */
  readonly positionKernel?: 0 | 3
  /** Whether each branch is normalised before (default) or after its sum. */
  readonly preNorm?: boolean
  /** First value of a factor of each channel of each branch; left out: none. */
  readonly layerScale?: number
  /** Rate at which a sample's branches are left out while training; default 0. */
  readonly dropPath?: number
}

/** Position by convolution, then attention and a feed-forward, each around a residual stream. */
export class BiFormerBlock extends Module {
  readonly pos_embed?: Conv2d
  readonly norm1: LayerNorm
  readonly attn: BiLevelRoutingAttention | GridAttention | Sequential
  readonly norm2: LayerNorm
  readonly mlp: Sequential
  readonly drop_path: DropPath
  readonly gamma1?: Parameter
  readonly gamma2?: Parameter
  readonly #preNorm: boolean

  constructor(dim: number, options: BiFormerBlockOptions) {
    super()
    const { positionKernel = 3, preNorm = true, mlpRatio = 3, mlpConv = false, layerScale, dropPath = 0 } = options
    if (positionKernel > 0) this.pos_embed = new Conv2d(dim, dim, { kernel: positionKernel, padding: 1, groups: dim })
    this.norm1 = new LayerNorm(dim, { epsilon: 1e-6 })
    this.attn = mixerOf(dim, options)
    this.norm2 = new LayerNorm(dim, { epsilon: 1e-6 })
    const hidden = Math.floor(mlpRatio * dim + 1e-6)
    const middle = mlpConv ? new FeedForwardConv(hidden) : (x: Tensor): Tensor => x
    this.mlp = new Sequential(new Linear(dim, hidden), middle, gelu, new Linear(hidden, dim))
    this.drop_path = new DropPath(dropPath)
    if (layerScale !== undefined) {
      this.gamma1 = parameter(initialise.constant(layerScale)([dim]), [dim])
      this.gamma2 = parameter(initialise.constant(layerScale)([dim]), [dim])
    }
    this.#preNorm = preNorm
  }

  #residual(x: Tensor, branch: (t: Tensor) => Tensor, norm: LayerNorm, scale: Parameter | undefined): Tensor {
    const out = branch(this.#preNorm ? norm.forward(x) : x)
    const sum = x.add(this.drop_path.forward(scale ? out.mul(scale) : out))
    return this.#preNorm ? sum : norm.forward(sum)
  }

  /** @param x [batch, dim, height, width]; returns the same shape */
  override forward(x: Tensor): Tensor {
    const placed = this.pos_embed ? x.add(this.pos_embed.forward(x)) : x
    const tokens = placed.rearrange('b c h w -> b h w c')
    const attended = this.#residual(tokens, t => this.attn.forward(t), this.norm1, this.gamma1)
    return this.#residual(attended, t => this.mlp.forward(t), this.norm2, this.gamma2).rearrange('b h w c -> b c h w')
  }
}

function mixerOf(dim: number, options: BiFormerBlockOptions): BiFormerBlock['attn'] {
  const { mixing } = options
  if (typeof mixing === 'number') return new BiLevelRoutingAttention(dim, { ...options, topK: mixing })
  if (mixing === 'full') return new GridAttention(dim)
  if (mixing === 'fullLepe') return new GridAttention(dim, { lepe: options.lepe ?? 5 })
  return new Sequential(
    x => x.rearrange('b h w c -> b c h w'),
    new Conv2d(dim, dim, { kernel: 1 }),
    new Conv2d(dim, dim, { kernel: 5, padding: 2, groups: dim }),
    new Conv2d(dim, dim, { kernel: 1 }),
    x => x.rearrange('b c h w -> b h w c'),
  )
}

/** Numbers for the four stages. */
type Stages<T> = readonly [T, T, T, T]

export interface BiFormerOptions
  extends Omit<BiFormerBlockOptions, 'heads' | 'mixing' | 'mlpRatio' | 'dropPath' | 'pooling' | 'keyDim'> {
  /** Channels of the pictures; default 3. */
  readonly channels?: number
  /** 0 for no classifier: forward gives the features. */
  readonly classes: number
  /** Default BiFormer-T's: 64, 128, 256, 512. */
  readonly dims?: Stages<number>
  /** Blocks of each stage; default BiFormer-T's: 2, 2, 8, 2. */
  readonly depths?: Stages<number>
  /** Default 1, 4, 16 routed regions, and full attention with LePE. */
  readonly mixing?: Stages<Mixing>
  /** Width of a head of routed attention; default 32. */
  readonly headDim?: number
  /** Widths of queries and keys; default `dims`. */
  readonly keyDims?: Stages<number>
  readonly mlpRatios?: Stages<number>
  readonly pooling?: Stages<NonNullable<BiLevelRoutingOptions['pooling']>>
  /** Rate of dropped branches in the last block, growing linearly from 0; default 0. */
  readonly dropPath?: number
}

const conv = (from: number, to: number): Conv2d => new Conv2d(from, to, { kernel: 3, stride: 2, padding: 1 })

/**
 * A pyramid of four stages whose attention is sparse by content: every region of a map attends to the few regions that
 * fit it best. Strides are 4, 8, 16 and 32; names are those of the official state dict.
 * Source: Zhu et al. 2023, "BiFormer", section 3.3; rayleizhu/BiFormer, models/biformer.py
 */
export class BiFormer extends Module implements ImageBackbone {
  readonly downsample_layers: Sequential[]
  readonly stages: Sequential[]
  readonly norm: BatchNorm
  readonly head?: Linear
  readonly featureDim: number

  /** @throws when a width, a head or a number of regions does not fit */
  constructor(options: BiFormerOptions) {
    super()
    const { channels = 3, classes, dims = [64, 128, 256, 512], depths = [2, 2, 8, 2], dropPath = 0 } = options
    const half = Math.floor(dims[0] / 2)
    this.downsample_layers = dims.map((dim, i) =>
      i === 0
        ? new Sequential(conv(channels, half), new BatchNorm(half), gelu, conv(half, dim), new BatchNorm(dim))
        : new Sequential(conv(dims[i - 1], dim), new BatchNorm(dim)),
    )
    const total = depths.reduce((sum, depth) => sum + depth, 0)
    this.stages = dims.map((dim, i) => {
      const before = depths.slice(0, i).reduce((sum, depth) => sum + depth, 0)
      const stage = stageOptions(options, i, dim)
      const rate = (block: number): number => (total > 1 ? (dropPath * (before + block)) / (total - 1) : 0)
      return new Sequential(
        ...Array.from({ length: depths[i] }, (_, block) => new BiFormerBlock(dim, { ...stage, dropPath: rate(block) })),
      )
    })
    this.featureDim = dims[3]
    this.norm = new BatchNorm(this.featureDim)
    if (classes > 0) this.head = new Linear(this.featureDim, classes)
    for (const [, module] of namedModules(this)) if (module instanceof Linear) initialiseLinear(module)
  }

  /**
   * Maps of the four stages, for dense heads: [batch, dims[i], height / stride, width / stride]; the last is normalised.
   * @param x [batch, channels, height, width]
   */
  pyramid(x: Tensor): [Tensor, Tensor, Tensor, Tensor] {
    const maps: Tensor[] = []
    for (const [i, stage] of this.stages.entries())
      maps.push(stage.forward(this.downsample_layers[i].forward(maps[i - 1] ?? x)))
    return [maps[0], maps[1], maps[2], this.norm.forward(maps[3])]
  }

  /** The last map, averaged over its positions: [batch, featureDim] */
  features(x: Tensor): Tensor {
    return globalAveragePool(this.pyramid(x)[3])
  }

  classify(features: Tensor): Tensor {
    return this.head ? this.head.forward(features) : features
  }

  override forward(x: Tensor): Tensor {
    return this.classify(this.features(x))
  }
}

function stageOptions(options: BiFormerOptions, i: number, dim: number): BiFormerBlockOptions {
  const { headDim = 32, mixing = [1, 4, 16, 'fullLepe'], keyDims, mlpRatios, pooling, ...shared } = options
  const keyDim = keyDims?.[i] ?? dim
  const heads = Math.floor(keyDim / headDim)
  if (typeof mixing[i] === 'number' && heads < 1)
    throw new Error(`BiFormer: stage ${i + 1} is ${keyDim} wide, too narrow for heads of ${headDim}`)
  return { ...shared, heads, keyDim, mixing: mixing[i], mlpRatio: mlpRatios?.[i], pooling: pooling?.[i] }
}

/** timm's start for transformers: small normal weights, no bias. */
function initialiseLinear(layer: Linear): void {
  layer.weight.set(initialise.truncatedNormal(0.02)(layer.weight.shape))
  layer.bias?.set(new Float32Array(layer.bias.size))
}
