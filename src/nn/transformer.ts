import { gelu, type Tensor } from '../core/index.ts'
import { MultiheadAttention, type MultiheadInputs, scaledDotProductAttention } from './attention.ts'
import { Dropout, DropPath } from './dropout.ts'
import { Linear } from './linear.ts'
import { Module } from './module.ts'
import { LayerNorm } from './normalisation.ts'

/** Two linear layers with an activation between, names as in timm. */
export class Mlp extends Module {
  readonly fc1: Linear
  readonly fc2: Linear
  readonly #activation: (x: Tensor) => Tensor
  readonly #dropout: Dropout

  constructor(
    dim: number,
    hidden: number,
    {
      activation = gelu,
      dropout = 0,
      out = dim,
    }: { activation?: (x: Tensor) => Tensor; dropout?: number; out?: number } = {},
  ) {
    super()
    this.fc1 = new Linear(dim, hidden)
    this.fc2 = new Linear(hidden, out)
    this.#activation = activation
    this.#dropout = new Dropout(dropout)
  }

  override forward(x: Tensor): Tensor {
    const hidden = this.#dropout.forward(this.#activation(this.fc1.forward(x)))
    return this.#dropout.forward(this.fc2.forward(hidden))
  }
}

export interface EncoderLayerOptions {
  readonly dim: number
  readonly heads: number
  readonly hidden: number
  readonly dropout?: number
  readonly activation?: (x: Tensor) => Tensor
  /** Normalise before each branch instead of after each sum; default false (PyTorch's TransformerEncoderLayer). */
  readonly preNorm?: boolean
  readonly epsilon?: number
}

/** Self-attention and a feed-forward, with PyTorch's TransformerEncoderLayer parameters and names. Source: Vaswani et al. 2017 */
export class TransformerEncoderLayer extends Module {
  readonly self_attn: MultiheadAttention
  readonly linear1: Linear
  readonly linear2: Linear
  readonly norm1: LayerNorm
  readonly norm2: LayerNorm
  readonly #options: Required<EncoderLayerOptions>
  readonly #dropout: Dropout

  constructor(options: EncoderLayerOptions) {
    super()
    this.#options = { dropout: 0, activation: gelu, preNorm: false, epsilon: 1e-5, ...options }
    const { dim, heads, hidden, dropout, epsilon } = this.#options
    this.self_attn = new MultiheadAttention(dim, heads, { dropout })
    this.linear1 = new Linear(dim, hidden)
    this.linear2 = new Linear(hidden, dim)
    this.norm1 = new LayerNorm(dim, { epsilon })
    this.norm2 = new LayerNorm(dim, { epsilon })
    this.#dropout = new Dropout(dropout)
  }

  /** @param x [batch, tokens, dim] */
  override forward(x: Tensor, inputs: MultiheadInputs = {}): Tensor {
    const attend = (t: Tensor): Tensor => this.#dropout.forward(this.self_attn.forward(t, t, t, inputs).output)
    const feed = (t: Tensor): Tensor =>
      this.#dropout.forward(
        this.linear2.forward(this.#dropout.forward(this.#options.activation(this.linear1.forward(t)))),
      )
    if (this.#options.preNorm) {
      const attended = x.add(attend(this.norm1.forward(x)))
      return attended.add(feed(this.norm2.forward(attended)))
    }
    const attended = this.norm1.forward(x.add(attend(x)))
    return this.norm2.forward(attended.add(feed(attended)))
  }
}

/** Self-attention of a vision transformer: one qkv projection, names as in timm. */
export class Attention extends Module {
  readonly qkv: Linear
  readonly proj: Linear
  readonly #dropout: Dropout

  constructor(
    readonly dim: number,
    readonly heads: number,
    { bias = true, dropout = 0 }: { bias?: boolean; dropout?: number } = {},
  ) {
    super()
    if (dim % heads !== 0) throw new Error(`attention: ${heads} heads do not divide the width ${dim}`)
    this.qkv = new Linear(dim, 3 * dim, { bias })
    this.proj = new Linear(dim, dim)
    this.#dropout = new Dropout(dropout)
  }

  override forward(x: Tensor): Tensor {
    const { heads } = this
    const [q, k, v] = this.qkv
      .forward(x)
      .split(3, -1)
      .map(t => t.rearrange('b n (h d) -> b h n d', { h: heads }))
    const { output } = scaledDotProductAttention(q, k, v)
    return this.#dropout.forward(this.proj.forward(output.rearrange('b h n d -> b n (h d)')))
  }
}

/** x + attention(norm(x)), then x + mlp(norm(x)): the pre-norm block of a vision transformer. Source: Dosovitskiy et al. 2021 */
export class Block extends Module {
  readonly norm1: LayerNorm
  readonly attn: Attention
  readonly norm2: LayerNorm
  readonly mlp: Mlp
  readonly drop_path: DropPath

  constructor(dim: number, heads: number, { mlpRatio = 4, dropout = 0, dropPath = 0, epsilon = 1e-6 } = {}) {
    super()
    this.norm1 = new LayerNorm(dim, { epsilon })
    this.attn = new Attention(dim, heads, { dropout })
    this.norm2 = new LayerNorm(dim, { epsilon })
    this.mlp = new Mlp(dim, Math.round(dim * mlpRatio), { dropout })
    this.drop_path = new DropPath(dropPath)
  }

  override forward(x: Tensor): Tensor {
    const attended = x.add(this.drop_path.forward(this.attn.forward(this.norm1.forward(x))))
    return attended.add(this.drop_path.forward(this.mlp.forward(this.norm2.forward(attended))))
  }
}
