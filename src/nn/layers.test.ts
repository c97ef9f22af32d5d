import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { check, expectClose, randomTensor } from '../../test/check.ts'
import { conv, convTranspose, grad, interpret, relu, type Tensor, tensor } from '../core/index.ts'
import { Identity, Sequential } from './container.ts'
import { Conv1d, Conv2d, Conv3d, ConvTranspose2d } from './convolution.ts'
import * as initialise from './initialise.ts'
import { Bilinear, Embedding, Linear } from './linear.ts'
import { type Module, namedParameters, namedVariables, withValues } from './module.ts'
import { AttentionPool, GeneralizedMeanPool, GlobalAveragePool, GlobalMaxPool, maskedMean } from './pooling.ts'

const numbers = (t: Tensor): Float64Array => interpret([t])[0].data
const random = (shape: readonly number[], seed: number): Tensor => tensor(randomTensor(shape, seed).data, shape)
/** Random numbers for a parameter, so that no layer is checked at a start where a bias is 0. */
const valuesOf = (module: Module) =>
  [...namedParameters(module)].map(([name, { shape }], i) => ({ name, value: randomTensor(shape, 20 + i) }))

/** Checks a layer against the same function of plain tensors, with gradients of input and parameters. */
async function checkLayer(
  module: Module & { forward(x: Tensor): Tensor },
  shape: number[],
  expected: (x: Tensor, ...parameters: Tensor[]) => Tensor,
): Promise<void> {
  const given = valuesOf(module)
  const layer = (x: Tensor, ...parameters: Tensor[]): Tensor =>
    withValues(module, Object.fromEntries(given.map(({ name }, i) => [name, parameters[i]])), () => module.forward(x))
  const x = randomTensor(shape, 7)
  await check(layer, [x, ...given.map(({ value }) => value)])
  const constants = [x, ...given.map(({ value }) => value)].map(v => tensor(v.data, v.shape)) as [Tensor, ...Tensor[]]
  expectClose(numbers(layer(...constants)), numbers(expected(...constants)), 1e-12, module.constructor.name)
}

describe('linear layers', () => {
  it('Linear is x W^T + b over the last axis', async () => {
    await checkLayer(new Linear(4, 3), [2, 5, 4], (x, weight, bias) => x.matmul(weight.transpose()).add(bias))
    await checkLayer(new Linear(4, 3, { bias: false }), [4], (x, weight) => weight.matmul(x.expandDims(-1)).squeeze(-1))
  })
  it('Bilinear sums a_i W_oij b_j', async () => {
    const layer = new Bilinear(3, 2, 4)
    const [weight, bias] = valuesOf(layer).map(({ value }) => value)
    await check(
      (a, b, w, c) => withValues(layer, { weight: w, bias: c }, () => layer.forward(a, b)),
      [randomTensor([5, 3], 1), randomTensor([5, 2], 2), weight, bias],
    )
    const [a, b] = [random([3], 1), random([2], 2)]
    const [w, out] = [layer.weight, layer.forward(a, b)].map(numbers)
    const [x, y] = [numbers(a), numbers(b)]
    for (let o = 0; o < 4; o++) {
      let expected = numbers(layer.bias!)[o]
      for (let i = 0; i < 3; i++) for (let j = 0; j < 2; j++) expected += x[i] * w[(o * 3 + i) * 2 + j] * y[j]
      expect(out[o]).toBeCloseTo(expected, 10)
    }
  })
  it('Embedding takes rows, and gives the padding row no gradient', async () => {
    const layer = new Embedding(5, 3, { padding: -2 })
    expect([...numbers(layer.weight).slice(9, 12)]).toEqual([0, 0, 0])
    const indices = tensor(Int32Array.of(4, 3, 4, 1), [2, 2])
    const rows = layer.forward(indices)
    const row = (i: number): number[] => [...numbers(layer.weight).slice(3 * i, 3 * i + 3)]
    expect([...numbers(rows)]).toEqual([...row(4), 0, 0, 0, ...row(4), ...row(1)])
    const counts = numbers(grad(rows.sum(), [layer.weight])[0].mean(-1))
    expect([...counts]).toEqual([0, 1, 0, 0, 2])
  })
  it('say what does not fit', () => {
    expect(() => new Linear(4, 3).forward(random([2, 5], 1))).toThrow('linear: expected [..., 4], got [2,5]')
    expect(() => new Bilinear(3, 2, 4).forward(random([5, 3], 1), random([4, 2], 1))).toThrow(
      'bilinear: expected [..., 3] and [..., 2] with the same leading axes, got [5,3] and [4,2]',
    )
    expect(() => new Embedding(5, 3, { padding: 5 })).toThrow(
      'embedding: padding index 5 is out of range for 5 entries',
    )
    expect(() => new Embedding(5, 3).forward(tensor(Int32Array.of(1, 5)))).toThrow(
      'embedding: index 5 is out of range for axis 0 of [5,3]',
    )
  })
})

describe('convolutions', () => {
  it('are the plain functions of their parameters', async () => {
    await checkLayer(new Conv1d(2, 3, { kernel: 3, dilation: 2, padding: 'same' }), [2, 2, 7], (x, weight, bias) =>
      conv(x, weight, { bias, dilation: 2, padding: 2 }),
    )
    await checkLayer(
      new Conv2d(4, 6, { kernel: [3, 2], stride: 2, padding: [1, 0], groups: 2 }),
      [2, 4, 5, 6],
      (x, weight, bias) => conv(x, weight, { bias, stride: 2, padding: [1, 0], groups: 2 }),
    )
    await checkLayer(new Conv3d(2, 2, { kernel: 2, bias: false }), [1, 2, 3, 3, 2], (x, weight) => conv(x, weight))
    await checkLayer(
      new ConvTranspose2d(4, 2, { kernel: 3, stride: 2, padding: 1, outputPadding: 1, groups: 2 }),
      [1, 4, 3, 4],
      (x, weight, bias) => convTranspose(x, weight, { bias, stride: 2, padding: 1, outputPadding: 1, groups: 2 }),
    )
  })
  it("keep the shape of PyTorch's weights", () => {
    expect(new Conv2d(4, 6, { kernel: [3, 2], groups: 2 }).weight.shape).toEqual([6, 2, 3, 2])
    expect(new ConvTranspose2d(4, 6, { kernel: 3, groups: 2 }).weight.shape).toEqual([4, 3, 3, 3])
  })
  it('say what does not fit', () => {
    expect(() => new Conv2d(4, 6, { kernel: 3, groups: 4 })).toThrow(
      'conv: 4 groups do not divide 4 input and 6 output channels',
    )
    expect(() => new Conv2d(4, 6, { kernel: [3] })).toThrow('conv: a kernel of 2 axes needs 2 sizes, got [3]')
    expect(() => new Conv2d(4, 6, { kernel: 3 }).forward(random([1, 3, 5, 5], 1))).toThrow('channels')
    expect(() => new Conv2d(3, 6, { kernel: 7 }).forward(random([1, 3, 5, 5], 1))).toThrow('kernel')
  })
})

describe('Sequential', () => {
  it('applies modules and functions in order and names modules by their place', async () => {
    const layers = new Sequential(new Linear(3, 4), relu, new Identity(), new Linear(4, 2))
    expect([...namedVariables(layers)].map(([name]) => name)).toEqual(['0.weight', '0.bias', '3.weight', '3.bias'])
    await checkLayer(layers, [2, 3], (x, w0, b0, w3, b3) =>
      relu(x.matmul(w0.transpose()).add(b0)).matmul(w3.transpose()).add(b3),
    )
  })
})

describe('pooling', () => {
  it('by mean, maximum and generalised mean', async () => {
    const x = randomTensor([2, 3, 4, 2], 1, 0.1, 2)
    await check(t => new GlobalAveragePool().forward(t).add(new GlobalMaxPool().forward(t)), [x])
    const pool = new GeneralizedMeanPool({ p: 2 })
    await check((t, p) => withValues(pool, { p }, () => pool.forward(t)), [x, randomTensor([1], 2, 1, 4)])
    const squares = tensor(x.data, x.shape)
    expectClose(numbers(pool.forward(squares)), numbers(squares.mul(squares).mean([2, 3]).sqrt()), 1e-6, 'p = 2')
  })
  it('averages what is not padding', () => {
    const tokens = random([2, 3, 2], 1)
    const padding = tensor([
      [false, true, false],
      [true, true, true],
    ])
    const expected = tokens.at(0, 0).add(tokens.at(0, 2)).div(2)
    expectClose(numbers(maskedMean(tokens, padding)), [...numbers(expected), 0, 0], 1e-12, 'mean')
    expect(() => maskedMean(tokens, tensor([[true, false]]))).toThrow('got [2,3,2] and [1,2]')
  })
  it('by attention does not see the order of the tokens', () => {
    const pool = new AttentionPool(4, 2, { queries: 3 })
    const tokens = random([2, 5, 4], 3)
    expect(pool.forward(tokens).shape).toEqual([2, 3, 4])
    expectClose(numbers(pool.forward(tokens.flip(1))), numbers(pool.forward(tokens)), 1e-12, 'pooled')
  })
})

describe('initialisers', () => {
  const statistics = (values: Float32Array) => {
    const mean = values.reduce((a, b) => a + b, 0) / values.length
    const deviation = Math.sqrt(values.reduce((a, b) => a + (b - mean) ** 2, 0) / values.length)
    return { mean, deviation, largest: values.reduce((a, b) => Math.max(a, Math.abs(b)), 0) }
  }
  const shape = [40, 20, 3, 5]
  /** Fan in 300, fan out 600. */
  const expected: Record<string, [initialiser: initialise.Initialiser, deviation: number, bound: number]> = {
    kaimingUniform: [initialise.kaimingUniform(), Math.sqrt(2 / 300), Math.sqrt(6 / 300)],
    'kaimingUniform of a layer': [initialise.kaimingUniform(Math.sqrt(5)), 1 / Math.sqrt(900), 1 / Math.sqrt(300)],
    kaimingNormal: [initialise.kaimingNormal('fanOut'), Math.sqrt(2 / 600), 1],
    xavierUniform: [initialise.xavierUniform(2), 2 * Math.sqrt(2 / 900), 2 * Math.sqrt(6 / 900)],
    xavierNormal: [initialise.xavierNormal(), Math.sqrt(2 / 900), 1],
    // A normal cut at two deviations has deviation 0.8796.
    truncatedNormal: [initialise.truncatedNormal(0.5, 0, -1, 1), 0.8796 * 0.5, 1],
    biasFor: [initialise.biasFor(shape), 1 / Math.sqrt(900), 1 / Math.sqrt(300)],
  }
  it.each(Object.entries(expected))('%s has its deviation and bound', (_, [initialiser, deviation, bound]) => {
    const found = initialise.withSeed(3, () => statistics(initialiser(shape)))
    expect(Math.abs(found.mean)).toBeLessThan(deviation / 20)
    expect(found.deviation / deviation).toBeCloseTo(1, 1)
    expect(found.largest).toBeLessThanOrEqual(Math.fround(bound))
  })
  it('draw the same from the same seed, and leave the numbers around them as they were', () => {
    fc.assert(
      fc.property(fc.integer(), seed => {
        const draw = (): Float32Array => initialise.withSeed(seed, () => initialise.normal()([7]))
        return draw().every((value, i) => value === draw()[i])
      }),
    )
    const pair = (inner: () => void): number[] =>
      initialise.withSeed(1, () => {
        const first = initialise.uniform(0, 1)([1])[0]
        inner()
        return [first, initialise.uniform(0, 1)([1])[0]]
      })
    expect(pair(() => initialise.withSeed(9, () => initialise.normal()([5])))).toEqual(pair(() => undefined))
  })
  it('need a weight of two axes for its fans', () => {
    expect(() => initialise.kaimingUniform()([5])).toThrow('initialise: fans need a weight of at least 2 axes, got [5]')
  })
})
