import { add, div, exp, log, mul, requireFloat, sub } from '../ops/elementwise.ts'
import { expandDims, zerosLike } from '../ops/layout.ts'
import { logSumExp, max, stopGradient, sum } from '../ops/reduce.ts'
import { scan } from '../ops/scan.ts'
import { formatShape, sameShape } from '../shape.ts'
import { asTensor, type Tensor, type TensorLike } from '../tensor.ts'

const requireIterations = (op: string, iterations: number): void => {
  if (!Number.isInteger(iterations) || iterations < 1)
    throw new Error(`${op}: iterations is ${iterations}; it must be a whole number, 1 or more`)
}

const requirePositive = (op: string, name: string, value: number): void => {
  if (!(value > 0)) throw new Error(`${op}: ${name} is ${value}; it must be above 0`)
}

export interface Transport {
  /** [..., n, m]: how much goes from i to j */
  readonly plan: Tensor
  /** Dual potentials of the sources [..., n] and the targets [..., m]. */
  readonly potentials: readonly [Tensor, Tensor]
}

/**
 * Entropic optimal transport: the plan P that minimises <P, C> - epsilon H(P) with row sums a and column sums b, by
 * Sinkhorn's iteration on logarithms, f = epsilon (log a - LSE((g - C) / epsilon)), then g likewise. After each step the
 * column sums hold exactly; the row sums as far as it has converged.
 * @param cost [..., n, m]
 * @param source a [..., n], positive
 * @param target b [..., m], positive, of the same total
 * @param epsilon default 0.1
 * @param iterations default 50; gradients flow through them
 * @throws when the shapes do not fit. Source: Cuturi 2013; in logarithms Peyré & Cuturi 2019, section 4.4
 */
export function sinkhorn(
  cost: TensorLike,
  source: TensorLike,
  target: TensorLike,
  { epsilon = 0.1, iterations = 50 }: { readonly epsilon?: number; readonly iterations?: number } = {},
): Transport {
  const costs = asTensor(cost)
  const [from, to] = [asTensor(source), asTensor(target)]
  requireFloat('sinkhorn', costs)
  const lead = costs.shape.slice(0, -2)
  const [n, m] = costs.shape.slice(-2)
  if (costs.rank < 2 || !sameShape(from.shape, [...lead, n]) || !sameShape(to.shape, [...lead, m]))
    throw new Error(
      `sinkhorn: cost ${formatShape(costs.shape)} needs source ${formatShape([...lead, n])} and target ${formatShape([...lead, m])}, got ${formatShape(from.shape)} and ${formatShape(to.shape)}`,
    )
  requirePositive('sinkhorn', 'epsilon', epsilon)
  requireIterations('sinkhorn', iterations)
  // Potentials in units of epsilon.
  const affinity = mul(costs, -1 / epsilon)
  const [logFrom, logTo] = [log(from), log(to)]
  const { carries } = scan(
    ([, g]) => {
      const f = sub(logFrom, logSumExp(add(affinity, expandDims(g, -2)), -1))
      return { carries: [f, sub(logTo, logSumExp(add(affinity, expandDims(f, -1)), -2))] }
    },
    [zerosLike(from), zerosLike(to)],
    [],
    { length: iterations },
  )
  const [f, g] = carries
  const plan = exp(add(affinity, add(expandDims(f, -1), expandDims(g, -2))))
  return { plan, potentials: [mul(f, epsilon), mul(g, epsilon)] }
}

/**
 * Assignments of samples to prototypes of which each gets an equal share, by Sinkhorn-Knopp scaling of exp(scores / epsilon).
 * Rows of the result sum to 1. Used as targets: no gradient flows.
 * @param scores [samples, prototypes]
 * @param epsilon default 0.05
 * @param iterations default 3
 * @returns [samples, prototypes]
 * @throws when the scores are no matrix. Source: Caron et al. 2020 (SwAV)
 */
export function sinkhornKnopp(
  scores: TensorLike,
  { epsilon = 0.05, iterations = 3 }: { readonly epsilon?: number; readonly iterations?: number } = {},
): Tensor {
  const input = stopGradient(scores)
  requireFloat('sinkhornKnopp', input)
  if (input.rank !== 2)
    throw new Error(`sinkhornKnopp: expected [samples, prototypes], got ${formatShape(input.shape)}`)
  requirePositive('sinkhornKnopp', 'epsilon', epsilon)
  requireIterations('sinkhornKnopp', iterations)
  // A common factor cancels in the first scaling, so the largest score is taken out against overflow.
  let assignment = exp(mul(sub(input, max(input)), 1 / epsilon))
  assignment = div(assignment, sum(assignment))
  const [samples, prototypes] = input.shape
  for (let i = 0; i < iterations; i++) {
    assignment = div(assignment, mul(sum(assignment, 0, true), prototypes))
    assignment = div(assignment, mul(sum(assignment, 1, true), samples))
  }
  return mul(assignment, samples)
}
