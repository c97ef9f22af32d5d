import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { check, expectClose, randomTensor, shapes, shapesWithEmpty } from '../../../test/check.ts'
import { grad, hostTensor, interpret, Program, placeholder, tensor } from '../index.ts'
import type { Tensor } from '../tensor.ts'
import { mul } from './elementwise.ts'
import * as reduce from './reduce.ts'

const values = (t: Tensor): number[] => [...interpret([t])[0].data]

const withAxes = (shape: fc.Arbitrary<number[]>): fc.Arbitrary<[number[], number[], boolean]> =>
  shape.chain(dims => fc.tuple(fc.constant(dims), fc.subarray([...dims.keys()]), fc.boolean()))

describe.each([
  ['sum', reduce.sum],
  ['mean', reduce.mean],
  ['prod', reduce.prod],
  ['max', reduce.max],
  ['min', reduce.min],
  ['logSumExp', reduce.logSumExp],
] as const)('%s', (_, f) => {
  it('agrees with its reference over any axes, none and all, and so do both derivatives', async () => {
    await fc.assert(
      fc.asyncProperty(withAxes(shapes(3, 4)), fc.nat(1000), async ([shape, axes, keep], seed) => {
        await check(x => [f(x, axes, keep), f(x)], [randomTensor(shape, seed)], { second: true })
      }),
      { numRuns: 8 },
    )
  })
  it('keeps the symbolic batch out of the way', () => {
    const x = placeholder('x', [-1, 2, 3])
    expect(f(x, [1, 2]).shape).toEqual([-1])
    expect(f(x, -1, true).shape).toEqual([-1, 2, 1])
  })
  it('refuses axes out of range or named twice', () => {
    expect(() => f(tensor([1, 2]), 1)).toThrow('axis 1 is out of range for a tensor of 1 axes')
    expect(() => f(tensor([[1, 2]]), [0, -2])).toThrow('name the same axis twice')
  })
})

describe('sums', () => {
  it('of nothing are 0 and products 1', async () => {
    await fc.assert(
      fc.asyncProperty(withAxes(shapesWithEmpty()), async ([shape, axes, keep]) => {
        await check(x => [reduce.sum(x, axes, keep), reduce.prod(x, axes, keep)], [randomTensor(shape)])
      }),
      { numRuns: 6 },
    )
    expect(values(reduce.sum(tensor([], [0, 2]), 0))).toEqual([0, 0])
  })
  it('over leading axes are right for many rows, few columns, wide ranks and the symbolic batch', async () => {
    for (const [shape, axes] of [
      [[500, 3], [0]],
      [
        [2, 40, 3, 2],
        [0, 1],
      ],
      [[7, 1], [0]],
    ] as const)
      await check(x => [reduce.sum(x, axes), reduce.sum(x, axes, true)], [randomTensor(shape, 3)], { gradient: false })
    const batch = placeholder('batch', [-1, 3])
    const [gradient] = grad(reduce.sum(mul(reduce.sum(batch, 0), [1, 2, 3])), [batch])
    const program = await Program.compile([batch], [reduce.sum(batch, 0), gradient])
    const [total, back] = await program.run([randomTensor([5, 3])])
    expectClose(total.numbers(), values(reduce.sum(tensor(randomTensor([5, 3]).data, [5, 3]), 0)), 1e-6, 'sum')
    expect(back.shape).toEqual([5, 3])
  })
  it('add up integers', async () => {
    await check(
      x => [reduce.sum(x, 0), reduce.prod(x, 1), reduce.max(x, 0), reduce.min(x)],
      [hostTensor(new Int32Array([1, -2, 3, 4, 5, -6]), [2, 3])],
      { gradient: false },
    )
  })
  it('refuse booleans', () => {
    expect(() => reduce.sum(tensor([true]))).toThrow('sum: cast the bool tensor to a number first')
    expect(() => reduce.mean(tensor(new Int32Array([1])))).toThrow('mean: expected a floating-point tensor, got i32')
  })
})

describe('extrema', () => {
  it('share the gradient among ties', () => {
    const x = placeholder('x', [4])
    const [dx] = grad(reduce.max(x), [x])
    expect([...interpret([dx], new Map([[x, [1, 3, 3, 2]]]))[0].data]).toEqual([0, 0.5, 0.5, 0])
  })
  it('refuse empty axes', () => {
    expect(() => reduce.max(tensor([], [2, 0]), 1)).toThrow('max: nothing to reduce along axes [1] of [2,0]')
    expect(() => reduce.argMin(tensor([], [0]))).toThrow('argMin: axis 0 of [0] is empty')
  })
  it('say where they stand, the first of equals', async () => {
    const x = hostTensor([1, 5, 5, 2, 0, 0], [2, 3])
    await check(t => [reduce.argMax(t), reduce.argMin(t), reduce.argMax(t, 0), reduce.argMax(t, 1, true)], [x], {
      gradient: false,
    })
    expect(values(reduce.argMax([1, 5, 5]))).toEqual([1])
  })
})

describe('prod', () => {
  it('has the right gradient with one zero, two zeros and none', () => {
    const x = placeholder('x', [3])
    const [dx] = grad(reduce.prod(x), [x])
    for (const [point, expected] of [
      [
        [2, 3, 4],
        [12, 8, 6],
      ],
      [
        [2, 0, 4],
        [0, 8, 0],
      ],
      [
        [0, 0, 4],
        [0, 0, 0],
      ],
    ])
      expect([...interpret([dx], new Map([[x, point]]))[0].data]).toEqual(expected)
  })
})

describe('variance and standardDeviation', () => {
  it('differentiate with either correction', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 2, max: 5 }),
        fc.constantFrom(0, 1),
        fc.nat(99),
        async (n, correction, seed) => {
          await check(
            x => [
              reduce.variance(x, -1, { correction }),
              reduce.standardDeviation(x, [0, 1], { correction, keep: true }),
            ],
            [randomTensor([2, n], seed)],
            { second: true },
          )
        },
      ),
      { numRuns: 5 },
    )
    expect(values(reduce.variance([1, 2, 3, 4], 0, { correction: 1 }))[0]).toBeCloseTo(5 / 3, 6)
  })
})

describe('logSumExp', () => {
  it('neither overflows nor loses minus infinity', async () => {
    const x = hostTensor([1000, 1000, Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY, -1000, 2], [3, 2])
    await check(t => reduce.logSumExp(t, 1), [x], { gradient: false })
  })
})

describe('any and all', () => {
  it('ask about booleans', async () => {
    const x = hostTensor([1, 0, 0, 0, 1, 1], [3, 2], 'bool')
    await check(t => [reduce.any(t, 1), reduce.all(t, 1), reduce.any(t), reduce.all(t, 0, true)], [x], {
      gradient: false,
    })
  })
})

describe('stopGradient', () => {
  it('keeps values and lets nothing back', () => {
    const x = placeholder('x', [2])
    const y = mul(reduce.stopGradient(x), x)
    const [dx] = grad(reduce.sum(y), [x])
    const results = interpret([y, dx], new Map([[x, [2, 3]]]))
    expect(results.map(({ data }) => [...data])).toEqual([
      [4, 9],
      [2, 3],
    ])
  })
})
