import { concat, flip, formatShape, type Tensor } from '../../../core/index.ts'
import {
  BiMambaMixer,
  Conv2d,
  type DenseBackbone,
  Dropout,
  DropPath,
  initialise,
  LayerNorm,
  Linear,
  MambaMixer,
  type MambaOptions,
  Module,
  type Parameter,
  parameter,
  RmsNorm,
  resizePositions,
} from '../../../nn/index.ts'
import { GridRotary } from './rotary.ts'

export interface VimEncoderOptions {
  readonly channels: number
  /** Height and width of the pictures that positions are learned for; multiples of `stride`. */
  readonly size: readonly [number, number]
  /** Side of a patch, or its height and width; default 16. */
  readonly patch?: number | readonly [number, number]
  /** Distance between patches; default the patch's side. */
  readonly stride?: number
  readonly dim?: number
  readonly depth?: number
  /** Which way a block scans. `both`: each its own parameters (v2). `sharedBoth`: only A is its own (v1). `forward`: one direction. Default `both`. */
  readonly directions?: 'both' | 'sharedBoth' | 'forward'
  /** Whether the two directions are averaged (div2) instead of summed; default true. */
  readonly average?: boolean
  /** Blocks work in pairs, the second on the reversed sequence, and their results are added; default false. */
  readonly paired?: boolean
  readonly mixer?: Omit<MambaOptions, 'layerScale'>
  readonly layerScale?: number
  /** Where the class token stands; `ends` are two whose mean is the feature. Default `middle`; a one-way scan needs `last`. */
  readonly classToken?: 'middle' | 'first' | 'last' | 'ends' | 'none'
  /** What becomes the feature where there is no class token; default the mean over tokens. */
  readonly pool?: 'last' | 'mean' | 'max' | 'all'
  /** Learned position of each token; default true. */
  readonly positions?: boolean
  /** Rotary positions before every block; default none. */
  readonly rotary?: { readonly trainedSide?: number; readonly residual?: boolean }
  readonly norm?: 'rms' | 'layer'
  readonly epsilon?: number
  /** Rate of dropout after the positions. */
  readonly dropout?: number
  /** Rate of dropped branches at the last addition; block i gets its share (i-1)/(depth-1), block 0 none. */
  readonly dropPath?: number
  /** Whether pictures of other sizes are taken, with interpolated positions; default false. */
  readonly interpolate?: boolean
}

/** Tokens of a picture after the last norm, and what they are pooled into. */
export interface VimEncoding {
  /** [batch, patches, dim], row by row, class tokens left out */
  readonly tokens: Tensor
  /** The class token (mean of two at the ends), or the pooled tokens: [batch, dim]; all tokens for the pools `max` and `all` */
  readonly cls: Tensor
  /** Rows and columns of patches. */
  readonly grid: readonly [number, number]
}

class PatchEmbed extends Module {
  readonly proj: Conv2d
  constructor(channels: number, dim: number, patch: readonly number[], stride: number) {
    super()
    const fanIn = channels * patch[0] * patch[1]
    // LeCun's normal, cut off: 0.8796… is the deviation of a unit normal that is cut off at two.
    const initial = initialise.truncatedNormal(Math.sqrt(1 / fanIn) / 0.87962566103423978)
    this.proj = new Conv2d(channels, dim, { kernel: patch, stride, initial })
    this.proj.bias?.set(new Float32Array(dim))
  }
  override forward(x: Tensor): Tensor {
    return this.proj.forward(x)
  }
}

/** Adds what came before to the residual stream, normalises it and mixes: (h, r) -> (mixer(norm(r + h)), r + h). */
class VimBlock extends Module {
  readonly mixer: MambaMixer | BiMambaMixer
  readonly norm: RmsNorm | LayerNorm
  readonly drop_path: DropPath

  constructor(mixer: MambaMixer | BiMambaMixer, norm: RmsNorm | LayerNorm, dropPath: number) {
    super()
    this.mixer = mixer
    this.norm = norm
    this.drop_path = new DropPath(dropPath)
  }
  override forward(hidden: Tensor, residual?: Tensor): { hidden: Tensor; residual: Tensor } {
    const stream = residual ? residual.add(this.drop_path.forward(hidden)) : hidden
    return { hidden: this.mixer.forward(this.norm.forward(stream)), residual: stream }
  }
}

/**
 * Vision Mamba without its classifier: patches in reading order, a class token in the middle, learned positions, and blocks
 * of bidirectional selective scans. Names are those of the official state dict.
 * Source: Zhu et al. 2024, "Vision Mamba", section 3; hustvl/Vim, vim/models_mamba.py
 */
export class VimEncoder extends Module {
  readonly patch_embed: PatchEmbed
  readonly cls_token?: Parameter
  readonly cls_token_head?: Parameter
  readonly cls_token_tail?: Parameter
  readonly pos_embed?: Parameter
  readonly rope?: GridRotary
  readonly layers: VimBlock[]
  readonly norm_f: RmsNorm | LayerNorm
  readonly featureDim: number
  readonly #options: Required<
    Pick<VimEncoderOptions, 'size' | 'stride' | 'classToken' | 'pool' | 'paired' | 'interpolate'>
  >
  readonly #patch: readonly [number, number]
  readonly #rotateResidual: boolean
  readonly #dropout: Dropout
  readonly #dropPath: DropPath

  constructor(options: VimEncoderOptions) {
    super()
    const { channels, size, patch = 16, dim = 192, depth = 24, classToken = 'middle', pool = 'mean' } = options
    const { positions = true, rotary, dropout = 0, dropPath = 0, paired = false, interpolate = false } = options
    const sides: readonly [number, number] = typeof patch === 'number' ? [patch, patch] : patch
    const stride = options.stride ?? sides[0]
    this.#options = { size, stride, classToken, pool, paired, interpolate }
    this.#patch = sides
    if (paired && depth % 2 !== 0) throw new Error(`vim: paired blocks need an even depth, got ${depth}`)
    const [rows, columns] = this.gridOf(size)
    const small = initialise.truncatedNormal(0.02)
    const token = (): Parameter => parameter(small([1, 1, dim]), [1, 1, dim])
    this.patch_embed = new PatchEmbed(channels, dim, sides, stride)
    if (classToken === 'ends') {
      this.cls_token_head = token()
      this.cls_token_tail = token()
    } else if (classToken !== 'none') this.cls_token = token()
    if (positions) {
      const shape = [1, rows * columns + this.#classTokens, dim]
      this.pos_embed = parameter(small(shape), shape)
    }
    if (rotary) {
      if (size[0] !== size[1]) throw new Error(`vim: rotary positions need square pictures, got ${size.join('x')}`)
      this.rope = new GridRotary(dim, Math.floor(size[0] / sides[0]), rotary.trainedSide ?? 14)
    }
    this.#rotateResidual = rotary?.residual ?? false
    this.layers = Array.from({ length: depth }, (_, i) => {
      const rate = i === 0 || depth === 1 ? 0 : (dropPath * (i - 1)) / (depth - 1)
      return new VimBlock(mixerFor(dim, depth, options), normFor(dim, options), rate)
    })
    this.norm_f = normFor(dim, options)
    this.featureDim = dim
    this.#dropout = new Dropout(dropout)
    this.#dropPath = new DropPath(dropPath)
  }

  get #classTokens(): number {
    return { none: 0, ends: 2, first: 1, middle: 1, last: 1 }[this.#options.classToken]
  }

  /** Rows and columns of patches of a picture. @throws when a side is no multiple of the stride or smaller than a patch */
  gridOf(size: readonly number[]): [number, number] {
    const { stride } = this.#options
    const [rows, columns] = size.map((side, axis) => {
      if (side % stride !== 0 || side < this.#patch[axis])
        throw new Error(
          `vim: pictures of ${size.join('x')} do not fit patches of ${this.#patch.join('x')} every ${stride} pixels; give sides that are multiples of ${stride}`,
        )
      return Math.floor((side - this.#patch[axis]) / stride) + 1
    })
    return [rows, columns]
  }

  /**
   * @param images [batch, channels, height, width]
   * @throws when the size is not the one that positions were learned for and `interpolate` is off
   */
  encode(images: Tensor): VimEncoding {
    const grid = this.#checkedGrid(images)
    const patches = grid[0] * grid[1]
    const places = this.#classPlaces(patches)
    const embedded = this.patch_embed.forward(images).rearrange('b d h w -> b (h w) d')
    const withClass = insert(embedded, this.#tokens(embedded), places)
    const placed = this.pos_embed ? this.#dropout.forward(withClass.add(this.#positions(grid))) : withClass
    const output = this.#blocks(placed)
    return { tokens: without(output, places), cls: this.#pooled(output, places), grid }
  }

  /** [batch, channels, height, width] -> [batch, dim] */
  features(images: Tensor): Tensor {
    const { cls } = this.encode(images)
    if (cls.rank === 2) return cls
    return this.#options.pool === 'max' ? cls.max(1) : cls.mean(1)
  }

  /** The tokens as one map [batch, dim, rows, columns]. */
  featureMaps(images: Tensor): Tensor[] {
    const { tokens, grid } = this.encode(images)
    return [tokens.rearrange('b (h w) d -> b d h w', { h: grid[0] })]
  }

  override forward(images: Tensor): Tensor {
    return this.features(images)
  }

  #checkedGrid(images: Tensor): [number, number] {
    const { size, interpolate } = this.#options
    const channels = this.patch_embed.proj.weight.shape[1]
    if (images.rank !== 4 || images.shape[1] !== channels)
      throw new Error(`vim: expected pictures [batch, ${channels}, height, width], got ${formatShape(images.shape)}`)
    const given = images.shape.slice(2)
    if (given.join() !== size.join() && (!interpolate || this.rope))
      throw new Error(
        `vim: pictures are ${given.join('x')} but the positions are those of ${size.join('x')}${this.rope ? ', and rotary ones are not interpolated' : '; set interpolate to stretch them'}`,
      )
    return this.gridOf(given)
  }

  #classPlaces(patches: number): readonly number[] {
    const places = { none: [], first: [0], middle: [Math.floor(patches / 2)], last: [patches], ends: [0, patches + 1] }
    return places[this.#options.classToken]
  }

  #tokens(like: Tensor): Tensor[] {
    const tokens = [this.cls_token, this.cls_token_head, this.cls_token_tail].filter(token => token !== undefined)
    return tokens.map(token => token.broadcastTo([like.shape[0], 1, like.shape[2]]))
  }

  /** The learned positions, stretched to another grid where needed; those of class tokens stay as they are. */
  #positions(grid: readonly [number, number]): Tensor {
    const learned = this.pos_embed!
    const own = this.gridOf(this.#options.size)
    if (grid.join() === own.join()) return learned
    const before = this.#classPlaces(own[0] * own[1])
    const stretched = resizePositions(without(learned, before), own, grid, 0)
    return insert(
      stretched,
      before.map(place => learned.slice(1, place, place + 1)),
      this.#classPlaces(grid[0] * grid[1]),
    )
  }

  #blocks(tokens: Tensor): Tensor {
    let hidden = tokens
    let residual: Tensor | undefined
    const rotate = (): void => {
      if (!this.rope) return
      hidden = this.rope.forward(hidden)
      if (residual && this.#rotateResidual) residual = this.rope.forward(residual)
    }
    for (let i = 0; i < this.layers.length; i += this.#options.paired ? 2 : 1) {
      rotate()
      const ahead = this.layers[i].forward(hidden, residual)
      if (this.#options.paired) {
        const back = this.layers[i + 1].forward(flip(hidden, 1), residual && flip(residual, 1))
        hidden = ahead.hidden.add(flip(back.hidden, 1))
        residual = ahead.residual.add(flip(back.residual, 1))
      } else ({ hidden, residual } = ahead)
    }
    const last = residual ? residual.add(this.#dropPath.forward(hidden)) : hidden
    return this.norm_f.forward(last)
  }

  #pooled(tokens: Tensor, places: readonly number[]): Tensor {
    if (places.length === 2) return tokens.at(null, places[0]).add(tokens.at(null, places[1])).mul(0.5)
    if (places.length === 1) return tokens.at(null, places[0])
    const { pool } = this.#options
    if (pool === 'last') return tokens.at(null, -1)
    return pool === 'mean' ? tokens.mean(1) : tokens
  }
}

function mixerFor(dim: number, depth: number, options: VimEncoderOptions): MambaMixer | BiMambaMixer {
  const { directions = 'both', average, layerScale, mixer } = options
  const settings = { ...mixer, layerScale }
  const made =
    directions === 'forward'
      ? new MambaMixer(dim, settings)
      : new BiMambaMixer(dim, {
          ...settings,
          branches: directions === 'both' ? 'separate' : 'shared',
          average: directions === 'both' ? (average ?? true) : false,
        })
  // Branches that are added up start smaller the more of them there are. Source: GPT-2
  const { weight, bias } = made.out_proj
  weight.set(
    initialise
      .kaimingUniform(Math.sqrt(5))(weight.shape)
      .map(value => value / Math.sqrt(depth)),
  )
  for (const zero of [bias, made.in_proj.bias]) zero?.set(new Float32Array(zero.size))
  return made
}

const normFor = (dim: number, { norm = 'rms', epsilon = 1e-5 }: VimEncoderOptions): RmsNorm | LayerNorm =>
  norm === 'rms' ? new RmsNorm(dim, { epsilon }) : new LayerNorm(dim, { epsilon })

/** Puts tokens into a sequence so that they stand at `places` of the result, in rising order. */
function insert(sequence: Tensor, tokens: readonly Tensor[], places: readonly number[]): Tensor {
  return places.reduce((longer, place, i) => {
    const parts = [longer.slice(1, 0, place), tokens[i], longer.slice(1, place)]
    return concat(
      parts.filter(({ shape }) => shape[1] !== 0),
      1,
    )
  }, sequence)
}

/** The sequence without the tokens at `places`. */
function without(sequence: Tensor, places: readonly number[]): Tensor {
  if (places.length === 0) return sequence
  const cuts = [-1, ...places, sequence.shape[1]]
  const parts = cuts.slice(1).map((end, i) => sequence.slice(1, cuts[i] + 1, end))
  return concat(
    parts.filter(({ shape }) => shape[1] !== 0),
    1,
  )
}

export interface VimOptions extends VimEncoderOptions {
  /** Number of classes; 0 leaves the classifier out. */
  readonly classes: number
}

/** {@link VimEncoder} with a linear classifier on what it pools. */
export class Vim extends VimEncoder implements DenseBackbone {
  readonly head?: Linear
  readonly #largest: boolean

  constructor(options: VimOptions) {
    super(options)
    this.#largest = options.classToken === 'none' && options.pool === 'max'
    if (options.classes === 0) return
    this.head = new Linear(this.featureDim, options.classes, { initial: initialise.truncatedNormal(0.02) })
    this.head.bias?.set(new Float32Array(options.classes))
  }

  /** Scores of {@link VimEncoding.cls}; with the pool `max` the largest over tokens, with `all` those of every token. */
  classify({ cls }: VimEncoding): Tensor {
    const scores = this.head?.forward(cls) ?? cls
    return this.#largest ? scores.max(1) : scores
  }

  /** [batch, channels, height, width] -> [batch, classes]; with the pool `all` [batch, tokens, classes] */
  override forward(images: Tensor): Tensor {
    return this.classify(this.encode(images))
  }
}

/** A class for every patch: {@link VimEncoder} without a class token, and a linear layer on each token. */
export class VimLabeller extends Module {
  readonly encoder: VimEncoder
  readonly head: Linear

  constructor({ classes, ...options }: VimOptions) {
    super()
    this.encoder = new VimEncoder({ ...options, classToken: 'none' })
    this.head = new Linear(this.encoder.featureDim, classes, { initial: initialise.truncatedNormal(0.02) })
    this.head.bias?.set(new Float32Array(classes))
  }

  /** [batch, channels, height, width] -> [batch, classes, rows, columns] of patches */
  override forward(images: Tensor): Tensor {
    const { tokens, grid } = this.encoder.encode(images)
    return this.head.forward(tokens).rearrange('b (h w) k -> b k h w', { h: grid[0] })
  }
}
