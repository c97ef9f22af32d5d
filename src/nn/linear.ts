import { embedding, matmul, type Tensor } from '../core/index.ts'
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

  override forward(x: Tensor): Tensor {
    const product = matmul(x, this.weight, { transposeB: true })
    return this.bias ? product.add(this.bias) : product
  }
}

/** x1^T A x2 + b for each output. */
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

  override forward(a: Tensor, b: Tensor): Tensor {
    const [outputs, left, right] = this.weight.shape
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

  /** @param options.padding an index whose vector is zero and gets no gradient */
  constructor(
    readonly count: number,
    readonly dim: number,
    readonly options: { readonly padding?: number; readonly initial?: Initialiser } = {},
  ) {
    super()
    const values = (options.initial ?? normal())([count, dim])
    if (options.padding !== undefined) values.fill(0, options.padding * dim, (options.padding + 1) * dim)
    this.weight = parameter(values, [count, dim])
  }

  /** @param indices i32 or i64, any shape; returns [...indices, dim] */
  override forward(indices: Tensor): Tensor {
    return embedding(this.weight, indices, { paddingIndex: this.options.padding })
  }
}
