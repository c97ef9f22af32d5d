import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { check, expectClose, randomTensor } from '../../../test/check.ts'
import {
  adaptiveAveragePool,
  adaptiveMaxPool,
  averagePool,
  conv,
  generalizedMeanPool,
  globalAveragePool,
  globalMaxPool,
  grad,
  hostTensor,
  interpret,
  lpPool,
  maxPool,
  pad,
  placeholder,
  type Shape,
  sum,
  type Tensor,
  tensor,
} from '../index.ts'
import type { Pair } from './window.ts'

interface Case {
  readonly x: number[]
  readonly options: {
    readonly kernel: number[]
    readonly stride: number[]
    readonly padding: Pair[]
    readonly ceil: boolean
  }
}

/** Windows of every rank with borders narrower than themselves, over inputs they fit into. */
const cases: fc.Arbitrary<Case> = fc
  .record({ rank: fc.integer({ min: 1, max: 3 }), batch: fc.integer({ min: 1, max: 2 }), ceil: fc.boolean() })
  .chain(({ rank, batch, ceil }) =>
    fc
      .array(
        fc.record({
          kernel: fc.integer({ min: 1, max: 3 }),
          more: fc.nat(rank === 3 ? 2 : 4),
          stride: fc.integer({ min: 1, max: 4 }),
          before: fc.nat(1),
          after: fc.nat(1),
        }),
        { minLength: rank, maxLength: rank },
      )
      .map(
        (axes): Case => ({
          x: [batch, 2, ...axes.map(({ kernel, more }) => kernel + more)],
          options: {
            kernel: axes.map(({ kernel }) => kernel),
            stride: axes.map(({ stride }) => stride),
            padding: axes.map(({ kernel, before, after }): Pair => (kernel === 1 ? [0, 0] : [before, after])),
            ceil,
          },
        }),
      ),
  )

/** Distinct values, so that a small step never changes a winner. */
function distinctTensor(shape: Shape, seed: number) {
  const values = randomTensor(shape, seed).numbers()
  const order = [...values.keys()].sort((a, b) => values[a] - values[b])
  const ranks = new Float32Array(values.length)
  order.forEach((place, rank) => {
    ranks[place] = rank / 8 - values.length / 16
  })
  return hostTensor(ranks, shape)
}

const gradientOf = (f: (x: Tensor) => Tensor, x: number[], shape: Shape): number[] => {
  const input = placeholder('x', shape)
  return Array.from(interpret(grad(sum(f(input)), [input]), new Map([[input, Float32Array.from(x)]]))[0].data)
}

describe('maxPool', () => {
  it('agrees with its reference for any window, and so do both derivatives', async () => {
    await fc.assert(
      fc.asyncProperty(cases, fc.integer({ min: 1, max: 2 }), fc.nat(100), async ({ x, options }, dilation, seed) => {
        const room = x.map((size, axis) => (axis < 2 ? size : size + options.kernel[axis - 2] - 1))
        await check(t => maxPool(t, { ...options, dilation }).mul(t.sum()), [distinctTensor(room, seed)], {
          second: true,
        })
      }),
      { numRuns: 25 },
    )
  })
  it('takes borders wider than its window into the input', async () => {
    const options = { kernel: 2, dilation: 3, stride: 2, padding: 2, ceil: true }
    await check(t => maxPool(t, options), [distinctTensor([2, 2, 6, 5], 1)], { second: true })
  })
  it('sends the gradient to the first of equal maxima', async () => {
    const ties = [1, 1, 0, 1, 1, 0, 0, 0, 0]
    expect(gradientOf(x => maxPool(x, { kernel: 3 }), ties, [1, 1, 3, 3])).toEqual([1, 0, 0, 0, 0, 0, 0, 0, 0])
    const x = tensor(Float32Array.from(ties), [1, 1, 3, 3])
    const [g] = grad(sum(maxPool(x, { kernel: 2, stride: 1 })), [x])
    expect(Array.from((await g.value()).numbers())).toEqual([1, 1, 0, 1, 1, 0, 0, 0, 0])
  })
  it('keeps a symbolic batch', () => {
    const x = placeholder('x', [-1, 3, 6, 6])
    const y = maxPool(x, { kernel: 2 })
    expect(y.shape).toEqual([-1, 3, 3, 3])
    expect(grad(sum(y), [x])[0].shape).toEqual([-1, 3, 6, 6])
  })
  it('accepts an empty batch', async () => {
    await check(t => maxPool(t, { kernel: 2 }), [randomTensor([0, 2, 4, 4])])
  })
  it('says what does not fit', () => {
    const x = placeholder('x', [2, 3, 4, 8])
    expect(() => maxPool(x, { kernel: 6, padding: [[0, 1], 0] })).toThrow(
      'maxPool: the kernel spans 6 along axis 2 but the padded input has only 5 (input [2,3,4,8], padding [0,1])',
    )
    expect(() => maxPool(x, { kernel: 2, padding: 2 })).toThrow(
      'maxPool: padding [2,2] leaves a window of [2,2] without any element along axis 2 of [2,3,4,8]',
    )
    expect(() => maxPool(x, { kernel: [2, 2, 2] })).toThrow(
      'maxPool: kernel [2,2,2] needs one entry for each of 2 axes',
    )
    expect(() => maxPool(placeholder('x', [3, 4]), { kernel: 2 })).toThrow('with 1 to 3 spatial axes, got [3,4]')
    expect(() => maxPool(placeholder('x', [2, 3, 4], 'i32'), { kernel: 2 })).toThrow('got i32')
  })
})

describe('averagePool', () => {
  it('agrees with its reference for any window, and so do both derivatives', async () => {
    await fc.assert(
      fc.asyncProperty(cases, fc.boolean(), fc.nat(100), async ({ x, options }, countPadding, seed) => {
        await check(t => averagePool(t, { ...options, countPadding }).mul(t.sum()), [randomTensor(x, seed)], {
          second: true,
        })
      }),
      { numRuns: 30 },
    )
  })
  it('is a depthwise convolution with equal weights', async () => {
    const x = tensor(randomTensor([2, 3, 7, 6], 1).data, [2, 3, 7, 6])
    const weight = tensor(new Float32Array(3 * 6).fill(1 / 6), [3, 1, 3, 2])
    const options = { stride: 2, padding: 1 }
    const [pooled, convolved] = await Promise.all([
      averagePool(x, { kernel: [3, 2], ...options }).value(),
      conv(x, weight, { ...options, groups: 3 }).value(),
    ])
    expectClose(pooled.numbers(), convolved.numbers(), 1e-6, 'equal weights')
  })
  it('leaves a constant map constant when the border does not count', async () => {
    const x = tensor(new Float32Array(50).fill(3), [1, 2, 5, 5])
    const y = await averagePool(x, { kernel: 3, stride: 2, padding: 1, ceil: true, countPadding: false }).value()
    expectClose(y.numbers(), new Float64Array(y.data.length).fill(3), 1e-6, 'constant')
  })
  it('tiles, slides by one and steps, each with its own form of the gradient', async () => {
    await check(t => averagePool(t, { kernel: [2, 3] }), [randomTensor([2, 3, 4, 6])], { second: true })
    await check(t => averagePool(t, { kernel: 3, stride: 1, padding: 1 }), [randomTensor([2, 3, 4, 6])])
    await check(t => averagePool(t, { kernel: 3, stride: 2, padding: [[3, 0], 4] }), [randomTensor([2, 3, 5, 6])])
    await check(t => averagePool(t, { kernel: 2 }), [randomTensor([2, 3, 5, 4, 2])])
    await check(t => averagePool(t, { kernel: 2 }), [randomTensor([2, 3, 4])])
    await check(t => averagePool(t, { kernel: 2 }), [randomTensor([0, 3, 4])])
  })
})

/** A map and how many windows to divide each of its axes into. */
const divisions = fc
  .integer({ min: 1, max: 3 })
  .chain(rank =>
    fc.tuple(
      fc.array(fc.integer({ min: 1, max: rank === 3 ? 4 : 7 }), { minLength: rank, maxLength: rank }),
      fc.array(fc.integer({ min: 1, max: rank === 3 ? 3 : 5 }), { minLength: rank, maxLength: rank }),
    ),
  )

describe('adaptive pooling', () => {
  it('agrees with its reference for any division', async () => {
    await fc.assert(
      fc.asyncProperty(divisions, fc.nat(100), async ([spatial, size], seed) => {
        const x = distinctTensor([2, 2, ...spatial], seed)
        await check(t => adaptiveAveragePool(t, size), [x], { second: true })
        await check(t => adaptiveMaxPool(t, size), [x], { second: true })
      }),
      { numRuns: 12 },
    )
  })
  it('uses the windows floor(i s/n) to ceil((i+1) s/n)', async () => {
    const x = tensor(Float32Array.from([1, 2, 4, 8, 16]), [1, 1, 5])
    expectClose((await adaptiveAveragePool(x, 3).value()).numbers(), [1.5, 14 / 3, 12], 1e-6, 'means')
    expect(Array.from((await adaptiveMaxPool(x, 3).value()).numbers())).toEqual([2, 8, 16])
  })
  it('sends the gradient of uneven windows to the first of equal maxima', () => {
    expect(gradientOf(x => adaptiveMaxPool(x, 2), [0, 5, 5, 5, 5], [1, 1, 5])).toEqual([0, 1, 1, 0, 0])
  })
  it('refuses a size below 1', () => {
    expect(() => adaptiveAveragePool(placeholder('x', [1, 1, 4]), 0)).toThrow(
      'adaptiveAveragePool: size must be whole numbers of at least 1, got [0]',
    )
  })
})

describe('pooling after padding', () => {
  it.each([0, 7])('keeps a border of %d, also one wider than the window', async value => {
    const x = randomTensor([1, 2, 3, 4], 1, -2, -1)
    for (const width of [1, 3]) {
      const border: [number, number][] = [
        [0, 0],
        [0, 0],
        [width, 1],
        [1, width],
      ]
      const padded = (t: Tensor): Tensor => pad(t, border, 'constant', value)
      await check(t => maxPool(padded(t), { kernel: 2, stride: 1 }), [x])
      await check(t => averagePool(padded(t), { kernel: 2 }), [x])
    }
  })
})

describe('global and power pooling', () => {
  it('reduces every spatial axis', async () => {
    await check(t => [globalAveragePool(t), globalMaxPool(t)], [distinctTensor([2, 3, 4, 5], 1)], { second: true })
    const x = placeholder('x', [-1, 3, 4, 5])
    expect(globalAveragePool(x).shape).toEqual([-1, 3])
    expect(globalMaxPool(x, true).shape).toEqual([-1, 3, 1, 1])
  })
  it('lpPool is the p-norm of a window', async () => {
    for (const p of [1, 2, 3.5])
      await check(t => lpPool(t, p, { kernel: 2, ceil: true }), [randomTensor([2, 2, 5, 4], 3, 0.2, 2)], {
        second: true,
      })
    const x = tensor(Float32Array.from([3, -4, 0, 0]), [1, 1, 4])
    expectClose((await lpPool(x, 2, { kernel: 2 }).value()).numbers(), [5, 0], 1e-6, 'norms')
    expect(gradientOf(t => lpPool(t, 2, { kernel: 2 }), [3, -4, 0, 0], [1, 1, 4]).slice(2)).toEqual([0, 0])
    expect(() => lpPool(x, 0, { kernel: 2 })).toThrow('lpPool: the exponent must be above 0, got 0')
  })
  it('the generalised mean lies between mean and maximum, and learns its exponent', async () => {
    const x = randomTensor([2, 3, 4, 5], 4, 0.1, 2)
    await check((t, p) => generalizedMeanPool(t, p), [x, hostTensor([2.5], [1])], { second: true })
    await check((t, p) => generalizedMeanPool(t, p), [x, hostTensor([2.5, 1, 4], [3])], { second: true })
    await check(t => generalizedMeanPool(t, 3, { epsilon: 0.5, keep: true }), [x])
    const values = tensor(x.data, x.shape)
    const [meanValue, nearMean, large, largest] = await Promise.all(
      [
        globalAveragePool(values),
        generalizedMeanPool(values, 1),
        generalizedMeanPool(values, 60),
        globalMaxPool(values),
      ].map(t => t.value()),
    )
    expectClose(nearMean.numbers(), meanValue.numbers(), 1e-5, 'p = 1')
    expectClose(large.numbers(), largest.numbers(), 0.06, 'large p')
    expect(() => generalizedMeanPool(values, [1, 2])).toThrow(
      'generalizedMeanPool: p must hold one number or one for each of 3 channels, got [2]',
    )
  })
})
