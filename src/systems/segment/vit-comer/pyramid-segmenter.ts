import { resize, type Tensor } from '../../../core/index.ts'
import { Conv2d, Module } from '../../../nn/index.ts'
import type { SegmentationNetwork } from '../../../tasks/index.ts'
import type { Pyramid } from './vit-comer.ts'

/** A backbone that gives maps of four resolutions, each half of the one before. */
export interface PyramidBackbone extends Module {
  readonly dim: number
  readonly patch_embed: { readonly proj: Conv2d }
  forward(images: Tensor): Pyramid
}

/**
 * The plainest head for dense prediction: the four maps are brought to the finest resolution and added, a 1x1 convolution
 * gives the scores of the classes, and bilinear interpolation those of every pixel.
 */
export class PyramidSegmenter extends Module implements SegmentationNetwork {
  readonly backbone: PyramidBackbone
  readonly head: Conv2d

  constructor(backbone: PyramidBackbone, classes: number) {
    super()
    this.backbone = backbone
    this.head = new Conv2d(backbone.dim, classes, { kernel: 1 })
  }

  /** @param images [batch, channels, height, width]; returns [batch, classes, height, width] */
  override forward(images: Tensor): Tensor {
    const [, , height, width] = images.shape
    const [finest, ...coarser] = this.backbone.forward(images)
    const size = finest.shape.slice(2)
    const sum = coarser.reduce((total, map) => total.add(resize(map, { size, mode: 'linear' })), finest)
    const scale = this.backbone.patch_embed.proj.weight.shape[2] / 4
    const scores = resize(this.head.forward(sum), { scale, mode: 'linear' })
    // A backbone may have padded the pictures below and to the right.
    return scores.slice(2, 0, height).slice(3, 0, width)
  }
}
