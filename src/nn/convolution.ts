import { conv, convTranspose, type Tensor } from '../core/index.ts'
import { biasFor, type Initialiser, kaimingUniform } from './initialise.ts'
import { Module, type Parameter, parameter } from './module.ts'

type PerAxis = number | readonly number[]
const perAxis = (value: PerAxis, rank: number): number[] =>
  typeof value === 'number' ? new Array<number>(rank).fill(value) : [...value]

export interface ConvOptions {
  /** Kernel size, one number or one an axis. */
  readonly kernel: PerAxis
  readonly stride?: PerAxis
  /** Zeros added on both sides of each axis; default 0. */
  readonly padding?: PerAxis
  readonly dilation?: PerAxis
  readonly groups?: number
  readonly bias?: boolean
  readonly initial?: Initialiser
}

/** Convolution over one, two or three spatial axes: x [batch, in, ...spatial] -> [batch, out, ...]. */
abstract class Convolution extends Module {
  /** [out, in/groups, ...kernel] */
  readonly weight: Parameter
  readonly bias?: Parameter
  readonly #options

  constructor(rank: number, inChannels: number, outChannels: number, options: ConvOptions) {
    super()
    const { groups = 1, bias = true, initial = kaimingUniform(Math.sqrt(5)) } = options
    if (inChannels % groups !== 0 || outChannels % groups !== 0)
      throw new Error(`conv: ${groups} groups do not divide ${inChannels} input and ${outChannels} output channels`)
    const shape = [outChannels, inChannels / groups, ...perAxis(options.kernel, rank)]
    this.weight = parameter(initial(shape), shape)
    if (bias) this.bias = parameter(biasFor(shape)([outChannels]), [outChannels])
    this.#options = {
      stride: perAxis(options.stride ?? 1, rank),
      padding: perAxis(options.padding ?? 0, rank),
      dilation: perAxis(options.dilation ?? 1, rank),
      groups,
    }
  }

  override forward(x: Tensor): Tensor {
    return conv(x, this.weight, { ...this.#options, bias: this.bias })
  }
}

export class Conv1d extends Convolution {
  constructor(inChannels: number, outChannels: number, options: ConvOptions) {
    super(1, inChannels, outChannels, options)
  }
}
export class Conv2d extends Convolution {
  constructor(inChannels: number, outChannels: number, options: ConvOptions) {
    super(2, inChannels, outChannels, options)
  }
}
export class Conv3d extends Convolution {
  constructor(inChannels: number, outChannels: number, options: ConvOptions) {
    super(3, inChannels, outChannels, options)
  }
}

/** The adjoint of a convolution: x [batch, in, h, w] -> [batch, out, (h-1) stride - 2 padding + dilation (kernel-1) + outputPadding + 1, ...]. */
export class ConvTranspose2d extends Module {
  /** [in, out/groups, ...kernel] */
  readonly weight: Parameter
  readonly bias?: Parameter
  readonly #options

  constructor(inChannels: number, outChannels: number, options: ConvOptions & { readonly outputPadding?: PerAxis }) {
    super()
    const { groups = 1, bias = true, initial = kaimingUniform(Math.sqrt(5)) } = options
    const shape = [inChannels, outChannels / groups, ...perAxis(options.kernel, 2)]
    this.weight = parameter(initial(shape), shape)
    if (bias) this.bias = parameter(biasFor(shape)([outChannels]), [outChannels])
    this.#options = {
      stride: perAxis(options.stride ?? 1, 2),
      padding: perAxis(options.padding ?? 0, 2),
      dilation: perAxis(options.dilation ?? 1, 2),
      outputPadding: perAxis(options.outputPadding ?? 0, 2),
      groups,
    }
  }

  override forward(x: Tensor): Tensor {
    return convTranspose(x, this.weight, { ...this.#options, bias: this.bias })
  }
}
