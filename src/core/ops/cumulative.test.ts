import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { check, expectClose, randomTensor, shapes } from '../../../test/check.ts'
import { grad, hostTensor, interpret, sum, tensor } from '../index.ts'
import { cumulativeMax, cumulativeProduct, cumulativeSum, logAddExp, logCumulativeSumExp } from './cumulative.ts'

const axisOf = (shape: readonly number[], seed: number): number => seed % shape.length

describe('cumulativeSum', () => {
  it('runs either way, with or without each element itself', async () => {
    await fc.assert(
      fc.asyncProperty(
        shapes(3, 5, 1),
        fc.boolean(),
        fc.boolean(),
        fc.nat(1000),
        async (shape, exclusive, reverse, seed) => {
          await check(
            x => cumulativeSum(x.mul(x), axisOf(shape, seed), { exclusive, reverse }),
            [randomTensor(shape, seed)],
            { second: true },
          )
        },
      ),
      { numRuns: 8 },
    )
  })
  it('sums integers and empty axes', async () => {
    await check(x => cumulativeSum(x), [hostTensor(new BigInt64Array([1n, 2n, 3n]), [3])], { gradient: false })
    await check(x => cumulativeSum(x, 0), [randomTensor([0, 2])])
  })
  it('refuses booleans', () => {
    expect(() => cumulativeSum(tensor([true]))).toThrow('cumulativeSum: cast the bool tensor to i32 first')
  })
})

describe('scans without an operator of their own', () => {
  it.each([
    ['cumulativeProduct', cumulativeProduct],
    ['cumulativeMax', cumulativeMax],
    ['logCumulativeSumExp', logCumulativeSumExp],
  ] as const)('%s is differentiable twice along any axis, either way', async (_, f) => {
    await fc.assert(
      fc.asyncProperty(shapes(3, 6, 1), fc.boolean(), fc.nat(1000), async (shape, reverse, seed) => {
        await check(x => f(x, axisOf(shape, seed), { reverse }), [randomTensor(shape, seed)], { second: true })
      }),
      { numRuns: 6 },
    )
  })
  it('are what their names say', async () => {
    const values = [1, -2, 0.5, 3, -1]
    const x = tensor(values)
    const numbers = (t: typeof x): number[] => Array.from(interpret([t])[0].data)
    expect(numbers(cumulativeProduct(x))).toEqual([1, -2, -1, -3, 3])
    expect(numbers(cumulativeMax(x, 0))).toEqual([1, 1, 1, 3, 3])
    expect(numbers(cumulativeMax(x, 0, { reverse: true }))).toEqual([3, 3, 3, 3, -1])
    expectClose(
      numbers(logCumulativeSumExp(x)),
      values.map((_, i) => Math.log(values.slice(0, i + 1).reduce((total, v) => total + Math.exp(v), 0))),
      1e-12,
      'logCumulativeSumExp',
    )
  })
  it('cumulativeProduct has an exact gradient at zeros', async () => {
    const x = tensor([2, 0, 3, 0, 5])
    const [gradient] = grad(sum(cumulativeProduct(x)), [x])
    // d/dx_1 of 2 x_1 + 2 x_1 3 + …: the terms behind the second zero vanish.
    expect([...(await gradient.value()).numbers()]).toEqual([1, 8, 0, 0, 0])
  })
  it('logCumulativeSumExp keeps its range and starts from nothing', async () => {
    await check(x => logCumulativeSumExp(x), [hostTensor([-1e4, 900, 901, -50], [4])], {
      gradient: false,
      tolerance: 1e-6,
    })
    const x = tensor([Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY, 1, 2])
    const y = logCumulativeSumExp(x)
    const [gradient] = grad(sum(y.slice(0, 2, 4)), [x])
    expect([...(await y.value()).numbers()].slice(0, 3)).toEqual([
      Number.NEGATIVE_INFINITY,
      Number.NEGATIVE_INFINITY,
      1,
    ])
    expectClose(
      (await gradient.value()).numbers(),
      [0, 0, 1 + 1 / (1 + Math.E), Math.E / (1 + Math.E)],
      1e-6,
      'gradient',
    )
  })
  it('logAddExp of equal numbers adds log 2', async () => {
    expectClose(
      (await logAddExp(tensor([1000, -1000]), tensor([1000, -1000])).value()).numbers(),
      [1000 + Math.LN2, -1000 + Math.LN2],
      1e-7,
      'logAddExp',
    )
  })
  it('refuse integers where logarithms are taken', () => {
    expect(() => logCumulativeSumExp(tensor(new Int32Array([1])))).toThrow(
      'logCumulativeSumExp: expected a floating-point tensor, got i32',
    )
  })
})
