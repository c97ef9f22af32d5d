import type { Tensor } from '../core/index.ts'
import { Conv2d } from './convolution.ts'
import { Module } from './module.ts'

/**
 * A depthwise convolution of maps whose channels come last, their size kept: each channel has its own kernel and a bias.
 */
export class DepthwiseConv extends Conv2d {
  /**
   * @param channels number of channels
   * @param kernel odd side of the kernel; default 3
   */
  constructor(channels: number, kernel = 3) {
    super(channels, channels, { kernel, padding: Math.floor(kernel / 2), groups: channels })
  }

  /** @param x [batch, height, width, channels]; returns the same shape */
  override forward(x: Tensor): Tensor {
    return super.forward(x.rearrange('b h w c -> b c h w')).rearrange('b c h w -> b h w c')
  }
}

/** A depthwise convolution between the layers of a feed-forward; its parameters stand at `dwconv`. */
export class FeedForwardConv extends Module {
  readonly dwconv: DepthwiseConv

  constructor(channels: number, kernel = 3) {
    super()
    this.dwconv = new DepthwiseConv(channels, kernel)
  }

  /** @param x [batch, height, width, channels] */
  override forward(x: Tensor): Tensor {
    return this.dwconv.forward(x)
  }
}
