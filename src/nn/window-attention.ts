import type { Tensor } from '../core/index.ts'
import { scaledDotProductAttention } from './attention.ts'
import { Dropout } from './dropout.ts'
import { Linear } from './linear.ts'
import { Module } from './module.ts'
import { padToMultiple, regionMerge, regionPartition } from './regions.ts'

/**
 * Attention within windows of a grid of tokens; a grid that does not divide is padded, and the padded positions take part
 * as keys and values of zero. Names are those of timm's attention.
 * Source: Li et al. 2022, "Exploring plain vision transformer backbones for object detection", section 3
 */
export class WindowAttention extends Module {
  readonly qkv: Linear
  readonly proj: Linear
  readonly #dropout: Dropout
  readonly #attentionDropout: Dropout

  /**
   * @param dim width
   * @param heads must divide the width
   * @param window side of a window in tokens; default 14
   * @param options.bias whether the qkv projection has one; default true
   * @param options.dropout rate on the output while training; default 0
   * @param options.attentionDropout rate on the attention weights while training; default 0
   * @throws when the heads do not divide the width
   */
  constructor(
    readonly dim: number,
    readonly heads: number,
    readonly window = 14,
    { bias = true, dropout = 0, attentionDropout = 0 } = {},
  ) {
    super()
    if (dim % heads !== 0) throw new Error(`WindowAttention: ${heads} heads do not divide the width ${dim}`)
    this.qkv = new Linear(dim, 3 * dim, { bias })
    this.proj = new Linear(dim, dim)
    this.#dropout = new Dropout(dropout)
    this.#attentionDropout = new Dropout(attentionDropout)
  }

  /**
   * @param x [batch, rows * columns, dim], row by row
   * @param grid rows and columns
   * @returns the same shape
   */
  override forward(x: Tensor, [rows, columns]: readonly [number, number]): Tensor {
    const { heads, window } = this
    const qkv = padToMultiple(this.qkv.forward(x).rearrange('b (h w) c -> b h w c', { h: rows }), [window, window])
    const size = [qkv.shape[1], qkv.shape[2]] as const
    const windows = [size[0] / window, size[1] / window] as const
    const [query, key, value] = regionPartition(qkv, windows)
      .split(3, -1)
      .map(t => t.rearrange('b r t (m d) -> b r m t d', { m: heads }))
    const { output } = scaledDotProductAttention(query, key, value, {
      dropout: weights => this.#attentionDropout.forward(weights),
    })
    const merged = regionMerge(output.rearrange('b r m t d -> b r t (m d)'), windows, size)
    const tokens = merged.slice(1, 0, rows).slice(2, 0, columns).rearrange('b h w c -> b (h w) c')
    return this.#dropout.forward(this.proj.forward(tokens))
  }
}
