import { allocate, asTensor, expm1, type HostData, mul, type Tensor, Variable } from '../core/index.ts'
import type { Schedule } from './schedule.ts'

/** What an update rule sees of one parameter. */
export interface UpdateContext {
  readonly weight: Tensor
  readonly gradient: Tensor
  /** This parameter's optimiser state before the step. */
  readonly slots: Readonly<Record<string, Tensor>>
  /** Number of this step, from 1, as an f32 scalar. */
  readonly step: Tensor
  readonly learningRate: Tensor
}

export interface UpdateResult {
  readonly weight: Tensor
  readonly slots?: Readonly<Record<string, Tensor>>
}

/** An optimiser's mathematics for one parameter. */
export interface UpdateRule {
  readonly name: string
  /** State kept for each parameter: zeros of its shape, or what `initial` gives. */
  readonly slots: readonly {
    readonly name: string
    readonly initial?: (weight: HostData) => HostData
    readonly scalar?: boolean
  }[]
  update(context: UpdateContext): UpdateResult
}

/** Some parameters with their own rule and learning rate. */
export interface ParameterGroup {
  readonly parameters: readonly Variable[]
  readonly rule: UpdateRule
  /** A constant, or a schedule of the step number. */
  readonly learningRate: number | Schedule
}

interface Slot {
  readonly variable: Variable
  readonly group: ParameterGroup
  readonly state: Readonly<Record<string, Variable>>
}

/**
 * Applies update rules to parameters inside a compiled step. Its whole state (step counter, moments) are variables:
 * saved with the model, it continues bit for bit.
 */
export class Optimizer {
  /** Steps done so far (i32 scalar). */
  readonly step = new Variable(new Int32Array(1), [], 'i32', 'step')
  readonly groups: readonly ParameterGroup[]
  readonly #slots: readonly Slot[]

  constructor(groups: readonly ParameterGroup[]) {
    this.groups = groups
    this.#slots = groups.flatMap(group => group.parameters.map(variable => makeSlot(variable, group)))
    const all = this.parameters
    if (new Set(all).size !== all.length) throw new Error('optimizer: a parameter stands in two groups')
    if (all.length === 0) throw new Error('optimizer: there are no parameters to train')
  }

  /** All parameters, in the order in which {@link apply} takes their gradients. */
  get parameters(): Variable[] {
    return this.#slots.map(({ variable }) => variable)
  }

  /** State by a name that is stable across runs: `step`, and `<parameter>.<slot>`. */
  state(): Map<string, Variable> {
    const found = new Map<string, Variable>([['step', this.step]])
    this.#slots.forEach(({ variable, state }, i) => {
      for (const [slot, held] of Object.entries(state)) found.set(`${i}.${variable.name}.${slot}`, held)
    })
    return found
  }

  /**
   * Inside a compiled step: assigns every parameter and slot its next value.
   * @param gradients one for each of {@link parameters}
   * @returns the learning rate of each group, for logs
   */
  apply(gradients: readonly Tensor[]): Tensor[] {
    if (gradients.length !== this.#slots.length)
      throw new Error(`optimizer: ${gradients.length} gradients for ${this.#slots.length} parameters`)
    const done = this.step.cast('f32')
    const number = done.add(1)
    const rates = new Map(this.groups.map(group => [group, rateOf(group, done)]))
    this.#slots.forEach(({ variable, group, state }, i) => {
      const { weight, slots } = group.rule.update({
        weight: variable,
        gradient: gradients[i],
        slots: state,
        step: number,
        learningRate: rates.get(group)!,
      })
      variable.assign(weight)
      for (const [name, value] of Object.entries(slots ?? {})) state[name].assign(value)
    })
    this.step.assign(this.step.add(1))
    return [...rates.values()]
  }
}

const rateOf = ({ learningRate }: ParameterGroup, done: Tensor): Tensor =>
  typeof learningRate === 'number' ? asTensor(learningRate) : learningRate(done)

function makeSlot(variable: Variable, group: ParameterGroup): Slot {
  const state = Object.fromEntries(
    group.rule.slots.map(({ name, initial, scalar }) => {
      const shape = scalar ? [] : variable.shape
      const data = initial?.(variable.data) ?? allocate('f32', scalar ? 1 : variable.size)
      return [name, new Variable(data, shape, 'f32', `${variable.name}.${name}`)]
    }),
  )
  return { variable, group, state }
}

/** Adds L2 regularisation to a gradient (the form in which decay passes through the optimiser's moments). */
export const withDecay = (gradient: Tensor, weight: Tensor, decay: number): Tensor =>
  decay === 0 ? gradient : gradient.add(mul(weight, decay))

/** 1 - beta^step, exact where beta is near 1. */
export function biasCorrection(beta: number, step: Tensor): Tensor {
  return expm1(step.mul(Math.log(beta))).neg()
}

/** beta * average + (1 - beta) * value */
export const movingAverage = (average: Tensor, value: Tensor, beta: number): Tensor =>
  average.mul(beta).add(value.mul(1 - beta))
