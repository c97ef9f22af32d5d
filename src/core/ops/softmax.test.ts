import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { check, expectClose, randomTensor, shapes } from '../../../test/check.ts'
import { grad, type HostTensor, hostTensor, interpret, placeholder, tensor } from '../index.ts'
import type { Tensor } from '../tensor.ts'
import { addScaledRows } from './add-scaled.ts'
import { exp, mul } from './elementwise.ts'
import { sum } from './reduce.ts'
import { logSoftmax, maskedSoftmax, softmax } from './softmax.ts'

const shapeAndAxis = shapes(3, 5, 1).chain(shape => fc.tuple(fc.constant(shape), fc.nat(shape.length - 1)))

describe.each([
  ['softmax', softmax],
  ['logSoftmax', logSoftmax],
] as const)('%s', (name, f) => {
  it('agrees with its reference along any axis, and so do both derivatives', async () => {
    await fc.assert(
      fc.asyncProperty(shapeAndAxis, fc.nat(1000), async ([shape, axis], seed) => {
        await check(x => f(x, axis), [randomTensor(shape, seed, -4, 4)], { second: true })
      }),
      { numRuns: 8 },
    )
  })
  it('sums to one and does not change when all scores shift', async () => {
    await fc.assert(
      fc.asyncProperty(shapeAndAxis, fc.double({ min: -60, max: 60, noNaN: true }), async ([shape, axis], shift) => {
        const x = tensor(randomTensor(shape, 5, -4, 4).data, shape)
        const probability = (t: Tensor): Tensor => (name === 'softmax' ? f(t, axis) : exp(f(t, axis)))
        const [total, plain, shifted] = await Promise.all([
          sum(probability(x), axis).value(),
          f(x, axis).value(),
          f(x.add(shift), axis).value(),
        ])
        expectClose(total.numbers(), new Array(total.data.length).fill(1), 1e-5, 'total')
        expectClose(shifted.numbers(), plain.numbers(), 2e-5, 'shifted')
      }),
      { numRuns: 6 },
    )
  })
  it('stays finite for huge scores and knows -infinity', async () => {
    const x = hostTensor([1e30, -1e30, 0, Number.NEGATIVE_INFINITY, 3, 3], [2, 3])
    await check(t => f(t), [x], { gradient: false })
  })
  it('accepts empty tensors and lines of one', async () => {
    await check(x => f(x, 0), [randomTensor([0, 3])])
    await check(x => f(x, 1), [randomTensor([3, 0])])
    await check(x => f(x, 1), [randomTensor([3, 1])], { second: true })
  })
  it('keeps the symbolic batch', () => {
    const x = placeholder('x', [-1, 4])
    expect(f(x).shape).toEqual([-1, 4])
    const [gradient] = grad(sum(mul(f(x), f(x))), [x])
    const values = randomTensor([3, 4])
    const [given] = interpret([gradient], new Map([[x, values.data]]))
    const concrete = placeholder('y', [3, 4])
    const [expected] = interpret(
      grad(sum(mul(f(concrete), f(concrete))), [concrete]),
      new Map([[concrete, values.data]]),
    )
    expect([...given.data]).toEqual([...expected.data])
  })
  it('refuses integers and axes out of range', () => {
    expect(() => f(tensor(new Int32Array([1, 2])))).toThrow(`${name}: expected a floating-point tensor, got i32`)
    expect(() => f(tensor([1, 2]), 1)).toThrow(`${name}: axis 1 is out of range for a tensor of 1 axes`)
  })
})

describe('maskedSoftmax', () => {
  const mask = (shape: number[], seed: number): HostTensor => {
    const numbers = randomTensor(shape, seed, 0, 1).numbers()
    return hostTensor(numbers.map(Math.round), shape, 'bool')
  }
  it('differentiates like its reference with masks that broadcast, also along other axes', async () => {
    await fc.assert(
      fc.asyncProperty(shapeAndAxis, fc.nat(1000), fc.boolean(), async ([shape, axis], seed, wide) => {
        const blocked = mask(wide ? shape : shape.slice(1), seed + 1)
        await check((x, b) => maskedSoftmax(x, b, axis), [randomTensor(shape, seed), blocked], { second: true })
      }),
      { numRuns: 8 },
    )
  })
  it('is the softmax of what remains, zeros where nothing does', async () => {
    const x = tensor([
      [1, 2, 3],
      [4, 5, 6],
    ])
    const blocked = tensor([
      [false, true, false],
      [true, true, true],
    ])
    const { data } = await maskedSoftmax(x, blocked).value()
    const [low, high] = [Math.exp(1), Math.exp(3)]
    expectClose(data as Float32Array, [low / (low + high), 0, high / (low + high), 0, 0, 0], 1e-6, 'masked')
    const [gradient] = grad(
      sum(
        mul(
          maskedSoftmax(x, blocked),
          tensor([
            [1, 2, 3],
            [4, 5, 6],
          ]),
        ),
      ),
      [x],
    )
    expect([...((await gradient.value()).data as Float32Array)].slice(3)).toEqual([0, 0, 0])
  })
  it('refuses a mask that is not bool or does not fit', () => {
    expect(() => maskedSoftmax(tensor([1, 2]), tensor([1, 0]))).toThrow('where: the condition must be bool, got f32')
    expect(() => maskedSoftmax(tensor([1, 2]), tensor([true, false, true]))).toThrow('do not broadcast')
  })
})

describe('addScaledRows', () => {
  it('agrees with its reference and differentiates twice', async () => {
    await fc.assert(
      fc.asyncProperty(shapes(3, 4, 1), async shape => {
        const scale = [...shape.slice(0, -1), 1]
        await check(addScaledRows, [randomTensor(shape, 1), randomTensor(shape, 2), randomTensor(scale, 3)], {
          second: true,
        })
      }),
      { numRuns: 6 },
    )
    await check(addScaledRows, [randomTensor([2, 0]), randomTensor([2, 0]), randomTensor([2, 1])])
  })
  it('names the shapes when they do not fit', () => {
    expect(() => addScaledRows(tensor([[1, 2]]), tensor([[1, 2]]), tensor([1]))).toThrow(
      'addScaledRows: expected x and y of one shape and a scale for each row, got [1,2], [1,2], [1]',
    )
  })
})
