import { formatShape, gelu, type Tensor } from '../../../core/index.ts'
import { BatchNorm, Conv2d, isTraining, Module, type Parameter, parameter, Sequential } from '../../../nn/index.ts'

/** alpha x + beta for each channel (axis 1), alpha starting at 1 and beta at 0. */
export class Affine extends Module {
  readonly alpha: Parameter
  readonly beta: Parameter

  constructor(channels: number) {
    super()
    const shape = [1, channels, 1, 1]
    this.alpha = parameter(new Float32Array(channels).fill(1), shape)
    this.beta = parameter(new Float32Array(channels), shape)
  }

  /** @param x [batch, channels, height, width] */
  override forward(x: Tensor): Tensor {
    return x.mul(this.alpha).add(this.beta)
  }
}

/** Widths of the convolutions' outputs, as divisors of the embedding's, by the side of a patch. */
const divisors: Readonly<Record<number, readonly number[]>> = { 2: [1], 4: [2, 1], 16: [8, 4, 2, 1] }

/** Sides of a patch that {@link SOPE} can make. */
export const patchSizes = Object.keys(divisors).map(Number)

/**
 * Sequential overlapping patch embedding: an affine layer on the pixels, 3x3 convolutions of stride 2 with batch norm and
 * GELU between them (patch 2: also after the only one), an affine layer on the tokens.
 * Source: Lu et al. 2022 (DHVT), section 3.2; ArieSeirack/DHVT, vision_transformer.py (ConvPatchEmbed)
 */
export class SOPE extends Module {
  readonly pre_affine: Affine
  readonly proj: Sequential
  readonly post_affine: Affine

  /**
   * @param channels of the pictures
   * @param dim width of a token
   * @param patch 2, 4 or 16 pixels
   * @throws when there is no such patch, or `dim` does not divide into the widths of the first convolutions
   */
  constructor(channels: number, dim: number, patch: number) {
    super()
    const parts = divisors[patch]
    if (!parts) throw new Error(`sope: patches of ${patch} pixels; a patch is ${patchSizes.join(', ')} pixels wide`)
    if (dim % parts[0] !== 0)
      throw new Error(`sope: the width ${dim} does not divide by ${parts[0]}, as patches of ${patch} need`)
    const widths = [channels, ...parts.map(part => dim / part)]
    this.pre_affine = new Affine(channels)
    this.proj = new Sequential(
      ...parts.flatMap((_, i) => {
        const conv = new Conv2d(widths[i], widths[i + 1], { kernel: 3, stride: 2, padding: 1, bias: false })
        const step = new Sequential(conv, new BatchNorm(widths[i + 1]))
        return i < parts.length - 1 || patch === 2 ? [step, gelu] : [step]
      }),
    )
    this.post_affine = new Affine(dim)
  }

  /**
   * @param images [batch, channels, height, width]
   * @returns [batch, dim, rows, columns]: the sides divided by the patch, rounded up
   * @throws for other channels, and for a single picture while batch norm is training
   */
  override forward(images: Tensor): Tensor {
    const channels = this.pre_affine.alpha.size
    if (images.rank !== 4 || images.shape[1] !== channels)
      throw new Error(`sope: expected pictures [batch, ${channels}, height, width], got ${formatShape(images.shape)}`)
    checkBatch('sope', images)
    return this.post_affine.forward(this.proj.forward(this.pre_affine.forward(images)))
  }
}

/** @throws for a batch of one while training: batch norm would learn the statistics of a single picture */
export function checkBatch(layer: string, x: Tensor): void {
  if (isTraining() && x.shape[0] === 1)
    throw new Error(`${layer}: batch norm needs at least 2 pictures in a training batch, got 1`)
}
