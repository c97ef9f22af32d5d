import { concat, formatShape, sigmoid, softmax, type Tensor } from '../../../core/index.ts'
import { Conv2d, Dropout, DropPath, initialise, LayerNorm, Linear, Module, namedModules } from '../../../nn/index.ts'
import { SS2D } from './ss2d.ts'

/** x + drop path of SS2D(LN(x)), on maps [batch, height, width, dim]. */
export class VSSBlock extends Module {
  readonly ln_1: LayerNorm
  readonly self_attention: SS2D
  readonly drop_path: DropPath

  constructor(dim: number, { states = 16, dropout = 0, dropPath = 0, epsilon = 1e-5 } = {}) {
    super()
    this.ln_1 = new LayerNorm(dim, { epsilon })
    this.self_attention = new SS2D(dim, { states, dropout })
    this.drop_path = new DropPath(dropPath)
  }

  override forward(map: Tensor): Tensor {
    return map.add(this.drop_path.forward(this.self_attention.forward(this.ln_1.forward(map))))
  }
}

/** Halves a map: the four cells of a square side by side (column by column), LN, a linear layer to twice the width. */
export class PatchMerging extends Module {
  readonly reduction: Linear
  readonly norm: LayerNorm

  constructor(dim: number) {
    super()
    this.reduction = new Linear(4 * dim, 2 * dim, { bias: false })
    this.norm = new LayerNorm(4 * dim)
  }

  /** [batch, height, width, dim] -> [batch, height / 2, width / 2, 2 dim]. @throws when a side is odd */
  override forward(map: Tensor): Tensor {
    const [, height, width] = map.shape
    if (height % 2 !== 0 || width % 2 !== 0)
      throw new Error(`patchMerging: ${height}x${width} cells do not pair up; both sides must be even`)
    const squares = map.rearrange('b (h i) (w j) c -> b h w (j i c)', { i: 2, j: 2 })
    return this.reduction.forward(this.norm.forward(squares))
  }
}

/** Enlarges a map `scale` times: a linear layer, whose channels become the cells of a square, and LN. */
export class PatchExpand extends Module {
  readonly expand: Linear
  readonly norm: LayerNorm
  readonly #scale: number

  /** @param dim width of the map that comes in; it leaves with dim / scale */
  constructor(dim: number, scale = 2) {
    super()
    if (dim % scale !== 0) throw new Error(`patchExpand: ${scale} does not divide the width ${dim}`)
    this.#scale = scale
    this.expand = new Linear(dim, scale * dim, { bias: false })
    this.norm = new LayerNorm(dim / scale)
  }

  override forward(map: Tensor): Tensor {
    const cells = this.expand
      .forward(map)
      .rearrange('b h w (i j c) -> b (h i) (w j) c', { i: this.#scale, j: this.#scale })
    return this.norm.forward(cells)
  }
}

class PatchEmbed extends Module {
  readonly proj: Conv2d
  readonly norm?: LayerNorm
  constructor(channels: number, dim: number, patch: number, normed: boolean) {
    super()
    this.proj = new Conv2d(channels, dim, { kernel: patch, stride: patch })
    if (normed) this.norm = new LayerNorm(dim)
  }
  override forward(images: Tensor): Tensor {
    const map = this.proj.forward(images).rearrange('b d h w -> b h w d')
    return this.norm?.forward(map) ?? map
  }
}

/** Blocks, then a smaller map. */
class EncoderStage extends Module {
  readonly blocks: VSSBlock[]
  readonly downsample?: PatchMerging
  constructor(blocks: VSSBlock[], downsample?: PatchMerging) {
    super()
    this.blocks = blocks
    if (downsample) this.downsample = downsample
  }
  override forward(map: Tensor): Tensor {
    const mixed = this.blocks.reduce((x, block) => block.forward(x), map)
    return this.downsample?.forward(mixed) ?? mixed
  }
}

/** A larger map, then blocks. */
class DecoderStage extends Module {
  readonly blocks: VSSBlock[]
  readonly upsample?: PatchExpand
  constructor(blocks: VSSBlock[], upsample?: PatchExpand) {
    super()
    this.blocks = blocks
    if (upsample) this.upsample = upsample
  }
  override forward(map: Tensor): Tensor {
    return this.blocks.reduce((x, block) => block.forward(x), this.upsample?.forward(map) ?? map)
  }
}

export interface VmUnetOptions {
  readonly classes: number
  /** Channels of the pictures; a model of three takes gray ones too, three times over. Default 3. */
  readonly channels?: number
  /** Default 4. */
  readonly patch?: number
  readonly depths?: readonly number[]
  readonly depthsDecoder?: readonly number[]
  /** Widths of the encoder's stages, each twice the one before; default [96, 192, 384, 768]. */
  readonly dims?: readonly number[]
  /** Widths of the decoder's stages; default those of the encoder reversed. */
  readonly dimsDecoder?: readonly number[]
  readonly states?: number
  readonly patchNorm?: boolean
  readonly dropout?: number
  /** Rate of dropout after each SS2D. */
  readonly mixerDropout?: number
  readonly dropPath?: number
}

/**
 * A U-shaped network of VSS blocks: patches, stages that halve the map, stages that double it, and a 4x enlargement.
 * Decoder stage j > 0 takes the sum of what the stage before gave and the input of encoder stage -j.
 * Names are those of the official state dict. Source: Ruan & Xiang 2024, "VM-UNet", section 3
 */
export class VMUNet extends Module {
  readonly patch_embed: PatchEmbed
  readonly layers: EncoderStage[]
  readonly layers_up: DecoderStage[]
  readonly final_up: PatchExpand
  readonly final_conv: Conv2d
  readonly classes: number
  readonly #channels: number
  readonly #multiple: number
  readonly #dropout: Dropout

  /** @throws when the decoder's widths do not mirror the encoder's */
  constructor(options: VmUnetOptions) {
    super()
    const { classes, channels = 3, patch = 4, dims = [96, 192, 384, 768], states = 16 } = options
    const { depths = [2, 2, 2, 2], depthsDecoder = [2, 2, 2, 1], dimsDecoder = dims.toReversed() } = options
    const { patchNorm = true, dropout = 0, mixerDropout = 0, dropPath = 0 } = options
    if (dims.some((dim, i) => dim !== dims[0] * 2 ** i) || dimsDecoder.join() !== dims.toReversed().join())
      throw new Error(
        `vmUnet: widths [${dims}] and [${dimsDecoder}]: each encoder stage must be twice as wide as the one before, and the decoder its mirror`,
      )
    if (depths.length !== dims.length || depthsDecoder.length !== dims.length)
      throw new Error(`vmUnet: ${dims.length} widths but depths [${depths}] and [${depthsDecoder}]`)
    this.classes = classes
    this.#channels = channels
    this.#multiple = patch * 2 ** (dims.length - 1)
    this.#dropout = new Dropout(dropout)
    this.patch_embed = new PatchEmbed(channels, dims[0], patch, patchNorm)
    const rates = spread(dropPath, depths)
    const stageOf = (dim: number, own: readonly number[]): VSSBlock[] =>
      own.map(rate => new VSSBlock(dim, { states, dropout: mixerDropout, dropPath: rate }))
    this.layers = dims.map(
      (dim, i) => new EncoderStage(stageOf(dim, rates[i]), i < dims.length - 1 ? new PatchMerging(dim) : undefined),
    )
    const ratesUp = spread(dropPath, depthsDecoder, true)
    this.layers_up = dimsDecoder.map(
      (dim, i) => new DecoderStage(stageOf(dim, ratesUp[i]), i > 0 ? new PatchExpand(2 * dim) : undefined),
    )
    const last = dimsDecoder[dims.length - 1]
    this.final_up = new PatchExpand(last, 4)
    this.final_conv = new Conv2d(last / 4, classes, { kernel: 1 })
    for (const [, module] of namedModules(this))
      if (module instanceof Linear) module.weight.set(initialise.truncatedNormal(0.02)(module.weight.shape))
  }

  /**
   * @param images [batch, channels, height, width]
   * @returns logits [batch, classes, height, width]
   * @throws when a side is no multiple of what all stages together divide by (32)
   */
  override forward(images: Tensor): Tensor {
    const [, channels, height, width] = images.shape
    if (images.rank !== 4 || (channels !== this.#channels && channels !== 1))
      throw new Error(
        `vmUnet: expected pictures [batch, ${this.#channels}, height, width], got ${formatShape(images.shape)}`,
      )
    if (height % this.#multiple !== 0 || width % this.#multiple !== 0)
      throw new Error(`vmUnet: pictures of ${height}x${width}; both sides must be multiples of ${this.#multiple}`)
    const coloured = channels === this.#channels ? images : concat(new Array<Tensor>(this.#channels).fill(images), 1)
    const inputs: Tensor[] = []
    const deepest = this.layers.reduce(
      (map, stage) => {
        inputs.push(map)
        return stage.forward(map)
      },
      this.#dropout.forward(this.patch_embed.forward(coloured)),
    )
    const decoded = this.layers_up.reduce(
      (map, stage, j) => stage.forward(j === 0 ? map : map.add(inputs[inputs.length - j])),
      deepest,
    )
    return this.final_conv.forward(this.final_up.forward(decoded).rearrange('b h w c -> b c h w'))
  }

  /** Probabilities: the sigmoid of one class, the softmax of several. */
  probabilities(images: Tensor): Tensor {
    const logits = this.forward(images)
    return this.classes === 1 ? sigmoid(logits) : softmax(logits, 1)
  }
}

/** Rates that grow linearly over all blocks (or fall, `reversed`), in stages. */
function spread(rate: number, depths: readonly number[], reversed = false): number[][] {
  const total = depths.reduce((a, b) => a + b, 0)
  const all = Array.from({ length: total }, (_, i) => (total === 1 ? 0 : (rate * i) / (total - 1)))
  if (reversed) all.reverse()
  let start = 0
  return depths.map(depth => {
    start += depth
    return all.slice(start - depth, start)
  })
}
