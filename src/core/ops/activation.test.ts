import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { check, expectClose, randomTensor, shapes } from '../../../test/check.ts'
import { hostTensor, interpret, tensor } from '../index.ts'
import { writeModel } from '../onnx/write.ts'
import type { Tensor } from '../tensor.ts'
import { placeholder } from '../tensor.ts'
import * as act from './activation.ts'
import { softplus } from './elementwise.ts'

const erf = (x: number): number => interpret([tensor(x).erf()])[0].data[0]
const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x))

/** Each function with its formula, written as its paper writes it. */
const activations: [string, (x: Tensor) => Tensor, (x: number) => number][] = [
  ['gelu', act.gelu, x => (x / 2) * (1 + erf(x / Math.SQRT2))],
  ['geluTanh', act.geluTanh, x => (x / 2) * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)))],
  ['quickGelu', act.quickGelu, x => x * sigmoid(1.702 * x)],
  ['silu', act.silu, x => x * sigmoid(x)],
  ['mish', act.mish, x => x * Math.tanh(Math.log1p(Math.exp(x)))],
  ['logSigmoid', act.logSigmoid, x => Math.log(sigmoid(x))],
  ['softsign', act.softsign, x => x / (1 + Math.abs(x))],
  ['hardSigmoid', act.hardSigmoid, x => Math.min(Math.max(x / 6 + 0.5, 0), 1)],
  ['hardSwish', act.hardSwish, x => x * Math.min(Math.max(x / 6 + 0.5, 0), 1)],
  ['relu6', act.relu6, x => Math.min(Math.max(x, 0), 6)],
  ['leakyRelu', x => act.leakyRelu(x, 0.1), x => (x > 0 ? x : 0.1 * x)],
  ['elu', x => act.elu(x, 0.7), x => (x > 0 ? x : 0.7 * Math.expm1(x))],
  ['selu', act.selu, x => 1.0507009873554805 * (x > 0 ? x : 1.6732632423543772 * Math.expm1(x))],
]

describe('activations', () => {
  it.each(activations)('%s is its formula', (_, f, formula) => {
    const x = Array.from({ length: 41 }, (_, i) => (i - 20) * 0.47 + 0.013)
    const { data } = interpret([f(tensor(x))])[0]
    const read = Array.from(Float32Array.from(x))
    // Constants of a graph are float32, in the float64 reference too.
    expectClose(data, read.map(formula), 1e-6, 'value')
  })
  it.each(activations)('%s agrees with its reference, and so do both derivatives', async (name, f) => {
    // Sigmoid and erf are right to 2e-7, which is much of what little is left of a gated value far below 0.
    const limit = /hard|relu6/.test(name) ? 8 : 3
    await fc.assert(
      fc.asyncProperty(shapes(), fc.nat(1000), async (shape, seed) => {
        await check(f, [randomTensor(shape, seed, -limit, limit)], { second: true, tolerance: 1e-4 })
      }),
      { numRuns: 5 },
    )
    await check(f, [randomTensor([0, 2])])
  })
  it.each(activations)('%s stays finite far from 0', async (_, f) => {
    const far = hostTensor([-100, 100, -1e4, 1e4, 0], [5])
    const { data } = await f(tensor(far.data)).value()
    expect(Array.from(data as Float32Array).every(Number.isFinite)).toBe(true)
  })
  it('softplus is linear past 20 to the last bit, as PyTorch with beta 1 and threshold 20', async () => {
    const { data } = await softplus(tensor([20.5, 30, 100])).value()
    expect([...(data as Float32Array)]).toEqual([20.5, 30, 100])
  })
  it('writes GELU with standard operators where a file must run anywhere', () => {
    const x = placeholder('x', [3])
    for (const f of [act.gelu, act.geluTanh]) {
      const { bytes } = writeModel([{ name: 'x', tensor: x }], [{ name: 'y', tensor: f(x) }], { contributed: false })
      expect(Buffer.from(bytes).toString('latin1')).not.toContain('com.microsoft')
    }
  })
  it('refuse integers', () => {
    const whole = tensor(new Int32Array([1]))
    for (const f of [act.mish, act.elu, act.hardSigmoid, act.leakyRelu] as ((x: Tensor) => Tensor)[])
      expect(() => f(whole)).toThrow('expected a floating-point tensor, got i32')
  })
})

describe('prelu', () => {
  it('has a slope for each channel, or one, and differentiates', async () => {
    await check(act.prelu, [randomTensor([2, 3, 4]), randomTensor([3], 2)], { second: true })
    await check(act.prelu, [randomTensor([2, 3, 4]), randomTensor([1], 2)], { second: true })
    await check(act.prelu, [randomTensor([5]), randomTensor([1], 2)])
    await check(act.prelu, [randomTensor([5, 2]), randomTensor([2], 2)])
  })
  it('refuses another number of slopes', () => {
    expect(() => act.prelu([[1, 2, 3]], [1, 2])).toThrow(
      'prelu: expected 1 weight or one for each of the 3 channels of [1,3], got [2]',
    )
  })
})

describe('glu', () => {
  it('halves any axis, takes any gate, and differentiates', async () => {
    await check(x => act.glu(x), [randomTensor([3, 4])], { second: true })
    await check(x => act.glu(x, 0, act.silu), [randomTensor([4, 3])], { second: true })
  })
  it('refuses an odd axis', () => {
    expect(() => act.glu([[1, 2, 3]])).toThrow('glu: axis 1 of [1,3] has an odd size and cannot be halved')
  })
})
