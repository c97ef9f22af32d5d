import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { check, expectClose, randomTensor } from '../../../test/check.ts'
import { constant, type HostTensor, interpret, Program, placeholder, type Tensor, tensor } from '../index.ts'
import { gridSample, type SampleMode, type SamplePadding } from './grid-sample.ts'
import { affineGrid } from './resample.ts'

const asConstant = ({ data, shape, dtype }: HostTensor): Tensor => constant(data, shape, dtype)
const numbersOf = (t: Tensor): Float64Array => interpret([t])[0].data

const modes: SampleMode[] = ['nearest', 'linear', 'cubic']
const paddings: SamplePadding[] = ['zeros', 'border', 'reflection']
const sizes = fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 2, maxLength: 3 })
/** Positions where two pieces meet have no one derivative; a fixed seed keeps the samples off them. */
const fixed = { seed: 20, numRuns: 4 }

/** An identity map for each number of axes. */
const identity = (axes: number): Tensor =>
  constant(
    Float32Array.from({ length: axes * (axes + 1) }, (_, i) => (i % (axes + 1) === Math.floor(i / (axes + 1)) ? 1 : 0)),
    [1, axes, axes + 1],
  )

describe('gridSample', () => {
  it.each(modes.flatMap(mode => paddings.map(padding => [mode, padding] as const)))(
    '%s with %s agrees with its reference and differentiates, for images and volumes',
    async (mode, padding) => {
      await fc.assert(
        fc.asyncProperty(sizes, fc.boolean(), fc.nat(1000), async (size, alignCorners, seed) => {
          const grid = randomTensor([2, 2, ...size.slice(1).map(() => 2), size.length], seed, -1.7, 1.7)
          await check(
            (x, g) => gridSample(x, g, { mode, padding, alignCorners }),
            [randomTensor([2, 3, ...size], seed + 1), grid],
          )
        }),
        fixed,
      )
    },
  )
  it('the identity grid gives the input back in every mode', () => {
    fc.assert(
      fc.property(
        sizes,
        fc.constantFrom(...modes),
        fc.constantFrom(...paddings),
        fc.boolean(),
        (size, mode, padding, c) => {
          const x = randomTensor([1, 2, ...size])
          // One centre cannot be at both ends: corners stay in place only where there are two.
          const alignCorners = c && Math.min(...size) > 1
          const grid = affineGrid(identity(size.length), size, { alignCorners })
          expectClose(
            numbersOf(gridSample(asConstant(x), grid, { mode, padding, alignCorners })),
            x.numbers(),
            1e-6,
            `${mode} ${padding}`,
          )
        },
      ),
    )
  })
  it('reads the position itself from a linear ramp', () => {
    const ramp = constant(
      Float32Array.from({ length: 12 }, (_, i) => (i % 4) + 10 * Math.floor(i / 4)),
      [1, 1, 3, 4],
    )
    const grid = tensor([[[[-0.5, 0.3]]]])
    // x: -0.5 of -1..1 over 0..3; y: 0.3 over 0..2.
    expectClose(numbersOf(gridSample(ramp, grid, { alignCorners: true })), [0.75 + 10 * 1.3], 1e-6, 'corners')
    expectClose(numbersOf(gridSample(ramp, grid)), [0.5 * 2 - 0.5 + 10 * (1.3 * 1.5 - 0.5)], 1e-6, 'edges')
  })
  it('outside, zeros fade to nothing, the border repeats and the reflection comes back', () => {
    const x = tensor([[[[1, 2, 3]]]])
    const far = tensor([[[[2, 0]]]])
    const read = (padding: SamplePadding): number => numbersOf(gridSample(x, far, { padding }))[0]
    // Two widths of the axis are 3 elements: x = 2 lies at element 4, and its mirror image at 1.
    expect(read('zeros')).toBe(0)
    expect(read('border')).toBe(3)
    expect(read('reflection')).toBe(2)
  })
  it('a position that is no number gives no number, not a crash', async () => {
    const y = await gridSample(tensor([[[[1, 2, 3]]]]), tensor([[[[Number.NaN, 0]]]])).value()
    expect(y.item()).toBeNaN()
    const infinite = await gridSample(tensor([[[[1, 2, 3]]]]), tensor([[[[Number.POSITIVE_INFINITY, 0]]]])).value()
    expect(infinite.item()).toBe(0)
  })
  it('takes any batch size where the batch is symbolic', async () => {
    const x = placeholder('x', [-1, 2, 3, 4])
    const grid = placeholder('grid', [-1, 2, 2, 2])
    const y = gridSample(x, grid)
    const program = await Program.compile([x, grid], [y])
    const values = [randomTensor([3, 2, 3, 4]), randomTensor([3, 2, 2, 2], 2, -1, 1)]
    const [actual] = await program.run(values)
    const [expected] = interpret(
      [y],
      new Map([
        [x, values[0].data],
        [grid, values[1].data],
      ]),
    )
    expect(actual.shape).toEqual([3, 2, 2, 2])
    expectClose(actual.numbers(), expected.data, 1e-6, 'y')
    await program.release()
  })
  it('has second derivatives', async () => {
    await check(
      (x, g) => gridSample(x, g, { mode: 'cubic' }),
      [randomTensor([1, 2, 4, 4], 3), randomTensor([1, 2, 1, 2], 5, -0.6, 0.6)],
      { second: true },
    )
  })
  it('names what does not fit', () => {
    const x = tensor(new Float32Array(12), [1, 2, 2, 3])
    expect(() => gridSample(tensor([[1]]), x)).toThrow(
      'gridSample: expected [batch, channels, (depth,) height, width], got [1,1]',
    )
    expect(() => gridSample(x, tensor(new Float32Array(3), [1, 1, 1, 3]))).toThrow(
      'gridSample: a grid for [1,2,2,3] is [1, height, width, 2], got [1,1,1,3]',
    )
    expect(() => gridSample(tensor(new Int32Array(12), [1, 2, 2, 3]), tensor(new Int32Array(2), [1, 1, 1, 2]))).toThrow(
      'gridSample: expected a floating-point tensor, got i32; cast it first',
    )
    expect(() =>
      gridSample(tensor(new Float32Array(0), [1, 2, 0, 3]), tensor(new Float32Array(2), [1, 1, 1, 2])),
    ).toThrow('gridSample: nothing to read in [1,2,0,3]')
  })
})
