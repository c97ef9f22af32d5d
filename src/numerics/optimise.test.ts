import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Evaluation, lbfgs, lbfgsAsync } from './optimise.ts'

function rosenbrock(x: Float64Array): Evaluation {
  const gradient = new Float64Array(x.length)
  let value = 0
  for (let i = 0; i + 1 < x.length; i++) {
    const valley = x[i + 1] - x[i] ** 2
    value += 100 * valley ** 2 + (1 - x[i]) ** 2
    gradient[i] += -400 * x[i] * valley - 2 * (1 - x[i])
    gradient[i + 1] += 200 * valley
  }
  return { value, gradient }
}

describe('lbfgs', () => {
  it('follows the Rosenbrock valley to (1, …, 1)', () => {
    for (const n of [2, 10, 100]) {
      const start = Float64Array.from({ length: n }, (_, i) => (i % 2 ? 1 : -1.2))
      const found = lbfgs(rosenbrock, start, { iterations: 1000, gradientTolerance: 1e-8 })
      expect(found.reason).toBe('gradient')
      for (const value of found.x) expect(value).toBeCloseTo(1, 6)
      expect(found.evaluations).toBeLessThan(6 * n + 100)
    }
  })

  it('minimises any convex quadratic, whatever its scale', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.integer({ min: -3, max: 3 }), fc.integer({ min: -50, max: 50 })), {
          minLength: 1,
          maxLength: 12,
        }),
        terms => {
          const curvatures = terms.map(([exponent]) => 10 ** exponent)
          const objective = (x: Float64Array) => ({
            value: curvatures.reduce((sum, c, i) => sum + 0.5 * c * (x[i] - terms[i][1]) ** 2, 0),
            gradient: x.map((value, i) => curvatures[i] * (value - terms[i][1])),
          })
          const found = lbfgs(objective, new Float64Array(terms.length), { gradientTolerance: 1e-9, iterations: 2000 })
          for (let i = 0; i < terms.length; i++) expect(Math.abs(found.x[i] - terms[i][1])).toBeLessThan(1e-4)
        },
      ),
      { numRuns: 60 },
    )
  })

  it('fits a logistic regression to a gradient of zero', () => {
    const samples = Array.from({ length: 40 }, (_, i) => [1, Math.sin(i), Math.cos(2 * i)])
    const labels = samples.map((row, i) => (row[1] + 0.3 * Math.sin(5 * i) > 0 ? 1 : 0))
    const objective = (weights: Float64Array) => {
      let value = 0.05 * weights.reduce((sum, w) => sum + w * w, 0)
      const gradient = weights.map(w => 0.1 * w)
      samples.forEach((row, i) => {
        const logit = row.reduce((sum, x, j) => sum + x * weights[j], 0)
        value += Math.log1p(Math.exp(-Math.abs(logit))) + Math.max(logit, 0) - labels[i] * logit
        row.forEach((x, j) => {
          gradient[j] += (1 / (1 + Math.exp(-logit)) - labels[i]) * x
        })
      })
      return { value, gradient }
    }
    const found = lbfgs(objective, [0, 0, 0])
    expect(found.converged).toBe(true)
    for (const slope of objective(found.x).gradient) expect(Math.abs(slope)).toBeLessThan(1e-6)
  })

  it('steps back from where the objective is not finite', () => {
    // x - log x is least at 1; its first trial step leaves the domain.
    const barrier = (x: Float64Array) => ({ value: x[0] - Math.log(x[0]), gradient: [1 - 1 / x[0]] })
    const found = lbfgs(barrier, [0.01])
    expect(found.x[0]).toBeCloseTo(1, 5)
    const log = (x: Float64Array) => ({
      value: -Math.log(1 - x[0] ** 2) + x[0],
      gradient: [(2 * x[0]) / (1 - x[0] ** 2) + 1],
    })
    expect(lbfgs(log, [0.9]).x[0]).toBeCloseTo(1 - Math.SQRT2, 5)
  })

  it('says why it stopped', () => {
    const parabola = (x: Float64Array) => ({ value: x[0] ** 2, gradient: [2 * x[0]] })
    expect(lbfgs(parabola, [0])).toMatchObject({ reason: 'gradient', iterations: 0, evaluations: 1, converged: true })
    expect(lbfgs(rosenbrock, [-1.2, 1], { iterations: 3 })).toMatchObject({ reason: 'iterations', converged: false })
    expect(lbfgs(rosenbrock, [-1.2, 1], { valueTolerance: 10 })).toMatchObject({ reason: 'value', converged: true })
    const wrongSign = (x: Float64Array) => ({ value: x[0] ** 2, gradient: [-2 * x[0]] })
    expect(lbfgs(wrongSign, [1])).toMatchObject({ reason: 'line search', converged: false, value: 1 })
    expect(() => lbfgs(() => ({ value: Number.NaN, gradient: [0] }), [1])).toThrow('the objective is NaN at the start')
    expect(() => lbfgs(() => ({ value: 1, gradient: [] }), [1])).toThrow('have 1 and 0 entries')
  })

  it('asks the same questions when it must wait for the answers', async () => {
    const waited = await lbfgsAsync(async x => rosenbrock(x), [-1.2, 1])
    expect(waited).toEqual(lbfgs(rosenbrock, [-1.2, 1]))
  })
})
