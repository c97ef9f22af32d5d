import { gelu, maxPool, type Tensor } from '../../../core/index.ts'
import { BatchNorm, ConvTranspose2d, Module, type Parameter } from '../../../nn/index.ts'
import type { PlainVit } from './plain-vit.ts'
import type { Pyramid } from './vit-comer.ts'

/** A transformer whose last tokens become a pyramid by transposed convolutions and pooling: no second branch. */
export class SimplePyramid extends Module {
  readonly patch_embed: PlainVit['patch_embed']
  readonly pos_embed: Parameter
  readonly blocks: PlainVit['blocks']
  readonly up4: ConvTranspose2d
  readonly norm4: BatchNorm
  readonly up2: ConvTranspose2d
  readonly up1: ConvTranspose2d
  readonly norms: BatchNorm[]
  readonly dim: number

  /**
   * @param vit the transformer; pictures must have the grid of its positions
   * Source: Li et al. 2022, "Exploring plain vision transformer backbones for object detection", section 3
   */
  constructor(vit: PlainVit) {
    super()
    this.patch_embed = vit.patch_embed
    this.pos_embed = vit.pos_embed
    this.blocks = vit.blocks
    this.dim = vit.pos_embed.shape[2]
    const up = (): ConvTranspose2d => new ConvTranspose2d(this.dim, this.dim, { kernel: 2, stride: 2 })
    this.up4 = up()
    this.norm4 = new BatchNorm(this.dim)
    this.up2 = up()
    this.up1 = up()
    this.norms = Array.from({ length: 4 }, () => new BatchNorm(this.dim))
  }

  /** Maps of 1/4, 1/2, 1 and 2 patches: [batch, dim, height / stride, width / stride] */
  override forward(x: Tensor): Pyramid {
    const patch = this.patch_embed.proj.weight.shape[2]
    const grid = [x.shape[2] / patch, x.shape[3] / patch] as const
    const positions = this.pos_embed.slice(1, this.pos_embed.shape[1] - grid[0] * grid[1])
    const tokens = this.blocks.reduce<Tensor>(
      (t, block) => block.forward(t, grid),
      this.patch_embed.forward(x).add(positions),
    )
    const map = tokens.rearrange('b (h w) d -> b d h w', { h: grid[0] })
    const finest = this.up1.forward(gelu(this.norm4.forward(this.up4.forward(map))))
    const maps = [finest, this.up2.forward(map), map, maxPool(map, { kernel: 2, stride: 2 })]
    return maps.map((each, i) => this.norms[i].forward(each)) as Pyramid
  }
}
