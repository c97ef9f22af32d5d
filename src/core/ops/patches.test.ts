import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { check, expectClose, randomTensor } from '../../../test/check.ts'
import { constant, conv, type HostTensor, interpret, matmul, mul, sum, type Tensor, tensor } from '../index.ts'
import { fold, pixelShuffle, pixelUnshuffle, unfold } from './patches.ts'

const asConstant = ({ data, shape, dtype }: HostTensor): Tensor => constant(data, shape, dtype)
const numbersOf = (t: Tensor): Float64Array => interpret([t])[0].data

/** A window over one to three axes, and sizes it fits into. */
const windows = fc
  .array(
    fc.record({
      kernel: fc.integer({ min: 1, max: 3 }),
      stride: fc.integer({ min: 1, max: 3 }),
      padding: fc.integer({ min: 0, max: 2 }),
      dilation: fc.integer({ min: 1, max: 2 }),
      more: fc.nat(4),
    }),
    { minLength: 1, maxLength: 3 },
  )
  .map(axes => ({
    size: axes.map(
      ({ kernel, padding, dilation, more }) => Math.max(1, dilation * (kernel - 1) + 1 - 2 * padding) + more,
    ),
    kernel: axes.map(({ kernel }) => kernel),
    options: {
      stride: axes.map(({ stride }) => stride),
      padding: axes.map(({ padding }) => padding),
      dilation: axes.map(({ dilation }) => dilation),
    },
  }))

/** Windows that lie edge to edge, which are a reordering. */
const tilings = fc
  .array(fc.tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 3 })), { minLength: 1, maxLength: 3 })
  .map(axes => ({
    size: axes.map(([kernel, count]) => kernel * count),
    kernel: axes.map(([kernel]) => kernel),
    options: { stride: axes.map(([kernel]) => kernel), padding: 0, dilation: 1 },
  }))

const either = fc.oneof(windows, tilings)

describe('unfold', () => {
  it('runs as its reference does and differentiates', async () => {
    await fc.assert(
      fc.asyncProperty(either, fc.nat(1000), async ({ size, kernel, options }, seed) => {
        await check(x => unfold(x, kernel, options), [randomTensor([2, 2, ...size], seed)])
      }),
      { numRuns: 8 },
    )
  })
  it('a product with the flattened kernel is a convolution', () => {
    fc.assert(
      fc.property(either, fc.nat(1000), ({ size, kernel, options }, seed) => {
        const x = asConstant(randomTensor([2, 2, ...size], seed))
        const weight = asConstant(randomTensor([3, 2, ...kernel], seed + 1))
        const expected = conv(x, weight, options)
        const rows = kernel.reduce((a, b) => a * b, 2)
        const product = matmul(weight.reshape([3, rows]), unfold(x, kernel, options))
        expectClose(numbersOf(product), numbersOf(expected), 1e-12, `${size} ${kernel}`)
      }),
    )
  })
  it('lays columns out as channel, then tap, then patch', () => {
    const x = constant(
      Float32Array.from({ length: 9 }, (_, i) => i),
      [1, 1, 3, 3],
    )
    expect(unfold(x, 2).shape).toEqual([1, 4, 4])
    expect([...numbersOf(unfold(x, 2))]).toEqual([0, 1, 3, 4, 1, 2, 4, 5, 3, 4, 6, 7, 4, 5, 7, 8])
  })
  it('names what does not fit', () => {
    const x = tensor(new Float32Array(9), [1, 1, 3, 3])
    expect(() => unfold(x, 5)).toThrow(
      'unfold: the kernel spans 5 along axis 2 but the padded input has only 3 (input [1,1,3,3], padding [0,0])',
    )
    expect(() => unfold(x, [2])).toThrow('unfold: kernel [2] needs one entry for each of 2 axes')
    expect(() => unfold(tensor([[1]]), 1)).toThrow('unfold: expected [batch, channels, ...spatial], got [1,1]')
  })
})

describe('fold', () => {
  it('runs as its reference does and differentiates', async () => {
    await fc.assert(
      fc.asyncProperty(either, fc.nat(1000), async ({ size, kernel, options }, seed) => {
        const { shape } = unfold(asConstant(randomTensor([2, 2, ...size])), kernel, options)
        await check(columns => fold(columns, size, kernel, options), [randomTensor(shape, seed)])
      }),
      { numRuns: 8 },
    )
  })
  it('is the adjoint of unfold', () => {
    fc.assert(
      fc.property(either, fc.nat(1000), ({ size, kernel, options }, seed) => {
        const x = asConstant(randomTensor([2, 2, ...size], seed))
        const columns = unfold(x, kernel, options)
        const y = asConstant(randomTensor(columns.shape, seed + 1))
        const [forward] = numbersOf(sum(mul(columns, y)))
        const [backward] = numbersOf(sum(mul(x, fold(y, size, kernel, options))))
        expect(Math.abs(forward - backward)).toBeLessThan(1e-9 * Math.max(1, Math.abs(forward)))
      }),
    )
  })
  it('puts patches that lie edge to edge back together', () => {
    fc.assert(
      fc.property(tilings, ({ size, kernel, options }) => {
        const x = randomTensor([1, 3, ...size])
        expectClose(numbersOf(fold(unfold(asConstant(x), kernel, options), size, kernel, options)), x.numbers(), 0, 'x')
      }),
    )
  })
  it('names what does not fit', () => {
    expect(() => fold(tensor(new Float32Array(12), [1, 3, 4]), [3, 3], 2)).toThrow(
      'fold: size [3,3] under kernel [2,2] takes [batch, a multiple of 4, 4], got [1,3,4]',
    )
  })
})

describe('pixelShuffle and pixelUnshuffle', () => {
  it('run as their references do, and undo each other', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 3 }), fc.nat(1000), async (factor, seed) => {
        const x = randomTensor([2, 2 * factor * factor, 2, 3], seed)
        await check(t => pixelShuffle(t, factor), [x])
        expectClose(numbersOf(pixelUnshuffle(pixelShuffle(asConstant(x), factor), factor)), x.numbers(), 0, 'x')
      }),
      { numRuns: 5 },
    )
  })
  it('four channels become a square, row by row', () => {
    expect([...numbersOf(pixelShuffle(tensor([[[[1]], [[2]], [[3]], [[4]]]]), 2))]).toEqual([1, 2, 3, 4])
  })
  it('name what does not fit', () => {
    expect(() => pixelShuffle(tensor(new Float32Array(6), [1, 6, 1, 1]), 2)).toThrow(
      'pixelShuffle: 6 channels of [1,6,1,1] do not divide by 2 x 2',
    )
    expect(() => pixelUnshuffle(tensor(new Float32Array(6), [1, 1, 2, 3]), 2)).toThrow(
      'pixelUnshuffle: height and width of [1,1,2,3] do not divide by 2',
    )
    expect(() => pixelShuffle(tensor([[1]]), 2)).toThrow(
      'pixelShuffle: expected [batch, channels, height, width], got [1,1]',
    )
    expect(() => pixelShuffle(tensor(new Float32Array(4), [1, 4, 1, 1]), 0)).toThrow(
      'pixelShuffle: the factor must be a whole number of at least 1, got 0',
    )
  })
})
