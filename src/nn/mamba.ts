import { concat, conv, flip, formatShape, silu, stack, type Tensor, zeros } from '../core/index.ts'
import { biasFor, constant, type Initialiser, kaimingUniform, uniform } from './initialise.ts'
import { Linear } from './linear.ts'
import { Module, type Parameter, parameter } from './module.ts'
import { scanSteps, selectiveStep } from './selective-scan.ts'

/** Each channel's own filter of the last `kernel` steps: zeros before the first. Weight [channels, 1, kernel], as in PyTorch. */
export class CausalDepthwiseConv1d extends Module {
  readonly weight: Parameter
  readonly bias?: Parameter

  constructor(
    readonly channels: number,
    readonly kernel: number,
    { bias = true, initial = kaimingUniform(Math.sqrt(5)) }: { bias?: boolean; initial?: Initialiser } = {},
  ) {
    super()
    const shape = [channels, 1, kernel]
    this.weight = parameter(initial(shape), shape)
    if (bias) this.bias = parameter(biasFor(shape)([channels]), [channels])
  }

  /** [batch, channels, length], the same out; position t sees t - kernel + 1 to t */
  override forward(x: Tensor): Tensor {
    // As a picture of width 1, which has faster kernels than a sequence.
    return conv(x.expandDims(-1), this.weight.expandDims(-1), {
      bias: this.bias,
      padding: [
        [this.kernel - 1, 0],
        [0, 0],
      ],
      groups: this.channels,
    }).squeeze(-1)
  }

  /**
   * One step, for sequences that arrive token by token.
   * @param past the kernel - 1 inputs before [batch, channels, kernel - 1]: zeros before the first
   * @param x [batch, channels]
   */
  step(past: Tensor, x: Tensor): { output: Tensor; past: Tensor } {
    const window = concat([past, x.expandDims(-1)], -1)
    const filtered = window.mul(this.weight.squeeze(1)).sum(-1)
    return { output: this.bias ? filtered.add(this.bias) : filtered, past: window.slice(-1, 1) }
  }
}

export interface MambaOptions {
  /** Numbers of state per channel; default 16. */
  readonly states?: number
  /** Inner channels for each outer one; default 2. */
  readonly expand?: number
  /** Width of the causal convolution; default 4. */
  readonly kernel?: number
  /** Width that step sizes pass through; default ceil(dim / 16). */
  readonly rank?: number
  /** Whether the outer projections add a bias; default false. */
  readonly bias?: boolean
  /** Whether the convolution adds a bias; default true. */
  readonly convBias?: boolean
  /** Range of the first step sizes, log-uniform; default [0.001, 0.1], no less than 1e-4. */
  readonly stepSizes?: readonly [number, number]
  /** First value of a learned factor for each output channel; default none. */
  readonly layerScale?: number
}

/** Sizes that the official code derives from the width. @throws when `expand * dim` is no whole number */
export function mambaSizes(
  dim: number,
  { states = 16, expand = 2, kernel = 4, rank = Math.ceil(dim / 16) }: MambaOptions,
): { inner: number; states: number; kernel: number; rank: number } {
  const inner = expand * dim
  if (!Number.isInteger(inner) || inner < 1)
    throw new Error(`mamba: expand ${expand} times width ${dim} is ${inner}, which is no whole number of channels`)
  return { inner, states, kernel, rank }
}

/** log(1), …, log(N) for each channel: A = -exp(A_log) starts as -1, …, -N. Source: Gu et al. 2022, S4D-Real */
export const logStates: Initialiser = ([...shape]) => {
  const states = shape[shape.length - 1]
  return Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => Math.log((i % states) + 1))
}

/** Biases whose softplus is log-uniform in a range. Source: Gu & Dao 2023, section 3.6 */
export function stepSizeBias([low, high]: readonly [number, number] = [1e-3, 0.1], floor = 1e-4): Initialiser {
  return shape =>
    uniform(
      Math.log(low),
      Math.log(high),
    )(shape).map(logStep => {
      const step = Math.max(Math.exp(logStep), floor)
      return step + Math.log(-Math.expm1(-step))
    })
}

/** The projection from rank to step sizes, with its own start. */
export function stepProjection(rank: number, inner: number, range?: readonly [number, number]): Linear {
  const bound = rank ** -0.5
  const layer = new Linear(rank, inner, { initial: uniform(-bound, bound) })
  layer.bias?.set(stepSizeBias(range)([inner]))
  return layer
}

/** The parts of one direction of a mixer. */
interface Branch {
  readonly conv1d: CausalDepthwiseConv1d
  readonly x_proj: Linear
  readonly dt_proj: Linear
  readonly A_log: Parameter
  readonly D: Parameter
}

/** What a branch makes of its convolved input for the scan; time first. */
interface Selection {
  readonly u: Tensor
  readonly delta: Tensor
  readonly B: Tensor
  readonly C: Tensor
}

/** Step sizes (before their bias), B and C, all linear in the input. */
function select({ x_proj, dt_proj }: Pick<Branch, 'x_proj' | 'dt_proj'>, u: Tensor, states: number): Selection {
  const rank = dt_proj.inFeatures
  const [low, B, C] = x_proj.forward(u).split([rank, states, states], -1)
  return { u, delta: low.matmul(dt_proj.weight, { transposeB: true }), B, C }
}

/** [batch, length, channels] -> silu of the causal convolution [length, batch, channels] */
const convolve = (conv1d: CausalDepthwiseConv1d, x: Tensor): Tensor =>
  silu(conv1d.forward(x.swapAxes(1, 2))).transpose([2, 0, 1])

/** State of a {@link MambaMixer} between two tokens. */
export interface MambaState {
  /** [batch, inner, kernel - 1] */
  readonly past: Tensor
  /** [batch, inner, states] */
  readonly state: Tensor
}

/** What all mixers share; names are those of the official state dict. */
abstract class Mixer extends Module {
  readonly in_proj: Linear
  readonly conv1d: CausalDepthwiseConv1d
  readonly x_proj: Linear
  readonly dt_proj: Linear
  readonly A_log: Parameter
  readonly D: Parameter
  readonly out_proj: Linear
  readonly gamma?: Parameter
  readonly #inner: number

  constructor(
    readonly dim: number,
    readonly options: MambaOptions,
  ) {
    super()
    const { inner, states, kernel, rank } = mambaSizes(dim, options)
    const { bias = false, convBias = true, stepSizes, layerScale } = options
    this.#inner = inner
    this.in_proj = new Linear(dim, 2 * inner, { bias })
    this.conv1d = new CausalDepthwiseConv1d(inner, kernel, { bias: convBias })
    this.x_proj = new Linear(inner, rank + 2 * states, { bias: false })
    this.dt_proj = stepProjection(rank, inner, stepSizes)
    this.A_log = parameter(logStates([inner, states]), [inner, states])
    this.D = parameter(constant(1)([inner]), [inner])
    this.out_proj = new Linear(inner, dim, { bias })
    if (layerScale !== undefined) this.gamma = parameter(constant(layerScale)([dim]), [dim])
  }

  protected get inner(): number {
    return this.#inner
  }
  protected get states(): number {
    return this.A_log.shape[1]
  }

  protected scaled(output: Tensor): Tensor {
    return this.gamma ? output.mul(this.gamma) : output
  }

  protected check(x: Tensor): void {
    if (x.rank !== 3 || x.shape[2] !== this.dim)
      throw new Error(`mamba: expected [batch, length, ${this.dim}], got ${formatShape(x.shape)}`)
  }
}

/**
 * Mamba's mixer, one direction: [x, z] = W_in u; x' = silu(causal convolution of x); step sizes, B and C linear in x'; the
 * selective scan of x', gated by z; W_out. Names are those of the official state dict.
 * Source: Gu & Dao 2023, "Mamba", section 3.4
 */
export class MambaMixer extends Mixer {
  constructor(dim: number, options: MambaOptions = {}) {
    super(dim, options)
  }

  /** [batch, length, dim] -> [batch, length, dim] */
  override forward(x: Tensor): Tensor {
    this.check(x)
    const [inner, gate] = this.in_proj.forward(x).split(2, -1)
    const { u, delta, B, C } = select(this, convolve(this.conv1d, inner), this.states)
    const { output } = scanSteps(u, delta, this.A_log.exp().neg(), B, C, {
      D: this.D,
      z: gate.swapAxes(0, 1),
      deltaBias: this.dt_proj.bias,
      softplus: true,
    })
    return this.scaled(this.out_proj.forward(output.swapAxes(0, 1)))
  }

  /** The state before the first token. */
  start(batch: number): MambaState {
    return {
      past: zeros([batch, this.inner, this.conv1d.kernel - 1]),
      state: zeros([batch, this.inner, this.states]),
    }
  }

  /**
   * One token, with what the tokens before left behind: as many calls give what `forward` gives at once.
   * @param x [batch, dim]
   */
  step(x: Tensor, before: MambaState): { output: Tensor; state: MambaState } {
    const [inner, gate] = this.in_proj.forward(x).split(2, -1)
    const { output: filtered, past } = this.conv1d.step(before.past, inner)
    const { u, delta, B, C } = select(this, silu(filtered), this.states)
    const { output, state } = selectiveStep(before.state, u, delta, this.A_log.exp().neg(), B, C, {
      D: this.D,
      z: gate,
      deltaBias: this.dt_proj.bias,
      softplus: true,
    })
    return { output: this.scaled(this.out_proj.forward(output)), state: { past, state } }
  }
}

export interface BiMambaOptions extends MambaOptions {
  /** `separate` (Vim's v2): each direction has its own convolution, selection, A and D. `shared` (v1): only A is its own. */
  readonly branches?: 'separate' | 'shared'
  /** Whether the directions are averaged instead of summed; default true for separate branches, which alone have the choice. */
  readonly average?: boolean
}

/**
 * Vim's mixer: the scan of {@link MambaMixer} runs over the sequence and over its reverse (gate included), and the results, the
 * second turned round again, are averaged before W_out.
 *
 * Both directions are one loop: the reversed sequence is a second group of channels. The step sizes of both start
 * in the same range; in the official code the second direction's bias is reset to 0. Source: Zhu et al. 2024, algorithm 1
 */
export class BiMambaMixer extends Mixer {
  readonly conv1d_b?: CausalDepthwiseConv1d
  readonly x_proj_b?: Linear
  readonly dt_proj_b?: Linear
  readonly A_b_log: Parameter
  readonly D_b?: Parameter
  readonly #average: boolean

  constructor(
    dim: number,
    { branches = 'separate', average = branches === 'separate', ...options }: BiMambaOptions = {},
  ) {
    super(dim, options)
    const { inner, states, kernel, rank } = mambaSizes(dim, options)
    this.#average = average
    this.A_b_log = parameter(logStates([inner, states]), [inner, states])
    if (branches === 'shared') return
    this.conv1d_b = new CausalDepthwiseConv1d(inner, kernel, { bias: options.convBias ?? true })
    this.x_proj_b = new Linear(inner, rank + 2 * states, { bias: false })
    this.dt_proj_b = stepProjection(rank, inner, options.stepSizes)
    this.D_b = parameter(constant(1)([inner]), [inner])
  }

  /** [batch, length, dim] -> [batch, length, dim] */
  override forward(x: Tensor): Tensor {
    this.check(x)
    const [inner, gate] = this.in_proj.forward(x).split(2, -1)
    const ahead = select(this, convolve(this.conv1d, inner), this.states)
    const back = this.#backward(ahead, inner)
    const both = (pick: (selection: Selection) => Tensor): Tensor => concat([pick(ahead), pick(back)], -1)
    const perGroup = (pick: (selection: Selection) => Tensor): Tensor => stack([pick(ahead), pick(back)], 2)
    const z = gate.swapAxes(0, 1)
    const { output } = scanSteps(
      both(({ u }) => u),
      both(({ delta }) => delta),
      concat([this.A_log, this.A_b_log], 0).exp().neg(),
      perGroup(({ B }) => B),
      perGroup(({ C }) => C),
      {
        D: concat([this.D, this.D_b ?? this.D], 0),
        z: concat([z, flip(z, 0)], -1),
        deltaBias: concat([this.dt_proj.bias!, (this.dt_proj_b ?? this.dt_proj).bias!], 0),
        softplus: true,
      },
    )
    const [forward, backward] = output.split(2, -1)
    const sum = forward.add(flip(backward, 0))
    return this.scaled(this.out_proj.forward((this.#average ? sum.mul(0.5) : sum).swapAxes(0, 1)))
  }

  /** @throws always: the scan from the end starts at a token that has not come yet */
  step(): never {
    throw new Error(
      'mamba: a bidirectional mixer cannot take tokens one by one, because its second scan starts from the last; use MambaMixer',
    )
  }

  /** The selection of the reversed sequence. */
  #backward(ahead: Selection, inner: Tensor): Selection {
    const { conv1d_b, x_proj_b, dt_proj_b } = this
    if (conv1d_b && x_proj_b && dt_proj_b)
      return select({ x_proj: x_proj_b, dt_proj: dt_proj_b }, convolve(conv1d_b, flip(inner, 1)), this.states)
    const { u, delta, B, C } = ahead
    return { u: flip(u, 0), delta: flip(delta, 0), B: flip(B, 0), C: flip(C, 0) }
  }
}
