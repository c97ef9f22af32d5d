import type { Tensor } from '../../core/index.ts'
import type { Module } from '../../nn/index.ts'
import type { ModelKind, ModelOptions, PictureFormat } from '../classify/index.ts'

/** A network that gives every pixel its class scores. */
export interface SegmentationNetwork extends Module {
  /** [batch, channels, height, width] -> [batch, classes, height, width] */
  forward(images: Tensor): Tensor
}

/** A kind of model that `tenet train segment --model` can make. */
export interface SegmenterKind {
  readonly summary: string
  /** Options for a picture format, where the user gives none. @throws one line for a format that the architecture cannot take */
  readonly defaults: (format: PictureFormat) => ModelOptions
  readonly build: (format: PictureFormat, options: ModelOptions) => SegmentationNetwork
  /** Training settings that suit it. */
  readonly training: ModelKind['training']
}
