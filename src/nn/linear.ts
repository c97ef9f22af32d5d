import { embedding, formatShape, matmul, type Tensor } from '../core/index.ts'
import { biasFor, type Initialiser, kaimingUniform, normal, uniform } from './initialise.ts'
import { Module, type Parameter, parameter } from './module.ts'

/** x W^T + b over the last axis. */
export class Linear extends Module {
  /** [outFeatures, inFeatures] */
  readonly weight: Parameter
  readonly bias?: Parameter

  /** @param options.initial of the weight; default PyTorch's uniform +-1/sqrt(inFeatures) */
  constructor(
    readonly inFeatures: number,
    readonly outFeatures: number,
    { bias = true, initial = kaimingUniform(Math.sqrt(5)) }: { bias?: boolean; initial?: Initialiser } = {},
  ) {
    super()
    const shape = [outFeatures, inFeatures]
    this.weight = parameter(initial(shape), shape)
    if (bias) this.bias = parameter(biasFor(shape)([outFeatures]), [outFeatures])
  }

  /**
   * @param x [..., inFeatures]
   * @returns [..., outFeatures]
   * @throws when the last axis has another size
   */
  override forward(x: Tensor): Tensor {
    if (x.shape[x.rank - 1] !== this.inFeatures)
      throw new Error(`linear: expected [..., ${this.inFeatures}], got ${formatShape(x.shape)}`)
    const product = matmul(x, this.weight, { transposeB: true })
    return this.bias ? product.add(this.bias) : product
  }
}

/** a^T W_o b + bias_o for each output o, over the last axes. Source: PyTorch's Bilinear */
export class Bilinear extends Module {
  /** [outFeatures, inFeatures1, inFeatures2] */
  readonly weight: Parameter
  readonly bias?: Parameter

  constructor(inFeatures1: number, inFeatures2: number, outFeatures: number, { bias = true } = {}) {
    super()
    const bound = 1 / Math.sqrt(inFeatures1)
    const shape = [outFeatures, inFeatures1, inFeatures2]
    this.weight = parameter(uniform(-bound, bound)(shape), shape)
    if (bias) this.bias = parameter(uniform(-bound, bound)([outFeatures]), [outFeatures])
  }

  /**
   * @param a [..., inFeatures1]
   * @param b [..., inFeatures2], the same leading axes
   * @returns [..., outFeatures]
   * @throws when a width or the leading axes do not fit
   */
  override forward(a: Tensor, b: Tensor): Tensor {
    const [outputs, left, right] = this.weight.shape
    const lead = [a, b].map(t => formatShape(t.shape.slice(0, -1)))
    if (a.shape[a.rank - 1] !== left || b.shape[b.rank - 1] !== right || lead[0] !== lead[1])
      throw new Error(
        `bilinear: expected [..., ${left}] and [..., ${right}] with the same leading axes, got ${formatShape(a.shape)} and ${formatShape(b.shape)}`,
      )
    const flat = matmul(a, this.weight.transpose([1, 0, 2]).reshape([left, outputs * right]))
    const apart = flat.reshape([...a.shape.slice(0, -1), outputs, right])
    const product = apart.mul(b.expandDims(-2)).sum(-1)
    return this.bias ? product.add(this.bias) : product
  }
}

/** A table of vectors, looked up by whole numbers. */
export class Embedding extends Module {
  /** [count, dim] */
  readonly weight: Parameter

  readonly #padding?: number

  /**
   * @param options.padding an index whose vector starts as zeros and gets no gradient; negative counts from the end
   * @param options.initial default PyTorch's: normal with deviation 1
   * @throws when `padding` is no index
   */
  constructor(
    readonly count: number,
    readonly dim: number,
    { padding, initial = normal() }: { readonly padding?: number; readonly initial?: Initialiser } = {},
  ) {
    super()
    const values = initial([count, dim])
    if (padding !== undefined) {
      if (!Number.isInteger(padding) || padding < -count || padding >= count)
        throw new Error(`embedding: padding index ${padding} is out of range for ${count} entries`)
      this.#padding = padding < 0 ? padding + count : padding
      values.fill(0, this.#padding * dim, (this.#padding + 1) * dim)
    }
    this.weight = parameter(values, [count, dim])
  }

  /** @param indices i32 or i64, any shape; returns [...indices, dim] */
  override forward(indices: Tensor): Tensor {
    return embedding(this.weight, indices, { paddingIndex: this.#padding })
  }
}
