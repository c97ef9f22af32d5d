import { concat, formatShape, gelu, type Tensor } from '../../../core/index.ts'
import { BatchNorm, Conv2d, Linear, Module } from '../../../nn/index.ts'
import { checkBatch } from './sope.ts'

export interface DaffOptions {
  /** Width of the hidden layer; default 4 dim. */
  readonly hidden?: number
  /** Side of the depthwise kernel, an odd number; default 3. */
  readonly kernel?: number
}

/**
 * Dynamic aggregation feed-forward: in place of a transformer's mlp. The patches, laid out as a square, pass a 1x1
 * convolution, a depthwise one with a shortcut and a 1x1 convolution; the class token is multiplied by channel weights
 * W2 gelu(W1 mean(patches)), which may be negative. No other part of the mlp reaches the class token.
 * Source: Lu et al. 2022 (DHVT), section 3.4; ArieSeirack/DHVT, vision_transformer.py (DAFF)
 */
export class DAFF extends Module {
  readonly conv1: Conv2d
  readonly bn1: BatchNorm
  readonly conv2: Conv2d
  readonly bn2: BatchNorm
  readonly conv3: Conv2d
  readonly bn3: BatchNorm
  readonly compress: Linear
  readonly excitation: Linear

  constructor(
    readonly dim: number,
    { hidden = 4 * dim, kernel = 3 }: DaffOptions = {},
  ) {
    super()
    this.conv1 = new Conv2d(dim, hidden, { kernel: 1 })
    this.bn1 = new BatchNorm(hidden)
    this.conv2 = new Conv2d(hidden, hidden, { kernel, padding: (kernel - 1) / 2, groups: hidden })
    this.bn2 = new BatchNorm(hidden)
    this.conv3 = new Conv2d(hidden, dim, { kernel: 1 })
    this.bn3 = new BatchNorm(dim)
    const squeezed = Math.floor(dim / 4)
    this.compress = new Linear(dim, squeezed)
    this.excitation = new Linear(squeezed, dim)
  }

  /**
   * @param x [batch, 1 + side^2, dim], the class token first
   * @returns the same shape
   * @throws when the patches do not make a square, and for a single picture while batch norm is training
   */
  override forward(x: Tensor): Tensor {
    const side = Math.round(Math.sqrt(x.shape[1] - 1))
    if (x.rank !== 3 || x.shape[2] !== this.dim || side < 1 || side * side !== x.shape[1] - 1)
      throw new Error(
        `daff: expected a class token and a square of patches, [batch, 1 + side^2, ${this.dim}], got ${formatShape(x.shape)}`,
      )
    checkBatch('daff', x)
    const grid = x.slice(1, 1).rearrange('b (h w) d -> b d h w', { h: side })
    const expanded = gelu(this.bn1.forward(this.conv1.forward(grid)))
    const mixed = expanded.add(gelu(this.bn2.forward(this.conv2.forward(expanded))))
    const patches = this.bn3.forward(this.conv3.forward(mixed)).rearrange('b d h w -> b (h w) d')
    const weights = this.excitation.forward(gelu(this.compress.forward(patches.mean(1, true))))
    return concat([x.slice(1, 0, 1).mul(weights), patches], 1)
  }
}
