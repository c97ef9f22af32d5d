import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { check, expectClose, randomTensor } from '../../../test/check.ts'
import {
  concat,
  conv,
  convTranspose,
  type HostTensor,
  mul,
  placeholder,
  slice,
  sum,
  type Tensor,
  tensor,
} from '../index.ts'
import type { Pair } from './window.ts'

const constantOf = ({ data, shape }: HostTensor): Tensor => tensor(data, shape)

interface Case {
  readonly x: number[]
  readonly weight: number[]
  readonly stride: number[]
  readonly padding: Pair[]
  readonly dilation: number[]
  readonly groups: number
}

/** Convolutions of every rank, whose kernel fits the padded input. */
const cases = (maxChannels = 2, maxSize = 5): fc.Arbitrary<Case> =>
  fc
    .record({
      rank: fc.integer({ min: 1, max: 3 }),
      batch: fc.integer({ min: 1, max: 2 }),
      groups: fc.integer({ min: 1, max: 2 }),
      inner: fc.integer({ min: 1, max: maxChannels }),
      outer: fc.integer({ min: 1, max: maxChannels }),
    })
    .chain(({ rank, batch, groups, inner, outer }) =>
      fc
        .array(
          fc.record({
            size: fc.integer({ min: 1, max: rank === 3 ? 3 : maxSize }),
            kernel: fc.integer({ min: 1, max: 3 }),
            stride: fc.integer({ min: 1, max: 3 }),
            before: fc.nat(2),
            after: fc.nat(2),
            dilation: fc.integer({ min: 1, max: 2 }),
          }),
          { minLength: rank, maxLength: rank },
        )
        .map(
          (axes): Case => ({
            x: [batch, groups * inner, ...axes.map(axis => axis.size)],
            weight: [groups * outer, inner, ...axes.map(axis => axis.kernel)],
            stride: axes.map(axis => axis.stride),
            padding: axes.map(({ size, kernel, dilation, before, after }): Pair => {
              const lacking = dilation * (kernel - 1) + 1 - size - before - after
              return [before, after + Math.max(0, lacking)]
            }),
            dilation: axes.map(axis => axis.dilation),
            groups,
          }),
        ),
    )

describe('conv', () => {
  it('agrees with its reference for any geometry, and so do both derivatives', async () => {
    await fc.assert(
      fc.asyncProperty(cases(), fc.nat(100), async ({ x, weight, ...options }, seed) => {
        const bias = randomTensor([weight[0]], seed + 2)
        await check(
          (a, w, b) => conv(a, w, { ...options, bias: b }),
          [randomTensor(x, seed), randomTensor(weight, seed + 1), bias],
          {
            second: true,
          },
        )
      }),
      { numRuns: 25 },
    )
  })

  it('computes a known case', async () => {
    const x = randomTensor([1, 1, 3], 1)
    const [a, b, c] = x.numbers()
    const { data, shape } = await conv(constantOf(x), [[[1, 2]]], { padding: [[1, 0]] }).value()
    expect(shape).toEqual([1, 1, 3])
    expectClose(Array.from(data as Float32Array), [2 * a, a + 2 * b, b + 2 * c], 1e-6, 'sliding pairs')
  })

  it('with as many groups as channels is that many separate convolutions', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 20 }), fc.nat(100), async (channels, seed) => {
        const x = constantOf(randomTensor([2, channels, 6, 5], seed))
        const w = constantOf(randomTensor([channels, 1, 3, 3], seed + 1))
        const together = conv(x, w, { groups: channels, padding: 1, stride: [2, 1] })
        const apart = Array.from({ length: channels }, (_, c) =>
          conv(slice(x, 1, c, c + 1), slice(w, 0, c, c + 1), { padding: 1, stride: [2, 1] }),
        )
        const [one, other] = await Promise.all([together.value(), concat(apart, 1).value()])
        expectClose(one.numbers(), other.numbers(), 1e-5, 'groups')
      }),
      { numRuns: 8 },
    )
  })

  it("pads 'same' to ceil(size / stride), the odd zero after the input", async () => {
    const x = constantOf(randomTensor([1, 2, 7, 6], 1))
    const w = constantOf(randomTensor([3, 2, 4, 3], 2))
    const same = conv(x, w, { padding: 'same', stride: [1, 2] })
    expect(same.shape).toEqual([1, 3, 7, 3])
    const explicit = conv(x, w, {
      padding: [
        [1, 2],
        [0, 1],
      ],
      stride: [1, 2],
    })
    expectClose((await same.value()).numbers(), (await explicit.value()).numbers(), 1e-6, 'same')
    expect(conv(x, w, { padding: 'valid' }).shape).toEqual(conv(x, w).shape)
  })

  it('accepts an empty batch', async () => {
    await check((a, w) => conv(a, w), [randomTensor([0, 2, 4]), randomTensor([3, 2, 2])])
    await check((a, w) => convTranspose(a, w), [randomTensor([0, 2, 4]), randomTensor([2, 3, 2])])
  })

  it('keeps a symbolic batch', () => {
    const x = placeholder('x', [-1, 4, 8, 8])
    expect(conv(x, placeholder('w', [6, 4, 3, 3])).shape).toEqual([-1, 6, 6, 6])
  })

  it('says what does not fit', () => {
    const x = placeholder('x', [2, 3, 8, 8])
    const w = (...shape: number[]): Tensor => placeholder('w', shape)
    expect(() => conv(x, w(32, 16, 3, 3))).toThrow(
      'conv2d: input has 3 channels but the kernel expects 16 (weight [32,16,3,3])',
    )
    expect(() => conv(placeholder('x', [2, 10, 8, 8]), w(9, 3, 3, 3), { groups: 3 })).toThrow(
      'conv2d: 10 input channels do not divide into 3 groups',
    )
    expect(() => conv(placeholder('x', [2, 9, 8, 8]), w(10, 3, 3, 3), { groups: 3 })).toThrow(
      'conv2d: 10 output channels do not divide into 3 groups (weight [10,3,3,3])',
    )
    expect(() => conv(x, w(4, 3, 3, 9), { padding: [0, [0, 0]], dilation: 1 })).toThrow(
      'conv2d: the kernel spans 9 along axis 3 but the padded input has only 8 (input [2,3,8,8], padding [0,0])',
    )
    expect(() => conv(x, w(4, 3, 3))).toThrow('conv2d: weight [4,3,3] does not fit an input of [2,3,8,8]')
    expect(() => conv(x, w(4, 3, 3, 3), { bias: placeholder('b', [3]) })).toThrow(
      'conv2d: the bias must be f32[4], one number an output channel, got f32[3]',
    )
    expect(() => conv(x, w(4, 3, 3, 3), { stride: 0 })).toThrow(
      'conv2d: stride must be whole numbers of at least 1, got [0,0]',
    )
    expect(() => conv(x, w(4, 3, 3, 3), { padding: [1, 1, 1] })).toThrow('conv2d: padding has 3 entries')
    expect(() => conv(placeholder('x', [3, 8]), w(4, 3))).toThrow('with 1 to 3 spatial axes, got [3,8]')
    expect(() => conv(placeholder('x', [2, 3, 8], 'i32'), w(4, 3, 3))).toThrow('got i32 and f32')
  })
})

describe('convTranspose', () => {
  it('agrees with its reference for any geometry, and so do both derivatives', async () => {
    await fc.assert(
      fc.asyncProperty(cases(2, 3), fc.nat(100), async ({ x, weight, padding, ...options }, seed) => {
        const kernel = [x[1], weight[0] / options.groups, ...weight.slice(2)]
        const whole = x
          .slice(2)
          .map((size, axis) => (size - 1) * options.stride[axis] + options.dilation[axis] * (kernel[axis + 2] - 1) + 1)
        const cut = padding.map(
          ([before, after], axis): Pair => (before + after < whole[axis] ? [before, after] : [0, 0]),
        )
        const outputPadding = options.stride.map((stride, axis) => (seed + axis) % stride)
        await check(
          (a, w, b) => convTranspose(a, w, { ...options, padding: cut, outputPadding, bias: b }),
          [randomTensor(x, seed), randomTensor(kernel, seed + 1), randomTensor([weight[0]], seed + 2)],
          { second: true },
        )
      }),
      { numRuns: 25 },
    )
  })

  it('is the adjoint of conv: <conv(x), y> = <x, convTranspose(y)>', async () => {
    await fc.assert(
      fc.asyncProperty(cases(3, 6), fc.nat(100), async ({ x, weight, ...options }, seed) => {
        const a = constantOf(randomTensor(x, seed))
        const w = constantOf(randomTensor(weight, seed + 1))
        const y = conv(a, w, options)
        const b = constantOf(randomTensor(y.shape, seed + 2))
        const outputPadding = x.slice(2).map((size, axis) => {
          const [before, after] = options.padding[axis]
          const extent = options.dilation[axis] * (weight[axis + 2] - 1) + 1
          return size + before + after - extent - (y.shape[axis + 2] - 1) * options.stride[axis]
        })
        const back = convTranspose(b, w, { ...options, outputPadding })
        expect(back.shape).toEqual(a.shape)
        const [left, right] = await Promise.all([sum(mul(y, b)).value(), sum(mul(a, back)).value()])
        const terms = y.size * (weight[1] * weight[2])
        expect(Math.abs(left.item() - right.item())).toBeLessThan(1e-5 * Math.max(10, terms))
      }),
      { numRuns: 15 },
    )
  })

  it('says what does not fit', () => {
    const x = placeholder('x', [2, 4, 5, 6])
    const w = placeholder('w', [4, 3, 3, 3])
    expect(() => convTranspose(x, w, { outputPadding: 1 })).toThrow(
      'convTranspose2d: outputPadding 1 must be smaller than the stride 1',
    )
    expect(() => convTranspose(x, w, { padding: 4 })).toThrow(
      'convTranspose2d: the output would have size -1 along axis 2 (input [2,4,5,6], padding [4,4])',
    )
    expect(() => convTranspose(placeholder('x', [2, 3, 5, 6]), w)).toThrow(
      'convTranspose2d: input has 3 channels but the kernel expects 4 (weight [4,3,3,3])',
    )
    expect(() => convTranspose(x, w, { groups: 3 })).toThrow(
      'convTranspose2d: 4 output channels do not divide into 3 groups',
    )
  })
})
