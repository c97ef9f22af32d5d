import { placeholder, relu, resize, type Tensor } from '../../core/index.ts'
import { BatchNorm, Conv2d, type DenseBackbone, Module } from '../../nn/index.ts'
import type { PictureFormat } from '../classify/index.ts'
import type { SegmentationNetwork } from './network.ts'

/** Whether a backbone gives maps, as heads for every pixel need. */
export const isDense = (network: Module): network is DenseBackbone & Module =>
  typeof (network as Partial<DenseBackbone>).featureMaps === 'function'

/**
 * Class scores of every pixel from a backbone's maps: each map through a 1x1 convolution and brought to the size of the
 * finest, summed, batch norm and ReLU, a 3x3 convolution to the classes, and bilinear to the size of the picture.
 * Source: the all-MLP decoder's idea (Xie et al. 2021) with sums for concatenation
 */
export class DenseSegmenter extends Module implements SegmentationNetwork {
  readonly backbone: DenseBackbone
  readonly lateral: Conv2d[]
  readonly norm: BatchNorm
  readonly classifier: Conv2d

  /** @param width channels of the head; default 64 */
  constructor(backbone: DenseBackbone, { channels, size, classes }: PictureFormat, width = 64) {
    super()
    this.backbone = backbone
    const maps = backbone.featureMaps(placeholder('images', [1, channels, ...size], 'f32'))
    this.lateral = maps.map(map => new Conv2d(map.shape[1], width, { kernel: 1, bias: false }))
    this.norm = new BatchNorm(width)
    this.classifier = new Conv2d(width, classes, { kernel: 3, padding: 1 })
  }

  /** [batch, channels, height, width] -> [batch, classes, height, width] */
  override forward(images: Tensor): Tensor {
    const maps = this.backbone.featureMaps(images)
    const finest: [number, number] = [maps[0].shape[2], maps[0].shape[3]]
    const sum = maps.map((map, i) => atSize(this.lateral[i].forward(map), finest)).reduce((a, b) => a.add(b))
    const scores = this.classifier.forward(relu(this.norm.forward(sum)))
    return atSize(scores, [images.shape[2], images.shape[3]])
  }
}

const atSize = (map: Tensor, size: [number, number]): Tensor =>
  map.shape[2] === size[0] && map.shape[3] === size[1] ? map : resize(map, { size, mode: 'linear' })
