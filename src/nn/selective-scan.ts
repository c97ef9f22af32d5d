import { exp, formatShape, matmul, scan, silu, softplus, sum, type Tensor, zeros } from '../core/index.ts'

export interface SelectiveScanOptions {
  /** Weight of the input that skips the state [channels]; default none. */
  readonly D?: Tensor
  /** Gate of the shape of `u`: the output is multiplied by silu(z); default none. */
  readonly z?: Tensor
  /** Added to `delta` [channels]; default none. */
  readonly deltaBias?: Tensor
  /** Whether `delta` (after its bias) passes softplus; default false. */
  readonly softplus?: boolean
  /** State before the first step [batch, channels, states]; default 0. */
  readonly initial?: Tensor
}

/** Sizes of a scan; `perGroup` channels share their B and C. */
interface Sizes {
  readonly batch: number
  readonly channels: number
  readonly states: number
  readonly groups: number
  readonly perGroup: number
}

/**
 * Selective state-space recurrence: for each channel a state of N numbers with
 *
 *     s_t = exp(Delta_t A) * s_{t-1} + Delta_t B_t u_t        y_t = C_t . s_t + D u_t        output = y * silu(z)
 *
 * (zero-order hold for A, Euler for B). It runs as one loop that keeps a state for each step: memory grows linearly with
 * the length, and the backward pass computes the decays again (docs/decisions/0005).
 * @param u input [batch, channels, length]
 * @param delta step sizes, of the shape of `u`
 * @param A [channels, states], negative for states that fade
 * @param B how the input enters the state: [batch, states, length]; [batch, groups, states, length] where the channels
 *   fall into groups with their own; [channels, states] where it does not depend on the input
 * @param C how the state is read, in any of the forms of `B`
 * @returns output [batch, channels, length] and the state after the last step [batch, channels, states]
 * @throws when shapes do not fit. Source: Gu & Dao 2023, "Mamba", section 3 and algorithm 2
 */
export function selectiveScan(
  u: Tensor,
  delta: Tensor,
  A: Tensor,
  B: Tensor,
  C: Tensor,
  options: SelectiveScanOptions = {},
): { output: Tensor; lastState: Tensor } {
  const stepsFirst = (t: Tensor): Tensor => (t.rank < 3 ? t : t.moveAxis(-1, 0))
  if (u.rank !== 3) throw new Error(`selectiveScan: expected u [batch, channels, length], got ${formatShape(u.shape)}`)
  const z = options.z && stepsFirst(options.z)
  const { output, lastState } = scanSteps(stepsFirst(u), stepsFirst(delta), A, stepsFirst(B), stepsFirst(C), {
    ...options,
    z,
  })
  return { output: output.moveAxis(0, -1), lastState }
}

/**
 * {@link selectiveScan} for tensors whose first axis is time, which the loop reads in place: u, delta and z are
 * [length, batch, channels], B and C [length, batch, states], [length, batch, groups, states] or [channels, states].
 * @returns output [length, batch, channels] and the last state [batch, channels, states]
 */
export function scanSteps(
  u: Tensor,
  delta: Tensor,
  A: Tensor,
  B: Tensor,
  C: Tensor,
  options: SelectiveScanOptions = {},
): { output: Tensor; lastState: Tensor } {
  const { D, z, initial } = options
  const sizes = sizesOf(u, delta, A, B, C, options)
  const { batch, channels, states, groups, perGroup } = sizes
  const length = u.shape[0]
  const step = stepSizes(delta, options)
  // Products of single steps and inputs are taken all at once: a loop's time goes into the number of its kernels.
  const [drive, size] = [step.mul(u), step].map(t => t.reshape([length, batch, groups, 1, perGroup]))
  const transition = channelStates(A, sizes)
  const own = (t: Tensor): number => (t.rank === 4 ? groups : 1)
  const into = B.rank === 2 ? channelStates(B, sizes) : B.reshape([length, batch, own(B), states, 1])
  const outOf = C.rank === 2 ? channelStates(C, sizes) : C.reshape([length, batch, own(C), 1, states])
  const start = initial ? toGroups(initial, sizes) : zeros([batch, groups, states, perGroup], u.dtype)
  const varying = [into, outOf].map(t => t.rank === 5)
  const { carries, outputs } = scan(
    ([state], [driveNow, sizeNow, ...rest]) => {
      const [intoNow, outOfNow] = [into, outOf].map((t, i) => (varying[i] ? rest.shift()! : t))
      const next = exp(sizeNow.mul(transition)).mul(state).add(driveNow.mul(intoNow))
      return {
        carries: [next],
        outputs: [varying[1] ? matmul(outOfNow, next).squeeze(-2) : sum(next.mul(outOfNow), -2)],
      }
    },
    [start],
    [drive, size, ...[into, outOf].filter((_, i) => varying[i])],
  )
  const read = outputs[0].reshape([length, batch, channels])
  return { output: skipAndGate(read, u, D, z), lastState: fromGroups(carries[0], sizes) }
}

/**
 * One step of {@link selectiveScan}, for sequences that arrive token by token.
 * @param state [batch, channels, states]: zeros before the first token
 * @param u [batch, channels], like `delta` and `options.z`
 * @param B [batch, states], [batch, groups, states] or [channels, states], like `C`
 * @returns output [batch, channels] and the next state
 * @throws when shapes do not fit
 */
export function selectiveStep(
  state: Tensor,
  u: Tensor,
  delta: Tensor,
  A: Tensor,
  B: Tensor,
  C: Tensor,
  { z, ...options }: Omit<SelectiveScanOptions, 'initial'> = {},
): { output: Tensor; state: Tensor } {
  const first = (t: Tensor): Tensor => t.expandDims(0)
  // A matrix [batch, states] and one [channels, states] are told apart by the first axis, the former winning.
  const perStep = (t: Tensor): Tensor => (t.rank === 2 && t.shape[0] !== u.shape[0] ? t : first(t))
  const { output, lastState } = scanSteps(first(u), first(delta), A, perStep(B), perStep(C), {
    ...options,
    z: z && first(z),
    initial: state,
  })
  return { output: output.squeeze(0), state: lastState }
}

function stepSizes(delta: Tensor, { deltaBias, softplus: positive }: SelectiveScanOptions): Tensor {
  const biased = deltaBias ? delta.add(deltaBias) : delta
  return positive ? softplus(biased) : biased
}

function skipAndGate(read: Tensor, u: Tensor, D: Tensor | undefined, z: Tensor | undefined): Tensor {
  const y = D ? read.add(u.mul(D)) : read
  return z ? y.mul(silu(z)) : y
}

/** [channels, states] -> [groups, states, channels of a group]: long rows of channels make the loop's kernels fast. */
const channelStates = (t: Tensor, { groups, perGroup, states }: Sizes): Tensor =>
  t.reshape([groups, perGroup, states]).swapAxes(-1, -2)

const toGroups = (state: Tensor, { batch, groups, perGroup, states }: Sizes): Tensor =>
  state.reshape([batch, groups, perGroup, states]).swapAxes(-1, -2)

const fromGroups = (state: Tensor, { batch, channels, states }: Sizes): Tensor =>
  state.swapAxes(-1, -2).reshape([batch, channels, states])

function sizesOf(
  u: Tensor,
  delta: Tensor,
  A: Tensor,
  B: Tensor,
  C: Tensor,
  { D, z, deltaBias, initial }: SelectiveScanOptions,
): Sizes {
  const [length, batch, channels] = u.shape
  const states = A.shape[A.rank - 1]
  const grouped = [B, C].find(t => t.rank === 4)
  const groups = grouped ? grouped.shape[2] : 1
  const need = (name: string, t: Tensor | undefined, ...allowed: (readonly number[])[]): void => {
    if (t && !allowed.some(shape => shape.join() === t.shape.join()))
      throw new Error(
        `selectiveScan: ${name} is ${formatShape(t.shape)}, expected ${allowed.map(formatShape).join(' or ')} (time first)`,
      )
  }
  need('delta', delta, u.shape)
  need('z', z, u.shape)
  need('A', A, [channels, states])
  const forms = [
    [length, batch, states],
    [length, batch, groups, states],
    [channels, states],
  ]
  need('B', B, ...forms)
  need('C', C, ...forms)
  need('D', D, [channels])
  need('deltaBias', deltaBias, [channels])
  need('initial', initial, [batch, channels, states])
  if (channels % groups !== 0)
    throw new Error(`selectiveScan: ${channels} channels do not fall into ${groups} equal groups`)
  return { batch, channels, states, groups, perGroup: channels / groups }
}
