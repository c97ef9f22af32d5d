import { describe, expect, it } from 'vitest'
import { check, expectClose, randomTensor } from '../../test/check.ts'
import { collectWrites, compile, interpret, key, type Tensor, tensor } from '../core/index.ts'
import { Dropout, DropPath } from './dropout.ts'
import { withMode } from './mode.ts'
import { nameVariables, withValues } from './module.ts'
import { BatchNorm, GroupNorm, InstanceNorm, LayerNorm, RmsNorm } from './normalisation.ts'

const numbers = (t: Tensor): Float64Array => interpret([t])[0].data
const constant = (shape: readonly number[], seed: number): Tensor => tensor(randomTensor(shape, seed).data, shape)

describe('BatchNorm', () => {
  it('normalises by the batch while training and records running statistics with the unbiased variance', async () => {
    const norm = nameVariables(new BatchNorm(3, { momentum: 0.2 }))
    const train = compile((x: Tensor) => withMode({ training: true }, () => norm.forward(x)))
    const batches = [randomTensor([4, 3, 2], 1), randomTensor([4, 3, 2], 2)]
    const mean = [0, 0, 0]
    const variance = [1, 1, 1]
    for (const batch of batches) {
      const output = (await train(batch)).numbers()
      const values = batch.numbers()
      for (let c = 0; c < 3; c++) {
        const pick = (all: Float64Array): number[] => [...all].filter((_, i) => Math.floor(i / 2) % 3 === c)
        const [own, normal] = [pick(values), pick(output)]
        const average = own.reduce((a, b) => a + b) / own.length
        const squares = own.reduce((a, b) => a + (b - average) ** 2, 0)
        mean[c] = 0.8 * mean[c] + 0.2 * average
        variance[c] = 0.8 * variance[c] + (0.2 * squares) / (own.length - 1)
        expect(normal.reduce((a, b) => a + b)).toBeCloseTo(0, 4)
        expect(normal[0]).toBeCloseTo((own[0] - average) / Math.sqrt(squares / own.length + 1e-5), 4)
      }
    }
    await train.release()
    expectClose(norm.running_mean.data as Float32Array, mean, 1e-6, 'running mean')
    expectClose(norm.running_var.data as Float32Array, variance, 1e-6, 'running variance')
    expect(norm.num_batches_tracked.data).toEqual(BigInt64Array.of(2n))
  })
  it('is a fixed affine map otherwise, and changes nothing', async () => {
    const norm = nameVariables(new BatchNorm(2))
    norm.running_mean.set(Float32Array.of(1, -2))
    norm.running_var.set(Float32Array.of(4, 0.25))
    norm.weight!.set(Float32Array.of(3, 5))
    norm.bias!.set(Float32Array.of(0.5, 0))
    const evaluate = compile((x: Tensor) => norm.forward(x))
    const output = (await evaluate(randomTensor([2, 2, 3], 1))).numbers()
    await evaluate.release()
    const scale = [3 / Math.sqrt(4 + 1e-5), 5 / Math.sqrt(0.25 + 1e-5)]
    const expected = randomTensor([2, 2, 3], 1)
      .numbers()
      .map((value, i) => {
        const c = Math.floor(i / 3) % 2
        return c === 0 ? (value - 1) * scale[0] + 0.5 : (value + 2) * scale[1]
      })
    expectClose(output, expected, 1e-6, 'evaluation')
    expect(norm.num_batches_tracked.data).toEqual(BigInt64Array.of(0n))
  })
  it('gives gradients through the batch statistics, and none to the running ones', async () => {
    const norm = nameVariables(new BatchNorm(2))
    await check(
      (x, weight, bias) => {
        // The statistics that a step would record are of no interest here.
        const { result } = collectWrites(() =>
          withMode({ training: true }, () => withValues(norm, { weight, bias }, () => norm.forward(x))),
        )
        return result
      },
      [randomTensor([3, 2, 2], 1), randomTensor([2], 2), randomTensor([2], 3)],
    )
  })
})

describe('norms without state', () => {
  const statistics = (values: Float64Array) => {
    const mean = values.reduce((a, b) => a + b) / values.length
    return { mean, variance: values.reduce((a, b) => a + (b - mean) ** 2, 0) / values.length }
  }
  it('give each of their groups mean 0 and variance 1 before the affine map', () => {
    const x = constant([2, 4, 3], 1)
    const groups: [Tensor, number][] = [
      [new LayerNorm(3).forward(x), 3],
      [new LayerNorm([4, 3], { affine: false }).forward(x), 12],
      [new GroupNorm(2, 4).forward(x), 6],
      [new InstanceNorm(4).forward(x), 3],
    ]
    for (const [output, size] of groups) {
      const values = numbers(output)
      for (let start = 0; start < values.length; start += size) {
        const { mean, variance } = statistics(values.slice(start, start + size))
        expect(mean).toBeCloseTo(0, 10)
        expect(variance).toBeCloseTo(1, 2)
      }
    }
  })
  it('RmsNorm divides by the root of the mean square', () => {
    const x = constant([2, 5], 1)
    const norm = new RmsNorm(5, { epsilon: 0 })
    norm.weight.set(Float32Array.of(1, 2, 3, 4, 5))
    const expected = x.div(x.mul(x).mean(-1, true).sqrt()).mul(tensor([1, 2, 3, 4, 5]))
    expectClose(numbers(norm.forward(x)), numbers(expected), 1e-12, 'RMS norm')
  })
  it('give gradients to weight and bias', async () => {
    const norm = new GroupNorm(2, 4)
    await check(
      (x, weight, bias) => withValues(norm, { weight, bias }, () => norm.forward(x)),
      [randomTensor([2, 4, 3], 1), randomTensor([4], 2), randomTensor([4], 3)],
    )
    const layer = new LayerNorm(3)
    await check(
      (x, weight, bias) => withValues(layer, { weight, bias }, () => layer.forward(x)),
      [randomTensor([2, 4, 3], 1), randomTensor([3], 2), randomTensor([3], 3)],
    )
  })
})

describe('dropout', () => {
  const ones = tensor(new Float32Array(20000).fill(1), [100, 20, 10])
  const training = <T>(seed: number, build: () => T): T => withMode({ training: true, key: key(seed) }, build)

  it('zeros a share of the values and keeps the mean', async () => {
    const values = (await training(1, () => new Dropout(0.3).forward(ones)).value()).numbers()
    const dropped = values.filter(v => v === 0).length / values.length
    expect(Math.abs(dropped - 0.3)).toBeLessThan(0.02)
    expect(new Set(values)).toEqual(new Set([0, Math.fround(1 / 0.7)]))
    expect(values.reduce((a, b) => a + b) / values.length).toBeCloseTo(1, 1)
  })
  it('draws the same for the same key, differently for another key and for another layer', () => {
    const draw = (seed: number): Float64Array[] =>
      training(seed, () => [numbers(new Dropout(0.5).forward(ones)), numbers(new Dropout(0.5).forward(ones))])
    const [first, second] = draw(1)
    expect(draw(1)).toEqual([first, second])
    expect(second).not.toEqual(first)
    expect(draw(2)[0]).not.toEqual(first)
  })
  it('of paths zeros whole samples', () => {
    const values = numbers(training(3, () => new DropPath(0.25).forward(ones)))
    const samples = Array.from({ length: 100 }, (_, i) => new Set(values.slice(i * 200, (i + 1) * 200)))
    expect(samples.every(each => each.size === 1)).toBe(true)
    const kept = samples.filter(each => !each.has(0)).length
    expect(kept).toBeGreaterThan(60)
    expect(kept).toBeLessThan(90)
    expect(Math.max(...values)).toBeCloseTo(4 / 3, 6)
  })
  it('passes the gradient to what it kept', async () => {
    await check(x => training(4, () => new Dropout(0.5).forward(x)), [randomTensor([4, 5], 1)])
  })
  it('does nothing outside training and at rate 0', () => {
    expect(new Dropout(0.5).forward(ones)).toBe(ones)
    expect(training(1, () => new DropPath(0).forward(ones))).toBe(ones)
  })
  it('needs a rate below 1 and a key', () => {
    expect(() => new Dropout(1)).toThrow('dropout: the rate must be in [0, 1), got 1')
    expect(() => new DropPath(-0.1)).toThrow('dropPath: the rate must be in [0, 1), got -0.1')
    expect(() => withMode({ training: true }, () => new Dropout(0.5).forward(ones))).toThrow(
      'dropout: draws random numbers while training; give withMode a key',
    )
  })
})
