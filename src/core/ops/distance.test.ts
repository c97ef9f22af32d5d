import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { check, expectClose, randomTensor } from '../../../test/check.ts'
import { grad, hostTensor, interpret, sum, type Tensor, tensor } from '../index.ts'
import { cosineDistances, euclideanDistances, manhattanDistances, nearestPoints, squaredDistances } from './distance.ts'

type Metric = (a: Tensor, b: Tensor) => Tensor

const metrics: [string, Metric][] = [
  ['squared, exact', (a, b) => squaredDistances(a, b, { exact: true })],
  ['squared, by matrix product', (a, b) => squaredDistances(a, b, { exact: false })],
  ['Euclidean', (a, b) => euclideanDistances(a, b)],
  ['Manhattan', manhattanDistances],
  ['cosine', cosineDistances],
]

const pair = fc.record({
  lead: fc.array(fc.integer({ min: 1, max: 2 }), { maxLength: 1 }),
  n: fc.integer({ min: 1, max: 4 }),
  m: fc.integer({ min: 1, max: 4 }),
  d: fc.constantFrom(1, 2, 3, 10, 33),
  seed: fc.nat(1000),
})

describe('distances of all pairs', () => {
  it.each(metrics)(
    '%s: agrees with its reference and differentiates twice, leading axes broadcasting',
    async (_, f) => {
      await fc.assert(
        fc.asyncProperty(pair, async ({ lead, n, m, d: coordinates, seed }) => {
          // On a line there are no angles: the cosine's gradient is 0, and what runs gives its rounding (see below).
          const d = f === cosineDistances ? Math.max(2, coordinates) : coordinates
          // Ranges apart, so that no coordinate difference is near the kink of |x|.
          await check(f, [randomTensor([...lead, n, d], seed, 0.2, 2), randomTensor([m, d], seed + 1, -2, -0.2)], {
            second: true,
          })
        }),
        { numRuns: 6 },
      )
    },
  )
  it.each(metrics)('%s: zero to itself, symmetric', async (_, f) => {
    const a = tensor(randomTensor([5, 10], 3).data as Float32Array, [5, 10])
    const [{ data }] = interpret([f(a, a)])
    for (let i = 0; i < 5; i++) {
      expect(Math.abs(data[i * 6])).toBeLessThan(2e-7)
      for (let j = 0; j < i; j++) expect(data[i * 5 + j]).toBeCloseTo(data[j * 5 + i], 12)
    }
  })
  it.each(metrics)('%s: the gradient is finite where points are equal or zero', async (_, f) => {
    const a = tensor([
      [0, 0],
      [1, 2],
      [1, 2],
    ])
    const [gradient] = grad(sum(f(a, a)), [a])
    for (const value of (await gradient.value()).numbers()) expect(Number.isFinite(value)).toBe(true)
  })
  it('are never negative by matrix product', async () => {
    const a = tensor(randomTensor([20, 32], 3, 99, 101).data as Float32Array, [20, 32])
    expect(Math.min(...(await squaredDistances(a, a).value()).numbers())).toBeGreaterThanOrEqual(0)
  })
  it('accept empty sets', async () => {
    await check((a, b) => squaredDistances(a, b), [randomTensor([0, 3]), randomTensor([2, 3])])
    await check((a, b) => manhattanDistances(a, b), [randomTensor([2, 0]), randomTensor([3, 0])])
  })
  it('ask for equal coordinates', () => {
    expect(() => squaredDistances(tensor([[1, 2]]), tensor([[1, 2, 3]]))).toThrow(
      'squaredDistances: expected [..., points, coordinates] twice with equal coordinates, got [1,2] and [1,3]',
    )
    expect(() => cosineDistances(tensor([1, 2]), tensor([[1, 2]]))).toThrow('cosineDistances: expected [..., points')
  })
})

it('on a line, cosine distances are 0 or 2 and have no slope', async () => {
  const [a, b] = [tensor(randomTensor([4, 1], 1, 0.2, 2).data, [4, 1]), tensor([[-1.7], [0.3]])]
  const distances = cosineDistances(a, b)
  expectClose((await distances.value()).numbers(), [2, 0, 2, 0, 2, 0, 2, 0], 1e-6, 'distances')
  for (const slope of (await grad(sum(distances), [a])[0].value()).numbers()) expect(Math.abs(slope)).toBeLessThan(1e-5)
})

describe('nearestPoints', () => {
  it('finds the nearest first, the lower index first among equals', async () => {
    const points = tensor([[0], [2], [1], [2], [5]])
    const { indices, squaredDistances: squares } = nearestPoints(tensor([[1.9], [2]]), points, 3)
    expect([...(await indices.value()).numbers()]).toEqual([1, 3, 2, 1, 3, 2])
    expectClose((await squares.value()).numbers(), [0.01, 0.01, 0.81, 0, 0, 1], 1e-5, 'squares')
  })
  it('passes gradients through the distances', async () => {
    await check(
      (q, p) => {
        const { indices, squaredDistances: squares } = nearestPoints(q, p, 2)
        return [squares, indices]
      },
      [randomTensor([2, 3, 3]), randomTensor([2, 6, 3], 9)],
      { second: true },
    )
  })
  it('wants enough points', () => {
    expect(() =>
      nearestPoints(tensor([[0]]), tensor(hostTensor([1, 2], [2, 1]).data as Float32Array, [2, 1]), 3),
    ).toThrow('nearestPoints: k is 3, expected 1 to the number of points in [2,1]')
  })
})
