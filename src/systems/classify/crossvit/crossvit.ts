import { concat, formatShape, relu, resize, type Tensor } from '../../../core/index.ts'
import {
  Block,
  Conv2d,
  Dropout,
  type ImageBackbone,
  initialise,
  LayerNorm,
  Linear,
  Module,
  namedModules,
  type Parameter,
  parameter,
  prepend,
  Sequential,
} from '../../../nn/index.ts'
import { type FusionOptions, MultiScaleFusion } from './fusion.ts'

/** Encoder blocks of each branch within one multi-scale block. */
export type Depths = readonly number[]

export interface CrossVitOptions {
  /** Channels of the pictures; default 3. */
  readonly channels?: number
  /** 0 for no classifier. */
  readonly classes: number
  /** Side of the square picture that each branch sees; multiples of its patch. Default 240, 224. */
  readonly sizes?: readonly number[]
  /** Side of each branch's patches, small ones first; default 12, 16. */
  readonly patches?: readonly number[]
  /** Width of each branch; default CrossViT-9's: 128, 256. */
  readonly dims?: readonly number[]
  /** Of each multi-scale block; default CrossViT-9's: [1, 3] three times. No branch may be deeper than the last. */
  readonly depths?: readonly Depths[]
  /** Heads of each branch; default 4, 4. */
  readonly heads?: readonly number[]
  /** Of each branch; default 3, 3. */
  readonly mlpRatios?: readonly number[]
  /** Cross attentions one after another in each multi-scale block; default 1. */
  readonly fusions?: number
  /** Whether {@link fusions} stand in sequences, which names their parameters; default when there are several. */
  readonly nestedFusion?: boolean
  /** Three convolutions instead of one in each patch embedding, as in the models marked with a dagger; default false. */
  readonly multiConv?: boolean
  readonly qkvBias?: boolean
  /** Factor of the scores of cross attention; default (width of a head)^-1/2. */
  readonly crossScale?: number
  readonly dropout?: number
  readonly attentionDropout?: number
  /** Rate of dropped branches in the last block, growing linearly from 0; default 0. */
  readonly dropPath?: number
}

/**
 * Patches by three convolutions with ReLU between, of stride 12 or 16 in all.
 * @throws for other patches. Source: Chen et al. 2021, "CrossViT", section 4.1 (models with a dagger)
 */
export class MultiConvPatchEmbed extends Sequential {
  constructor(channels: number, dim: number, patch: number) {
    if (patch !== 12 && patch !== 16)
      throw new Error(`CrossViT: patches by several convolutions are 12 or 16 wide, got ${patch}; leave multiConv out`)
    const [quarter, half] = [Math.floor(dim / 4), Math.floor(dim / 2)]
    super(
      new Conv2d(channels, quarter, { kernel: 7, stride: 4, padding: 3 }),
      relu,
      patch === 12
        ? new Conv2d(quarter, half, { kernel: 3, stride: 3 })
        : new Conv2d(quarter, half, { kernel: 3, stride: 2, padding: 1 }),
      relu,
      new Conv2d(half, dim, { kernel: 3, stride: patch === 12 ? 1 : 2, padding: 1 }),
    )
  }
}

class PatchEmbed extends Module {
  readonly proj: Conv2d | MultiConvPatchEmbed

  constructor(channels: number, dim: number, patch: number, multiConv: boolean) {
    super()
    this.proj = multiConv
      ? new MultiConvPatchEmbed(channels, dim, patch)
      : new Conv2d(channels, dim, { kernel: patch, stride: patch })
  }

  override forward(x: Tensor): Tensor {
    return this.proj.forward(x).rearrange('b d h w -> b (h w) d')
  }
}

interface MultiScaleBlockOptions extends FusionOptions {
  readonly depths: Depths
  readonly mlpRatios: readonly number[]
  readonly nestedFusion?: boolean
  /** Rates of the blocks of the deepest branch. */
  readonly rates: readonly number[]
}

/** The branches' own encoders, then the exchange between their class tokens. */
export class MultiScaleBlock extends MultiScaleFusion {
  readonly blocks: Sequential[]

  constructor({ depths, mlpRatios, nestedFusion, rates, ...fusion }: MultiScaleBlockOptions) {
    super({ ...fusion, dropPath: rates[rates.length - 1] }, nestedFusion)
    const { dropout, attentionDropout, qkvBias } = fusion
    this.blocks = fusion.dims.map(
      (dim, i) =>
        new Sequential(
          ...Array.from({ length: depths[i] }, (_, k) => {
            const options = { mlpRatio: mlpRatios[i], dropout, attentionDropout, qkvBias, dropPath: rates[k] }
            return new Block(dim, fusion.heads[i], options)
          }),
        ),
    )
  }

  override forward(branches: readonly Tensor[]): Tensor[] {
    return super.forward(branches.map((tokens, i) => this.blocks[i].forward(tokens)))
  }
}

/**
 * Transformers that see the same picture in patches of different sizes and exchange what they know through their class
 * tokens; the class scores are the mean of all branches'. Names are those of the official state dict.
 * Source: Chen et al. 2021, "CrossViT"; IBM/CrossViT, models/crossvit.py
 */
export class CrossVit extends Module implements ImageBackbone {
  readonly patch_embed: PatchEmbed[]
  readonly pos_embed: Parameter[]
  readonly cls_token: Parameter[]
  readonly blocks: MultiScaleBlock[]
  readonly norm: LayerNorm[]
  readonly head: Linear[]
  readonly featureDim: number
  readonly #sizes: readonly number[]
  readonly #channels: number
  readonly #dropout: Dropout

  /** @throws when there are fewer than two branches, or a size, depth or number of heads does not fit */
  constructor(options: CrossVitOptions) {
    super()
    const { channels = 3, classes, sizes = [240, 224], patches = [12, 16], dims = [128, 256] } = options
    const { depths = [1, 2, 3].map(() => [1, 3]), heads = [4, 4], mlpRatios = [3, 3], fusions = 1 } = options
    checkBranches({ sizes, patches, dims, heads, mlpRatios }, depths)
    const small = initialise.truncatedNormal(0.02)
    this.patch_embed = dims.map((dim, i) => new PatchEmbed(channels, dim, patches[i], options.multiConv ?? false))
    this.pos_embed = dims.map((dim, i) => {
      const shape = [1, 1 + (sizes[i] / patches[i]) ** 2, dim]
      return parameter(small(shape), shape)
    })
    this.cls_token = dims.map(dim => parameter(small([1, 1, dim]), [1, 1, dim]))
    const { dropout, attentionDropout, qkvBias, crossScale: scale, nestedFusion } = options
    const extra = nestedFusion || fusions > 1 ? fusions : 0
    const rates = dropRates(depths, extra, options.dropPath ?? 0)
    this.blocks = depths.map((each, i) => {
      const shared = { dims, heads, mlpRatios, fusions, nestedFusion, dropout, attentionDropout, qkvBias, scale }
      return new MultiScaleBlock({ ...shared, depths: each, rates: rates[i] })
    })
    this.norm = dims.map(dim => new LayerNorm(dim, { epsilon: 1e-6 }))
    this.head = classes > 0 ? dims.map(dim => new Linear(dim, classes)) : []
    this.featureDim = dims.reduce((sum, dim) => sum + dim, 0)
    this.#sizes = sizes
    this.#channels = channels
    this.#dropout = new Dropout(dropout ?? 0)
    for (const [, module] of namedModules(this)) if (module instanceof Linear) initialiseLinear(module)
  }

  /**
   * The picture as each branch sees it: resized (cubic, no antialiasing) where its height is another.
   * @throws when the picture is not square or has other channels
   */
  views(x: Tensor): Tensor[] {
    const [, channels, height, width] = x.shape
    if (x.rank !== 4 || channels !== this.#channels)
      throw new Error(`CrossViT: expected [batch, ${this.#channels}, height, width], got ${formatShape(x.shape)}`)
    if (height !== width)
      throw new Error(`CrossViT: pictures must be square, got ${height}x${width}; crop or pad them first`)
    return this.#sizes.map(size => (size === height ? x : resize(x, { size, mode: 'cubic' })))
  }

  /** Class token of each branch after its last norm: [batch, dims[i]] */
  classTokens(x: Tensor): Tensor[] {
    const tokens = this.views(x).map((view, i) => {
      const embedded = prepend(this.cls_token[i], this.patch_embed[i].forward(view))
      return this.#dropout.forward(embedded.add(this.pos_embed[i]))
    })
    const encoded = this.blocks.reduce<readonly Tensor[]>((branches, block) => block.forward(branches), tokens)
    return encoded.map((branch, i) => this.norm[i].forward(branch.at(null, 0)))
  }

  /** The class tokens of all branches side by side: [batch, sum of dims] */
  embed(x: Tensor): Tensor {
    return concat(this.classTokens(x), -1)
  }

  features(x: Tensor): Tensor {
    return this.embed(x)
  }

  /** Mean of the branches' class scores. @throws when the model has no classifier */
  classify(tokens: readonly Tensor[]): Tensor {
    if (this.head.length === 0) throw new Error('CrossViT: this model has no classifier; build it with classes')
    return tokens
      .map((token, i) => this.head[i].forward(token))
      .reduce((sum, logits) => sum.add(logits))
      .mul(1 / tokens.length)
  }

  override forward(x: Tensor): Tensor {
    return this.classify(this.classTokens(x))
  }
}

function checkBranches(
  lists: Readonly<Record<'sizes' | 'patches' | 'dims' | 'heads' | 'mlpRatios', readonly number[]>>,
  depths: readonly Depths[],
): void {
  const { dims, sizes, patches } = lists
  if (dims.length < 2) throw new Error(`CrossViT: expected at least two branches, got widths [${dims}]`)
  for (const [name, list] of Object.entries(lists))
    if (list.length !== dims.length)
      throw new Error(`CrossViT: ${name} [${list}] has ${list.length} entries for ${dims.length} branches`)
  sizes.forEach((size, i) => {
    if (size % patches[i] !== 0)
      throw new Error(
        `CrossViT: the picture of branch ${i}, ${size} wide, does not divide into patches of ${patches[i]}; use ${Math.max(1, Math.round(size / patches[i])) * patches[i]}`,
      )
  })
  for (const each of depths) {
    if (each.length !== dims.length || each.some(depth => depth < 1))
      throw new Error(`CrossViT: depths [${each}] must be at least 1 for each of ${dims.length} branches`)
    if (Math.max(...each) > each[each.length - 1])
      throw new Error(
        `CrossViT: depths [${each}]: no branch may be deeper than the last, which has the largest patches`,
      )
  }
}

/** Rates of each multi-scale block, growing linearly over the depth of the last branch. */
function dropRates(depths: readonly Depths[], extra: number, last: number): number[][] {
  const lengths = depths.map(each => Math.max(...each) + extra)
  const total = lengths.reduce((sum, length) => sum + length, 0)
  return lengths.map((length, i) => {
    const before = lengths.slice(0, i).reduce((sum, each) => sum + each, 0)
    return Array.from({ length }, (_, k) => (total > 1 ? (last * (before + k)) / (total - 1) : 0))
  })
}

/** timm's start for transformers: small normal weights, no bias. */
function initialiseLinear(layer: Linear): void {
  layer.weight.set(initialise.truncatedNormal(0.02)(layer.weight.shape))
  layer.bias?.set(new Float32Array(layer.bias.size))
}
