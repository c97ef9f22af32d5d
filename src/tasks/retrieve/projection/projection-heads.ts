import { gelu, type Tensor } from '../../../core/index.ts'
import { initialise, Linear, Module, type Parameter, parameter } from '../../../nn/index.ts'

export interface ProjectionOptions {
  /** `linear`: one matrix a tower; `mlp`: two layers beside the residual. */
  readonly kind: 'linear' | 'mlp'
  /** Width of the frozen features. */
  readonly features: number
  /** Width of the vectors. */
  readonly dim: number
  /** Both towers through one head, for training that sees texts only. */
  readonly tied: boolean
}

/**
 * y = x + W x + b, or x + W2 gelu(W1 x + b1) + b2, where what is added starts at zero, so that y starts at x. To another width
 * a matrix P stands for the first x; it starts as a random projection, which about keeps angles (Johnson and Lindenstrauss 1984).
 */
export class ProjectionHead extends Module {
  readonly project?: Linear
  readonly fc1?: Linear
  readonly fc2: Linear

  constructor({ kind, features, dim }: ProjectionOptions) {
    super()
    if (features !== dim)
      this.project = new Linear(features, dim, { bias: false, initial: initialise.normal(0, 1 / Math.sqrt(dim)) })
    if (kind === 'mlp') this.fc1 = new Linear(features, features)
    this.fc2 = new Linear(features, dim, { initial: initialise.zeros })
    this.fc2.bias!.set(new Float32Array(dim))
  }

  /** @param x [batch, features]; returns [batch, dim], not normalised */
  override forward(x: Tensor): Tensor {
    const kept = this.project ? this.project.forward(x) : x
    const added = this.fc2.forward(this.fc1 ? gelu(this.fc1.forward(x)) : x)
    return kept.add(added)
  }
}

/** A head for each tower of a frozen encoder, and the learned temperature of their loss. */
export class ProjectionHeads extends Module {
  readonly image: ProjectionHead
  readonly text: ProjectionHead
  /** Logarithm of the scale (inverse temperature) of the similarities. */
  readonly logScale: Parameter

  constructor(options: ProjectionOptions) {
    super()
    this.text = new ProjectionHead(options)
    this.image = options.tied ? this.text : new ProjectionHead(options)
    // The towers stay together only when both are turned alike.
    const [from, to] = [this.text.project?.weight, this.image.project?.weight]
    if (from && to && from !== to) to.set(from.data.slice())
    this.logScale = parameter(new Float32Array([Math.log(20)]), [])
  }

  override forward(): never {
    throw new Error('projection heads: call the one of texts or of images')
  }
}
