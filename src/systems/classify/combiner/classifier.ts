import type { Tensor } from '../../../core/index.ts'
import {
  type ImageBackbone,
  initialise,
  LayerNorm,
  Linear,
  Module,
  type Parameter,
  PatchEmbed,
  parameter,
} from '../../../nn/index.ts'
import { CombinerBlock } from './language-model.ts'

export interface CombinerClassifierOptions {
  readonly channels: number
  readonly classes: number
  /** Height and width of the pictures; multiples of `patch`. */
  readonly size: readonly [number, number]
  /** Side of a patch; default 4. */
  readonly patch?: number
  readonly dim?: number
  readonly depth?: number
  readonly heads?: number
  /** Regions are rows of patches: summarised once (`fixed`), or once for each column (`axial`). Default `fixed`. */
  readonly pattern?: 'fixed' | 'axial'
  /** Width of the mlp's hidden layer over dim; default 4. */
  readonly mlpRatio?: number
  readonly dropout?: number
}

/**
 * A transformer over the patches of a picture with Combiner's attention in both directions: each patch sees its row
 * directly, every other row as a region. The mean over patches is the feature. Source: Ren et al. 2021, for classification
 */
export class CombinerClassifier extends Module implements ImageBackbone {
  readonly patch_embed: PatchEmbed
  readonly pos_embed: Parameter
  readonly blocks: CombinerBlock[]
  readonly norm: LayerNorm
  readonly head: Linear
  readonly featureDim: number

  /** @throws when patches do not divide the pictures, or heads the width */
  constructor(options: CombinerClassifierOptions) {
    super()
    const { channels, classes, size, patch = 4, dim = 96, depth = 4, heads = 4, mlpRatio = 4, dropout = 0 } = options
    if (size.some(side => side % patch !== 0))
      throw new Error(`combiner: pictures of ${size.join('x')} do not divide into patches of ${patch}`)
    const [rows, columns] = size.map(side => side / patch)
    const { pattern = 'fixed' } = options
    const shape = [1, rows * columns, dim]
    this.patch_embed = new PatchEmbed(channels, dim, patch)
    this.pos_embed = parameter(initialise.truncatedNormal(0.02)(shape), shape)
    const hidden = Math.round(dim * mlpRatio)
    this.blocks = Array.from(
      { length: depth },
      () => new CombinerBlock({ dim, heads, hidden, pattern, segment: columns, causal: false, dropout }),
    )
    this.norm = new LayerNorm(dim, { epsilon: 1e-6 })
    this.head = new Linear(dim, classes)
    this.featureDim = dim
  }

  /** [batch, channels, height, width] -> [batch, dim] */
  features(images: Tensor): Tensor {
    const tokens = this.patch_embed.forward(images).add(this.pos_embed)
    return this.norm.forward(this.blocks.reduce((t, block) => block.forward(t), tokens)).mean(1)
  }

  override forward(images: Tensor): Tensor {
    return this.head.forward(this.features(images))
  }
}
