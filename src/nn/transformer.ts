import { gelu, relu, type Tensor } from '../core/index.ts'
import { MultiheadAttention, type MultiheadInputs, scaledDotProductAttention } from './attention.ts'
import { Dropout, DropPath } from './dropout.ts'
import { constant } from './initialise.ts'
import { Linear } from './linear.ts'
import { Module, type Parameter, parameter } from './module.ts'
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

export interface TransformerLayerOptions {
  readonly dim: number
  readonly heads: number
  /** Width of the feed-forward's hidden layer. */
  readonly hidden: number
  /** Rate of dropout on attention weights, in the feed-forward and on each branch while training; default 0. */
  readonly dropout?: number
  /** Of the feed-forward; default ReLU, as in PyTorch. */
  readonly activation?: (x: Tensor) => Tensor
  /** Normalise before each branch instead of after each sum; default false, as in PyTorch. */
  readonly preNorm?: boolean
  /** Added to the variance by the norms; default 1e-5. */
  readonly epsilon?: number
}

/** Branches around a residual stream: what encoder and decoder layers share. */
abstract class TransformerLayer extends Module {
  readonly self_attn: MultiheadAttention
  readonly linear1: Linear
  readonly linear2: Linear
  readonly #activation: (x: Tensor) => Tensor
  readonly #dropout: Dropout
  readonly #preNorm: boolean

  constructor({ dim, heads, hidden, dropout = 0, activation = relu, preNorm = false }: TransformerLayerOptions) {
    super()
    this.self_attn = new MultiheadAttention(dim, heads, { dropout })
    this.linear1 = new Linear(dim, hidden)
    this.linear2 = new Linear(hidden, dim)
    this.#activation = activation
    this.#dropout = new Dropout(dropout)
    this.#preNorm = preNorm
  }

  /** x + branch(norm(x)), or norm(x + branch(x)). */
  protected residual(x: Tensor, norm: LayerNorm, branch: (t: Tensor) => Tensor): Tensor {
    const added = (t: Tensor): Tensor => x.add(this.#dropout.forward(branch(t)))
    return this.#preNorm ? added(norm.forward(x)) : norm.forward(added(x))
  }

  protected feedForward(x: Tensor): Tensor {
    return this.linear2.forward(this.#dropout.forward(this.#activation(this.linear1.forward(x))))
  }
}

/** Self-attention and a feed-forward, with the parameters and names of PyTorch's layer. Source: Vaswani et al. 2017, section 3.1 */
export class TransformerEncoderLayer extends TransformerLayer {
  readonly norm1: LayerNorm
  readonly norm2: LayerNorm

  constructor(options: TransformerLayerOptions) {
    super(options)
    this.norm1 = new LayerNorm(options.dim, { epsilon: options.epsilon })
    this.norm2 = new LayerNorm(options.dim, { epsilon: options.epsilon })
  }

  /**
   * @param x [batch, tokens, dim]
   * @param inputs masks of the attention
   */
  override forward(x: Tensor, inputs: MultiheadInputs = {}): Tensor {
    const attended = this.residual(x, this.norm1, t => this.self_attn.forward(t, t, t, inputs).output)
    return this.residual(attended, this.norm2, t => this.feedForward(t))
  }
}

/** Self-attention, attention to a memory and a feed-forward, with the parameters and names of PyTorch's layer. Source: Vaswani et al. 2017, section 3.1 */
export class TransformerDecoderLayer extends TransformerLayer {
  readonly multihead_attn: MultiheadAttention
  readonly norm1: LayerNorm
  readonly norm2: LayerNorm
  readonly norm3: LayerNorm

  constructor(options: TransformerLayerOptions) {
    super(options)
    const { dim, heads, dropout, epsilon } = options
    this.multihead_attn = new MultiheadAttention(dim, heads, { dropout })
    this.norm1 = new LayerNorm(dim, { epsilon })
    this.norm2 = new LayerNorm(dim, { epsilon })
    this.norm3 = new LayerNorm(dim, { epsilon })
  }

  /**
   * @param x [batch, tokens, dim]
   * @param memory [batch, memory tokens, dim], an encoder's output
   * @param inputs masks of the self-attention (a text decoder passes `causal: true`)
   * @param memoryInputs masks of the attention to the memory
   */
  override forward(
    x: Tensor,
    memory: Tensor,
    inputs: MultiheadInputs = {},
    memoryInputs: MultiheadInputs = {},
  ): Tensor {
    const attended = this.residual(x, this.norm1, t => this.self_attn.forward(t, t, t, inputs).output)
    const informed = this.residual(
      attended,
      this.norm2,
      t => this.multihead_attn.forward(t, memory, memory, memoryInputs).output,
    )
    return this.residual(informed, this.norm3, t => this.feedForward(t))
  }
}

/** A stack of encoder layers (`layers.0` …) and, where `finalNorm` asks for it, a norm at the end (`norm`). */
export class TransformerEncoder extends Module {
  readonly layers: readonly TransformerEncoderLayer[]
  readonly norm?: LayerNorm

  constructor(depth: number, { finalNorm = false, ...options }: TransformerLayerOptions & { finalNorm?: boolean }) {
    super()
    this.layers = Array.from({ length: depth }, () => new TransformerEncoderLayer(options))
    if (finalNorm) this.norm = new LayerNorm(options.dim, { epsilon: options.epsilon })
  }

  /** @param x [batch, tokens, dim] */
  override forward(x: Tensor, inputs: MultiheadInputs = {}): Tensor {
    const encoded = this.layers.reduce((t, layer) => layer.forward(t, inputs), x)
    return this.norm ? this.norm.forward(encoded) : encoded
  }
}

/** Self-attention of a vision transformer: one qkv projection, names as in timm. Source: Dosovitskiy et al. 2021 */
export class Attention extends Module {
  readonly qkv: Linear
  readonly proj: Linear
  readonly #dropout: Dropout
  readonly #attentionDropout: Dropout

  /**
   * @param options.bias whether the qkv projection has one; default true
   * @param options.dropout rate on the output while training; default 0
   * @param options.attentionDropout rate on the attention weights while training; default 0
   */
  constructor(
    readonly dim: number,
    readonly heads: number,
    {
      bias = true,
      dropout = 0,
      attentionDropout = 0,
    }: { bias?: boolean; dropout?: number; attentionDropout?: number } = {},
  ) {
    super()
    if (dim % heads !== 0) throw new Error(`attention: ${heads} heads do not divide the width ${dim}`)
    this.qkv = new Linear(dim, 3 * dim, { bias })
    this.proj = new Linear(dim, dim)
    this.#dropout = new Dropout(dropout)
    this.#attentionDropout = new Dropout(attentionDropout)
  }

  /** @param x [batch, tokens, dim] */
  override forward(x: Tensor): Tensor {
    const { heads } = this
    const [q, k, v] = this.qkv
      .forward(x)
      .split(3, -1)
      .map(t => t.rearrange('b n (h d) -> b h n d', { h: heads }))
    const { output } = scaledDotProductAttention(q, k, v, { dropout: w => this.#attentionDropout.forward(w) })
    return this.#dropout.forward(this.proj.forward(output.rearrange('b h n d -> b n (h d)')))
  }
}

/** Each channel times a learned factor that starts small. Source: Touvron et al. 2021, "Going deeper with image transformers" */
export class LayerScale extends Module {
  readonly gamma: Parameter

  /** @param initial of all factors; default 1e-5 */
  constructor(dim: number, initial = 1e-5) {
    super()
    this.gamma = parameter(constant(initial)([dim]), [dim])
  }

  override forward(x: Tensor): Tensor {
    return x.mul(this.gamma)
  }
}

export interface BlockOptions {
  /** Width of the mlp's hidden layer over dim; default 4. */
  readonly mlpRatio?: number
  /** Rate of dropout after the projection and in the mlp while training; default 0. */
  readonly dropout?: number
  readonly attentionDropout?: number
  /** Rate at which a sample's branches are left out while training; default 0. */
  readonly dropPath?: number
  /** Added to the variance by the norms; default 1e-6 (timm). */
  readonly epsilon?: number
  readonly qkvBias?: boolean
  /** First value of a {@link LayerScale} after each branch; left out: none. */
  readonly layerScale?: number
}

/**
 * x + attention(norm(x)), then x + mlp(norm(x)): the pre-norm block of a vision transformer, with timm's names.
 * Source: Dosovitskiy et al. 2021
 */
export class Block extends Module {
  readonly norm1: LayerNorm
  readonly attn: Attention
  readonly norm2: LayerNorm
  readonly mlp: Mlp
  readonly ls1?: LayerScale
  readonly ls2?: LayerScale
  readonly drop_path: DropPath

  constructor(dim: number, heads: number, options: BlockOptions = {}) {
    super()
    const { mlpRatio = 4, dropout = 0, attentionDropout = 0, dropPath = 0, epsilon = 1e-6, layerScale } = options
    this.norm1 = new LayerNorm(dim, { epsilon })
    this.attn = new Attention(dim, heads, { bias: options.qkvBias, dropout, attentionDropout })
    this.norm2 = new LayerNorm(dim, { epsilon })
    this.mlp = new Mlp(dim, Math.round(dim * mlpRatio), { dropout })
    if (layerScale !== undefined) {
      this.ls1 = new LayerScale(dim, layerScale)
      this.ls2 = new LayerScale(dim, layerScale)
    }
    this.drop_path = new DropPath(dropPath)
  }

  /** @param x [batch, tokens, dim] */
  override forward(x: Tensor): Tensor {
    const scaled = (branch: Tensor, scale: LayerScale | undefined): Tensor =>
      this.drop_path.forward(scale ? scale.forward(branch) : branch)
    const attended = x.add(scaled(this.attn.forward(this.norm1.forward(x)), this.ls1))
    return attended.add(scaled(this.mlp.forward(this.norm2.forward(attended)), this.ls2))
  }
}
