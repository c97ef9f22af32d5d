import { formatShape, generalizedMeanPool, globalAveragePool, globalMaxPool, type Tensor } from '../core/index.ts'
import { MultiheadAttention, type MultiheadInputs } from './attention.ts'
import { truncatedNormal } from './initialise.ts'
import { Module, type Parameter, parameter } from './module.ts'

/** Mean over all spatial axes: [batch, channels, ...spatial] -> [batch, channels]. */
export class GlobalAveragePool extends Module {
  override forward(x: Tensor): Tensor {
    return globalAveragePool(x)
  }
}

/** Maximum over all spatial axes: [batch, channels, ...spatial] -> [batch, channels]. */
export class GlobalMaxPool extends Module {
  override forward(x: Tensor): Tensor {
    return globalMaxPool(x)
  }
}

/**
 * mean(max(x, epsilon)^p)^(1/p) over all spatial axes, p learned: between the mean (p = 1) and the maximum (large p).
 * Source: Radenovic et al. 2018, "Fine-tuning CNN image retrieval with no human annotation", section 3.2
 */
export class GeneralizedMeanPool extends Module {
  readonly p: Parameter
  readonly #epsilon: number

  /**
   * @param options.p first value; default 3
   * @param options.epsilon smallest value that is raised to p; default 1e-6
   */
  constructor({ p = 3, epsilon = 1e-6 } = {}) {
    super()
    this.p = parameter(new Float32Array([p]), [1])
    this.#epsilon = epsilon
  }

  /** @param x [batch, channels, ...spatial]; returns [batch, channels] */
  override forward(x: Tensor): Tensor {
    return generalizedMeanPool(x, this.p, { epsilon: this.#epsilon })
  }
}

/**
 * Mean over the tokens that are not padding; zeros for a sequence of nothing but padding.
 * @param tokens [batch, tokens, dim]
 * @param padding bool or integer [batch, tokens], true (not 0) where a token does not count
 * @returns [batch, dim]
 * @throws when the shapes do not fit
 */
export function maskedMean(tokens: Tensor, padding: Tensor): Tensor {
  if (tokens.rank !== 3 || formatShape(padding.shape) !== formatShape(tokens.shape.slice(0, 2)))
    throw new Error(
      `maskedMean: expected tokens [batch, tokens, dim] and padding [batch, tokens], got ${formatShape(tokens.shape)} and ${formatShape(padding.shape)}`,
    )
  const counted = padding.cast('bool').not().cast(tokens.dtype).expandDims(-1)
  return tokens.mul(counted).sum(1).div(counted.sum(1).maximum(1))
}

/**
 * Learned queries that attend to all tokens: [batch, tokens, dim] -> [batch, queries, dim].
 * Source: Lee et al. 2019, "Set Transformer", section 3.2 (pooling by multihead attention)
 */
export class AttentionPool extends Module {
  /** [1, queries, dim] */
  readonly query: Parameter
  readonly attention: MultiheadAttention

  /** @param options.queries number of vectors that a set is pooled into; default 1 */
  constructor(dim: number, heads: number, { queries = 1 }: { readonly queries?: number } = {}) {
    super()
    this.query = parameter(truncatedNormal(0.02)([1, queries, dim]), [1, queries, dim])
    this.attention = new MultiheadAttention(dim, heads)
  }

  /**
   * @param tokens [batch, tokens, dim]
   * @param inputs masks of the attention
   */
  override forward(tokens: Tensor, inputs: MultiheadInputs = {}): Tensor {
    const queries = this.query.broadcastTo([tokens.shape[0], ...this.query.shape.slice(1)])
    return this.attention.forward(queries, tokens, tokens, inputs).output
  }
}
