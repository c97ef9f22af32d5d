import {
  batchNorm,
  groupNorm,
  instanceNorm,
  layerNorm,
  rmsNorm,
  type Shape,
  sizeOf,
  type Tensor,
  Variable,
} from '../core/index.ts'
import { isTraining } from './mode.ts'
import { Module, type Parameter, parameter } from './module.ts'

const ones = (count: number): Float32Array => new Float32Array(count).fill(1)

export interface BatchNormOptions {
  /** Added to the variance; default 1e-5. */
  readonly epsilon?: number
  /** Share of a new batch in the running statistics; default 0.1. */
  readonly momentum?: number
  readonly affine?: boolean
}

/**
 * Normalises each channel (axis 1) over the batch and all other axes: by the batch's statistics while training, by running
 * ones otherwise. Running variance takes the unbiased estimate. Source: Ioffe & Szegedy 2015; PyTorch's BatchNorm
 */
export class BatchNorm extends Module {
  readonly weight?: Parameter
  readonly bias?: Parameter
  readonly running_mean: Variable
  readonly running_var: Variable
  readonly num_batches_tracked: Variable
  readonly #epsilon: number
  readonly #momentum: number

  constructor(channels: number, { epsilon = 1e-5, momentum = 0.1, affine = true }: BatchNormOptions = {}) {
    super()
    if (affine) {
      this.weight = parameter(ones(channels), [channels])
      this.bias = parameter(new Float32Array(channels), [channels])
    }
    this.running_mean = new Variable(new Float32Array(channels), [channels])
    this.running_var = new Variable(ones(channels), [channels])
    this.num_batches_tracked = new Variable(new BigInt64Array(1), [])
    this.#epsilon = epsilon
    this.#momentum = momentum
  }

  override forward(x: Tensor): Tensor {
    const { weight, bias, running_mean, running_var } = this
    const options = { weight, bias, epsilon: this.#epsilon }
    if (!isTraining()) return batchNorm(x, { ...options, mean: running_mean, variance: running_var }).output
    const { output, mean, variance } = batchNorm(x, options)
    const count = sizeOf(x.shape) / x.shape[1]
    const record = (running: Variable, value: Tensor): void =>
      running.update(before => before.mul(1 - this.#momentum).add(value.stopGradient().mul(this.#momentum)))
    record(running_mean, mean)
    record(running_var, variance.mul(count / Math.max(count - 1, 1)))
    this.num_batches_tracked.update(before => before.add(1))
    return output
  }
}

/** Normalises over the trailing axes. Source: Ba et al. 2016 */
export class LayerNorm extends Module {
  readonly weight?: Parameter
  readonly bias?: Parameter
  readonly #axes: number
  readonly #epsilon: number

  /** @param shape sizes of the trailing axes, or the size of the last */
  constructor(
    shape: number | Shape,
    { epsilon = 1e-5, affine = true, bias = true }: { epsilon?: number; affine?: boolean; bias?: boolean } = {},
  ) {
    super()
    const sizes = typeof shape === 'number' ? [shape] : [...shape]
    this.#axes = sizes.length
    this.#epsilon = epsilon
    if (affine) this.weight = parameter(ones(sizeOf(sizes)), sizes)
    if (affine && bias) this.bias = parameter(new Float32Array(sizeOf(sizes)), sizes)
  }

  override forward(x: Tensor): Tensor {
    return layerNorm(x, { weight: this.weight, bias: this.bias, axes: this.#axes, epsilon: this.#epsilon })
  }
}

/** x / sqrt(mean(x^2) + epsilon) * weight over the last axis. Source: Zhang & Sennrich 2019 */
export class RmsNorm extends Module {
  readonly weight: Parameter
  readonly #epsilon: number

  constructor(dim: number, { epsilon = 1e-5 } = {}) {
    super()
    this.weight = parameter(ones(dim), [dim])
    this.#epsilon = epsilon
  }

  override forward(x: Tensor): Tensor {
    return rmsNorm(x, { weight: this.weight, epsilon: this.#epsilon })
  }
}

/** Normalises groups of channels within each sample. Source: Wu & He 2018 */
export class GroupNorm extends Module {
  readonly weight: Parameter
  readonly bias: Parameter
  readonly #groups: number
  readonly #epsilon: number

  constructor(groups: number, channels: number, { epsilon = 1e-5 } = {}) {
    super()
    this.weight = parameter(ones(channels), [channels])
    this.bias = parameter(new Float32Array(channels), [channels])
    this.#groups = groups
    this.#epsilon = epsilon
  }

  override forward(x: Tensor): Tensor {
    return groupNorm(x, this.#groups, { weight: this.weight, bias: this.bias, epsilon: this.#epsilon })
  }
}

/** Normalises each channel of each sample. Source: Ulyanov et al. 2016 */
export class InstanceNorm extends Module {
  readonly weight?: Parameter
  readonly bias?: Parameter
  readonly #epsilon: number

  constructor(channels: number, { epsilon = 1e-5, affine = false } = {}) {
    super()
    this.#epsilon = epsilon
    if (affine) {
      this.weight = parameter(ones(channels), [channels])
      this.bias = parameter(new Float32Array(channels), [channels])
    }
  }

  override forward(x: Tensor): Tensor {
    return instanceNorm(x, { weight: this.weight, bias: this.bias, epsilon: this.#epsilon })
  }
}
