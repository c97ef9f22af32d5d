import {
  type ConvOptions as ConvGeometry,
  type ConvTransposeOptions as ConvTransposeGeometry,
  conv,
  convTranspose,
  type Tensor,
} from '../core/index.ts'
import { biasFor, type Initialiser, kaimingUniform } from './initialise.ts'
import { Module, type Parameter, parameter } from './module.ts'

/** What the layers of this file are given beside stride, padding, dilation and groups. */
interface LayerOptions {
  /** Size of the kernel, one number or one for each axis. */
  readonly kernel: number | readonly number[]
  /** Whether one number an output channel is added; default true. */
  readonly bias?: boolean
  /** First values of the weight; default PyTorch's: uniform in +-1/sqrt(fan in). */
  readonly initial?: Initialiser
}

export interface ConvLayerOptions extends LayerOptions, Omit<ConvGeometry, 'bias'> {}
export interface ConvTransposeLayerOptions extends LayerOptions, Omit<ConvTransposeGeometry, 'bias'> {}

const kernelSizes = (kernel: number | readonly number[], rank: number): number[] =>
  typeof kernel === 'number' ? new Array<number>(rank).fill(kernel) : [...kernel]

/** Weight and bias that convolutions and their adjoints share; a weight's first two axes differ between them. */
abstract class Kernel extends Module {
  readonly weight: Parameter
  readonly bias?: Parameter

  constructor(channels: readonly [number, number], outChannels: number, rank: number, options: LayerOptions) {
    super()
    const { bias = true, initial = kaimingUniform(Math.sqrt(5)) } = options
    const shape = [...channels, ...kernelSizes(options.kernel, rank)]
    if (shape.length !== rank + 2)
      throw new Error(`conv: a kernel of ${rank} axes needs ${rank} sizes, got [${options.kernel}]`)
    this.weight = parameter(initial(shape), shape)
    if (bias) this.bias = parameter(biasFor(shape)([outChannels]), [outChannels])
  }
}

function checkGroups(layer: string, groups: number, inChannels: number, outChannels: number): void {
  if (inChannels % groups !== 0 || outChannels % groups !== 0)
    throw new Error(`${layer}: ${groups} groups do not divide ${inChannels} input and ${outChannels} output channels`)
}

/** Convolution over one, two or three spatial axes; weight [out, in/groups, ...kernel]. */
abstract class Convolution extends Kernel {
  readonly #geometry: ConvGeometry

  constructor(rank: number, inChannels: number, outChannels: number, options: ConvLayerOptions) {
    const { groups = 1, stride, padding, dilation } = options
    checkGroups('conv', groups, inChannels, outChannels)
    super([outChannels, inChannels / groups], outChannels, rank, options)
    this.#geometry = { stride, padding, dilation, groups }
  }

  /**
   * @param x [batch, in, ...spatial]
   * @returns [batch, out, ...spatial]: see `conv` of the core for sizes and errors
   */
  override forward(x: Tensor): Tensor {
    return conv(x, this.weight, { ...this.#geometry, bias: this.bias })
  }
}

export class Conv1d extends Convolution {
  constructor(inChannels: number, outChannels: number, options: ConvLayerOptions) {
    super(1, inChannels, outChannels, options)
  }
}
export class Conv2d extends Convolution {
  constructor(inChannels: number, outChannels: number, options: ConvLayerOptions) {
    super(2, inChannels, outChannels, options)
  }
}
export class Conv3d extends Convolution {
  constructor(inChannels: number, outChannels: number, options: ConvLayerOptions) {
    super(3, inChannels, outChannels, options)
  }
}

/** The adjoint of a convolution, which enlarges by its stride; weight [in, out/groups, ...kernel]. */
abstract class TransposedConvolution extends Kernel {
  readonly #geometry: ConvTransposeGeometry

  constructor(rank: number, inChannels: number, outChannels: number, options: ConvTransposeLayerOptions) {
    const { groups = 1, stride, padding, dilation, outputPadding } = options
    checkGroups('convTranspose', groups, inChannels, outChannels)
    super([inChannels, outChannels / groups], outChannels, rank, options)
    this.#geometry = { stride, padding, dilation, outputPadding, groups }
  }

  /**
   * @param x [batch, in, ...spatial]
   * @returns [batch, out, (size-1) stride - 2 padding + dilation (kernel-1) + outputPadding + 1, ...]
   */
  override forward(x: Tensor): Tensor {
    return convTranspose(x, this.weight, { ...this.#geometry, bias: this.bias })
  }
}

export class ConvTranspose1d extends TransposedConvolution {
  constructor(inChannels: number, outChannels: number, options: ConvTransposeLayerOptions) {
    super(1, inChannels, outChannels, options)
  }
}
export class ConvTranspose2d extends TransposedConvolution {
  constructor(inChannels: number, outChannels: number, options: ConvTransposeLayerOptions) {
    super(2, inChannels, outChannels, options)
  }
}
export class ConvTranspose3d extends TransposedConvolution {
  constructor(inChannels: number, outChannels: number, options: ConvTransposeLayerOptions) {
    super(3, inChannels, outChannels, options)
  }
}
