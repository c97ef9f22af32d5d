import { conv, formatShape, scan, type Tensor, tensor, zeros } from '../../../core/index.ts'
import { initialise, Module, type Parameter, parameter } from '../../../nn/index.ts'

/** A complex number for each element; without `im` a real one. */
export interface ComplexTensor {
  readonly re: Tensor
  readonly im?: Tensor
}

/**
 * A diagonal state-space model that does not change over time, one for each channel: all fields [channels, states], but
 * `step` [channels]. With imaginary parts each state stands for itself and its conjugate, so that outputs are doubled.
 */
export interface S4System {
  /** Step size Delta. */
  readonly step: Tensor
  readonly A: ComplexTensor
  readonly B: ComplexTensor
  readonly C: ComplexTensor
  /** Weight of the input that skips the state [channels]; default none. */
  readonly D?: Tensor
}

function times(a: ComplexTensor, b: ComplexTensor): ComplexTensor {
  if (!a.im || !b.im) {
    const scaled = (part: Tensor | undefined, factor: Tensor): Tensor | undefined => part?.mul(factor)
    return { re: a.re.mul(b.re), im: scaled(a.im, b.re) ?? scaled(b.im, a.re) }
  }
  return { re: a.re.mul(b.re).sub(a.im.mul(b.im)), im: a.re.mul(b.im).add(a.im.mul(b.re)) }
}

const plus = (a: ComplexTensor, b: ComplexTensor): ComplexTensor => ({
  re: a.re.add(b.re),
  im: a.im && b.im ? a.im.add(b.im) : (a.im ?? b.im),
})

function inverse({ re, im }: ComplexTensor): ComplexTensor {
  if (!im) return { re: re.reciprocal() }
  const square = re.mul(re).add(im.mul(im))
  return { re: re.div(square), im: im.neg().div(square) }
}

/** e^z */
function power({ re, im }: ComplexTensor): ComplexTensor {
  const size = re.exp()
  return im ? { re: size.mul(im.cos()), im: size.mul(im.sin()) } : { re: size }
}

const scaled = ({ re, im }: ComplexTensor, factor: Tensor | number): ComplexTensor => ({
  re: re.mul(factor),
  im: im?.mul(factor),
})

const expand = ({ re, im }: ComplexTensor): ComplexTensor => ({ re: re.expandDims(-1), im: im?.expandDims(-1) })

/** The system of one step by zero-order hold: exp(Delta A) and A^-1 (exp(Delta A) - 1) B. Source: Gu et al. 2022, "S4D" */
export function discretise({ step, A, B }: S4System): { A: ComplexTensor; B: ComplexTensor } {
  const held = power(scaled(A, step.expandDims(-1)))
  const gained = { re: held.re.sub(1), im: held.im }
  return { A: held, B: times(times(gained, inverse(A)), B) }
}

/** Real part of a sum over states, doubled where conjugates are left out. */
function readOut(C: ComplexTensor, state: ComplexTensor, axis: number): Tensor {
  const product = times(C, state)
  const sum = product.re.sum(axis)
  return product.im ? sum.mul(2) : sum
}

/**
 * The impulse response K_l = Re(C exp(l Delta A) B'), l = 0 … length - 1.
 * @returns [channels, length]
 */
export function s4Kernel(system: S4System, length: number): Tensor {
  const { B } = discretise(system)
  const times0 = tensor(
    Float32Array.from({ length }, (_, l) => l),
    [length],
  )
  const rates = expand(scaled(system.A, system.step.expandDims(-1)))
  return readOut(expand(times(system.C, B)), power(scaled(rates, times0)), 1)
}

/**
 * y_t = sum over l of K_l u_{t-l}, and D u: what the recurrence gives, for all steps at once.
 * @param u [batch, channels, length]
 * @param kernel [channels, length] of {@link s4Kernel}
 * @throws when the shapes do not fit
 */
export function s4Convolve(u: Tensor, kernel: Tensor, D?: Tensor): Tensor {
  const [channels, length] = kernel.shape
  if (u.rank !== 3 || u.shape[1] !== channels || u.shape[2] !== length)
    throw new Error(`s4Convolve: expected [batch, ${channels}, ${length}], got ${formatShape(u.shape)}`)
  const y = conv(u, kernel.flip(1).expandDims(1), { padding: [[length - 1, 0]], groups: channels })
  return D ? y.add(u.mul(D.expandDims(-1))) : y
}

/** The state before the first step: [batch, channels, states]. */
export const s4Start = ({ A }: S4System, batch: number): ComplexTensor => ({
  re: zeros([batch, ...A.re.shape]),
  im: A.im && zeros([batch, ...A.re.shape]),
})

/**
 * One step of the recurrence s = A' s + B' u, y = Re(C s) + D u.
 * @param u [batch, channels]
 */
export function s4Step(
  system: S4System,
  state: ComplexTensor,
  u: Tensor,
  discrete = discretise(system),
): { output: Tensor; state: ComplexTensor } {
  const next = plus(times(discrete.A, state), scaled(discrete.B, u.expandDims(-1)))
  const read = readOut(system.C, next, -1)
  return { output: system.D ? read.add(u.mul(system.D)) : read, state: next }
}

/**
 * All steps of the recurrence in a loop.
 * @param u [batch, channels, length]
 * @returns output of the shape of `u`, and the state after the last step
 */
export function s4Recurrence(system: S4System, u: Tensor): { output: Tensor; lastState: ComplexTensor } {
  const discrete = discretise(system)
  const start = s4Start(system, u.shape[0])
  const parts = ({ re, im }: ComplexTensor): Tensor[] => (im ? [re, im] : [re])
  const { carries, outputs } = scan(
    ([re, im], [now]) => {
      const { output, state } = s4Step(system, { re, im }, now, discrete)
      return { carries: parts(state), outputs: [output] }
    },
    parts(start),
    [u.moveAxis(-1, 0)],
  )
  return { output: outputs[0].moveAxis(0, -1), lastState: { re: carries[0], im: carries[1] } }
}

/** A learned {@link S4System} for each of `channels`; first values as in S4D: A_n = -1/2 + i pi n, or -(n + 1) when real. */
export class S4Layer extends Module {
  readonly log_dt: Parameter
  readonly log_A_real: Parameter
  readonly A_imag?: Parameter
  readonly B_re: Parameter
  readonly B_im?: Parameter
  readonly C_re: Parameter
  readonly C_im?: Parameter
  readonly D: Parameter

  /** @param options.kind of the states: complex pairs (default) or real */
  constructor(
    channels: number,
    { states = 16, kind = 'complex' }: { readonly states?: number; readonly kind?: 'complex' | 'real' } = {},
  ) {
    super()
    const shape = [channels, states]
    const make = (initial: initialise.Initialiser, of: readonly number[] = shape): Parameter =>
      parameter(initial(of), of)
    const perState =
      (value: (n: number) => number): initialise.Initialiser =>
      () =>
        Float32Array.from({ length: channels * states }, (_, i) => value(i % states))
    this.log_dt = make(initialise.uniform(Math.log(1e-3), Math.log(0.1)), [channels])
    this.D = make(initialise.constant(1), [channels])
    this.B_re = make(initialise.constant(1))
    this.C_re = make(initialise.normal(Math.SQRT1_2))
    if (kind === 'real') {
      this.log_A_real = make(perState(n => Math.log(n + 1)))
      return
    }
    this.log_A_real = make(initialise.constant(Math.log(0.5)))
    this.A_imag = make(perState(n => Math.PI * n))
    this.B_im = make(initialise.zeros)
    this.C_im = make(initialise.normal(Math.SQRT1_2))
  }

  get system(): S4System {
    return {
      step: this.log_dt.exp(),
      A: { re: this.log_A_real.exp().neg(), im: this.A_imag },
      B: { re: this.B_re, im: this.B_im },
      C: { re: this.C_re, im: this.C_im },
      D: this.D,
    }
  }

  /** By convolution: [batch, channels, length] -> the same shape */
  override forward(u: Tensor): Tensor {
    const { system } = this
    return s4Convolve(u, s4Kernel(system, u.shape[2]), system.D)
  }
}
