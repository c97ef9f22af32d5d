import { formatShape, type Tensor, tanh } from '../../../core/index.ts'
import {
  DropPath,
  type ImageBackbone,
  initialise,
  initialiseLinears,
  LayerNorm,
  Linear,
  Module,
  type Parameter,
  parameter,
  prepend,
} from '../../../nn/index.ts'
import { DAFF } from './daff.ts'
import { HeadInteractionAttention } from './head-interaction.ts'
import { SOPE } from './sope.ts'

export interface DhvtOptions {
  readonly channels: number
  /** Number of classes; 0 leaves the classifier out. */
  readonly classes: number
  /** Side of a patch: 2, 4 or 16 pixels; default 4. */
  readonly patch?: number
  readonly dim?: number
  readonly depth?: number
  readonly heads?: number
  /** Width of the feed-forward's hidden layer over dim; default 4. */
  readonly mlpRatio?: number
  readonly qkvBias?: boolean
  /** Width of a layer with tanh before the classifier; default none. */
  readonly representation?: number
  readonly dropout?: number
  readonly attentionDropout?: number
  /** Rate of dropped branches in the last block, growing linearly from 0; default 0. */
  readonly dropPath?: number
}

/** x + attention(norm(x)), then x + daff(norm(x)). */
export class DhvtBlock extends Module {
  readonly norm1: LayerNorm
  readonly attn: HeadInteractionAttention
  readonly norm2: LayerNorm
  readonly mlp: DAFF
  readonly drop_path: DropPath

  constructor(dim: number, heads: number, dropPath: number, options: DhvtOptions) {
    super()
    const { mlpRatio = 4, qkvBias, dropout, attentionDropout } = options
    this.norm1 = new LayerNorm(dim, { epsilon: 1e-6 })
    this.attn = new HeadInteractionAttention(dim, heads, { bias: qkvBias, dropout, attentionDropout })
    this.norm2 = new LayerNorm(dim, { epsilon: 1e-6 })
    // A ratio of two whole numbers may come out a little below the whole number it stands for.
    this.mlp = new DAFF(dim, { hidden: Math.floor(dim * mlpRatio + 1e-6) })
    this.drop_path = new DropPath(dropPath)
  }

  /** @param x [batch, 1 + side^2, dim] */
  override forward(x: Tensor): Tensor {
    const attended = x.add(this.drop_path.forward(this.attn.forward(this.norm1.forward(x))))
    return attended.add(this.drop_path.forward(this.mlp.forward(this.norm2.forward(attended))))
  }
}

/** The layer before the classifier that a representation size asks for. */
class Representation extends Module {
  readonly fc: Linear
  constructor(dim: number, out: number) {
    super()
    this.fc = new Linear(dim, out)
  }
  override forward(x: Tensor): Tensor {
    return tanh(this.fc.forward(x))
  }
}

/**
 * Dynamic hybrid vision transformer: a ViT for small data whose patches come from overlapping convolutions, whose mlps are
 * depthwise convolution blocks, and whose heads exchange tokens. It has no positions: the convolutions' zero padding tells
 * where a patch is. Names are those of the official state dict.
 * Source: Lu et al. 2022, "Bridging the gap between vision transformers and convolutional neural networks on small datasets"
 */
export class DHVT extends Module implements ImageBackbone {
  readonly cls_token: Parameter
  readonly patch_embed: SOPE
  readonly blocks: DhvtBlock[]
  readonly norm: LayerNorm
  readonly pre_logits?: Representation
  readonly head?: Linear
  readonly featureDim: number

  /** @throws when the patch is none of 2, 4 and 16, or the width does not divide by the heads or by what the patch needs */
  constructor(options: DhvtOptions) {
    super()
    const { channels, classes, patch = 4, dim = 192, depth = 12, heads = 4, representation, dropPath = 0 } = options
    if (dim % heads !== 0) throw new Error(`dhvt: ${heads} heads do not divide the width ${dim}`)
    this.cls_token = parameter(initialise.truncatedNormal(0.02)([1, 1, dim]), [1, 1, dim])
    this.patch_embed = new SOPE(channels, dim, patch)
    this.blocks = Array.from(
      { length: depth },
      (_, i) => new DhvtBlock(dim, heads, depth === 1 ? 0 : (dropPath * i) / (depth - 1), options),
    )
    this.norm = new LayerNorm(dim, { epsilon: 1e-6 })
    this.featureDim = representation ?? dim
    if (representation) this.pre_logits = new Representation(dim, representation)
    if (classes > 0) this.head = new Linear(this.featureDim, classes)
    initialiseLinears(this)
  }

  /** Patches as tokens, row by row: [batch, channels, height, width] -> [batch, patches, dim]. @throws when they make no square */
  embed(images: Tensor): Tensor {
    const grid = this.patch_embed.forward(images)
    if (grid.shape[2] !== grid.shape[3])
      throw new Error(
        `dhvt: pictures ${formatShape(images.shape)} make ${grid.shape[2]}x${grid.shape[3]} patches; give square pictures`,
      )
    return grid.rearrange('b d h w -> b (h w) d')
  }

  /** [batch, channels, side, side] -> [batch, featureDim]: the class token after the last norm */
  features(images: Tensor): Tensor {
    const tokens = prepend(this.cls_token, this.embed(images))
    const cls = this.norm.forward(this.blocks.reduce((t, block) => block.forward(t), tokens)).at(null, 0)
    return this.pre_logits ? this.pre_logits.forward(cls) : cls
  }

  override forward(images: Tensor): Tensor {
    const features = this.features(images)
    return this.head ? this.head.forward(features) : features
  }
}
