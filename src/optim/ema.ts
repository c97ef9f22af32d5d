import { Variable } from '../core/index.ts'

/** A decay that suits a run of so many steps: it looks back over a tenth of them at most. @param most for long runs */
export const averagingDecay = (steps: number, most: number): number => Math.min(most, 1 - 10 / Math.max(steps, 20))

/** Exponential moving averages of parameters: average = decay average + (1-decay) parameter, after each step. */
export class ExponentialMovingAverage {
  readonly decay: number
  readonly #pairs: readonly (readonly [Variable, Variable])[]

  constructor(parameters: readonly Variable[], decay: number) {
    if (!(decay >= 0 && decay < 1)) throw new Error(`ema: decay must be in [0, 1), got ${decay}`)
    this.decay = decay
    this.#pairs = parameters.map(p => [p, new Variable(p.data.slice(), p.shape, p.dtype, `${p.name}.ema`)])
  }

  /** Inside a compiled step, after the optimiser: averages in the parameters' values of this step. */
  update(): void {
    for (const [parameter, average] of this.#pairs)
      average.assign(average.mul(this.decay).add(parameter.next().mul(1 - this.decay)))
  }

  /** The average of each parameter. */
  averages(): Map<Variable, Variable> {
    return new Map(this.#pairs)
  }
}
