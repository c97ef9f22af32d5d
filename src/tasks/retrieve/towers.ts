import { gelu, relu, type Tensor } from '../../core/index.ts'
import {
  BasicBlock,
  BatchNorm,
  Conv2d,
  Embedding,
  initialise,
  LayerNorm,
  Linear,
  Module,
  type Parameter,
  parameter,
} from '../../nn/index.ts'

export interface TextTowerOptions {
  readonly tableRows: number
  readonly lookups: number
  /** Width of a row of the table. */
  readonly rowDim: number
  readonly hidden: number
  readonly dim: number
}

/**
 * A bag of hashed features -> a vector: rows of one shared table are concatenated over the look-ups and summed over the
 * features; a residual two-layer network follows. Source of the table: Coleman et al. 2023, "Unified Embedding"
 */
export class TextTower extends Module {
  readonly table: Embedding
  readonly norm: LayerNorm
  readonly fc1: Linear
  readonly fc2: Linear
  readonly project: Linear
  readonly #width: number

  constructor({ tableRows, lookups, rowDim, hidden, dim }: TextTowerOptions) {
    super()
    this.#width = lookups * rowDim
    this.table = new Embedding(tableRows, rowDim, { initial: initialise.normal(0, 1 / Math.sqrt(this.#width)) })
    this.norm = new LayerNorm(this.#width)
    this.fc1 = new Linear(this.#width, hidden)
    this.fc2 = new Linear(hidden, dim)
    this.project = new Linear(this.#width, dim)
  }

  /**
   * @param rows i32 [batch, features, lookups]
   * @param weights [batch, features]
   * @returns [batch, dim], not normalised
   */
  override forward(rows: Tensor, weights: Tensor): Tensor {
    const [batch, features] = weights.shape
    const picked = this.table.forward(rows).reshape([batch, features, this.#width])
    const bag = weights.expandDims(1).matmul(picked).reshape([batch, this.#width])
    return this.project.forward(bag).add(this.fc2.forward(gelu(this.fc1.forward(this.norm.forward(bag)))))
  }
}

export interface ImageTowerOptions {
  /** Side of the images, a multiple of 8. */
  readonly size: number
  readonly widths: readonly [number, number, number]
  readonly dim: number
}

/** A small residual network at a half, a quarter and an eighth of the side; its last map is kept whole, since where a stroke stands matters. */
export class ImageTower extends Module {
  readonly conv1: Conv2d
  readonly bn1: BatchNorm
  readonly block1: BasicBlock
  readonly block2: BasicBlock
  readonly block3: BasicBlock
  readonly head: Linear

  constructor({ size, widths: [a, b, c], dim }: ImageTowerOptions) {
    super()
    this.conv1 = new Conv2d(3, a, {
      kernel: 5,
      stride: 2,
      padding: 2,
      bias: false,
      initial: initialise.kaimingNormal('fanOut'),
    })
    this.bn1 = new BatchNorm(a)
    this.block1 = new BasicBlock(a, a)
    this.block2 = new BasicBlock(a, b, 2)
    this.block3 = new BasicBlock(b, c, 2)
    this.head = new Linear(c * (size / 8) ** 2, dim)
  }

  /** @param pixels u8 [batch, size, size, 3], RGB over white; returns [batch, dim], not normalised */
  override forward(pixels: Tensor): Tensor {
    // Ink is what varies: white becomes 0, so that empty borders and padding are alike.
    const ink = pixels
      .transpose([0, 3, 1, 2])
      .cast('f32')
      .mul(-1 / 255)
      .add(1)
    const maps = this.block3.forward(
      this.block2.forward(this.block1.forward(relu(this.bn1.forward(this.conv1.forward(ink))))),
    )
    const [batch, ...rest] = maps.shape
    return this.head.forward(maps.reshape([batch, rest.reduce((x, y) => x * y, 1)]))
  }
}

export interface DualEncoderOptions {
  readonly text: Omit<TextTowerOptions, 'dim'>
  /** Most features of a text. */
  readonly textFeatures: number
  readonly image: Omit<ImageTowerOptions, 'dim'>
  /** Trained prefixes of the vectors, ascending; the last is their length. */
  readonly widths: readonly number[]
}

/** Two towers into one space, with the learned temperature of their contrastive loss. */
export class DualEncoder extends Module {
  readonly options: DualEncoderOptions
  readonly text: TextTower
  readonly image: ImageTower
  /** Logarithm of the scale (inverse temperature) of the similarities. */
  readonly logScale: Parameter

  constructor(options: DualEncoderOptions) {
    super()
    const dim = options.widths[options.widths.length - 1]
    if (options.widths.some((w, i) => !(Number.isInteger(w) && w > (options.widths[i - 1] ?? 0))))
      throw new Error(`dual encoder: widths must be whole numbers that grow, got ${options.widths.join(', ')}`)
    if (options.image.size % 8 !== 0)
      throw new Error(`dual encoder: the image size must be a multiple of 8, got ${options.image.size}`)
    this.options = options
    this.text = new TextTower({ ...options.text, dim })
    this.image = new ImageTower({ ...options.image, dim })
    this.logScale = parameter(new Float32Array([Math.log(1 / 0.07)]), [])
  }

  override forward(): never {
    throw new Error('dual encoder: call its text or its image tower')
  }
}
