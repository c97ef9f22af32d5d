import type { Tensor } from '../../core/index.ts'
import type { Module } from '../module.ts'

/** A network that turns pictures into features and class scores. */
export interface ImageBackbone extends Module {
  /** Width of {@link features}. */
  readonly featureDim: number
  /** [batch, channels, height, width] -> [batch, featureDim] */
  features(images: Tensor): Tensor
  /** [batch, channels, height, width] -> [batch, classes] */
  forward(images: Tensor): Tensor
}

/** A backbone that also gives maps of features, for heads that look at every place of a picture. */
export interface DenseBackbone extends ImageBackbone {
  /** [batch, channels, height, width] -> maps [batch, width of the map, height / stride, width / stride], finest first */
  featureMaps(images: Tensor): readonly Tensor[]
}
