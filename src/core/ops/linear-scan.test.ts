import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { check, expectClose, randomTensor } from '../../../test/check.ts'
import { associativeScan, grad, interpret, linearScan, placeholder, simplify, type Tensor, tensor } from '../index.ts'

/** h_t = a_t h_{t-1} + b_t for [outer, steps, inner], by plain loops. */
function recurrence(a: ArrayLike<number>, b: ArrayLike<number>, shape: readonly number[], reverse: boolean): number[] {
  const [outer, steps, inner] = shape
  const h = new Array<number>(outer * steps * inner)
  for (let o = 0; o < outer; o++)
    for (let i = 0; i < inner; i++) {
      let state = 0
      for (let s = 0; s < steps; s++) {
        const k = (o * steps + (reverse ? steps - 1 - s : s)) * inner + i
        state = a[k] * state + b[k]
        h[k] = state
      }
    }
  return h
}

const shapes = fc.tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 20 }))

describe('linearScan', () => {
  it('is the recurrence, in both directions', async () => {
    await fc.assert(
      fc.asyncProperty(shapes, fc.boolean(), fc.nat(1000), async (shape, reverse, seed) => {
        const [a, b] = [randomTensor(shape, seed, -1, 1), randomTensor(shape, seed + 1)]
        const h = linearScan(tensor(a.data, shape), tensor(b.data, shape), { axis: 1, reverse })
        const expected = recurrence(a.numbers(), b.numbers(), shape, reverse)
        expectClose(interpret([h])[0].data, expected, 1e-12, 'interpreter')
        expectClose((await h.value()).numbers(), expected, 1e-5, 'runtime')
      }),
      { numRuns: 10 },
    )
  })
  it.each([
    [0, false],
    [1, true],
    [2, false],
  ])('along axis %d, reversed: %s: has both derivatives, of its start too', async (axis, reverse) => {
    const shape = [3, 2, 4]
    const start = shape.filter((_, i) => i !== axis)
    await check(
      (a, b, initial) => linearScan(a, b, { axis, reverse, initial }),
      [randomTensor(shape, 1, -1, 1), randomTensor(shape, 2), randomTensor(start, 3)],
      { second: true },
    )
  })
  it('broadcasts decays and inputs without spreading them over the steps', async () => {
    const shapesOf = [
      [
        [1, 2, 3],
        [4, 2, 3],
      ],
      [[3], [4, 2, 3]],
      [
        [4, 2, 1],
        [4, 1, 3],
      ],
      [
        [4, 1, 1],
        [2, 3],
      ],
      [[], [4, 2, 3]],
    ]
    for (const [a, b] of shapesOf)
      await check((decay, input) => linearScan(decay, input), [randomTensor(a, 1, -1, 1), randomTensor(b, 2)], {
        second: true,
      })
    const loop = linearScan(placeholder('a', [3]), placeholder('b', [4, 2, 3]))
    expect(loop.node.inputs.map(({ size }) => size)).toEqual([6, 24, 3])
  })
  it('with decay 0.9 and constant input tends to input / 0.1; with decay 1 it is the cumulative sum', async () => {
    const long = await linearScan(0.9, tensor(new Float32Array(300).fill(1))).value()
    expect(long.numbers()[299]).toBeCloseTo(10, 4)
    expect((await linearScan(1, tensor([1, 2, 3, 4])).value()).toArray()).toEqual([1, 3, 6, 10])
    expect((await linearScan(1, tensor([1, 2, 3, 4]), { reverse: true }).value()).toArray()).toEqual([10, 9, 7, 4])
  })
  it('keeps decays of 0 and of either sign, where products of decays would fail', async () => {
    const a = tensor([0.5, 0, -0.5, 0, 1e-30, 0.5])
    expect((await linearScan(a, tensor([1, 2, 3, 4, 5, 6])).value()).toArray()).toEqual([1, 2, 2, 4, 5, 8.5])
  })
  it('trains at length 1024 with one state kept for each step', () => {
    const [a, b] = [placeholder('a', [1, 1024, 8]), placeholder('b', [1, 1024, 8])]
    const h = linearScan(a, b, { axis: 1 })
    const loops = new Set<Tensor['node']>()
    const walk = (t: Tensor): void => {
      if (t.node.primitive.name === 'scan') loops.add(t.node)
      for (const input of t.node.inputs) walk(input)
    }
    for (const t of simplify([h, ...grad(h.sum(), [a, b])])) walk(t)
    // Forward: the last state, all states, and the state each step starts from. Backward: the last cotangent, da and db.
    expect([...loops].map(node => node.outputs.map(({ size }) => size)).sort()).toEqual([
      [8, 8192, 8192],
      [8, 8192, 8192],
    ])
  })
  it('names the shapes that do not fit', () => {
    expect(() => linearScan(tensor([1, 2]), tensor([1, 2, 3]))).toThrow(
      'linearScan: shapes [2] and [3] do not broadcast',
    )
    expect(() => linearScan(placeholder('a', [-1, 2]), tensor([1, 2]))).toThrow('axis 0 of [N,2] is the symbolic batch')
    expect(() => linearScan(tensor([1]), tensor([1]), { axis: 1 })).toThrow('linearScan: axis 1 is out of range')
  })
})

describe('associativeScan', () => {
  const compose = ([a1, b1]: readonly Tensor[], [a2, b2]: readonly Tensor[]) => [a1.mul(a2), b1.mul(a2).add(b2)]

  it('of affine maps is the linear recurrence, for every length and axis', async () => {
    await fc.assert(
      fc.asyncProperty(shapes, fc.boolean(), fc.nat(1000), async (shape, reverse, seed) => {
        const a = tensor(randomTensor(shape, seed, -1, 1).data, shape)
        const b = tensor(randomTensor(shape, seed + 1).data, shape)
        const [prefix, h] = associativeScan(compose, [a, b], 1, { reverse })
        const [expected, product, actual, first] = interpret([
          linearScan(a, b, { axis: 1, reverse }),
          a.prod(1),
          h,
          prefix.slice(1, reverse ? 0 : -1, reverse ? 1 : undefined).squeeze(1),
        ])
        expectClose(actual.data, expected.data, 1e-12, 'states')
        expectClose(first.data, product.data, 1e-12, 'product of all decays')
      }),
      { numRuns: 20 },
    )
  })
  it('keeps the order of operands that do not commute', async () => {
    const last = ([left]: readonly Tensor[], [right]: readonly Tensor[]) => [right.add(left.mul(0))]
    const x = tensor([1, 2, 3, 4, 5])
    expect((await associativeScan(last, [x])[0].value()).toArray()).toEqual([1, 2, 3, 4, 5])
    const matrices = tensor(randomTensor([6, 2, 2], 3).data, [6, 2, 2])
    const [products] = associativeScan(([l], [r]) => [l.matmul(r)], [matrices])
    const expected: Tensor[] = [matrices.at(0)]
    for (let i = 1; i < 6; i++) expected.push(expected[i - 1].matmul(matrices.at(i)))
    const [actual, ...each] = interpret([products, ...expected])
    expectClose(
      actual.data,
      each.flatMap(({ data }) => [...data]),
      1e-12,
      'products',
    )
  })
  it('has both derivatives through those of the operation', async () => {
    await check(
      (a, b) => associativeScan(compose, [a, b], 1),
      [randomTensor([2, 5], 1, -1, 1), randomTensor([2, 5], 2)],
      { second: true },
    )
  })
  it('says what does not fit', () => {
    expect(() => associativeScan(compose, [tensor([1, 2]), tensor([1, 2, 3])])).toThrow(
      'associativeScan: [2] and [3] differ in size along axis 0',
    )
    expect(() => associativeScan(([l]) => [l, l], [tensor([1, 2])])).toThrow(
      'associativeScan: combine returned 2 tensors for elements of 1',
    )
  })
})
