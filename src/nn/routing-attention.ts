import {
  adaptiveAveragePool,
  adaptiveMaxPool,
  averagePool,
  formatShape,
  gather,
  matmul,
  maxPool,
  softmax,
  type Tensor,
  topK,
} from '../core/index.ts'
import { scaledDotProductAttention } from './attention.ts'
import { DepthwiseConv } from './depthwise.ts'
import { Linear } from './linear.ts'
import { Module } from './module.ts'
import { padToMultiple, regionMerge, regionPartition } from './regions.ts'

/** Which regions each region looks at. */
export interface Routing {
  /** Affinity of every pair of regions, [batch, regions, regions] */
  readonly affinity: Tensor
  /** The k regions of largest affinity, that one first, i64 [batch, regions, k]; of equal ones the lower index */
  readonly indices: Tensor
  /** Softmax over the affinities of the chosen, [batch, regions, k] */
  readonly weights: Tensor
}

export interface RouterOptions {
  /** Factor of the affinities; default dim^-1/2. */
  readonly scale?: number
  /** Whether gradients reach queries and keys through the weights; default false. */
  readonly differentiable?: boolean
  /** Whether queries and keys pass a linear layer of the router's own; default false. */
  readonly projection?: boolean
}

/**
 * Chooses for each region the k regions whose mean keys fit its mean query best: top-k of (q s) k^T, row by row.
 * The choice itself has no gradient. Source: Zhu et al. 2023, "BiFormer", section 3.2
 */
export class TopKRouter extends Module {
  readonly emb?: Linear
  readonly #scale: number
  readonly #differentiable: boolean

  constructor(
    dim: number,
    readonly k: number,
    options: RouterOptions = {},
  ) {
    super()
    if (!Number.isInteger(k) || k < 1) throw new Error(`TopKRouter: k must be a whole number from 1, got ${k}`)
    this.#scale = options.scale ?? dim ** -0.5
    this.#differentiable = options.differentiable ?? false
    if (options.projection) this.emb = new Linear(dim, dim)
  }

  /**
   * @param query [batch, regions, dim], mean of each region
   * @param key [batch, regions, dim]
   * @throws when there are fewer regions than k
   */
  override forward(query: Tensor, key: Tensor): Routing {
    const regions = key.shape[1]
    if (this.k > regions)
      throw new Error(`TopKRouter: each region is to see ${this.k} regions, but there are only ${regions}`)
    const [q, k] = [query, key].map(t => {
      const given = this.#differentiable ? t : t.stopGradient()
      return this.emb ? this.emb.forward(given) : given
    })
    const affinity = matmul(q.mul(this.#scale), k, { transposeB: true })
    const { values, indices } = topK(affinity, this.k)
    return { affinity, indices, weights: softmax(values, -1) }
  }
}

export interface RoutedAttentionOptions {
  readonly heads: number
  /** Multiplies the scores; default (width of a head)^-1/2. */
  readonly scale?: number
  /** [batch, regions, k] factors of the gathered keys and values; left out: 1. */
  readonly weights?: Tensor
}

/**
 * Attention of every token of a region over all tokens of the k regions chosen for it: the chosen keys and values are
 * gathered, and dense products do the rest.
 * @param query [batch, regions, queries, dim]
 * @param key [batch, regions, keys, dim]
 * @param value [batch, regions, keys, valueDim]
 * @param indices i64 [batch, regions, k]
 * @returns output [batch, regions, queries, valueDim] and the weights [batch, regions, heads, queries, k keys]
 * @throws when heads do not divide a width. Source: Zhu et al. 2023, "BiFormer", section 3.2
 */
export function routedAttention(
  query: Tensor,
  key: Tensor,
  value: Tensor,
  indices: Tensor,
  { heads, scale, weights }: RoutedAttentionOptions,
): { output: Tensor; weights: Tensor } {
  for (const width of [query.shape[3], value.shape[3]])
    if (width % heads !== 0) throw new Error(`routedAttention: ${heads} heads do not divide the width ${width}`)
  const chosen = (t: Tensor): Tensor => {
    const gathered = gather(t, indices, 1, { batchDims: 1 })
    const weighted = weights ? gathered.mul(weights.rearrange('b r k -> b r k 1 1')) : gathered
    return weighted.rearrange('b r k t (m d) -> b r m (k t) d', { m: heads })
  }
  const { output, weights: attention } = scaledDotProductAttention(
    query.rearrange('b r t (m d) -> b r m t d', { m: heads }),
    chosen(key),
    chosen(value),
    { scale },
  )
  return { output: output.rearrange('b r m t d -> b r t (m d)'), weights: attention }
}

/** How the keys and values of each region are made fewer before they are gathered. */
export type RegionPooling =
  | { readonly kind: 'none' }
  /** To so many rows and columns. */
  | { readonly kind: 'adaptiveAverage' | 'adaptiveMax'; readonly side: number }
  /** By so many rows and columns. */
  | { readonly kind: 'average' | 'max'; readonly ratio: number }

/** q, k and v in one linear layer at `qkv`. */
class QkvLinear extends Module {
  readonly qkv: Linear
  readonly #widths: readonly number[]

  constructor(dim: number, keyDim: number) {
    super()
    this.#widths = [keyDim, keyDim, dim]
    this.qkv = new Linear(dim, 2 * keyDim + dim)
  }

  override forward(x: Tensor): Tensor[] {
    return this.qkv.forward(x).split(this.#widths, -1)
  }
}

export interface BiLevelRoutingOptions {
  readonly heads: number
  /** Rows and columns of regions, S; default 7. */
  readonly regions?: number
  /** Regions that each region looks at; default 4. */
  readonly topK?: number
  /** Width of queries and keys; default the width of the input. */
  readonly keyDim?: number
  /** Factor of scores and of affinities; default keyDim^-1/2, whatever the number of heads. */
  readonly scale?: number
  /** Side of the depthwise kernel over the values whose result is added (LePE); 0 for none; default 5. */
  readonly lepe?: number
  /** Whether gathered keys and values are multiplied by the routing weights; default false. */
  readonly softRouting?: boolean
  readonly router?: Pick<RouterOptions, 'differentiable' | 'projection'>
  readonly pooling?: RegionPooling
  /** Whether a linear layer ends it; default true. */
  readonly outputProjection?: boolean
  /** Whether maps that do not divide into regions are padded with zeros (and cropped afterwards); default false. */
  readonly padding?: boolean
}

/**
 * Bi-level routing attention: regions choose regions by their mean queries and keys, then tokens attend to the tokens of
 * the chosen regions; a depthwise convolution of the values is added (LePE). Names are those of the official state dict.
 * Source: Zhu et al. 2023, "BiFormer", section 3.2; rayleizhu/BiFormer, ops/bra_legacy.py
 */
export class BiLevelRoutingAttention extends Module {
  readonly lepe?: DepthwiseConv
  readonly router: TopKRouter
  readonly qkv: QkvLinear
  readonly wo?: Linear
  readonly #options: Required<Pick<BiLevelRoutingOptions, 'heads' | 'regions' | 'softRouting' | 'pooling' | 'padding'>>
  readonly #scale: number

  /** @throws when the heads do not divide the widths, or more regions are to be seen than there are */
  constructor(
    readonly dim: number,
    options: BiLevelRoutingOptions,
  ) {
    super()
    const { heads, regions = 7, topK: k = 4, keyDim = dim, lepe = 5, softRouting = false } = options
    const { pooling = { kind: 'none' }, padding = false, outputProjection = true } = options
    if (dim % heads !== 0 || keyDim % heads !== 0)
      throw new Error(`BiLevelRoutingAttention: ${heads} heads do not divide the widths ${dim} and ${keyDim}`)
    if (k > regions * regions)
      throw new Error(
        `BiLevelRoutingAttention: each region is to see ${k} regions, but ${regions}x${regions} are only ${regions * regions}`,
      )
    this.#scale = options.scale ?? keyDim ** -0.5
    this.#options = { heads, regions, softRouting, pooling, padding }
    if (lepe > 0) this.lepe = new DepthwiseConv(dim, lepe)
    this.router = new TopKRouter(keyDim, k, { ...options.router, scale: this.#scale })
    this.qkv = new QkvLinear(dim, keyDim)
    if (outputProjection) this.wo = new Linear(dim, dim)
  }

  /**
   * @param x [batch, height, width, dim]
   * @returns the same shape
   * @throws when the map does not divide into the regions and padding is off
   */
  override forward(x: Tensor): Tensor {
    return this.attend(x).output
  }

  /** Beside the output, which regions were chosen and the attention [batch, regions, heads, queries, k keys]. */
  attend(x: Tensor): { output: Tensor; routing: Routing; attention: Tensor } {
    const { heads, regions, softRouting, padding } = this.#options
    if (x.rank !== 4 || x.shape[3] !== this.dim)
      throw new Error(
        `BiLevelRoutingAttention: expected [batch, height, width, ${this.dim}], got ${formatShape(x.shape)}`,
      )
    const [, height, width] = x.shape
    const grid = [regions, regions] as const
    const padded = padding ? padToMultiple(x, grid) : x
    const size = [padded.shape[1], padded.shape[2]] as const
    const [query, key, value] = this.qkv.forward(padded).map(t => regionPartition(t, grid))
    const routing = this.router.forward(query.mean(2), key.mean(2))
    const side = [size[0] / regions, size[1] / regions] as const
    const { output, weights } = routedAttention(
      query,
      this.#pool(key, side),
      this.#pool(value, side),
      routing.indices,
      {
        heads,
        scale: this.#scale,
        weights: softRouting ? routing.weights : undefined,
      },
    )
    const merged = regionMerge(output, grid, size)
    const placed = this.lepe ? merged.add(this.lepe.forward(regionMerge(value, grid, size))) : merged
    const projected = this.wo ? this.wo.forward(placed) : placed
    return { output: projected.slice(1, 0, height).slice(2, 0, width), routing, attention: weights }
  }

  /** Fewer keys or values of each region, by pooling over its rows and columns. */
  #pool(t: Tensor, [rows, columns]: readonly [number, number]): Tensor {
    const { pooling } = this.#options
    if (pooling.kind === 'none' || ('ratio' in pooling && pooling.ratio <= 1)) return t
    const maps = t.rearrange('b r (h w) d -> (b r) d h w', { h: rows, w: columns })
    return this.#shrink(maps, pooling).rearrange('(b r) d h w -> b r (h w) d', { r: t.shape[1] })
  }

  #shrink(maps: Tensor, pooling: Exclude<RegionPooling, { kind: 'none' }>): Tensor {
    if ('side' in pooling) {
      const toSide = pooling.kind === 'adaptiveMax' ? adaptiveMaxPool : adaptiveAveragePool
      return toSide(maps, pooling.side)
    }
    const pool = pooling.kind === 'max' ? maxPool : averagePool
    return pool(maps, { kernel: pooling.ratio, stride: pooling.ratio })
  }
}

export interface GridAttentionOptions {
  readonly heads?: number
  /** Side of the depthwise kernel over the INPUT whose result is added; left out: none. */
  readonly lepe?: number
}

/**
 * Ordinary attention over all positions of a map, scaled by (width of a head)^-1/2, its qkv without bias; where asked, a
 * depthwise convolution of the input is added before the projection.
 * Source: rayleizhu/BiFormer, models/_common.py (`Attention`, `AttentionLePE`)
 */
export class GridAttention extends Module {
  readonly qkv: Linear
  readonly proj: Linear
  readonly lepe?: DepthwiseConv
  readonly #heads: number

  /** @throws when the heads do not divide the width */
  constructor(dim: number, { heads = 8, lepe = 0 }: GridAttentionOptions = {}) {
    super()
    if (dim % heads !== 0) throw new Error(`GridAttention: ${heads} heads do not divide the width ${dim}`)
    this.qkv = new Linear(dim, 3 * dim, { bias: false })
    this.proj = new Linear(dim, dim)
    if (lepe > 0) this.lepe = new DepthwiseConv(dim, lepe)
    this.#heads = heads
  }

  /** @param x [batch, height, width, dim]; returns the same shape */
  override forward(x: Tensor): Tensor {
    const [, h, w] = x.shape
    const [q, k, v] = this.qkv
      .forward(x)
      .split(3, -1)
      .map(t => t.rearrange('b h w (m d) -> b m (h w) d', { m: this.#heads }))
    const attended = scaledDotProductAttention(q, k, v).output.rearrange('b m (h w) d -> b h w (m d)', { h, w })
    return this.proj.forward(this.lepe ? attended.add(this.lepe.forward(x)) : attended)
  }
}
