import { concat, formatShape, maxPool, relu, softmax, type Tensor } from '../../../core/index.ts'
import { BatchNorm, Conv2d, type MapBlock, Module } from '../../../nn/index.ts'

export interface SubspaceOptions {
  /** Share of a new batch in the running statistics; default 0.1. The official code writes 0.9, which forgets all but the last batch. */
  readonly momentum?: number
  /** Added to the variance; default 1e-5. */
  readonly epsilon?: number
}

/**
 * Attention over the positions of one group of channels F: with a = relu(BN(w F + b)), one scale and shift a channel,
 * A = softmax over positions of relu(BN(conv1x1(maxpool3x3(a)))), the output is A F + F.
 * Source: Saini et al. 2020 (ULSAM), section 3
 */
export class SubspaceAttention extends Module {
  readonly conv_dws: Conv2d
  readonly bn_dws: BatchNorm
  readonly conv_point: Conv2d
  readonly bn_point: BatchNorm

  constructor(
    readonly channels: number,
    options: SubspaceOptions = {},
  ) {
    super()
    this.conv_dws = new Conv2d(channels, channels, { kernel: 1, groups: channels })
    this.bn_dws = new BatchNorm(channels, options)
    this.conv_point = new Conv2d(channels, 1, { kernel: 1 })
    this.bn_point = new BatchNorm(1, options)
  }

  /** The attention map: [batch, channels, height, width] -> [batch, 1, height, width], which sums to 1 for each sample. */
  attend(x: Tensor): Tensor {
    const scaled = relu(this.bn_dws.forward(this.conv_dws.forward(x)))
    const peaks = maxPool(scaled, { kernel: 3, stride: 1, padding: 1 })
    const logits = relu(this.bn_point.forward(this.conv_point.forward(peaks)))
    return softmax(logits.flatten(2), -1).reshape(logits.shape)
  }

  /** [batch, channels, height, width] -> the same shape */
  override forward(x: Tensor): Tensor {
    return this.attend(x).mul(x).add(x)
  }
}

/**
 * Ultra-lightweight subspace attention: splits the channels into groups, and gives each a {@link SubspaceAttention} of its
 * own. It costs 5 channels + 3 groups parameters and is close to the identity: attention over n positions adds the n-th
 * part of the input on average. Source: Saini et al. 2020, "ULSAM", section 3
 */
export class ULSAM extends Module implements MapBlock {
  readonly subspaces: SubspaceAttention[]
  readonly inChannels: number
  readonly outChannels: number
  readonly stride = 1
  readonly #warn: (message: string) => void

  /**
   * @param options.warn is told when the maps have a single position, where attention can do nothing; default `console.warn`
   * @throws when `groups` does not divide `channels`
   */
  constructor(
    channels: number,
    groups: number,
    { warn = console.warn, ...options }: SubspaceOptions & { readonly warn?: (message: string) => void } = {},
  ) {
    super()
    if (!Number.isInteger(groups) || groups < 1 || channels % groups !== 0)
      throw new Error(`ulsam: ${groups} groups do not divide ${channels} channels`)
    this.inChannels = channels
    this.outChannels = channels
    this.subspaces = Array.from({ length: groups }, () => new SubspaceAttention(channels / groups, options))
    this.#warn = warn
  }

  #groups(x: Tensor): Tensor[] {
    if (x.rank !== 4 || x.shape[1] !== this.inChannels)
      throw new Error(`ulsam: expected maps [batch, ${this.inChannels}, height, width], got ${formatShape(x.shape)}`)
    if (x.shape[2] * x.shape[3] === 1)
      this.#warn('ulsam: maps of 1x1 positions: attention over one position is constant, the module doubles its input')
    return this.subspaces.length === 1 ? [x] : x.split(this.subspaces.length, 1)
  }

  /** The maps of all groups: [batch, channels, height, width] -> [batch, groups, height, width] */
  attend(x: Tensor): Tensor {
    return concat(
      this.#groups(x).map((group, i) => this.subspaces[i].attend(group)),
      1,
    )
  }

  /** [batch, channels, height, width] -> the same shape */
  override forward(x: Tensor): Tensor {
    return concat(
      this.#groups(x).map((group, i) => this.subspaces[i].forward(group)),
      1,
    )
  }
}
