import { concat, formatShape, gelu, type Tensor } from '../../../core/index.ts'
import {
  Attention,
  Dropout,
  initialise,
  LayerNorm,
  Linear,
  Module,
  type Parameter,
  parameter,
} from '../../../nn/index.ts'

export interface HeadInteractionOptions {
  /** Whether the qkv projection has a bias; default true. */
  readonly bias?: boolean
  /** Rate on the output while training; default 0. */
  readonly dropout?: number
  /** Rate on the attention weights while training; default 0. */
  readonly attentionDropout?: number
}

/**
 * Attention among tokens and one head token for each head, which is made of that head's channels averaged over all
 * tokens: channel groups can speak to each other. The head tokens' mean is added to the class token, and they are dropped.
 * Source: Lu et al. 2022 (DHVT), section 3.3; ArieSeirack/DHVT, vision_transformer.py (HI_Attention)
 */
export class HeadInteractionAttention extends Module {
  readonly qkv: Linear
  readonly proj: Linear
  readonly ht_proj: Linear
  readonly ht_norm: LayerNorm
  /** Learned position of each head token, [1, heads, dim]. */
  readonly pos_embed: Parameter
  readonly #attention: Attention
  readonly #dropout: Dropout

  /** @throws when `heads` does not divide `dim` */
  constructor(
    readonly dim: number,
    readonly heads: number,
    { bias = true, dropout = 0, attentionDropout = 0 }: HeadInteractionOptions = {},
  ) {
    super()
    this.#attention = new Attention(dim, heads, { bias, attentionDropout })
    this.qkv = this.#attention.qkv
    this.proj = this.#attention.proj
    this.ht_proj = new Linear(dim / heads, dim)
    this.ht_norm = new LayerNorm(dim / heads)
    this.pos_embed = parameter(initialise.truncatedNormal(0.02)([1, heads, dim]), [1, heads, dim])
    this.#dropout = new Dropout(dropout)
  }

  /** One token for each head: [batch, tokens, dim] -> [batch, heads, dim]. */
  headTokens(x: Tensor): Tensor {
    const { heads: h } = this
    const groups = x.rearrange('b n (h d) -> b n h d', { h }).mean(1)
    // A group's outputs are read as one vector for every head, each normalised on its own.
    const vectors = this.ht_proj.forward(groups).rearrange('b g (h d) -> b g h d', { h })
    return gelu(this.ht_norm.forward(vectors)).rearrange('b g h d -> b g (h d)').add(this.pos_embed)
  }

  /** @param x [batch, 1 + patches, dim], the class token first; returns the same shape */
  override forward(x: Tensor): Tensor {
    if (x.rank !== 3 || x.shape[2] !== this.dim)
      throw new Error(`headInteraction: expected [batch, tokens, ${this.dim}], got ${formatShape(x.shape)}`)
    const tokens = x.shape[1]
    const attended = this.#attention.forward(concat([x, this.headTokens(x)], 1))
    const heads = attended.slice(1, tokens, tokens + this.heads).mean(1, true)
    const cls = attended.slice(1, 0, 1).add(heads)
    return this.#dropout.forward(concat([cls, attended.slice(1, 1, tokens)], 1))
  }
}
