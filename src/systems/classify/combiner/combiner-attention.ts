import { constantData, formatShape, type Tensor, tensor } from '../../../core/index.ts'
import { Dropout, initialise, LayerNorm, Module, type Parameter, parameter } from '../../../nn/index.ts'
import {
  axialAttention,
  fixedAttention,
  localAttention,
  logsparseAttention,
  mixtureAttention,
  type PatternOptions,
} from './patterns.ts'
import type { Projections } from './regions.ts'

/**
 * How positions are cut into what is attended to directly and into regions. `local` has no regions: it is what Combiner is
 * compared with.
 */
export type Pattern = 'fixed' | 'logsparse' | 'axial' | 'mixture' | 'local'

export interface CombinerAttentionOptions {
  readonly dim: number
  readonly heads: number
  readonly pattern: Pattern
  /** Positions of a segment, or of a row; the logsparse pattern has none. */
  readonly segment?: number
  /** Whether a position sees none after it; default true. `logsparse` and `mixture` are causal only. */
  readonly causal?: boolean
  /** Width of a head; default dim / heads. */
  readonly headDim?: number
  /** Width of the output; default dim. */
  readonly out?: number
  /** Rate on the weights inside regions while training; default 0. */
  readonly attentionDropout?: number
  /** Rate on the row summary of the axial pattern while training; default 0. */
  readonly dropout?: number
}

/** Projects to heads: kernel [dim, heads, headDim], no bias, as flax stores it. */
export class ToHeads extends Module {
  readonly kernel: Parameter

  constructor(dim: number, heads: number, headDim: number) {
    super()
    const values = initialise.xavierUniform()([dim, heads * headDim])
    this.kernel = parameter(values, [dim, heads, headDim])
  }

  /** [batch, positions, dim] -> [batch, heads, positions, headDim] */
  override forward(x: Tensor): Tensor {
    const [dim, heads, headDim] = this.kernel.shape
    const projected = x.matmul(this.kernel.reshape([dim, heads * headDim]))
    return projected.rearrange('b n (h d) -> b h n d', { h: heads })
  }
}

/** Projects heads together: kernel [heads, headDim, out], no bias, as flax stores it. */
export class FromHeads extends Module {
  readonly kernel: Parameter

  constructor(heads: number, headDim: number, out: number) {
    super()
    this.kernel = parameter(initialise.xavierUniform()([heads * headDim, out]), [heads, headDim, out])
  }

  /** [batch, heads, positions, headDim] -> [batch, positions, out] */
  override forward(x: Tensor): Tensor {
    const [heads, headDim, out] = this.kernel.shape
    return x.rearrange('b h n d -> b n (h d)').matmul(this.kernel.reshape([heads * headDim, out]))
  }
}

const causalOnly: readonly Pattern[] = ['logsparse', 'mixture']

/**
 * Attention of every position to every (earlier) one at less than quadratic cost: nearby positions directly, all others
 * through abstractions of regions, in one softmax. A region's abstraction is itself an attention-weighted mean over it, so
 * that the weights are a proper distribution over positions. It takes the place of multi-head attention; parameters are
 * those of the official code's layers.
 * Source: Ren et al. 2021, "Combiner: full attention transformer with sparse computation cost"
 */
export class CombinerAttention extends Module {
  readonly query: ToHeads
  readonly key: ToHeads
  readonly value: ToHeads
  readonly DenseGeneral_0: FromHeads
  /** Of the axial pattern: the key of a row's abstraction, from the output of DenseGeneral_0. */
  readonly DenseGeneral_1?: ToHeads
  readonly DenseGeneral_2?: FromHeads
  readonly LayerNorm_0?: LayerNorm
  readonly pattern: Pattern
  readonly causal: boolean
  readonly segment: number
  readonly #headDim: number
  readonly #dropout: Dropout
  readonly #attentionDropout: Dropout

  /** @throws when heads do not divide the width, a segment is missing, or a causal pattern is asked for without causality */
  constructor(options: CombinerAttentionOptions) {
    super()
    const { dim, heads, pattern, segment, causal = true, out = dim, attentionDropout = 0, dropout = 0 } = options
    if (options.headDim === undefined && dim % heads !== 0)
      throw new Error(`combiner: ${heads} heads do not divide the width ${dim}`)
    if (pattern !== 'logsparse' && !(Number.isInteger(segment) && segment! >= 1))
      throw new Error(`combiner: the pattern '${pattern}' needs the length of a segment, got ${segment}`)
    if (!causal && causalOnly.includes(pattern))
      throw new Error(`combiner: the pattern '${pattern}' is causal only; use 'fixed' or 'axial' for both directions`)
    const headDim = options.headDim ?? dim / heads
    this.query = new ToHeads(dim, heads, headDim)
    this.key = new ToHeads(dim, heads, headDim)
    this.value = new ToHeads(dim, heads, headDim)
    this.DenseGeneral_0 = new FromHeads(heads, headDim, pattern === 'axial' ? dim : out)
    if (pattern === 'axial') {
      this.DenseGeneral_1 = new ToHeads(dim, heads, headDim)
      this.DenseGeneral_2 = new FromHeads(heads, headDim, out)
      this.LayerNorm_0 = new LayerNorm(dim, { epsilon: 1e-6 })
    }
    this.pattern = pattern
    this.causal = causal
    this.segment = segment ?? 0
    this.#headDim = headDim
    this.#dropout = new Dropout(dropout)
    this.#attentionDropout = new Dropout(attentionDropout)
  }

  /**
   * @param x [batch, positions, dim]
   * @param padding bool [batch, positions], true at padding; the causal-only patterns take none: pad their sequences at the end
   * @returns [batch, positions, out]
   * @throws when the positions do not divide into segments, are no power of two for the logsparse pattern, or a sequence
   *   is known to be nothing but padding
   */
  override forward(x: Tensor, padding?: Tensor): Tensor {
    const output = this.DenseGeneral_2 ?? this.DenseGeneral_0
    return output.forward(this.#attend(x, padding))
  }

  /**
   * The weights that each position gives to each: [batch, heads, positions, positions]. Costs as much as dense attention; for
   * tests and pictures.
   */
  expandedWeights(x: Tensor, padding?: Tensor): Tensor {
    const [batch, positions] = x.shape
    const heads = this.value.kernel.shape[1]
    const identity = Float32Array.from({ length: positions ** 2 }, (_, i) => Number(i % (positions + 1) === 0))
    const value = tensor(identity, [positions, positions]).broadcastTo([batch, heads, positions, positions])
    return this.#attend(x, padding, value)
  }

  /** @param value in place of the projected one */
  #attend(x: Tensor, padding?: Tensor, value?: Tensor): Tensor {
    this.#check(x, padding)
    const { pattern, causal, segment } = this
    const own = this.value.forward(x)
    const given: Projections = {
      query: this.query.forward(x).mul(1 / Math.sqrt(this.#headDim)),
      key: this.key.forward(x),
      value: value ?? own,
    }
    const options: PatternOptions = { causal, padding, dropout: w => this.#attentionDropout.forward(w) }
    switch (pattern) {
      case 'local':
        return localAttention(given, segment, options)
      case 'fixed':
        return fixedAttention(given, segment, options)
      case 'logsparse':
        return logsparseAttention(given, options)
      case 'mixture':
        return mixtureAttention(given, segment)
      case 'axial':
        return axialAttention(given, segment, {
          ...options,
          rowKey: seen => this.#rowKey(seen, x),
          keyValue: value && own,
        })
    }
  }

  /** Keys of rows: [batch, heads, rows, columns, headDim] -> the same. */
  #rowKey(seen: Tensor, x: Tensor): Tensor {
    const summary = this.DenseGeneral_0.forward(seen.rearrange('b h r c d -> b h (r c) d'))
    const normalised = this.LayerNorm_0!.forward(this.#dropout.forward(summary).add(x))
    return this.DenseGeneral_1!.forward(normalised).rearrange('b h (r c) d -> b h r c d', { c: this.segment })
  }

  #check(x: Tensor, padding: Tensor | undefined): void {
    const { pattern, segment } = this
    const dim = this.query.kernel.shape[0]
    if (x.rank !== 3 || x.shape[2] !== dim)
      throw new Error(`combiner: expected [batch, positions, ${dim}], got ${formatShape(x.shape)}`)
    const length = x.shape[1]
    if (pattern === 'logsparse') {
      if (!Number.isInteger(Math.log2(length)))
        throw new Error(`combiner: the logsparse pattern needs a power of two of positions, got ${length}; pad the end`)
    } else if (length % segment !== 0)
      throw new Error(`combiner: ${length} positions do not divide into segments of ${segment}; pad the end`)
    if (!padding) return
    if (causalOnly.includes(pattern))
      throw new Error(
        `combiner: the pattern '${pattern}' takes no padding mask; padding at the end changes nothing before`,
      )
    if (formatShape(padding.shape) !== formatShape(x.shape.slice(0, 2)) || padding.dtype !== 'bool')
      throw new Error(
        `combiner: the padding mask is ${padding.dtype}${formatShape(padding.shape)}, expected bool${formatShape(x.shape.slice(0, 2))}`,
      )
    const known = constantData(padding)
    if (known) checkPadding(known as ArrayLike<number>, length)
  }
}

/**
 * @param padding one number a position, not 0 at padding, sequence after sequence
 * @throws when a sequence is nothing but padding, which leaves attention nothing to attend to
 */
export function checkPadding(padding: ArrayLike<number>, length: number): void {
  for (let start = 0; start < padding.length; start += length) {
    let present = false
    for (let i = start; i < start + length; i++) if (!padding[i]) present = true
    if (!present)
      throw new Error(`combiner: sequence ${start / length} is nothing but padding; leave it out of the batch`)
  }
}
