import {
  concat,
  formatShape,
  isFloat,
  maskedSoftmax,
  matmul,
  mul,
  rearrange,
  type Shape,
  softmax,
  type Tensor,
  tensor,
} from '../core/index.ts'
import { Dropout } from './dropout.ts'
import { xavierUniform } from './initialise.ts'
import { Linear } from './linear.ts'
import { Module, type Parameter, parameter } from './module.ts'

export interface AttentionOptions {
  /** Added to the scaled scores; broadcasts with [..., queries, keys]. */
  readonly bias?: Tensor
  /** True where a query may not see a key; broadcasts with the scores. */
  readonly blocked?: Tensor
  /** A query sees no key after its own position. */
  readonly causal?: boolean
  /** Multiplies the scores; default 1/sqrt(dim). */
  readonly scale?: number
  /** Applied to the attention weights. */
  readonly dropout?: (weights: Tensor) => Tensor
}

/** A bool [queries, keys] that is true where the key lies after the query. */
export function causalMask(queries: number, keys: number): Tensor {
  const blocked = new Uint8Array(queries * keys)
  for (let q = 0; q < queries; q++) for (let k = q + 1; k < keys; k++) blocked[q * keys + k] = 1
  return tensor(blocked, [queries, keys], 'bool')
}

/** Whether `shape` broadcasts to `target` without growing it. */
const broadcastsTo = (shape: Shape, target: Shape): boolean =>
  shape.length <= target.length &&
  shape.every((dim, i) => dim === 1 || dim === target[target.length - shape.length + i])

function checkAttention(query: Tensor, key: Tensor, value: Tensor): void {
  const [queryDim, keyDim] = [query, key].map(t => t.shape[t.rank - 1])
  const shown = `query ${formatShape(query.shape)}, key ${formatShape(key.shape)}, value ${formatShape(value.shape)}`
  if (queryDim !== keyDim) throw new Error(`attention: queries and keys must be of one width: ${shown}`)
  if (key.shape[key.rank - 2] !== value.shape[value.rank - 2])
    throw new Error(`attention: there must be as many values as keys: ${shown}`)
}

function checkMask(name: string, mask: Tensor | undefined, scores: Tensor): void {
  if (mask && !broadcastsTo(mask.shape, scores.shape))
    throw new Error(
      `attention: ${name} ${formatShape(mask.shape)} does not fit the scores ${formatShape(scores.shape)}`,
    )
}

/**
 * softmax(Q K^T / sqrt(d) + bias) V. Queries with every key blocked get zeros (PyTorch gives NaN).
 * @param query [..., queries, dim]
 * @param key [..., keys, dim]
 * @param value [..., keys, valueDim]
 * @returns output [..., queries, valueDim] and the weights [..., queries, keys], as they are before dropout
 * @throws when widths, numbers of keys and values, or a mask do not fit. Source: Vaswani et al. 2017, section 3.2.1
 */
export function scaledDotProductAttention(
  query: Tensor,
  key: Tensor,
  value: Tensor,
  options: AttentionOptions = {},
): { output: Tensor; weights: Tensor } {
  checkAttention(query, key, value)
  const scale = options.scale ?? 1 / Math.sqrt(query.shape[query.rank - 1])
  // Scaling the queries touches fewer numbers than scaling the scores.
  let scores = matmul(mul(query, scale), key, { transposeB: true })
  checkMask('bias', options.bias, scores)
  checkMask('blocked', options.blocked, scores)
  if (options.bias) scores = scores.add(options.bias)
  const masks = [
    options.blocked,
    options.causal ? causalMask(scores.shape[scores.rank - 2], scores.shape[scores.rank - 1]) : undefined,
  ].filter(mask => mask !== undefined)
  const blocked = masks.length ? masks.reduce((a, b) => a.or(b)) : undefined
  const weights = blocked ? maskedSoftmax(scores, blocked) : softmax(scores, -1)
  return { output: matmul(options.dropout?.(weights) ?? weights, value), weights }
}

export interface MultiheadAttentionOptions {
  readonly bias?: boolean
  /** Width of keys and values where it differs from `dim`. */
  readonly keyDim?: number
  readonly valueDim?: number
  /** Rate of dropout on the weights while training. */
  readonly dropout?: number
}

export interface MultiheadInputs {
  /** bool or integer [batch, keys], true (not 0) where a key is padding. */
  readonly keyPadding?: Tensor
  /** bool or integer (true or not 0: blocked) or float (added), [queries, keys] or [batch * heads, queries, keys]. */
  readonly mask?: Tensor
  /** A query sees no key after its own position; default false. */
  readonly causal?: boolean
}

/** Attention of several heads between learned projections, with PyTorch's parameters and names. Source: Vaswani et al. 2017 */
export class MultiheadAttention extends Module {
  /** [3 dim, dim] in the order query, key, value; absent when keys or values have their own width. */
  readonly in_proj_weight?: Parameter
  readonly q_proj_weight?: Parameter
  readonly k_proj_weight?: Parameter
  readonly v_proj_weight?: Parameter
  readonly in_proj_bias?: Parameter
  readonly out_proj: Linear
  readonly #dropout: Dropout
  readonly #keyDim: number
  readonly #valueDim: number

  constructor(
    readonly dim: number,
    readonly heads: number,
    { bias = true, keyDim = dim, valueDim = dim, dropout = 0 }: MultiheadAttentionOptions = {},
  ) {
    super()
    if (dim % heads !== 0) throw new Error(`attention: ${heads} heads do not divide the width ${dim}`)
    const weight = (rows: number, columns: number): Parameter =>
      parameter(xavierUniform()([rows, columns]), [rows, columns])
    if (keyDim === dim && valueDim === dim) this.in_proj_weight = weight(3 * dim, dim)
    else {
      this.q_proj_weight = weight(dim, dim)
      this.k_proj_weight = weight(dim, keyDim)
      this.v_proj_weight = weight(dim, valueDim)
    }
    if (bias) this.in_proj_bias = parameter(new Float32Array(3 * dim), [3 * dim])
    this.out_proj = new Linear(dim, dim, { bias })
    if (bias) this.out_proj.bias!.set(new Float32Array(dim))
    this.#dropout = new Dropout(dropout)
    this.#keyDim = keyDim
    this.#valueDim = valueDim
  }

  #project(query: Tensor, key: Tensor, value: Tensor): Tensor[] {
    const { dim, in_proj_weight, in_proj_bias } = this
    const add = (t: Tensor, part: number): Tensor =>
      in_proj_bias ? t.add(in_proj_bias.slice(0, part * dim, (part + 1) * dim)) : t
    if (in_proj_weight && query === key && key === value) {
      const all = matmul(query, in_proj_weight, { transposeB: true })
      return (in_proj_bias ? all.add(in_proj_bias) : all).split(3, -1)
    }
    const weights = in_proj_weight
      ? in_proj_weight.split(3, 0)
      : [this.q_proj_weight!, this.k_proj_weight!, this.v_proj_weight!]
    return [query, key, value].map((t, part) => add(matmul(t, weights[part], { transposeB: true }), part))
  }

  /**
   * @param query [batch, queries, dim]
   * @param key [batch, keys, keyDim]; default: the query
   * @param value [batch, keys, valueDim]; default: the key
   * @param inputs masks
   * @returns output [batch, queries, dim] and the weights [batch, heads, queries, keys]
   * @throws when a shape does not fit
   */
  override forward(
    query: Tensor,
    key: Tensor = query,
    value: Tensor = key,
    inputs: MultiheadInputs = {},
  ): { output: Tensor; weights: Tensor } {
    this.#checkInputs(query, key, value)
    const { heads } = this
    const [q, k, v] = this.#project(query, key, value).map(t => rearrange(t, 'b n (h d) -> b h n d', { h: heads }))
    const { output, weights } = scaledDotProductAttention(q, k, v, {
      ...this.#masks(inputs, query, key),
      causal: inputs.causal,
      dropout: x => this.#dropout.forward(x),
    })
    return { output: this.out_proj.forward(rearrange(output, 'b h n d -> b n (h d)')), weights }
  }

  #checkInputs(...given: readonly Tensor[]): void {
    const widths = [this.dim, this.#keyDim, this.#valueDim]
    const batches = given.map(t => t.shape[0])
    if (given.some((t, i) => t.rank !== 3 || t.shape[2] !== widths[i]) || new Set(batches).size > 1)
      throw new Error(
        `attention: expected [batch, tokens, width] with widths ${widths}, got query, key and value ${given.map(t => formatShape(t.shape)).join(', ')}`,
      )
  }

  #masks({ keyPadding, mask }: MultiheadInputs, query: Tensor, key: Tensor): { bias?: Tensor; blocked?: Tensor } {
    const [batch, queries] = query.shape
    const keys = key.shape[1]
    const blocked: Tensor[] = []
    if (keyPadding) {
      if (keyPadding.shape.join() !== `${batch},${keys}`)
        throw new Error(`attention: keyPadding is ${formatShape(keyPadding.shape)}, expected [${batch},${keys}]`)
      blocked.push(rearrange(keyPadding.cast('bool'), 'b k -> b 1 1 k'))
    }
    let bias: Tensor | undefined
    if (mask) {
      const shaped = this.#shapeMask(mask, batch, queries, keys)
      if (isFloat(mask.dtype)) bias = shaped
      else blocked.push(shaped.cast('bool'))
    }
    return { bias, blocked: blocked.length ? blocked.reduce((a, b) => a.or(b)) : undefined }
  }

  #shapeMask(mask: Tensor, batch: number, queries: number, keys: number): Tensor {
    if (mask.rank === 2 && mask.shape.join() === `${queries},${keys}`) return mask
    if (mask.rank === 3 && mask.shape.join() === `${batch * this.heads},${queries},${keys}`)
      return mask.reshape([batch, this.heads, queries, keys])
    throw new Error(
      `attention: mask is ${formatShape(mask.shape)}, expected [${queries},${keys}] or [${batch * this.heads},${queries},${keys}]`,
    )
  }
}

/** Puts a learned token before a sequence: [batch, n, dim] -> [batch, n+1, dim]. */
export const prepend = (token: Tensor, sequence: Tensor): Tensor =>
  concat([token.broadcastTo([sequence.shape[0], ...token.shape.slice(-2)]), sequence], 1)
