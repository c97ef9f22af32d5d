import type { Tensor } from '../../core/index.ts'
import { prepend } from '../attention.ts'
import { Conv2d } from '../convolution.ts'
import { Dropout } from '../dropout.ts'
import { truncatedNormal } from '../initialise.ts'
import { Linear } from '../linear.ts'
import { Module, namedModules, type Parameter, parameter } from '../module.ts'
import { LayerNorm } from '../normalisation.ts'
import { resizePositions } from '../positions.ts'
import { Block } from '../transformer.ts'
import type { DenseBackbone } from './image-backbone.ts'

/** Cuts a picture into patches and projects each. */
export class PatchEmbed extends Module {
  readonly proj: Conv2d

  constructor(channels: number, dim: number, patch: number) {
    super()
    this.proj = new Conv2d(channels, dim, { kernel: patch, stride: patch })
  }

  /** [batch, channels, height, width] -> [batch, patches, dim], row by row */
  override forward(x: Tensor): Tensor {
    return this.proj.forward(x).rearrange('b d h w -> b (h w) d')
  }
}

export interface VitOptions {
  readonly channels: number
  readonly classes: number
  /** Height and width of the pictures; multiples of `patch`. */
  readonly size: readonly [number, number]
  readonly patch?: number
  readonly dim?: number
  readonly depth?: number
  readonly heads?: number
  readonly mlpRatio?: number
  readonly dropout?: number
  /** Rate of dropped residual branches in the last block, growing linearly from 0. */
  readonly dropPath?: number
}

/** Vision transformer with a class token and learned positions, timm's parameter names. Source: Dosovitskiy et al. 2021 */
export class Vit extends Module implements DenseBackbone {
  readonly cls_token: Parameter
  readonly pos_embed: Parameter
  readonly patch_embed: PatchEmbed
  readonly blocks: Block[]
  readonly norm: LayerNorm
  readonly head: Linear
  readonly featureDim: number
  readonly #dropout: Dropout
  readonly #patch: number
  readonly #grid: readonly [number, number]

  constructor(options: VitOptions) {
    super()
    const {
      channels,
      classes,
      size,
      patch = 8,
      dim = 192,
      depth = 6,
      heads = 3,
      mlpRatio = 4,
      dropout = 0,
      dropPath = 0,
    } = options
    if (size[0] % patch !== 0 || size[1] % patch !== 0)
      throw new Error(`vit: pictures of ${size[0]}x${size[1]} do not divide into patches of ${patch}`)
    this.#patch = patch
    this.#grid = [size[0] / patch, size[1] / patch]
    const tokens = this.#grid[0] * this.#grid[1] + 1
    const small = truncatedNormal(0.02)
    this.cls_token = parameter(small([1, 1, dim]), [1, 1, dim])
    this.pos_embed = parameter(small([1, tokens, dim]), [1, tokens, dim])
    this.patch_embed = new PatchEmbed(channels, dim, patch)
    this.blocks = Array.from(
      { length: depth },
      (_, i) =>
        new Block(dim, heads, { mlpRatio, dropout, dropPath: depth === 1 ? dropPath : (dropPath * i) / (depth - 1) }),
    )
    this.norm = new LayerNorm(dim, { epsilon: 1e-6 })
    this.head = new Linear(dim, classes)
    this.featureDim = dim
    this.#dropout = new Dropout(dropout)
    initialiseLinears(this)
  }

  /** The class token and all patches after the last norm; positions are stretched to pictures of another size. */
  #encode(x: Tensor): Tensor {
    const positions = resizePositions(this.pos_embed, this.#grid, this.#gridOf(x))
    const tokens = prepend(this.cls_token, this.patch_embed.forward(x)).add(positions)
    return this.norm.forward(this.blocks.reduce((t, block) => block.forward(t), this.#dropout.forward(tokens)))
  }

  #gridOf({ shape }: Tensor): [number, number] {
    const [height, width] = shape.slice(2)
    if (height % this.#patch !== 0 || width % this.#patch !== 0)
      throw new Error(`vit: pictures of ${height}x${width} do not divide into patches of ${this.#patch}`)
    return [height / this.#patch, width / this.#patch]
  }

  features(x: Tensor): Tensor {
    return this.#encode(x).at(null, 0)
  }

  /** The patches as one map [batch, dim, height / patch, width / patch]. */
  featureMaps(x: Tensor): Tensor[] {
    const [h] = this.#gridOf(x)
    return [this.#encode(x).slice(1, 1).rearrange('b (h w) d -> b d h w', { h })]
  }

  override forward(x: Tensor): Tensor {
    return this.head.forward(this.features(x))
  }
}

/** Gives every linear layer of a tree timm's start for transformers: small normal weights, no bias. */
export function initialiseLinears(root: Module): void {
  for (const [, module] of namedModules(root)) {
    if (!(module instanceof Linear)) continue
    module.weight.set(truncatedNormal(0.02)(module.weight.shape))
    module.bias?.set(new Float32Array(module.bias.size))
  }
}
