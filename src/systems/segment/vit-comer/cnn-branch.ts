import { maxPool, relu, type Tensor } from '../../../core/index.ts'
import { BatchNorm, Conv2d, Module, Sequential } from '../../../nn/index.ts'

const conv = (from: number, to: number, stride: 1 | 2): [Conv2d, BatchNorm, typeof relu] => [
  new Conv2d(from, to, { kernel: 3, stride, padding: 1, bias: false }),
  new BatchNorm(to),
  relu,
]

/**
 * A small convolutional network beside the transformer: maps at a quarter, half, once and twice its patch size, each
 * brought to its width.
 * Source: Xia et al. 2024, "ViT-CoMer", section 3.1; Traffic-X/ViT-CoMer, comer_modules.py (`CNN`)
 */
export class CnnBranch extends Module {
  readonly stem: Sequential
  readonly conv2: Sequential
  readonly conv3: Sequential
  readonly conv4: Sequential
  readonly fc1: Conv2d
  readonly fc2: Conv2d
  readonly fc3: Conv2d
  readonly fc4: Conv2d

  /**
   * @param channels of the pictures
   * @param width of the first convolutions
   * @param dim of the transformer
   * @param stride of the first map: 4, or 2 for a transformer with patches of 8
   */
  constructor(channels: number, width: number, dim: number, stride: 2 | 4) {
    super()
    const pool = (x: Tensor): Tensor => (stride === 4 ? maxPool(x, { kernel: 3, stride: 2, padding: 1 }) : x)
    this.stem = new Sequential(...conv(channels, width, 2), ...conv(width, width, 1), ...conv(width, width, 1), pool)
    this.conv2 = new Sequential(...conv(width, 2 * width, 2))
    this.conv3 = new Sequential(...conv(2 * width, 4 * width, 2))
    this.conv4 = new Sequential(...conv(4 * width, 4 * width, 2))
    const point = (from: number): Conv2d => new Conv2d(from, dim, { kernel: 1 })
    this.fc1 = point(width)
    this.fc2 = point(2 * width)
    this.fc3 = point(4 * width)
    this.fc4 = point(4 * width)
  }

  /** @param x [batch, channels, height, width]; returns four maps of `dim` channels, fine to coarse */
  override forward(x: Tensor): [Tensor, Tensor, Tensor, Tensor] {
    const c1 = this.stem.forward(x)
    const c2 = this.conv2.forward(c1)
    const c3 = this.conv3.forward(c2)
    const c4 = this.conv4.forward(c3)
    return [this.fc1.forward(c1), this.fc2.forward(c2), this.fc3.forward(c3), this.fc4.forward(c4)]
  }
}
