import { averagePool, concat, gelu, resize, type Tensor } from '../../../core/index.ts'
import { MultiScaleDeformableSelfAttention } from '../../../nn/deformable-attention.ts'
import {
  BatchNorm,
  Conv2d,
  Dropout,
  DropPath,
  initialise,
  LayerNorm,
  Linear,
  Module,
  type Parameter,
  parameter,
} from '../../../nn/index.ts'
import { flattenLevels, type LevelSizes, splitLevels, unflattenLevels } from '../../../nn/levels.ts'
import type { VitBlock } from './plain-vit.ts'

export interface InteractionOptions {
  /** Heads of deformable attention; default 6. */
  readonly heads?: number
  /** Places that a head reads in each of the three levels; default 4. */
  readonly points?: number
  /** Width of the values of deformable attention over that of the tokens; default 1. */
  readonly valueRatio?: number
  /** Whether a feed-forward with convolution follows attention among the levels; default true. */
  readonly feedForward?: boolean
  /** Width of that feed-forward's hidden layer over that of the tokens; default 0.25. */
  readonly feedForwardRatio?: number
  readonly dropPath?: number
}

/** Rows and columns of tokens at twice, once and half the resolution of the transformer. */
export const levelSizes = ([rows, columns]: readonly [number, number]): LevelSizes => [
  [2 * rows, 2 * columns],
  [rows, columns],
  [rows / 2, columns / 2],
]

const norm = (dim: number): LayerNorm => new LayerNorm(dim, { epsilon: 1e-6 })

/** The tokens of the middle level plus those of the transformer. */
function addToMiddle(levels: Tensor, tokens: Tensor, sizes: LevelSizes): Tensor {
  const [fine, middle, coarse] = splitLevels(levels, sizes)
  return concat([fine, middle.add(tokens), coarse], 1)
}

/** A depthwise 3x3 convolution that all levels share. */
class SharedConv extends Module {
  readonly dwconv: Conv2d
  constructor(channels: number) {
    super()
    this.dwconv = new Conv2d(channels, channels, { kernel: 3, padding: 1, groups: channels })
  }
  override forward(tokens: Tensor, sizes: LevelSizes): Tensor {
    return flattenLevels(unflattenLevels(tokens, sizes).map(map => this.dwconv.forward(map)))
  }
}

/** A feed-forward with a depthwise convolution in its middle. */
export class ConvFeedForward extends Module {
  readonly fc1: Linear
  readonly dwconv: SharedConv
  readonly fc2: Linear
  readonly #dropout = new Dropout(0)

  constructor(dim: number, hidden: number) {
    super()
    this.fc1 = new Linear(dim, hidden)
    this.dwconv = new SharedConv(hidden)
    this.fc2 = new Linear(hidden, dim)
  }

  /** @param tokens [batch, positions of all levels, dim]; returns the same shape */
  override forward(tokens: Tensor, sizes: LevelSizes): Tensor {
    return this.fc2.forward(this.#dropout.forward(gelu(this.dwconv.forward(this.fc1.forward(tokens), sizes))))
  }
}

/** Two sizes of kernels for each level, half of the channels each. */
class TwoScaleConv extends Module {
  readonly dwconv1: Conv2d
  readonly dwconv2: Conv2d
  readonly dwconv3: Conv2d
  readonly dwconv4: Conv2d
  readonly dwconv5: Conv2d
  readonly dwconv6: Conv2d
  readonly bn1: BatchNorm
  readonly bn2: BatchNorm
  readonly bn3: BatchNorm

  constructor(channels: number) {
    super()
    if (channels % 2 !== 0)
      throw new Error(`MRFP: the hidden width must be even, as half of it goes to each kernel; got ${channels}`)
    const half = channels / 2
    const conv = (kernel: 3 | 5): Conv2d => new Conv2d(half, half, { kernel, padding: (kernel - 1) / 2, groups: half })
    ;[this.dwconv1, this.dwconv2] = [conv(3), conv(5)]
    ;[this.dwconv3, this.dwconv4] = [conv(3), conv(5)]
    ;[this.dwconv5, this.dwconv6] = [conv(3), conv(5)]
    ;[this.bn1, this.bn2, this.bn3] = [new BatchNorm(channels), new BatchNorm(channels), new BatchNorm(channels)]
  }

  override forward(tokens: Tensor, sizes: LevelSizes): Tensor {
    const pairs = [
      [this.dwconv1, this.dwconv2, this.bn1],
      [this.dwconv3, this.dwconv4, this.bn2],
      [this.dwconv5, this.dwconv6, this.bn3],
    ] as const
    const maps = unflattenLevels(tokens, sizes).map((map, level) => {
      const [small, large, normalise] = pairs[level]
      const [first, second] = map.split(2, 1)
      return gelu(normalise.forward(concat([small.forward(first), large.forward(second)], 1)))
    })
    return flattenLevels(maps)
  }
}

/**
 * Multi-receptive-field pyramid: each level of tokens passes depthwise 3x3 and 5x5 convolutions side by side, between two
 * linear layers. It REPLACES the tokens: there is no residual.
 * Source: Xia et al. 2024, "ViT-CoMer", section 3.2
 */
export class MRFP extends Module {
  readonly fc1: Linear
  readonly dwconv: TwoScaleConv
  readonly fc2: Linear

  /** @throws when the hidden width is odd */
  constructor(dim: number, hidden: number) {
    super()
    this.fc1 = new Linear(dim, hidden)
    this.dwconv = new TwoScaleConv(hidden)
    this.fc2 = new Linear(hidden, dim)
  }

  /** @param tokens [batch, positions of all levels, dim]; returns the same shape */
  override forward(tokens: Tensor, sizes: LevelSizes): Tensor {
    // GELU stands at the end of each level and again over all of them.
    return this.fc2.forward(gelu(this.dwconv.forward(this.fc1.forward(tokens), sizes)))
  }
}

const deformable = (dim: number, { heads = 6, points = 4, valueRatio = 1 }: InteractionOptions) =>
  new MultiScaleDeformableSelfAttention(dim, { heads, points, valueRatio, levels: 3 })

const feedForward = (dim: number, { feedForwardRatio = 0.25 }: InteractionOptions) =>
  new ConvFeedForward(dim, Math.floor(dim * feedForwardRatio + 1e-6))

/** q + deformable attention(norm(q), norm(f)), then + feed-forward(norm): attention among the levels. */
export class LevelInteraction extends Module {
  readonly query_norm: LayerNorm
  readonly feat_norm: LayerNorm
  readonly attn: MultiScaleDeformableSelfAttention
  readonly ffn?: ConvFeedForward
  readonly ffn_norm?: LayerNorm
  readonly drop_path: DropPath

  constructor(dim: number, options: InteractionOptions = {}) {
    super()
    this.query_norm = norm(dim)
    this.feat_norm = norm(dim)
    this.attn = deformable(dim, options)
    if (options.feedForward ?? true) {
      this.ffn = feedForward(dim, options)
      this.ffn_norm = norm(dim)
    }
    this.drop_path = new DropPath(options.dropPath ?? 0)
  }

  override forward(query: Tensor, features: Tensor, sizes: LevelSizes): Tensor {
    const attended = query.add(
      this.attn.attend(this.query_norm.forward(query), this.feat_norm.forward(features), sizes),
    )
    if (!this.ffn || !this.ffn_norm) return attended
    return attended.add(this.drop_path.forward(this.ffn.forward(this.ffn_norm.forward(attended), sizes)))
  }
}

/**
 * From the transformer to the pyramid: its tokens are added to the middle level, then the levels attend to each other,
 * starting from the normalised sum.
 * Source: Xia et al. 2024, "ViT-CoMer", section 3.3
 */
export class CtiToCnn extends Module {
  readonly query_norm: LayerNorm
  readonly feat_norm: LayerNorm
  readonly cfinter?: LevelInteraction

  /** @param options.interaction whether the levels attend to each other; default true */
  constructor(dim: number, { interaction = true, ...options }: InteractionOptions & { interaction?: boolean } = {}) {
    super()
    this.query_norm = norm(dim)
    this.feat_norm = norm(dim)
    if (interaction) this.cfinter = new LevelInteraction(dim, options)
  }

  /** What happens between the sum and the attention: nothing here. */
  protected between(levels: Tensor, _: LevelSizes): Tensor {
    return levels
  }

  /**
   * @param levels [batch, positions of all levels, dim]
   * @param tokens [batch, positions of the middle level, dim]
   */
  override forward(levels: Tensor, tokens: Tensor, sizes: LevelSizes): Tensor {
    const joined = this.between(addToMiddle(levels, tokens, sizes), sizes)
    if (!this.cfinter) return joined
    return this.cfinter.forward(this.query_norm.forward(joined), this.feat_norm.forward(joined), sizes)
  }
}

/** {@link CtiToCnn} with a feed-forward before its attention: repeated after the last stage. */
export class ExtraCti extends CtiToCnn {
  readonly ffn?: ConvFeedForward
  readonly ffn_norm?: LayerNorm
  readonly drop_path: DropPath

  constructor(dim: number, options: InteractionOptions & { interaction?: boolean } = {}) {
    super(dim, options)
    if (options.feedForward ?? true) {
      this.ffn = feedForward(dim, options)
      this.ffn_norm = norm(dim)
    }
    this.drop_path = new DropPath(options.dropPath ?? 0)
  }

  protected override between(levels: Tensor, sizes: LevelSizes): Tensor {
    if (!this.ffn || !this.ffn_norm) return levels
    return levels.add(this.drop_path.forward(this.ffn.forward(this.ffn_norm.forward(levels), sizes)))
  }
}

/**
 * From the pyramid to the transformer: the levels attend to each other, are brought to the resolution of the tokens and
 * added to them, times a factor a channel that starts at 0, so that training starts from the plain transformer.
 * Source: Xia et al. 2024, "ViT-CoMer", section 3.3
 */
export class CtiToViT extends Module {
  readonly query_norm: LayerNorm
  readonly feat_norm: LayerNorm
  readonly attn: MultiScaleDeformableSelfAttention
  readonly gamma: Parameter
  readonly ffn: ConvFeedForward
  readonly ffn_norm: LayerNorm
  readonly drop_path: DropPath

  /** @param options.gamma first value of the factors; default 0 */
  constructor(dim: number, { gamma = 0, ...options }: InteractionOptions & { gamma?: number } = {}) {
    super()
    this.query_norm = norm(dim)
    this.feat_norm = norm(dim)
    this.attn = deformable(dim, options)
    this.gamma = parameter(initialise.constant(gamma)([dim]), [dim])
    this.ffn = feedForward(dim, options)
    this.ffn_norm = norm(dim)
    this.drop_path = new DropPath(options.dropPath ?? 0)
  }

  /**
   * @param tokens [batch, positions of the middle level, dim]
   * @param levels [batch, positions of all levels, dim]
   * @returns the tokens' shape
   */
  override forward(tokens: Tensor, levels: Tensor, sizes: LevelSizes): Tensor {
    const read = this.attn.attend(this.query_norm.forward(levels), this.feat_norm.forward(levels), sizes)
    const mixed = read.add(this.drop_path.forward(this.ffn.forward(this.ffn_norm.forward(read), sizes)))
    const [fine, middle, coarse] = unflattenLevels(mixed, sizes)
    // Halving by bilinear interpolation between centres is the mean of two by two.
    const halved = averagePool(fine, { kernel: 2, stride: 2 })
    const doubled = resize(coarse, { scale: 2, mode: 'linear' })
    const sum = halved.add(middle).add(doubled).rearrange('b c h w -> b (h w) c')
    return tokens.add(sum.mul(this.gamma))
  }
}

export interface CtiStageOptions extends InteractionOptions {
  /** Width of the pyramid module's hidden layer over that of the tokens; default 1.5. */
  readonly pyramidRatio?: number
  /** Whether the transformer hears the pyramid; default true. */
  readonly toVit?: boolean
  /** Whether the pyramid hears the transformer; default true. */
  readonly toCnn?: boolean
  /** Whether the levels attend to each other after they have heard it; default true. */
  readonly cnnInteraction?: boolean
  /** Further exchanges after the stage; default 0. */
  readonly extra?: number
  /** First value of the transformer's factors; default 0. */
  readonly gamma?: number
}

/** One stage: the pyramid speaks to the transformer, whose blocks run, and hears it in turn. */
export class CtiStage extends Module {
  readonly cti_tov?: CtiToViT
  readonly cti_toc?: CtiToCnn
  readonly extra_CTIs: ExtraCti[]
  readonly mrfp?: MRFP

  constructor(dim: number, options: CtiStageOptions = {}) {
    super()
    const { pyramidRatio = 1.5, toVit = true, toCnn = true, cnnInteraction: interaction, extra = 0 } = options
    if (toVit) {
      this.cti_tov = new CtiToViT(dim, options)
      this.mrfp = new MRFP(dim, Math.floor(dim * pyramidRatio + 1e-6))
    }
    if (toCnn) this.cti_toc = new CtiToCnn(dim, { ...options, interaction })
    this.extra_CTIs = Array.from({ length: extra }, () => new ExtraCti(dim, { ...options, interaction }))
  }

  /**
   * @param tokens [batch, rows * columns, dim]
   * @param levels [batch, positions of all levels, dim]
   * @param blocks of the transformer, that run between
   * @param grid rows and columns of tokens
   * @returns both after the stage
   */
  override forward(
    tokens: Tensor,
    levels: Tensor,
    blocks: readonly VitBlock[],
    grid: readonly [number, number],
  ): { tokens: Tensor; levels: Tensor } {
    const sizes = levelSizes(grid)
    let [x, c] = [tokens, levels]
    if (this.cti_tov && this.mrfp) {
      c = addToMiddle(this.mrfp.forward(c, sizes), x, sizes)
      x = this.cti_tov.forward(x, c, sizes)
    }
    x = blocks.reduce((t, block) => block.forward(t, grid), x)
    if (this.cti_toc) c = this.cti_toc.forward(c, x, sizes)
    for (const extra of this.extra_CTIs) c = extra.forward(c, x, sizes)
    return { tokens: x, levels: c }
  }
}
