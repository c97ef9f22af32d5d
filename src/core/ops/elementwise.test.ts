import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { broadcastablePair, check, randomTensor, shapes, shapesWithEmpty } from '../../../test/check.ts'
import { hostTensor, tensor } from '../index.ts'
import type { Tensor } from '../tensor.ts'
import * as ops from './elementwise.ts'

/** Each function with the range its argument is drawn from. */
const unaries: [string, (x: Tensor) => Tensor, number, number][] = [
  ['neg', ops.neg, -2, 2],
  ['abs', ops.abs, -2, 2],
  ['exp', ops.exp, -2, 2],
  ['log', ops.log, 0.1, 3],
  ['sqrt', ops.sqrt, 0.1, 3],
  ['reciprocal', ops.reciprocal, 0.5, 2],
  ['rsqrt', ops.rsqrt, 0.5, 2],
  ['sin', ops.sin, -3, 3],
  ['cos', ops.cos, -3, 3],
  ['tan', ops.tan, -1, 1],
  ['asin', ops.asin, -0.9, 0.9],
  ['acos', ops.acos, -0.9, 0.9],
  ['atan', ops.atan, -3, 3],
  ['sinh', ops.sinh, -2, 2],
  ['cosh', ops.cosh, -2, 2],
  ['tanh', ops.tanh, -2, 2],
  ['asinh', ops.asinh, -2, 2],
  ['acosh', ops.acosh, 1.2, 3],
  ['atanh', ops.atanh, -0.9, 0.9],
  ['sigmoid', ops.sigmoid, -4, 4],
  ['relu', ops.relu, -2, 2],
  ['softplus', ops.softplus, -4, 4],
  ['erf', ops.erf, -3, 3],
  ['log1p', ops.log1p, -0.5, 3],
  ['expm1', ops.expm1, -3, 3],
]

describe('functions of one tensor', () => {
  it.each(unaries)('%s agrees with its reference, and so do both derivatives', async (_, f, low, high) => {
    await fc.assert(
      fc.asyncProperty(shapes(), fc.nat(1000), async (shape, seed) => {
        await check(f, [randomTensor(shape, seed, low, high)], { second: true })
      }),
      { numRuns: 4 },
    )
  })
  it.each(unaries)('%s accepts empty tensors', async (_, f) => {
    await check(f, [randomTensor([0, 3])])
  })
  it.each([
    ['floor', ops.floor],
    ['ceil', ops.ceil],
    ['round', ops.round],
    ['sign', ops.sign],
  ] as const)('%s', async (_, f) => {
    await check(f, [hostTensor([-2.5, -1.5, -0.5, 0, 0.5, 1.5, 2.5, 3.2, -3.7], [9])], { gradient: false })
  })
  it('log1p and expm1 keep small arguments', async () => {
    const tiny = hostTensor([1e-9, -1e-9, 3e-6, 0], [4])
    await check(ops.log1p, [tiny], { gradient: false, tolerance: 1e-6 })
    const { data } = await ops.expm1(tensor(tiny.data)).value()
    for (const [i, x] of Array.from(tiny.data as Float32Array).entries())
      expect(Math.abs(Number(data[i]) - Math.expm1(x))).toBeLessThanOrEqual(2e-7 * Math.abs(x))
  })
  it('isNan and isInfinite see special values', async () => {
    const special = hostTensor([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 1], [4])
    await check(x => [ops.isNan(x), ops.isInfinite(x)], [special], { gradient: false })
  })
  it('refuses integers where only floats make sense', () => {
    expect(() => ops.exp(tensor(new Int32Array([1])))).toThrow(
      'exp: expected a floating-point tensor, got i32; cast it first',
    )
  })
})

const binaries: [string, (a: Tensor, b: Tensor) => Tensor, number, number][] = [
  ['add', ops.add, -2, 2],
  ['sub', ops.sub, -2, 2],
  ['mul', ops.mul, -2, 2],
  ['div', ops.div, 0.5, 2],
  ['pow', ops.pow, 0.5, 2],
  ['maximum', ops.maximum, -2, 2],
  ['minimum', ops.minimum, -2, 2],
  ['mod', ops.mod, 0.6, 2],
  ['atan2', ops.atan2, -2, 2],
]

describe('functions of two tensors', () => {
  it.each(binaries)('%s broadcasts, agrees with its reference and differentiates', async (_, f, low, high) => {
    await fc.assert(
      fc.asyncProperty(broadcastablePair(), fc.nat(1000), async ([a, b], seed) => {
        await check(f, [randomTensor(a, seed, low, high), randomTensor(b, seed + 1, low, high)], { second: true })
      }),
      { numRuns: 5 },
    )
  })
  it('accepts empty operands', async () => {
    await fc.assert(
      fc.asyncProperty(shapesWithEmpty(), async shape => {
        await check(ops.mul, [randomTensor(shape), randomTensor([1])])
      }),
      { numRuns: 5 },
    )
  })
  it.each([
    ['equal', ops.equal],
    ['less', ops.less],
    ['lessOrEqual', ops.lessOrEqual],
    ['greater', ops.greater],
    ['greaterOrEqual', ops.greaterOrEqual],
    ['notEqual', ops.notEqual],
  ] as const)('%s compares', async (_, f) => {
    await check(f, [hostTensor([1, 2, 3], [3, 1]), hostTensor([1, 2, 3], [3])], { gradient: false })
  })
  it('combines booleans', async () => {
    const a = hostTensor([0, 0, 1, 1], [4], 'bool')
    const b = hostTensor([0, 1, 0, 1], [4], 'bool')
    await check(
      (x, y) => [ops.and(x, y), ops.or(x, y), ops.xor(x, y), ops.not(x), ops.where(x, y, ops.not(y))],
      [a, b],
      { gradient: false },
    )
  })
  it('wraps 32-bit integers as machines do', async () => {
    const a = hostTensor(new Int32Array([2147483647, -5, 123456789]), [3])
    const b = hostTensor(new Int32Array([1, 3, 987654321]), [3])
    await check((x, y) => [ops.add(x, y), ops.mul(x, y), ops.sub(x, y)], [a, b], { gradient: false })
  })
  it('truncates integer quotients and floors their remainders', async () => {
    const a = hostTensor(new Int32Array([7, -7, 7, -7]), [4])
    const b = hostTensor(new Int32Array([2, 2, -2, -2]), [4])
    await check((x, y) => [ops.div(x, y), ops.mod(x, y)], [a, b], { gradient: false })
  })
  it('where and clip pass gradients to what was chosen', async () => {
    await check(
      (x, y) => ops.where(ops.greater(x, y), x, ops.mul(y, 2)),
      [randomTensor([3, 4]), randomTensor([4], 9)],
      { second: true },
    )
    await check(x => ops.clip(x, -0.5, 0.7), [randomTensor([5, 5])])
  })
  it('atan2 knows all quadrants and the axes', async () => {
    const y = hostTensor([1, 1, -1, -1, 1, -1, 0, 0, 0], [9])
    const x = hostTensor([1, -1, 1, -1, 0, 0, 1, -1, 0], [9])
    await check(ops.atan2, [y, x], { gradient: false })
  })
  it('pow of a negative base with a whole exponent is exact', async () => {
    await check(x => ops.pow(x, 2).add(ops.pow(x, 3)).add(ops.pow(x, -1)), [randomTensor([7], 5, -2, -0.5)], {
      second: true,
    })
  })
  it('names both shapes when they do not broadcast, and both dtypes when they differ', () => {
    expect(() => ops.add(tensor([1, 2, 3]), tensor([1, 2]))).toThrow(
      'add: shapes [3] and [2] do not broadcast (axis -1)',
    )
    expect(() => ops.add(tensor([1]), tensor(new Int32Array([1])))).toThrow(
      'add: operands are f32[1] and i32[1]; cast one of them',
    )
  })
})
