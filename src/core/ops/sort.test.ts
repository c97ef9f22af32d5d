import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { check, randomTensor, shapes } from '../../../test/check.ts'
import { hostTensor, tensor } from '../index.ts'
import { argSort, median, quantile, sort, topK } from './sort.ts'

describe('topK and sort', () => {
  it('agree with their reference along any axis, and pass gradients to what they chose', async () => {
    await fc.assert(
      fc.asyncProperty(
        shapes(3, 5, 1),
        fc.nat(2),
        fc.nat(4),
        fc.boolean(),
        fc.nat(1000),
        async (shape, a, n, largest, seed) => {
          const axis = a % shape.length
          const k = 1 + (n % shape[axis])
          await check(
            x => {
              const { values, indices } = topK(x, k, { axis, largest })
              return [values, indices, sort(x, { axis, descending: largest })]
            },
            [randomTensor(shape, seed)],
            { second: true },
          )
        },
      ),
      { numRuns: 8 },
    )
  })
  it('are stable in both directions', async () => {
    const x = hostTensor([2, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1], [20])
    await check(t => [argSort(t), argSort(t, { descending: true }), topK(t, 13).indices], [x], { gradient: false })
  })
  it('sort long lines', async () => {
    await check(x => [argSort(x), sort(x, { descending: true })], [randomTensor([2, 3000], 3)], { gradient: false })
  })
  it('sort integers, bytes and booleans', async () => {
    await check(
      (i, l, b) => [sort(i), sort(l, { descending: true }), argSort(b), sort(b)],
      [
        hostTensor(new Int32Array([3, -1, 2]), [3]),
        hostTensor(new BigInt64Array([3n, -1n, 2n]), [3]),
        hostTensor([1, 0, 1], [3], 'bool'),
      ],
      { gradient: false },
    )
  })
  it('take nothing of something, and something of nothing', async () => {
    await check(x => [topK(x, 0).values, topK(x, 0).indices], [randomTensor([2, 3])], { gradient: false })
    await check(x => sort(x, { axis: 1 }), [randomTensor([0, 3])])
    await check(x => sort(x), [randomTensor([2, 0])])
  })
  it('refuse more than there is', () => {
    expect(() => topK(tensor([[1, 2]]), 3)).toThrow('topK: k is 3, expected 0 to 2, the size of axis 1 of [1,2]')
    expect(() => topK(tensor([[1, 2]]), 1.5)).toThrow('topK: k is 1.5')
  })
})

describe('quantile and median', () => {
  it('interpolate between order statistics', async () => {
    await fc.assert(
      fc.asyncProperty(
        shapes(3, 6, 1),
        fc.nat(2),
        fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 1, maxLength: 3 }),
        fc.nat(1000),
        async (shape, a, fractions, seed) => {
          const axis = a % shape.length
          await check(
            x => [quantile(x, fractions, axis), quantile(x, fractions[0], axis, true), median(x, axis)],
            [randomTensor(shape, seed)],
            { second: true },
          )
        },
      ),
      { numRuns: 8 },
    )
  })
  it('give the values of NumPy', async () => {
    const x = tensor([[3, 1, 4, 1, 5, 9, 2, 6]])
    expect([...(await quantile(x, [0, 0.3, 0.5, 0.9, 1]).value()).numbers()].map(v => Math.fround(v))).toEqual(
      [1, 2.1, 3.5, 6.9, 9].map(Math.fround),
    )
    expect((await median(x).value()).numbers()[0]).toBe(3.5)
  })
  it('refuse what is no fraction, and empty lines', () => {
    expect(() => quantile(tensor([1, 2]), 1.1)).toThrow('quantile: 1.1 is not a fraction between 0 and 1')
    expect(() => quantile(tensor(new Float32Array(0), [2, 0]), 0.5)).toThrow('quantile: axis 1 of [2,0] is empty')
    expect(() => median(tensor(new Int32Array([1])))).toThrow('quantile: expected a floating-point tensor, got i32')
  })
})
