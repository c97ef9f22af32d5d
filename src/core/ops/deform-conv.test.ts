import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { check, expectClose, randomTensor } from '../../../test/check.ts'
import { constant, conv, full, type HostTensor, interpret, ones, pad, type Tensor, tensor, zeros } from '../index.ts'
import { type DeformConvOptions, deformConv } from './deform-conv.ts'

const asConstant = ({ data, shape, dtype }: HostTensor): Tensor => constant(data, shape, dtype)
const numbersOf = (t: Tensor): Float64Array => interpret([t])[0].data

const layouts = fc.record({
  groups: fc.integer({ min: 1, max: 2 }),
  offsetGroups: fc.constantFrom(1, 2, 4),
  kernel: fc.tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 3 })),
  stride: fc.tuple(fc.integer({ min: 1, max: 2 }), fc.integer({ min: 1, max: 2 })),
  padding: fc.tuple(fc.nat(2), fc.nat(2)),
  dilation: fc.tuple(fc.integer({ min: 1, max: 2 }), fc.integer({ min: 1, max: 2 })),
})

describe('deformConv', () => {
  it('without displacement and with a mask of ones it is a convolution', () => {
    fc.assert(
      fc.property(layouts, fc.nat(1000), ({ groups, offsetGroups, kernel, ...options }, seed) => {
        const x = asConstant(randomTensor([2, 4, 6, 7], seed))
        const weight = asConstant(randomTensor([6, 4 / groups, ...kernel], seed + 1))
        const bias = asConstant(randomTensor([6], seed + 2))
        const expected = conv(x, weight, { ...options, groups, bias })
        const taps = offsetGroups * kernel[0] * kernel[1]
        const places = expected.shape.slice(2)
        const y = deformConv(x, zeros([2, 2 * taps, ...places]), weight, {
          ...options,
          bias,
          mask: ones([2, taps, ...places]),
        })
        expect(y.shape).toEqual(expected.shape)
        expectClose(numbersOf(y), numbersOf(expected), 1e-12, 'convolution')
      }),
    )
  })
  it('whole displacements shift what every tap sees', () => {
    const x = asConstant(randomTensor([1, 2, 5, 5]))
    const weight = asConstant(randomTensor([3, 2, 3, 3], 2))
    // Down by one everywhere, right by none: offsets come as (vertical, horizontal) for each tap.
    const offset = constant(
      Float32Array.from({ length: 18 * 25 }, (_, i) => (Math.floor(i / 25) % 2 === 0 ? 1 : 0)),
      [1, 18, 5, 5],
    )
    const shifted = pad(x, [
      [0, 0],
      [0, 0],
      [-1, 1],
      [0, 0],
    ])
    // The padding of the shifted picture would hide its first row, which the displaced taps do see.
    const rows = [null, null, [1, null]] as const
    expectClose(
      numbersOf(deformConv(x, offset, weight, { padding: 1 }).at(...rows)),
      numbersOf(conv(shifted, weight, { padding: 1 }).at(...rows)),
      1e-12,
      'shift',
    )
  })
  it('runs as its reference does and differentiates in all its inputs', async () => {
    await fc.assert(
      fc.asyncProperty(layouts, fc.nat(1000), async ({ groups, offsetGroups, kernel, ...options }, seed) => {
        const x = randomTensor([2, 4, 5, 5], seed)
        const weight = randomTensor([2, 4 / groups, ...kernel], seed + 1)
        const places = conv(asConstant(x), asConstant(weight), { ...options, groups }).shape.slice(2)
        const taps = offsetGroups * kernel[0] * kernel[1]
        await check(
          (a, o, w, mask, bias) => deformConv(a, o, w, { ...options, mask, bias }),
          [
            x,
            randomTensor([2, 2 * taps, ...places], seed + 2),
            weight,
            randomTensor([2, taps, ...places], seed + 3, 0, 1),
            randomTensor([2], seed + 4),
          ],
        )
      }),
      // Displacements that end on a whole element have no one derivative; a fixed seed keeps off them.
      { seed: 9, numRuns: 6 },
    )
  })
  it('a mask of zeros leaves the bias', () => {
    const y = deformConv(full([1, 1, 3, 3], 2), zeros([1, 2, 3, 3]), ones([1, 1, 1, 1]), {
      mask: zeros([1, 1, 3, 3]),
      bias: tensor([7]),
    })
    expect([...numbersOf(y)]).toEqual(new Array(9).fill(7))
  })
  it('names what does not fit', () => {
    const run =
      (offset: readonly number[], weight: readonly number[], options: DeformConvOptions = {}) =>
      () =>
        deformConv(ones([1, 4, 5, 5]), ones(offset), ones(weight), options)
    expect(run([1, 18, 5, 5], [4, 3, 3, 3], { padding: 1 })).toThrow(
      'deformConv: 4 input channels and 4 output channels do not divide into groups of the weight [4,3,3,3]',
    )
    expect(run([1, 9, 5, 5], [4, 4, 3, 3], { padding: 1 })).toThrow(
      'deformConv: offset must be [1,18,5,5], or a multiple of its 18 channels that divides the 4 input channels into groups; got [1,9,5,5]',
    )
    expect(run([1, 18, 5, 5], [4, 4, 3, 3])).toThrow(/offset must be \[1,18,3,3\].*got \[1,18,5,5\]/)
    expect(run([1, 18, 5, 5], [4, 4, 3, 3], { padding: 1, mask: ones([1, 8, 5, 5]) })).toThrow(
      'deformConv: mask must be [1,9,5,5], got [1,8,5,5]',
    )
    expect(run([1, 18, 5, 5], [4, 4, 7, 7])).toThrow('deformConv: the kernel spans 7 along axis 2')
    expect(() => deformConv(ones([4, 5, 5]), ones([1, 18, 5, 5]), ones([4, 4, 3, 3]))).toThrow(
      'deformConv: x, offset and weight must have four axes, got [4,5,5], [1,18,5,5], [4,4,3,3]',
    )
  })
})
