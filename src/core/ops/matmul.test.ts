import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { broadcastablePair, check, randomTensor } from '../../../test/check.ts'
import { grad, interpret, Program, placeholder, simplify, tensor, topologicalOrder } from '../index.ts'
import type { Tensor } from '../tensor.ts'
import { swapAxes } from './layout.ts'
import { matmul } from './matmul.ts'
import { sum } from './reduce.ts'

const size = fc.integer({ min: 1, max: 4 })
const product = (a: Tensor, b: Tensor): Tensor => matmul(a, b)

describe('matmul', () => {
  it('multiplies batches that broadcast, either side transposed; both derivatives agree with differences', async () => {
    await fc.assert(
      fc.asyncProperty(
        broadcastablePair(2, 3),
        fc.tuple(size, size, size),
        fc.boolean(),
        fc.boolean(),
        async ([a, b], [n, k, m], transposeA, transposeB) => {
          await check(
            (x, y) => matmul(x, y, { transposeA, transposeB }),
            [
              randomTensor([...a, ...(transposeA ? [k, n] : [n, k])], 1),
              randomTensor([...b, ...(transposeB ? [m, k] : [k, m])], 2),
            ],
            { second: true },
          )
        },
      ),
      { numRuns: 12 },
    )
  })
  it('takes vectors as a row on the left and a column on the right', async () => {
    await check(product, [randomTensor([3]), randomTensor([3], 2)], { second: true })
    await check(product, [randomTensor([3]), randomTensor([3, 2], 2)], { second: true })
    await check(product, [randomTensor([2, 3]), randomTensor([3], 2)], { second: true })
    await check(product, [randomTensor([3]), randomTensor([2, 3, 4], 2)])
    await check(product, [randomTensor([2, 4, 3]), randomTensor([3], 2)])
    // A vector has nothing to transpose.
    await check(
      (a, b) => matmul(a, b, { transposeA: true, transposeB: true }),
      [randomTensor([3]), randomTensor([3], 2)],
    )
  })
  it('accepts no rows, no columns and an empty sum', async () => {
    await check(product, [randomTensor([0, 3]), randomTensor([3, 2], 2)])
    await check(product, [randomTensor([2, 3]), randomTensor([3, 0], 2)])
    await check(product, [randomTensor([2, 0]), randomTensor([0, 3], 2)])
    await check(product, [randomTensor([2, 3, 4]), randomTensor([4, 0], 2)])
  })
  it('keeps the symbolic batch, forward and back', async () => {
    const x = placeholder('x', [-1, 2, 3])
    const w = placeholder('w', [3, 4])
    const y = matmul(x, w)
    expect(y.shape).toEqual([-1, 2, 4])
    const gradients = grad(sum(matmul(y, y, { transposeB: true })), [x, w])
    const program = await Program.compile([x, w], gradients)
    const results = await program.run([randomTensor([5, 2, 3]), randomTensor([3, 4], 2)])
    expect(results.map(({ shape }) => shape)).toEqual([
      [5, 2, 3],
      [3, 4],
    ])
  })
  it('takes transposes into the product', () => {
    const [a, b] = [placeholder('a', [2, 3]), placeholder('b', [4, 3])]
    const [simple] = simplify([matmul(a, swapAxes(b, 0, 1))])
    expect(topologicalOrder([simple]).map(node => node.primitive.name)).toEqual([
      'placeholder',
      'placeholder',
      'matmul',
    ])
    const values = new Map([
      [a, randomTensor([2, 3]).data],
      [b, randomTensor([4, 3], 2).data],
    ])
    expect(interpret([simple], values)[0].data).toEqual(interpret([matmul(a, b, { transposeB: true })], values)[0].data)
  })
  it('names both shapes when they disagree', () => {
    expect(() => matmul(placeholder('a', [2, 3]), placeholder('b', [2, 3]))).toThrow(
      'matmul: [2,3] and [2,3] disagree on the inner size (3 and 2)',
    )
    expect(() => matmul(placeholder('a', [2, 3]), placeholder('b', [3, 2]), { transposeB: true })).toThrow(
      'matmul: [2,3] and [3,2] transposed disagree',
    )
    expect(() => matmul(tensor(1), tensor([1]))).toThrow('matmul: a scalar cannot be a matrix operand; use mul')
    expect(() => matmul(tensor(new Int32Array([1])), tensor(new Int32Array([1])))).toThrow(
      'matmul: expected a floating-point tensor, got i32',
    )
    expect(() => matmul(placeholder('a', [2, 4, 3]), placeholder('b', [3, 3, 5]))).toThrow('do not broadcast')
  })
})
