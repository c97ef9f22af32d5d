import { formatShape, gelu, pad, relu, resize, type Tensor } from '../../../core/index.ts'
import {
  BatchNorm,
  Conv2d,
  type DenseBackbone,
  Dropout,
  DropPath,
  initialise,
  LayerNorm,
  Linear,
  Module,
  type Parameter,
  parameter,
  RmsNorm,
  Sequential,
} from '../../../nn/index.ts'
import { PlainMamba2d, type PlainMamba2dOptions } from './plain-mamba-2d.ts'

/**
 * Patches by convolutions: 7x7 of stride 2, `convs` of 3x3, each with batch norm and ReLU, then one whose side and stride are half
 * a patch, over zeros added at the right and bottom where the map does not divide.
 */
export class ConvPatchEmbed extends Module {
  readonly stem: Sequential
  readonly convs?: Sequential
  readonly projection: Conv2d
  readonly #half: number

  /** @throws when `patch` is odd */
  constructor(channels: number, dim: number, patch: number, { convs = 1, width = 64 } = {}) {
    super()
    if (patch % 2 !== 0 || patch < 2) throw new Error(`plainMamba: the patch must be even, got ${patch}`)
    this.#half = patch / 2
    this.stem = new Sequential(
      new Conv2d(channels, width, { kernel: 7, stride: 2, padding: 3, bias: false }),
      new BatchNorm(width),
      relu,
    )
    if (convs > 0)
      this.convs = new Sequential(
        ...Array.from({ length: convs }, () => [
          new Conv2d(width, width, { kernel: 3, padding: 1, bias: false }),
          new BatchNorm(width),
          relu,
        ]).flat(),
      )
    this.projection = new Conv2d(width, dim, { kernel: this.#half, stride: this.#half })
  }

  /** [batch, channels, height, width] -> tokens [batch, rows * columns, dim] and their grid */
  override forward(images: Tensor): { tokens: Tensor; grid: [number, number] } {
    const stem = this.stem.forward(images)
    const map = this.convs?.forward(stem) ?? stem
    const missing = map.shape.slice(2).map(side => (this.#half - (side % this.#half)) % this.#half)
    const filled = missing.some(count => count > 0)
      ? pad(map, [
          [0, 0],
          [0, 0],
          [0, missing[0]],
          [0, missing[1]],
        ])
      : map
    const patches = this.projection.forward(filled)
    return { tokens: patches.rearrange('b d h w -> b (h w) d'), grid: [patches.shape[2], patches.shape[3]] }
  }
}

interface LayerOptions {
  readonly norm: 'layer' | 'rms'
  readonly convolved: boolean
  readonly dropPath: number
  readonly mixer: PlainMamba2dOptions
}

/** x + mixer(norm(x)), then a depthwise 3x3 convolution with batch norm and GELU where `convolved`. */
export class PlainMambaLayer extends Module {
  readonly norm: LayerNorm | RmsNorm
  readonly dw?: Sequential
  readonly mamba: PlainMamba2d
  readonly drop_path: DropPath

  constructor(dim: number, { norm, convolved, dropPath, mixer }: LayerOptions) {
    super()
    this.norm = norm === 'rms' ? new RmsNorm(dim) : new LayerNorm(dim)
    if (convolved)
      this.dw = new Sequential(
        new Conv2d(dim, dim, { kernel: 3, padding: 1, groups: dim, bias: false }),
        new BatchNorm(dim),
        gelu,
      )
    this.mamba = new PlainMamba2d(dim, mixer)
    this.drop_path = new DropPath(dropPath)
  }

  override forward(tokens: Tensor, grid: readonly [number, number]): Tensor {
    const mixed = tokens.add(this.drop_path.forward(this.mamba.forward(this.norm.forward(tokens), grid)))
    if (!this.dw) return mixed
    const map = this.dw.forward(mixed.rearrange('b (h w) d -> b d h w', { h: grid[0] }))
    return map.rearrange('b d h w -> b (h w) d')
  }
}

export interface PlainMambaOptions {
  readonly channels: number
  /** Height and width of the pictures that positions are learned for; others get interpolated positions. */
  readonly size: readonly [number, number]
  /** Side of a patch, even; default 16. */
  readonly patch?: number
  readonly dim?: number
  readonly depth?: number
  /** 3x3 convolutions before the patches; default 1. */
  readonly convs?: number
  /** Channels of the convolutions before the patches; default 64. */
  readonly stemWidth?: number
  /** Layers that end with a depthwise convolution; default none. */
  readonly convolvedLayers?: readonly number[]
  readonly mixer?: PlainMamba2dOptions
  /** Norm within the layers; default `layer`. */
  readonly norm?: 'layer' | 'rms'
  /** Added to the variance in the norm after the last layer; default 1e-6. */
  readonly epsilon?: number
  readonly finalNorm?: boolean
  readonly positions?: boolean
  /** How positions are interpolated; default `cubic`. */
  readonly interpolation?: 'cubic' | 'linear' | 'nearest'
  readonly dropout?: number
  /** Rate of dropped branches in the last layer, growing linearly from 0. */
  readonly dropPath?: number
  /** Layers whose maps {@link PlainMambaBackbone.maps} gives; default the last. */
  readonly mapsOf?: readonly number[]
}

/**
 * A stack of equal layers at one resolution, without a class token. Names are those of the official state dict.
 * Source: Yang et al. 2024, "PlainMamba", section 3; ChenhongyiYang/PlainMamba
 */
export class PlainMambaBackbone extends Module {
  readonly patch_embed: ConvPatchEmbed
  readonly pos_embed?: Parameter
  readonly layers: PlainMambaLayer[]
  readonly ln1?: LayerNorm
  readonly featureDim: number
  readonly #mapNorms: ReadonlyMap<number, LayerNorm>
  readonly #mapsOf: readonly number[]
  readonly #grid: readonly [number, number]
  readonly #channels: number
  readonly #patch: number
  readonly #interpolation: NonNullable<PlainMambaOptions['interpolation']>
  readonly #dropout: Dropout

  constructor(options: PlainMambaOptions) {
    super()
    const { channels, size, patch = 16, dim = 192, depth = 24, convs, stemWidth, convolvedLayers = [] } = options
    const { norm = 'layer', epsilon = 1e-6, finalNorm = true, positions = true, dropout = 0, dropPath = 0 } = options
    this.patch_embed = new ConvPatchEmbed(channels, dim, patch, { convs, width: stemWidth })
    this.#channels = channels
    this.#patch = patch
    this.#requireSize(size)
    // The official code derives the grid of its positions from the halved side, rounded down.
    this.#grid = [size[0], size[1]].map(side => Math.ceil(Math.floor(side / 2) / (patch / 2))) as [number, number]
    if (positions) {
      const shape = [1, this.#grid[0] * this.#grid[1], dim]
      this.pos_embed = parameter(initialise.truncatedNormal(0.02)(shape), shape)
    }
    this.layers = Array.from(
      { length: depth },
      (_, i) =>
        new PlainMambaLayer(dim, {
          norm,
          convolved: convolvedLayers.includes(i),
          dropPath: depth === 1 ? 0 : (dropPath * i) / (depth - 1),
          mixer: options.mixer ?? {},
        }),
    )
    if (finalNorm) this.ln1 = new LayerNorm(dim, { epsilon })
    this.#mapsOf = (options.mapsOf ?? [depth - 1]).map(i => this.#layer(i, depth))
    this.#mapNorms = new Map(this.#mapsOf.filter(i => i !== depth - 1).map(i => [i, new LayerNorm(dim, { epsilon })]))
    this.#interpolation = options.interpolation ?? 'cubic'
    this.#dropout = new Dropout(dropout)
    this.featureDim = dim
  }

  override *children(): ReturnType<Module['children']> {
    yield* super.children()
    for (const [i, norm] of this.#mapNorms) yield [`norm_layer${i}`, norm]
  }

  #layer(i: number, depth: number): number {
    const place = i < 0 ? i + depth : i
    if (place < 0 || place >= depth) throw new Error(`plainMamba: there is no layer ${i} among ${depth}`)
    return place
  }

  #requireSize(size: readonly number[]): void {
    if (size.some(side => side < this.#patch))
      throw new Error(`plainMamba: pictures of ${size.join('x')} are smaller than a patch of ${this.#patch}`)
  }

  /**
   * @param images [batch, channels, height, width]
   * @returns tokens after the last norm [batch, rows * columns, dim], the grid, and the maps of the layers asked for, each
   *   [batch, dim, rows, columns]
   * @throws when the pictures have other channels or are smaller than a patch
   */
  encode(images: Tensor): { tokens: Tensor; grid: [number, number]; maps: Tensor[] } {
    const channels = this.#channels
    if (images.rank !== 4 || images.shape[1] !== channels)
      throw new Error(
        `plainMamba: expected pictures [batch, ${channels}, height, width], got ${formatShape(images.shape)}`,
      )
    this.#requireSize(images.shape.slice(2))
    const { tokens, grid } = this.patch_embed.forward(images)
    const placed = this.pos_embed ? tokens.add(this.#positions(this.pos_embed, grid)) : tokens
    const maps: Tensor[] = []
    const output = this.layers.reduce((x, layer, i) => {
      const mixed = layer.forward(x, grid)
      const last = i === this.layers.length - 1
      const normed = last && this.ln1 ? this.ln1.forward(mixed) : mixed
      if (this.#mapsOf.includes(i)) {
        const own = this.#mapNorms.get(i)?.forward(normed) ?? normed
        maps.push(own.rearrange('b (h w) d -> b d h w', { h: grid[0] }))
      }
      return normed
    }, this.#dropout.forward(placed))
    return { tokens: output, grid, maps }
  }

  #positions(learned: Tensor, grid: readonly [number, number]): Tensor {
    if (grid.join() === this.#grid.join()) return learned
    const map = learned.rearrange('b (h w) d -> b d h w', { h: this.#grid[0] })
    return resize(map, { size: grid, mode: this.#interpolation }).rearrange('b d h w -> b (h w) d')
  }

  /** Mean over tokens: [batch, channels, height, width] -> [batch, dim] */
  features(images: Tensor): Tensor {
    return this.encode(images).tokens.mean(1)
  }

  /** The last layer's map [batch, dim, rows, columns] */
  override forward(images: Tensor): Tensor {
    const { tokens, grid } = this.encode(images)
    return tokens.rearrange('b (h w) d -> b d h w', { h: grid[0] })
  }
}

/** The backbone with a linear classifier on the mean of its tokens. */
export class PlainMamba extends Module implements DenseBackbone {
  readonly backbone: PlainMambaBackbone
  readonly head: { readonly fc: Linear }

  constructor({ classes, ...options }: PlainMambaOptions & { readonly classes: number }) {
    super()
    this.backbone = new PlainMambaBackbone(options)
    this.head = { fc: new Linear(this.backbone.featureDim, classes, { initial: initialise.truncatedNormal(0.02) }) }
    this.head.fc.bias?.set(new Float32Array(classes))
  }

  get featureDim(): number {
    return this.backbone.featureDim
  }

  features(images: Tensor): Tensor {
    return this.backbone.features(images)
  }

  /** The maps of the layers asked for, each [batch, dim, rows, columns]; by default of the last. */
  featureMaps(images: Tensor): Tensor[] {
    return this.backbone.encode(images).maps
  }

  /** [batch, channels, height, width] -> [batch, classes] */
  override forward(images: Tensor): Tensor {
    return this.head.fc.forward(this.features(images))
  }
}

/** A class for every patch: the backbone and a linear layer on each token. */
export class PlainMambaLabeller extends Module {
  readonly backbone: PlainMambaBackbone
  readonly head: Linear

  constructor({ classes, ...options }: PlainMambaOptions & { readonly classes: number }) {
    super()
    this.backbone = new PlainMambaBackbone(options)
    this.head = new Linear(this.backbone.featureDim, classes, { initial: initialise.truncatedNormal(0.02) })
    this.head.bias?.set(new Float32Array(classes))
  }

  /** [batch, channels, height, width] -> [batch, classes, rows, columns] of patches */
  override forward(images: Tensor): Tensor {
    const { tokens, grid } = this.backbone.encode(images)
    return this.head.forward(tokens).rearrange('b (h w) k -> b k h w', { h: grid[0] })
  }
}
