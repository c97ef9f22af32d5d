import { globalAveragePool, maxPool, relu, type Tensor } from '../../core/index.ts'
import { Conv2d } from '../convolution.ts'
import { Linear } from '../linear.ts'
import { Module } from '../module.ts'
import { BatchNorm } from '../normalisation.ts'
import type { ImageBackbone } from './image-backbone.ts'

export interface CnnOptions {
  readonly channels: number
  readonly classes: number
  /** Channels of each stage; the picture is halved after each. Default [32, 64, 128]. */
  readonly widths?: readonly number[]
}

/** Convolution, batch norm, ReLU and a 2x2 max pool for each stage, then the mean over positions and a linear layer. */
export class Cnn extends Module implements ImageBackbone {
  readonly convs: Conv2d[]
  readonly norms: BatchNorm[]
  readonly fc: Linear
  readonly featureDim: number

  constructor({ channels, classes, widths = [32, 64, 128] }: CnnOptions) {
    super()
    this.convs = widths.map(
      (width, i) => new Conv2d(i === 0 ? channels : widths[i - 1], width, { kernel: 3, padding: 1, bias: false }),
    )
    this.norms = widths.map(width => new BatchNorm(width))
    this.featureDim = widths[widths.length - 1]
    this.fc = new Linear(this.featureDim, classes)
  }

  /** [batch, channels, height, width] -> [batch, featureDim] */
  features(x: Tensor): Tensor {
    const maps = this.convs.reduce((t, conv, i) => {
      const active = relu(this.norms[i].forward(conv.forward(t)))
      return Math.min(active.shape[2], active.shape[3]) >= 2 ? maxPool(active, { kernel: 2, stride: 2 }) : active
    }, x)
    return globalAveragePool(maps)
  }

  override forward(x: Tensor): Tensor {
    return this.fc.forward(this.features(x))
  }
}
