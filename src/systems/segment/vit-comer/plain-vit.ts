import { gelu, type Tensor } from '../../../core/index.ts'
import {
  Attention,
  Conv2d,
  DropPath,
  initialise,
  LayerNorm,
  Linear,
  Mlp,
  Module,
  namedModules,
  type Parameter,
  parameter,
} from '../../../nn/index.ts'
import { WindowAttention } from '../../../nn/window-attention.ts'

/** A layer of a plain vision transformer: [batch, tokens, dim] -> the same shape; `grid` holds rows and columns. */
export interface VitBlock extends Module {
  forward(x: Tensor, grid: readonly [number, number]): Tensor
}

/** What a vision transformer must have to be made a dense backbone; `Vit` of the library has it. */
export interface PlainVit {
  /** Cuts pictures into patches, without a class token: [batch, channels, height, width] -> [batch, tokens, dim]. */
  readonly patch_embed: Module & { readonly proj: Conv2d; forward(x: Tensor): Tensor }
  /** [1, tokens before the grid + grid, dim] */
  readonly pos_embed: Parameter
  readonly blocks: readonly VitBlock[]
}

/** Channels of each position normalised, of maps whose channels come second. */
class MapNorm extends LayerNorm {
  override forward(x: Tensor): Tensor {
    return super.forward(x.rearrange('b c h w -> b h w c')).rearrange('b h w c -> b c h w')
  }
}

/** A residual bottleneck of convolutions on the map of tokens, which starts as the identity. */
class BottleneckResidual extends Module {
  readonly conv1: Conv2d
  readonly norm1: MapNorm
  readonly conv2: Conv2d
  readonly norm2: MapNorm
  readonly conv3: Conv2d
  readonly norm3: MapNorm

  constructor(dim: number) {
    super()
    const half = Math.floor(dim / 2)
    this.conv1 = new Conv2d(dim, half, { kernel: 1, bias: false })
    this.norm1 = new MapNorm(half, { epsilon: 1e-6 })
    this.conv2 = new Conv2d(half, half, { kernel: 3, padding: 1, bias: false })
    this.norm2 = new MapNorm(half, { epsilon: 1e-6 })
    this.conv3 = new Conv2d(half, dim, { kernel: 1, bias: false })
    this.norm3 = new MapNorm(dim, { epsilon: 1e-6 })
    this.norm3.weight!.set(new Float32Array(dim))
  }

  /** @param x [batch, dim, height, width]; returns the same shape */
  override forward(x: Tensor): Tensor {
    const narrow = gelu(this.norm1.forward(this.conv1.forward(x)))
    const mixed = gelu(this.norm2.forward(this.conv2.forward(narrow)))
    return x.add(this.norm3.forward(this.conv3.forward(mixed)))
  }
}

export interface DenseBlockOptions {
  readonly mlpRatio?: number
  readonly qkvBias?: boolean
  /** Whether each branch is multiplied by a learned factor a channel, which starts at 1; default true. */
  readonly layerScale?: boolean
  /** Side of attention windows in tokens; left out: all tokens see each other. */
  readonly window?: number
  /** Whether a residual bottleneck of convolutions follows; default false. */
  readonly residual?: boolean
  readonly dropout?: number
  readonly attentionDropout?: number
  readonly dropPath?: number
}

/** x + gamma1 attention(norm(x)), then x + gamma2 mlp(norm(x)): a block as the official trunk has it. */
export class DenseBlock extends Module implements VitBlock {
  readonly norm1: LayerNorm
  readonly attn: Attention | WindowAttention
  readonly norm2: LayerNorm
  readonly mlp: Mlp
  readonly gamma1?: Parameter
  readonly gamma2?: Parameter
  readonly residual?: BottleneckResidual
  readonly drop_path: DropPath

  constructor(dim: number, heads: number, options: DenseBlockOptions = {}) {
    super()
    const { mlpRatio = 4, qkvBias = true, layerScale = true, window, residual = false, dropout = 0 } = options
    const inside = { bias: qkvBias, dropout, attentionDropout: options.attentionDropout ?? 0 }
    this.norm1 = new LayerNorm(dim, { epsilon: 1e-6 })
    this.attn =
      window === undefined ? new Attention(dim, heads, inside) : new WindowAttention(dim, heads, window, inside)
    this.norm2 = new LayerNorm(dim, { epsilon: 1e-6 })
    this.mlp = new Mlp(dim, Math.floor(dim * mlpRatio + 1e-6), { dropout })
    if (layerScale) {
      this.gamma1 = parameter(initialise.ones([dim]), [dim])
      this.gamma2 = parameter(initialise.ones([dim]), [dim])
    }
    if (residual) this.residual = new BottleneckResidual(dim)
    this.drop_path = new DropPath(options.dropPath ?? 0)
  }

  override forward(x: Tensor, grid: readonly [number, number]): Tensor {
    const scaled = (branch: Tensor, gamma: Parameter | undefined): Tensor =>
      this.drop_path.forward(gamma ? branch.mul(gamma) : branch)
    const normed = this.norm1.forward(x)
    const attention = this.attn instanceof WindowAttention ? this.attn.forward(normed, grid) : this.attn.forward(normed)
    const attended = x.add(scaled(attention, this.gamma1))
    const out = attended.add(scaled(this.mlp.forward(this.norm2.forward(attended)), this.gamma2))
    if (!this.residual) return out
    const map = out.rearrange('b (h w) c -> b c h w', { h: grid[0] })
    return this.residual.forward(map).rearrange('b c h w -> b (h w) c')
  }
}

export interface DenseVitOptions extends Omit<DenseBlockOptions, 'window' | 'residual'> {
  readonly channels?: number
  readonly patch?: number
  readonly dim?: number
  readonly depth?: number
  readonly heads?: number
  /** Rows and columns of positions; one more vector is kept for the class token that checkpoints had. */
  readonly grid?: readonly [number, number]
  /** Side of attention windows of each block; undefined where all tokens see each other. */
  readonly windows?: readonly (number | undefined)[]
  /** Blocks that end in a residual bottleneck. */
  readonly residuals?: readonly number[]
}

class PatchEmbed extends Module {
  readonly proj: Conv2d
  constructor(channels: number, dim: number, patch: number) {
    super()
    this.proj = new Conv2d(channels, dim, { kernel: patch, stride: patch })
  }
  override forward(x: Tensor): Tensor {
    return this.proj.forward(x).rearrange('b d h w -> b (h w) d')
  }
}

/** A plain vision transformer without class token and classifier, as dense backbones use it: their trunk. */
export class DenseVit extends Module implements PlainVit {
  readonly pos_embed: Parameter
  readonly patch_embed: PatchEmbed
  readonly blocks: readonly DenseBlock[]

  constructor(options: DenseVitOptions = {}) {
    super()
    const { channels = 3, patch = 16, dim = 768, depth = 12, heads = 12, grid = [14, 14], dropPath = 0 } = options
    const shape = [1, 1 + grid[0] * grid[1], dim]
    this.pos_embed = parameter(initialise.truncatedNormal(0.02)(shape), shape)
    this.patch_embed = new PatchEmbed(channels, dim, patch)
    this.blocks = Array.from({ length: depth }, (_, i) => {
      const rate = depth > 1 ? (dropPath * i) / (depth - 1) : dropPath
      const residual = options.residuals?.includes(i)
      return new DenseBlock(dim, heads, { ...options, window: options.windows?.[i], residual, dropPath: rate })
    })
    for (const [, module] of namedModules(this))
      if (module instanceof Linear) {
        module.weight.set(initialise.truncatedNormal(0.02)(module.weight.shape))
        module.bias?.set(new Float32Array(module.bias.size))
      }
  }

  /** [batch, channels, height, width] -> [batch, tokens, dim]; the pictures must have the positions' grid */
  override forward(x: Tensor): Tensor {
    const patch = this.patch_embed.proj.weight.shape[2]
    const grid = [x.shape[2] / patch, x.shape[3] / patch] as const
    return this.blocks.reduce<Tensor>(
      (tokens, block) => block.forward(tokens, grid),
      this.patch_embed.forward(x).add(this.pos_embed.slice(1, 1)),
    )
  }
}
