/**
 * Minimisation of smooth functions of many variables on the host.
 *
 * The algorithm is written once, as a generator that asks for evaluations: `lbfgs` answers at once, `lbfgsAsync` after
 * waiting, for objectives that run as a compiled program.
 */
import { checkFinite, checkInteger, checkSameLength } from './matrix.ts'

/** An objective at one point. A value that is not finite marks the point as outside the domain. */
export interface Evaluation {
  readonly value: number
  /** As long as the point. */
  readonly gradient: ArrayLike<number>
}

/** Options of `lbfgs`. */
export interface LbfgsOptions {
  /** Most iterations; default 200. */
  readonly iterations?: number
  /** How many past steps describe the curvature; default 10. */
  readonly memory?: number
  /** Converged once no entry of the gradient is larger in magnitude; default 1e-6. */
  readonly gradientTolerance?: number
  /** Converged once a step lowers the value by at most this times max(|value|, 1); default 0. */
  readonly valueTolerance?: number
}

/** Where a minimisation ended. */
export interface LbfgsResult {
  readonly x: Float64Array
  readonly value: number
  readonly gradient: Float64Array
  readonly iterations: number
  readonly evaluations: number
  readonly converged: boolean
  /** What ended it: a tolerance, the iterations, or that no step along the search direction was lower. */
  readonly reason: 'gradient' | 'value' | 'iterations' | 'line search'
}

/** Sufficient decrease and curvature, the values of Nocedal and Wright for quasi-Newton methods. */
const sufficientDecrease = 1e-4
const curvature = 0.9
const lineSearchEvaluations = 40

interface Probe {
  readonly step: number
  readonly x: Float64Array
  readonly value: number
  readonly gradient: Float64Array
  /** Derivative along the search direction. */
  readonly slope: number
}

type Asking<Result> = Generator<Float64Array, Result, Evaluation>

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i]
  return sum
}

const largestEntry = (values: Float64Array) => values.reduce((largest, value) => Math.max(largest, Math.abs(value)), 0)

/** The minimiser of the cubic with the values and slopes of both ends, kept off the ends; the middle if there is none. */
function cubicMinimiser(a: Probe, b: Probe): number {
  const low = Math.min(a.step, b.step)
  const width = Math.abs(b.step - a.step)
  const d1 = a.slope + b.slope - (3 * (a.value - b.value)) / (a.step - b.step)
  const d2 = Math.sign(b.step - a.step) * Math.sqrt(d1 * d1 - a.slope * b.slope)
  const step = b.step - ((b.step - a.step) * (b.slope + d2 - d1)) / (b.slope - a.slope + 2 * d2)
  return Number.isFinite(step) ? Math.min(Math.max(step, low + 0.1 * width), low + 0.9 * width) : low + 0.5 * width
}

/** A search for a step that meets the strong Wolfe conditions (Nocedal and Wright 2006, algorithms 3.5 and 3.6). */
class LineSearch {
  evaluations = 0

  constructor(
    private readonly origin: Probe,
    private readonly direction: Float64Array,
  ) {}

  private *probe(step: number): Asking<Probe> {
    const x = this.origin.x.map((value, i) => value + step * this.direction[i])
    const evaluation = yield x
    this.evaluations++
    checkSameLength('lbfgs: point and gradient', x, evaluation.gradient)
    const gradient = Float64Array.from(evaluation.gradient)
    return { step, x, value: evaluation.value, gradient, slope: dot(gradient, this.direction) }
  }

  private decreases(probe: Probe): boolean {
    return probe.value <= this.origin.value + sufficientDecrease * probe.step * this.origin.slope
  }

  private isFlatEnough(probe: Probe): boolean {
    return Math.abs(probe.slope) <= -curvature * this.origin.slope
  }

  /** The step, or undefined if none within reach is lower than the origin. */
  *find(firstStep: number): Asking<Probe | undefined> {
    let previous = this.origin
    let step = firstStep
    while (this.evaluations < lineSearchEvaluations) {
      const probe = yield* this.probe(step)
      const rises = previous !== this.origin && probe.value >= previous.value
      if (!this.decreases(probe) || rises) return yield* this.zoom(previous, probe)
      if (this.isFlatEnough(probe)) return probe
      if (!(probe.slope < 0)) return yield* this.zoom(probe, previous)
      previous = probe
      step *= 2
    }
    return previous === this.origin ? undefined : previous
  }

  /** `low` is the lower end of a bracket and its slope points towards `high`. */
  private *zoom(low: Probe, high: Probe): Asking<Probe | undefined> {
    while (this.evaluations < lineSearchEvaluations && low.step !== high.step) {
      const probe = yield* this.probe(cubicMinimiser(low, high))
      if (!this.decreases(probe) || probe.value >= low.value) {
        high = probe
        continue
      }
      if (this.isFlatEnough(probe)) return probe
      if (probe.slope * (high.step - low.step) >= 0) high = low
      low = probe
    }
    return low === this.origin ? undefined : low
  }
}

/** The last few steps s and gradient changes y, which stand for the inverse Hessian. */
class CurvatureMemory {
  private pairs: { s: Float64Array; y: Float64Array; inverseSy: number }[] = []

  constructor(private readonly capacity: number) {}

  get isEmpty(): boolean {
    return this.pairs.length === 0
  }

  clear(): void {
    this.pairs = []
  }

  add(s: Float64Array, y: Float64Array): void {
    const sy = dot(s, y)
    // The Wolfe conditions make sy positive; rounding may not.
    if (!(sy > Number.EPSILON * dot(y, y))) return
    this.pairs.push({ s, y, inverseSy: 1 / sy })
    if (this.pairs.length > this.capacity) this.pairs.shift()
  }

  /** -H gradient by the two-loop recursion (Nocedal and Wright 2006, algorithm 7.4). */
  direction(gradient: Float64Array): Float64Array {
    const q = gradient.map(value => -value)
    const alphas = new Float64Array(this.pairs.length)
    for (let k = this.pairs.length - 1; k >= 0; k--) {
      const { s, y, inverseSy } = this.pairs[k]
      alphas[k] = inverseSy * dot(s, q)
      for (let i = 0; i < q.length; i++) q[i] -= alphas[k] * y[i]
    }
    const latest = this.pairs.at(-1)
    const scaling = latest === undefined ? 1 : 1 / (latest.inverseSy * dot(latest.y, latest.y))
    for (let i = 0; i < q.length; i++) q[i] *= scaling
    for (let k = 0; k < this.pairs.length; k++) {
      const { s, y, inverseSy } = this.pairs[k]
      const beta = inverseSy * dot(y, q)
      for (let i = 0; i < q.length; i++) q[i] += (alphas[k] - beta) * s[i]
    }
    return q
  }
}

/** The algorithm itself: yields points, is sent their evaluations, returns the result. */
function* lbfgsAsking(start: ArrayLike<number>, options: LbfgsOptions): Asking<LbfgsResult> {
  const { iterations = 200, memory = 10, gradientTolerance = 1e-6, valueTolerance = 0 } = options
  checkFinite('lbfgs: start', start)
  checkInteger('lbfgs: iterations', iterations, 0)
  checkInteger('lbfgs: memory', memory, 1)
  const x = Float64Array.from(start)
  const first = yield x.slice()
  checkSameLength('lbfgs: point and gradient', x, first.gradient)
  if (!Number.isFinite(first.value)) {
    throw new RangeError(`lbfgs: the objective is ${first.value} at the start; start where it is finite`)
  }
  const firstGradient = Float64Array.from(first.gradient)
  checkFinite('lbfgs: gradient at the start', firstGradient)
  let here: Probe = { step: 0, x, value: first.value, gradient: firstGradient, slope: 0 }
  const past = new CurvatureMemory(memory)
  let evaluations = 1
  const result = (iteration: number, reason: LbfgsResult['reason']): LbfgsResult => ({
    x: here.x,
    value: here.value,
    gradient: here.gradient,
    iterations: iteration,
    evaluations,
    converged: reason === 'gradient' || reason === 'value',
    reason,
  })
  for (let iteration = 0; iteration < iterations; iteration++) {
    if (largestEntry(here.gradient) <= gradientTolerance) return result(iteration, 'gradient')
    let direction = past.direction(here.gradient)
    let slope = dot(direction, here.gradient)
    if (!(slope < 0)) {
      past.clear()
      direction = past.direction(here.gradient)
      slope = dot(direction, here.gradient)
    }
    // Without curvature the gradient's length says nothing about the step: try one of unit length at most.
    const firstStep = past.isEmpty ? Math.min(1, 1 / Math.sqrt(-slope)) : 1
    const search = new LineSearch({ ...here, step: 0, slope }, direction)
    const next = yield* search.find(firstStep)
    evaluations += search.evaluations
    if (next === undefined) {
      if (past.isEmpty) return result(iteration, 'line search')
      // The remembered curvature may mislead; the plain gradient gets one chance.
      past.clear()
      continue
    }
    past.add(
      next.x.map((value, i) => value - here.x[i]),
      next.gradient.map((value, i) => value - here.gradient[i]),
    )
    const decrease = here.value - next.value
    here = next
    if (decrease <= valueTolerance * Math.max(Math.abs(here.value), 1)) {
      return result(iteration + 1, largestEntry(here.gradient) <= gradientTolerance ? 'gradient' : 'value')
    }
  }
  return result(iterations, largestEntry(here.gradient) <= gradientTolerance ? 'gradient' : 'iterations')
}

/**
 * Minimises a smooth function by L-BFGS (Liu and Nocedal 1989) with a strong Wolfe line search.
 *
 * @param objective value and gradient at a point; it must not keep or change the point
 * @param start [n], where the objective is finite
 * @throws RangeError if the objective or its gradient is not finite at the start, or a gradient has another length
 * @example lbfgs(x => ({ value: (x[0] - 3) ** 2, gradient: [2 * (x[0] - 3)] }), [0]).x // [3]
 */
export function lbfgs(
  objective: (x: Float64Array) => Evaluation,
  start: ArrayLike<number>,
  options: LbfgsOptions = {},
): LbfgsResult {
  const search = lbfgsAsking(start, options)
  let turn = search.next()
  while (!turn.done) turn = search.next(objective(turn.value))
  return turn.value
}

/** As `lbfgs`, for an objective that must be waited for. */
export async function lbfgsAsync(
  objective: (x: Float64Array) => Promise<Evaluation>,
  start: ArrayLike<number>,
  options: LbfgsOptions = {},
): Promise<LbfgsResult> {
  const search = lbfgsAsking(start, options)
  let turn = search.next()
  while (!turn.done) turn = search.next(await objective(turn.value))
  return turn.value
}
