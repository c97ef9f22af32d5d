import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { check, expectClose, randomTensor } from '../../../test/check.ts'
import {
  constant,
  type HostTensor,
  hostTensor,
  interpret,
  Program,
  placeholder,
  type Tensor,
  tensor,
} from '../index.ts'
import { affineGrid, type ResizeMode, type ResizeOptions, resize } from './resample.ts'

const asConstant = ({ data, shape, dtype }: HostTensor): Tensor => constant(data, shape, dtype)
const numbersOf = (t: Tensor): Float64Array => interpret([t])[0].data

const modes: ResizeMode[] = ['nearest', 'nearest-exact', 'linear', 'cubic', 'area']
const sizes = fc.integer({ min: 1, max: 7 })

describe('resize', () => {
  it.each(modes)('%s agrees with its reference and differentiates, over one to three axes', async mode => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(sizes, sizes), { minLength: 1, maxLength: 3 }),
        fc.boolean(),
        fc.boolean(),
        fc.nat(1000),
        async (axes, corners, smooth, seed) => {
          const blends = mode === 'linear' || mode === 'cubic'
          const options: ResizeOptions = {
            mode,
            size: axes.map(([, to]) => to),
            alignCorners: blends && corners,
            antialias: blends && smooth,
          }
          await check(x => resize(x, options), [randomTensor([1, 2, ...axes.map(([from]) => from)], seed)])
        },
      ),
      { numRuns: 8 },
    )
  })
  it('a resize to the same size is the very same tensor', () => {
    fc.assert(
      fc.property(fc.constantFrom(...modes), fc.array(sizes, { minLength: 1, maxLength: 3 }), (mode, size) => {
        const x = asConstant(randomTensor([2, 1, ...size]))
        expect(resize(x, { mode, size })).toBe(x)
        if (mode === 'linear' || mode === 'cubic') {
          expect(resize(x, { mode, size, alignCorners: true })).toBe(x)
          expect(resize(x, { mode, size, antialias: true })).toBe(x)
        }
      }),
    )
  })
  it('a linear ramp stays a linear ramp with alignCorners', () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 9 }), fc.integer({ min: 2, max: 30 }), (from, to) => {
        const ramp = constant(
          Float32Array.from({ length: from }, (_, i) => i),
          [1, 1, from],
        )
        const y = numbersOf(resize(ramp, { mode: 'linear', size: to, alignCorners: true }))
        expectClose(
          y,
          Array.from({ length: to }, (_, i) => (i * (from - 1)) / (to - 1)),
          1e-12,
          'ramp',
        )
      }),
    )
  })
  it('every mode keeps a constant, and area keeps the mean when sizes divide', () => {
    fc.assert(
      fc.property(fc.constantFrom(...modes), sizes, sizes, fc.boolean(), (mode, from, to, smooth) => {
        const antialias = smooth && (mode === 'linear' || mode === 'cubic')
        const y = numbersOf(resize(tensor(new Float32Array(from).fill(3), [1, 1, from]), { mode, size: to, antialias }))
        expectClose(y, new Array(to).fill(3), 1e-12, 'constant')
      }),
    )
    const x = randomTensor([1, 1, 6, 4])
    const mean = (values: ArrayLike<number>): number => Array.from(values).reduce((a, b) => a + b, 0) / values.length
    expect(mean(numbersOf(resize(asConstant(x), { mode: 'area', size: [3, 2] })))).toBeCloseTo(mean(x.numbers()), 6)
  })
  it('spaces positions by 1/scale when a scale is given', () => {
    // 5 * 1.7 = 8.5 becomes 8 elements 1/1.7 apart, not 5/8 apart.
    const x = constant(Float32Array.from([0, 1, 2, 3, 4]), [1, 1, 5])
    const y = numbersOf(resize(x, { mode: 'linear', scale: 1.7 }))
    expectClose(
      y,
      Array.from({ length: 8 }, (_, i) => Math.min(4, Math.max(0, (i + 0.5) / 1.7 - 0.5))),
      1e-12,
      'positions',
    )
  })
  it('nearest copies integers, booleans and infinities untouched', async () => {
    const labels = hostTensor(new Int32Array([1, 2, 3, 4, 5, 6]), [1, 1, 2, 3])
    const mask = hostTensor(new Uint8Array([1, 0, 0, 1]), [1, 1, 2, 2], 'bool')
    const scores = hostTensor([Number.NEGATIVE_INFINITY, 1, Number.POSITIVE_INFINITY, Number.NaN], [1, 1, 2, 2])
    for (const size of [
      [4, 6],
      [3, 5],
      [1, 2],
    ]) {
      await check(x => resize(x, { mode: 'nearest', size }), [labels], { gradient: false })
      await check(x => resize(x, { mode: 'nearest', size }), [mask], { gradient: false })
      await check(x => resize(x, { mode: 'nearest', size }), [scores], { gradient: false })
    }
  })
  it('large axes go through blocks of their matrix and come out the same', async () => {
    await check(x => resize(x, { mode: 'linear', size: [5, 150] }), [randomTensor([1, 1, 3, 70])])
    await check(x => resize(x, { mode: 'cubic', size: [70, 2] }), [randomTensor([1, 1, 140, 3])])
    await check(x => resize(x, { mode: 'area', size: [130, 3] }), [randomTensor([1, 1, 65, 3])])
    await check(x => resize(x, { mode: 'nearest', size: [7, 2, 3] }), [randomTensor([1, 1, 200, 2, 3])])
  })
  it('takes any batch size where the batch is symbolic', async () => {
    const x = placeholder('x', [-1, 2, 3, 4])
    const outputs = modes.map(mode => resize(x, { mode, size: [5, 3] }))
    const program = await Program.compile([x], outputs)
    for (const batch of [1, 3]) {
      const value = randomTensor([batch, 2, 3, 4])
      const expected = interpret(outputs, new Map([[x, value.data]]))
      ;(await program.run([value])).forEach((y, i) => {
        expect(y.shape).toEqual([batch, 2, 5, 3])
        expectClose(y.numbers(), expected[i].data, 1e-6, modes[i])
      })
    }
    await program.release()
  })
  it('has a second derivative of a function of its output', async () => {
    await check(x => resize(x, { mode: 'cubic', size: [5, 3] }).pow(2), [randomTensor([1, 2, 3, 4])], { second: true })
  })
  it('names what does not fit', () => {
    const x = tensor(new Float32Array(12), [1, 2, 2, 3])
    expect(() => resize(x, { mode: 'linear', size: [0, 3] })).toThrow(
      'resize: size [0,3] of axes [2,3] gives sizes [0,3]; they must be whole and at least 1',
    )
    expect(() => resize(x, { mode: 'linear', scale: 0.2 })).toThrow(
      'resize: scale [0.2,0.2] of axes [2,3] gives sizes [0,0]; they must be whole and at least 1',
    )
    expect(() => resize(x, { mode: 'linear', size: [2] })).toThrow(
      'resize: size [2] has 1 entries for the 2 axes of [2,3]',
    )
    expect(() => resize(x, { mode: 'linear' })).toThrow('resize: give either size or scale')
    expect(() => resize(x, { mode: 'linear', size: 2, scale: 2 })).toThrow('resize: give either size or scale')
    expect(() => resize(x, { mode: 'area', size: 2, alignCorners: true })).toThrow(
      'resize: alignCorners applies to linear and cubic, not to area',
    )
    expect(() => resize(x, { mode: 'nearest', size: 2, antialias: true })).toThrow(
      'resize: antialias applies to linear and cubic, not to nearest',
    )
    expect(() => resize(tensor([[1, 2]]), { mode: 'linear', size: 2 })).toThrow(
      'resize: expected [batch, channels, ...spatial], got [1,2]',
    )
    expect(() => resize(tensor(new Int32Array(4), [1, 1, 4]), { mode: 'linear', size: 2 })).toThrow(
      'resize: mode linear needs a floating-point tensor, got i32; cast it or use nearest',
    )
    expect(() => resize(tensor(new Float32Array(0), [1, 1, 0]), { mode: 'linear', size: 2 })).toThrow(
      'resize: nothing to interpolate in axes [0]',
    )
  })
})

describe('affineGrid', () => {
  it('agrees with its reference and differentiates, for images and volumes', async () => {
    for (const alignCorners of [false, true]) {
      await check(theta => affineGrid(theta, [3, 4], { alignCorners }), [randomTensor([2, 2, 3])])
      await check(theta => affineGrid(theta, [2, 1, 3], { alignCorners }), [randomTensor([1, 3, 4])])
    }
  })
  it('the identity map gives the centres of the elements, x before y', () => {
    const identity = tensor([
      [
        [1, 0, 0],
        [0, 1, 0],
      ],
    ])
    expectClose(
      numbersOf(affineGrid(identity, [1, 3], { alignCorners: true })),
      [-1, 0, 0, 0, 1, 0],
      1e-7,
      'corners at the ends',
    )
    expectClose(
      numbersOf(affineGrid(identity, [2, 2])),
      [-0.5, -0.5, 0.5, -0.5, -0.5, 0.5, 0.5, 0.5],
      1e-7,
      'edges at the ends',
    )
  })
  it('names what does not fit', () => {
    expect(() => affineGrid(tensor(new Float32Array(12), [1, 3, 4]), [2, 2])).toThrow(
      'affineGrid: theta must be [batch, 2, 3] for size [2,2], got [1,3,4]',
    )
    expect(() => affineGrid(tensor(new Float32Array(6), [1, 2, 3]), [2])).toThrow(
      'affineGrid: size must be [height, width] or [depth, height, width], got [2]',
    )
  })
})
