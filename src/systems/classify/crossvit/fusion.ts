import { concat, formatShape, gelu, type Tensor } from '../../../core/index.ts'
import {
  Dropout,
  DropPath,
  LayerNorm,
  Linear,
  Module,
  Sequential,
  scaledDotProductAttention,
} from '../../../nn/index.ts'

export interface CrossAttentionOptions {
  readonly heads: number
  /** Whether the projections to query, key and value have a bias; default true. */
  readonly qkvBias?: boolean
  /** Multiplies the scores; default (width of a head)^-1/2. */
  readonly scale?: number
  readonly dropout?: number
  readonly attentionDropout?: number
  /** Rate at which a sample's branch is left out while training; default 0. */
  readonly dropPath?: number
}

/**
 * Attention of the first token alone over all tokens, itself included: its cost grows linearly with their number.
 * Source: Chen et al. 2021, "CrossViT", section 3.3, equations 4 and 5
 */
export class ClassTokenCrossAttention extends Module {
  readonly wq: Linear
  readonly wk: Linear
  readonly wv: Linear
  readonly proj: Linear
  readonly #heads: number
  readonly #scale?: number
  readonly #dropout: Dropout
  readonly #attentionDropout: Dropout

  /** @throws when the heads do not divide the width */
  constructor(dim: number, { heads, qkvBias = true, scale, dropout = 0, attentionDropout = 0 }: CrossAttentionOptions) {
    super()
    if (dim % heads !== 0) throw new Error(`ClassTokenCrossAttention: ${heads} heads do not divide the width ${dim}`)
    const part = (): Linear => new Linear(dim, dim, { bias: qkvBias })
    this.wq = part()
    this.wk = part()
    this.wv = part()
    this.proj = new Linear(dim, dim)
    this.#heads = heads
    this.#scale = scale
    this.#dropout = new Dropout(dropout)
    this.#attentionDropout = new Dropout(attentionDropout)
  }

  /**
   * @param tokens [batch, 1 + others, dim], the one that asks first
   * @returns [batch, 1, dim]
   */
  override forward(tokens: Tensor): Tensor {
    const split = (t: Tensor): Tensor => t.rearrange('b n (m d) -> b m n d', { m: this.#heads })
    const { output } = scaledDotProductAttention(
      split(this.wq.forward(tokens.slice(1, 0, 1))),
      split(this.wk.forward(tokens)),
      split(this.wv.forward(tokens)),
      { scale: this.#scale, dropout: weights => this.#attentionDropout.forward(weights) },
    )
    return this.#dropout.forward(this.proj.forward(output.rearrange('b m n d -> b n (m d)')))
  }
}

/** cls + attention(norm(tokens)): the first token after it has seen the others; no feed-forward follows. */
export class CrossAttentionBlock extends Module {
  readonly norm1: LayerNorm
  readonly attn: ClassTokenCrossAttention
  readonly drop_path: DropPath

  constructor(dim: number, options: CrossAttentionOptions) {
    super()
    this.norm1 = new LayerNorm(dim, { epsilon: 1e-6 })
    this.attn = new ClassTokenCrossAttention(dim, options)
    this.drop_path = new DropPath(options.dropPath ?? 0)
  }

  /** @param tokens [batch, 1 + others, dim]; returns [batch, 1, dim] */
  override forward(tokens: Tensor): Tensor {
    const attended = this.attn.forward(this.norm1.forward(tokens))
    return tokens.slice(1, 0, 1).add(this.drop_path.forward(attended))
  }
}

/** Into another branch's width and out of it: norm, GELU, then the linear layer. */
const projection = (from: number, to: number): Sequential =>
  new Sequential(new LayerNorm(from, { epsilon: 1e-6 }), gelu, new Linear(from, to))

export interface FusionOptions extends Omit<CrossAttentionOptions, 'heads'> {
  /** Widths of the branches, at least two. */
  readonly dims: readonly number[]
  readonly heads: readonly number[]
  /** Cross attentions one after another; default 1. */
  readonly fusions?: number
}

/**
 * Exchanges what the branches know through their class tokens: each is projected into the next branch (in a ring),
 * attends to that branch's patch tokens, is projected back, and REPLACES the class token it came from. All branches read
 * the tokens as they came in.
 * Source: Chen et al. 2021, "CrossViT", section 3.3 (cross-attention fusion); IBM/CrossViT, models/crossvit.py
 */
export class MultiScaleFusion extends Module {
  readonly projs: Sequential[]
  /** One block a branch, or a sequence of them where more than one was asked for. */
  readonly fusion: (CrossAttentionBlock | Sequential)[]
  readonly revert_projs: Sequential[]

  /**
   * @param nested whether a single cross attention stands in a sequence too, as in checkpoints whose depths end in 1
   * @throws when there are fewer than two branches, or heads do not divide a width
   */
  constructor({ dims, heads, fusions = 1, ...options }: FusionOptions, nested = fusions > 1) {
    super()
    if (dims.length < 2 || heads.length !== dims.length)
      throw new Error(
        `CrossViT: expected at least two branches with heads for each, got widths [${dims}] and heads [${heads}]`,
      )
    const next = dims.map((_, i) => (i + 1) % dims.length)
    this.projs = dims.map((dim, i) => projection(dim, dims[next[i]]))
    this.fusion = dims.map((_, i) => {
      const blocks = Array.from(
        { length: fusions },
        () => new CrossAttentionBlock(dims[next[i]], { ...options, heads: heads[next[i]] }),
      )
      return nested ? new Sequential(...blocks) : blocks[0]
    })
    this.revert_projs = dims.map((dim, i) => projection(dims[next[i]], dim))
  }

  /**
   * @param branches [batch, 1 + patches, dim] of each branch, the class token first
   * @returns the same shapes
   * @throws when there are not as many as branches
   */
  override forward(branches: readonly Tensor[]): Tensor[] {
    if (branches.length !== this.projs.length)
      throw new Error(
        `CrossViT: ${this.projs.length} branches were built, got ${branches.length}: ${branches.map(t => formatShape(t.shape)).join(', ')}`,
      )
    const patches = branches.map(t => t.slice(1, 1))
    return branches.map((tokens, i) => {
      const asking = this.projs[i].forward(tokens.slice(1, 0, 1))
      const seen = this.fusion[i].forward(concat([asking, patches[(i + 1) % branches.length]], 1))
      return concat([this.revert_projs[i].forward(seen.slice(1, 0, 1)), patches[i]], 1)
    })
  }
}
