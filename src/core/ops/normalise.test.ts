import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { check, expectClose, randomTensor, shapes } from '../../../test/check.ts'
import { grad, interpret, placeholder, tensor } from '../index.ts'
import { writeModel } from '../onnx/write.ts'
import { Program } from '../runtime/program.ts'
import type { Tensor } from '../tensor.ts'
import { batchNorm, channelAffine } from './batch-norm.ts'
import { mul } from './elementwise.ts'
import { layerNorm, rmsNorm } from './layer-norm.ts'
import { channelLayerNorm, groupNorm, instanceNorm, l2Normalize, standardiseWeight } from './normalise.ts'
import { mean, sum, variance } from './reduce.ts'

const values = (t: Tensor): Float64Array => interpret([t])[0].data
const constant = (shape: readonly number[], seed = 1, low = -2, high = 2): Tensor =>
  tensor(randomTensor(shape, seed, low, high).data, shape)
const filled = (length: number, value: number): number[] => new Array<number>(length).fill(value)

describe('layer norm', () => {
  const cases = shapes(4, 4, 1).chain(shape => fc.tuple(fc.constant(shape), fc.integer({ min: 1, max: shape.length })))

  it('agrees with its reference over any trailing axes, and so do both derivatives', async () => {
    await fc.assert(
      fc.asyncProperty(cases, fc.nat(1000), async ([shape, axes], seed) => {
        const trailing = shape.slice(-axes)
        const given = [randomTensor(shape, seed), randomTensor(trailing, seed + 1), randomTensor(trailing, seed + 2)]
        // A line of one has no spread: only epsilon keeps its division finite, so it is not made tiny here.
        const epsilon = 0.1
        await check((x, weight, bias) => layerNorm(x, { weight, bias, axes, epsilon }), given, { second: true })
        await check((x, weight) => layerNorm(x, { weight, axes, epsilon }), given.slice(0, 2), { second: true })
        await check((x, bias) => layerNorm(x, { bias, axes, epsilon }), [given[0], given[2]], { second: true })
        await check(x => layerNorm(x, { axes, epsilon }), given.slice(0, 1), { second: true })
      }),
      { numRuns: 6 },
    )
  })
  it('gives mean 0 and variance 1 before the affine part', () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 9 }), fc.nat(1000), (length, seed) => {
        const y = layerNorm(constant([3, length], seed, 5, 9), { epsilon: 0 })
        expectClose(values(mean(y, -1)), filled(3, 0), 1e-6, 'mean')
        expectClose(values(variance(y, -1)), filled(3, 1), 1e-6, 'variance')
      }),
      { numRuns: 10 },
    )
  })
  it('keeps its gradient where the mean is far larger than the spread', async () => {
    const far = randomTensor([2, 16], 3, 1000, 1001)
    await check((x, weight) => layerNorm(x, { weight }), [far, randomTensor([16], 4)], { tolerance: 2e-4, step: 1e-4 })
  })
  it('keeps the symbolic batch, forward and back', async () => {
    const x = placeholder('x', [-1, 3, 4])
    const weight = constant([4], 8)
    const y = layerNorm(x, { weight })
    expect(y.shape).toEqual([-1, 3, 4])
    const [gradient] = grad(sum(mul(y, y)), [x])
    const given = randomTensor([5, 3, 4])
    const program = await Program.compile([x], [gradient])
    const [actual] = await program.run([given])
    expectClose(actual.numbers(), interpret([gradient], new Map([[x, given.data]]))[0].data, 1e-4, 'gradient')
  })
  it('accepts no rows', async () => {
    await check(x => layerNorm(x), [randomTensor([0, 3])])
  })
  it('refuses weights of another shape, too many axes, integers and nothing', () => {
    expect(() => layerNorm(constant([2, 3]), { weight: [1, 2] })).toThrow(
      'layerNorm: weight is [2] but the normalised axes are [3]',
    )
    expect(() => layerNorm(constant([2, 3]), { axes: 3 })).toThrow(
      'layerNorm: axes is 3, but [2,3] has 2 axes to normalise',
    )
    expect(() => layerNorm(tensor(new Int32Array([1, 2])))).toThrow('layerNorm: expected a floating-point tensor')
    expect(() => layerNorm(placeholder('x', [3, 0]))).toThrow('layerNorm: nothing to normalise in [3,0]')
    expect(() => layerNorm(placeholder('x', [3, -1]))).toThrow('is the symbolic batch')
    expect(() => layerNorm(constant([2]), { epsilon: -1 })).toThrow('layerNorm: epsilon is -1; it must be 0 or more')
  })
  it('normalises channels at each position', async () => {
    await check(
      (x, weight, bias) => channelLayerNorm(x, { weight, bias, epsilon: 1e-3 }),
      [randomTensor([2, 3, 2, 2]), randomTensor([3], 2), randomTensor([3], 3)],
      { second: true },
    )
    expect(() => channelLayerNorm(constant([2]))).toThrow('channelLayerNorm: expected [batch, channels, ...], got [2]')
  })
})

describe('RMS norm', () => {
  it('agrees with its reference, and so do both derivatives', async () => {
    await fc.assert(
      fc.asyncProperty(shapes(3, 4, 1), fc.boolean(), async (shape, weighted) => {
        const axes = Math.min(2, shape.length)
        const given = [randomTensor(shape, 3), randomTensor(shape.slice(-axes), 4)]
        await check((x, weight) => rmsNorm(x, { axes, epsilon: 0.1, ...(weighted ? { weight } : {}) }), given, {
          second: true,
        })
      }),
      { numRuns: 8 },
    )
  })
  it('does not change when its input grows', () => {
    const x = constant([3, 8], 2)
    expectClose(values(rmsNorm(mul(x, 37), { epsilon: 0 })), values(rmsNorm(x, { epsilon: 0 })), 1e-6, 'scaled')
  })
  it('is written with standard operators where a file must run anywhere', async () => {
    const x = placeholder('x', [2, 4])
    const named = [{ name: 'x', tensor: x }]
    const { bytes } = writeModel(named, [{ name: 'y', tensor: rmsNorm(x) }], { contributed: false })
    const text = Buffer.from(bytes).toString('latin1')
    expect(text).toContain('ReduceMean')
    expect(text).not.toContain('SimplifiedLayerNormalization')
  })
  it('refuses weights of another shape', () => {
    expect(() => rmsNorm(constant([2, 3]), { weight: [1] })).toThrow('rmsNorm: weight is [1]')
  })
})

describe('batch norm', () => {
  // Rows shorter and longer than those for which the gradient changes its form.
  const inputs = fc.oneof(
    shapes(4, 4, 2),
    fc.tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 3 })).map(([n, c]) => [n, c, 3, 4]),
  )

  it('with the statistics of the batch, agrees with its reference, and so do both derivatives', async () => {
    await fc.assert(
      fc.asyncProperty(inputs, fc.nat(1000), async (shape, seed) => {
        const given = [
          randomTensor(shape, seed),
          randomTensor([shape[1]], seed + 1),
          randomTensor([shape[1]], seed + 2),
        ]
        await check(
          (x, weight, bias) => {
            const { output, mean: average, variance: spread } = batchNorm(x, { weight, bias, epsilon: 0.1 })
            return [output, average, spread]
          },
          given,
          { second: true, tolerance: 5e-5 },
        )
      }),
      { numRuns: 8 },
    )
  })
  it('with given statistics, agrees with its reference, and so do both derivatives', async () => {
    await fc.assert(
      fc.asyncProperty(inputs, fc.nat(1000), async (shape, seed) => {
        const channels = [shape[1]]
        await check(
          (x, weight, bias, average, spread) =>
            batchNorm(x, { weight, bias, mean: average, variance: spread, epsilon: 1e-3 }).output,
          [
            randomTensor(shape, seed),
            ...[1, 2, 3].map(i => randomTensor(channels, seed + i)),
            randomTensor(channels, seed + 4, 0.5, 2),
          ],
          { second: true },
        )
      }),
      { numRuns: 8 },
    )
  })
  it('returns the mean and the population variance of the batch', async () => {
    const x = constant([4, 2, 3], 7)
    const { mean: average, variance: spread } = batchNorm(x)
    const [first, second] = await Promise.all([average.value(), spread.value()])
    expectClose(first.numbers(), values(mean(x, [0, 2])), 1e-6, 'mean')
    expectClose(second.numbers(), values(variance(x, [0, 2])), 1e-6, 'variance')
  })
  it('keeps the statistics of two norms of equal width apart', async () => {
    const twice = (x: Tensor, y: Tensor): Tensor => batchNorm(mul(batchNorm(x).output, y)).output
    await check(twice, [randomTensor([6, 3, 5], 1), randomTensor([6, 3, 5], 2)])
  })
  it('in evaluation equals the affine map it folds into', () => {
    const x = constant([2, 3, 4], 1)
    const [weight, bias, average] = [2, 3, 4].map(seed => constant([3], seed))
    const spread = constant([3], 5, 0.5, 2)
    const folded = weight.mul(spread.add(1e-5).rsqrt())
    expectClose(
      values(batchNorm(x, { weight, bias, mean: average, variance: spread }).output),
      values(channelAffine(x, folded, bias.sub(average.mul(folded)))),
      1e-9,
      'folded',
    )
  })
  it('keeps the symbolic batch in evaluation and refuses to differentiate its statistics', () => {
    const x = placeholder('x', [-1, 2, 3])
    const fixed = batchNorm(x, { mean: [0, 0], variance: [1, 1] }).output
    expect(grad(sum(fixed), [x])[0].shape).toEqual([-1, 2, 3])
    expect(() => grad(sum(batchNorm(x).output), [x])).toThrow('gradient of batchNorm: axis 0')
  })
  it('refuses half of the statistics, wrong lengths, empty batches and lonely axes', () => {
    expect(() => batchNorm(constant([2, 3]), { mean: [1, 2, 3] })).toThrow('give both mean and variance, or neither')
    expect(() => batchNorm(constant([2, 3]), { weight: [1, 2] })).toThrow(
      'batchNorm: weight is [2] but [2,3] has 3 channels',
    )
    expect(() => batchNorm(placeholder('x', [0, 3]))).toThrow('batchNorm: [0,3] has no statistics')
    expect(() => batchNorm(constant([3]))).toThrow('batchNorm: expected [batch, channels, ...], got [3]')
  })
})

describe('group and instance norm', () => {
  it('differentiate like their references', async () => {
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(1, 2, 4), shapes(2, 3, 1), fc.nat(1000), async (groups, space, seed) => {
        const given = [randomTensor([2, 4, ...space], seed), randomTensor([4], seed + 1), randomTensor([4], seed + 2)]
        const epsilon = 0.1
        await check((x, weight, bias) => groupNorm(x, groups, { weight, bias, epsilon }), given, { second: true })
        await check((x, weight, bias) => instanceNorm(x, { weight, bias, epsilon }), given, { second: true })
      }),
      { numRuns: 4 },
    )
  })
  it('are each other and layer norm at the extremes', () => {
    const x = constant([2, 4, 3, 2], 6)
    expectClose(values(groupNorm(x, 4)), values(instanceNorm(x)), 1e-12, 'one channel a group')
    expectClose(values(groupNorm(x, 1)), values(layerNorm(x, { axes: 3 })), 1e-12, 'one group')
  })
  it('accept a weight or a bias alone', async () => {
    await check((x, weight) => groupNorm(x, 2, { weight }), [randomTensor([2, 4, 3]), randomTensor([4], 2)])
    await check((x, bias) => instanceNorm(x, { bias }), [randomTensor([2, 4, 3]), randomTensor([4], 2)])
  })
  it('refuse groups that do not divide the channels, and tensors without positions', () => {
    expect(() => groupNorm(constant([2, 8, 3]), 3)).toThrow(
      'groupNorm: 8 channels of [2,8,3] do not divide into 3 groups',
    )
    expect(() => groupNorm(constant([2]), 1)).toThrow('groupNorm: expected [batch, channels, ...], got [2]')
    expect(() => instanceNorm(constant([2, 8]))).toThrow(
      'instanceNorm: expected [batch, channels, ...positions], got [2,8]',
    )
  })
})

describe('l2Normalize', () => {
  it('agrees with its reference along any axis, and so do both derivatives', async () => {
    await fc.assert(
      // Vectors of one number have a gradient of rounding errors only.
      fc.asyncProperty(
        fc.array(fc.integer({ min: 2, max: 4 }), { minLength: 1, maxLength: 3 }),
        fc.nat(),
        async (shape, axis) => {
          await check(x => l2Normalize(x, { axis: axis % shape.length }), [randomTensor(shape, 9)], { second: true })
        },
      ),
      { numRuns: 6 },
    )
  })
  it('gives length 1, leaves 0 at 0 with a finite gradient, and divides short vectors by epsilon', async () => {
    const x = tensor([
      [3, 4],
      [0, 0],
      [0.003, 0.004],
    ])
    const y = l2Normalize(x, { epsilon: 0.01 })
    const [gradient] = grad(sum(y), [x])
    expectClose((await y.value()).numbers(), [0.6, 0.8, 0, 0, 0.3, 0.4], 1e-6, 'value')
    expectClose((await gradient.value()).numbers(), [0.032, -0.024, 100, 100, 100, 100], 1e-5, 'gradient')
    expect([...(await l2Normalize([[0, 0]]).value()).numbers()]).toEqual([0, 0])
  })
  it('refuses an epsilon of 0', () => {
    expect(() => l2Normalize([1], { epsilon: 0 })).toThrow('l2Normalize: epsilon is 0; it must be above 0')
  })
})

describe('standardiseWeight', () => {
  it('gives every output channel mean 0 and variance 1, and differentiates', async () => {
    await check(w => standardiseWeight(w), [randomTensor([3, 2, 3])], { second: true, tolerance: 1e-4 })
    const y = standardiseWeight(constant([4, 3, 3, 3], 2), { epsilon: 0 })
    expectClose(values(mean(y, [1, 2, 3])), filled(4, 0), 1e-6, 'mean')
    expectClose(values(variance(y, [1, 2, 3])), filled(4, 1), 1e-6, 'variance')
    expect(() => standardiseWeight([1, 2])).toThrow('standardiseWeight: expected [out, ...], got [2]')
  })
})
