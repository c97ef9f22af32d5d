import { averagePool, formatShape, pad, resize, type Tensor } from '../../../core/index.ts'
import { MultiScaleDeformableAttention } from '../../../nn/deformable-attention.ts'
import {
  BatchNorm,
  Conv2d,
  ConvTranspose2d,
  Dropout,
  initialise,
  Linear,
  Module,
  namedModules,
  type Parameter,
  parameter,
} from '../../../nn/index.ts'
import { flattenLevels, unflattenLevels } from '../../../nn/levels.ts'
import { CnnBranch } from './cnn-branch.ts'
import { CtiStage, type CtiStageOptions, levelSizes } from './interaction.ts'
import type { PlainVit } from './plain-vit.ts'

/** First and last block of a stage. */
export type StageRange = readonly [first: number, last: number]

/** One setting for all stages, or one for each. */
export type PerStage<T> = T | readonly T[]

export interface ViTCoMerOptions extends Omit<CtiStageOptions, 'toVit' | 'toCnn' | 'cnnInteraction' | 'extra'> {
  /** Number of stages of equally many blocks, or the blocks of each; default 4. */
  readonly stages?: number | readonly StageRange[]
  /** Width of the first convolutions of the CNN branch; default 64. */
  readonly cnnWidth?: number
  readonly toVit?: PerStage<boolean>
  readonly toCnn?: PerStage<boolean>
  readonly cnnInteraction?: PerStage<boolean>
  /** Further exchanges after the last stage; default 4. */
  readonly extra?: number
  /**
   * Which outputs of the transformer are added to the four maps: those after each quarter of its stages (default, the
   * official form for segmentation), the last ones to all (for detection), or none.
   */
  readonly vitFeatures?: 'stages' | 'last' | 'none'
  /** Rows and columns that the transformer's positions were learned on; default: as many of both. */
  readonly positionGrid?: readonly [number, number]
  /** Stride of the finest map: a quarter of the transformer's patch, 4 (default) or 2. */
  readonly finestStride?: 2 | 4
  /** Whether pictures whose sides are no multiples of two patches are padded with zeros below and to the right; default false. */
  readonly padding?: boolean
  /** Rate of dropout on the first tokens while training; default 0. */
  readonly dropout?: number
}

/** Four maps, fine to coarse: a quarter, half, once and twice the transformer's patch. */
export type Pyramid = [Tensor, Tensor, Tensor, Tensor]

/**
 * Makes any plain vision transformer a backbone for dense prediction: a convolutional pyramid runs beside it, and the two
 * exchange features in both directions at several stages. It starts from the plain transformer's own tokens (what it
 * hears is multiplied by 0 at first), whose weights it keeps. Names are those of the official state dict.
 * Source: Xia et al. 2024, "ViT-CoMer"; Traffic-X/ViT-CoMer, segmentation/mmseg_custom/models/backbones/vit_comer.py
 */
export class ViTCoMer extends Module {
  readonly patch_embed: PlainVit['patch_embed']
  readonly pos_embed: Parameter
  readonly blocks: PlainVit['blocks']
  readonly level_embed: Parameter
  readonly spm: CnnBranch
  readonly interactions: readonly CtiStage[]
  readonly up: ConvTranspose2d
  readonly norm1: BatchNorm
  readonly norm2: BatchNorm
  readonly norm3: BatchNorm
  readonly norm4: BatchNorm
  /** Channels of the four maps. */
  readonly dim: number
  readonly #stages: readonly StageRange[]
  readonly #positionGrid: readonly [number, number]
  readonly #options: Required<Pick<ViTCoMerOptions, 'vitFeatures' | 'padding'>>
  readonly #dropout: Dropout

  /**
   * @param vit the transformer; its modules become part of this one
   * @throws when its patches do not fit the strides, stages do not cover its blocks, or heads do not divide its width
   */
  constructor(vit: PlainVit, options: ViTCoMerOptions = {}) {
    super()
    const { vitFeatures = 'stages', padding = false, finestStride = 4, extra = 4, cnnWidth = 64 } = options
    this.patch_embed = vit.patch_embed
    this.pos_embed = vit.pos_embed
    this.blocks = vit.blocks
    this.dim = vit.pos_embed.shape[2]
    const [, channels, patch] = vit.patch_embed.proj.weight.shape
    if (patch !== 4 * finestStride)
      throw new Error(
        `ViTCoMer: patches of ${patch} do not fit a pyramid that starts at stride ${finestStride}; give finestStride: ${patch / 4}${patch === 8 || patch === 16 ? '' : ', which only patches of 8 and 16 allow'}`,
      )
    this.#stages = stageRanges(options.stages ?? 4, vit.blocks.length)
    this.#positionGrid = options.positionGrid ?? squareGrid(vit.pos_embed)
    this.#options = { vitFeatures, padding }
    this.#dropout = new Dropout(options.dropout ?? 0)
    const { dim } = this
    this.level_embed = parameter(initialise.normal()([3, dim]), [3, dim])
    this.spm = new CnnBranch(channels, cnnWidth, dim, finestStride)
    this.interactions = this.#stages.map((_, i) => {
      const each = <T>(value: PerStage<T> | undefined): T | undefined =>
        Array.isArray(value) ? (value as readonly T[])[i] : (value as T | undefined)
      return new CtiStage(dim, {
        ...options,
        toVit: each(options.toVit),
        toCnn: each(options.toCnn),
        cnnInteraction: each(options.cnnInteraction),
        extra: i === this.#stages.length - 1 ? extra : 0,
      })
    })
    this.up = new ConvTranspose2d(dim, dim, { kernel: 2, stride: 2 })
    this.norm1 = new BatchNorm(dim)
    this.norm2 = new BatchNorm(dim)
    this.norm3 = new BatchNorm(dim)
    this.norm4 = new BatchNorm(dim)
    for (const part of [this.spm, this.up, ...this.interactions]) initialiseLayers(part)
  }

  /** Side of a patch of the transformer. */
  get patch(): number {
    return this.patch_embed.proj.weight.shape[2]
  }

  /** @throws when the sides are no multiples of two patches, unless pictures are padded */
  #fitted(x: Tensor): Tensor {
    const step = 2 * this.patch
    if (x.rank !== 4)
      throw new Error(`ViTCoMer: expected [batch, channels, height, width], got ${formatShape(x.shape)}`)
    const rest = x.shape.slice(2).map(side => (step - (side % step)) % step)
    if (rest.every(each => each === 0)) return x
    if (!this.#options.padding)
      throw new Error(
        `ViTCoMer: pictures of ${x.shape[2]}x${x.shape[3]} have sides that are no multiples of ${step}; resize them, or build it with padding: true`,
      )
    return pad(x, [
      [0, 0],
      [0, 0],
      [0, rest[0]],
      [0, rest[1]],
    ])
  }

  /**
   * Everything that is computed on the way to the maps.
   * @param images [batch, channels, height, width]
   * @returns the transformer's tokens after each stage [batch, rows * columns, dim], the pyramid, and the grid
   */
  encode(images: Tensor): { tokens: Tensor[]; pyramid: Pyramid; grid: readonly [number, number] } {
    const x = this.#fitted(images)
    const grid = [x.shape[2] / this.patch, x.shape[3] / this.patch] as const
    const sizes = levelSizes(grid)
    const [c1, ...coarser] = this.spm.forward(x)
    let levels = flattenLevels(coarser.map((map, i) => map.add(this.level_embed.at(i).rearrange('d -> d 1 1'))))
    let tokens = this.#dropout.forward(this.patch_embed.forward(x).add(this.#positions(grid)))
    const outputs: Tensor[] = []
    for (const [i, stage] of this.interactions.entries()) {
      const [first, last] = this.#stages[i]
      ;({ tokens, levels } = stage.forward(tokens, levels, this.blocks.slice(first, last + 1), grid))
      outputs.push(tokens)
    }
    const [c2, c3, c4] = unflattenLevels(levels, sizes)
    const maps = [this.up.forward(c2).add(c1), c2, c3, c4]
    const added = this.#vitMaps(outputs, grid)
    const norms = [this.norm1, this.norm2, this.norm3, this.norm4]
    const pyramid = maps.map((map, i) => norms[i].forward(added ? map.add(added[i]) : map)) as Pyramid
    return { tokens: outputs, pyramid, grid }
  }

  /** Maps of 1/4, 1/2, 1 and 2 patches: [batch, dim, height / stride, width / stride]. */
  override forward(images: Tensor): Pyramid {
    return this.encode(images).pyramid
  }

  /** The transformer's positions, brought to another grid. */
  #positions(grid: readonly [number, number]): Tensor {
    const [rows, columns] = this.#positionGrid
    const learned = this.pos_embed.slice(1, this.pos_embed.shape[1] - rows * columns)
    if (rows === grid[0] && columns === grid[1]) return learned
    const map = learned.rearrange('b (h w) d -> b d h w', { h: rows })
    return resize(map, { size: grid, mode: 'cubic' }).rearrange('b d h w -> b (h w) d')
  }

  /** The transformer's outputs at the four resolutions. */
  #vitMaps(outputs: readonly Tensor[], grid: readonly [number, number]): Tensor[] | undefined {
    const { vitFeatures } = this.#options
    if (vitFeatures === 'none') return undefined
    const after = (quarter: number): Tensor => {
      const stage = vitFeatures === 'last' ? outputs.length : Math.ceil((quarter * outputs.length) / 4)
      return outputs[stage - 1].rearrange('b (h w) d -> b d h w', { h: grid[0] })
    }
    return [
      resize(after(1), { scale: 4, mode: 'linear' }),
      resize(after(2), { scale: 2, mode: 'linear' }),
      after(3),
      averagePool(after(4), { kernel: 2, stride: 2 }),
    ]
  }
}

function stageRanges(stages: number | readonly StageRange[], depth: number): readonly StageRange[] {
  if (typeof stages === 'number') {
    if (!Number.isInteger(stages) || stages < 1 || depth % stages !== 0)
      throw new Error(`ViTCoMer: ${depth} blocks do not divide into ${stages} stages; give the blocks of each stage`)
    const length = depth / stages
    return Array.from({ length: stages }, (_, i) => [i * length, (i + 1) * length - 1])
  }
  const covered = stages.every(([first, last], i) => first === (i === 0 ? 0 : stages[i - 1][1] + 1) && last >= first)
  if (stages.length === 0 || !covered || stages[stages.length - 1][1] !== depth - 1)
    throw new Error(
      `ViTCoMer: stages ${JSON.stringify(stages)} do not cover the blocks 0 to ${depth - 1} one after another`,
    )
  return stages
}

/** The grid of positions when it is square, with or without a class token before it. */
function squareGrid(positions: Parameter): readonly [number, number] {
  for (const prefix of [1, 0]) {
    const side = Math.sqrt(positions.shape[1] - prefix)
    if (Number.isInteger(side)) return [side, side]
  }
  throw new Error(
    `ViTCoMer: ${positions.shape[1]} positions are no square grid; give its rows and columns as positionGrid`,
  )
}

/** The official start of everything but the transformer. */
function initialiseLayers(root: Module): void {
  for (const [, module] of namedModules(root)) {
    if (module instanceof Linear) {
      module.weight.set(initialise.truncatedNormal(0.02)(module.weight.shape))
      module.bias?.set(new Float32Array(module.bias.size))
    } else if (module instanceof Conv2d || module instanceof ConvTranspose2d) {
      const [first, second, ...kernel] = module.weight.shape
      // The fan out over the groups: a depthwise kernel has one output.
      const outputs = module instanceof ConvTranspose2d ? second : second === 1 ? 1 : first
      const fan = outputs * kernel.reduce((a, b) => a * b, 1)
      module.weight.set(initialise.normal(Math.sqrt(2 / fan))(module.weight.shape))
      module.bias?.set(new Float32Array(module.bias.size))
    }
  }
  for (const [, module] of namedModules(root)) if (module instanceof MultiScaleDeformableAttention) module.initialise()
}
