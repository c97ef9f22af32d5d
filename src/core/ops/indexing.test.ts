import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { check, integers, randomNumbers, randomTensor } from '../../../test/check.ts'
import { grad, type HostTensor, hostTensor, mul, Program, placeholder, sum, tensor, zeros } from '../index.ts'
import * as ops from './indexing.ts'

/** Random indices into an axis of `size`, from its end too. */
function randomIndices(shape: readonly number[], size: number, seed: number, dtype: 'i32' | 'i64' = 'i64'): HostTensor {
  const next = randomNumbers(seed)
  const count = shape.reduce((a, b) => a * b, 1)
  return hostTensor(
    Array.from({ length: count }, () => Math.floor(next() * 2 * size) - size),
    shape,
    dtype,
  )
}

const sizes = (min: number, max: number) => fc.array(fc.integer({ min: 1, max: 4 }), { minLength: min, maxLength: max })

describe('gather', () => {
  it('takes slices along any axis with indices of any rank and either width', async () => {
    await fc.assert(
      fc.asyncProperty(
        sizes(1, 3),
        sizes(0, 2),
        fc.nat(2),
        fc.constantFrom('i32' as const, 'i64' as const),
        fc.nat(1000),
        async (shape, places, axis, dtype, seed) => {
          const along = axis % shape.length
          await check(
            (x, i) => ops.gather(x, i, along),
            [randomTensor(shape, seed), randomIndices(places, shape[along], seed, dtype)],
            { second: true },
          )
        },
      ),
      { numRuns: 8 },
    )
  })
  it('walks shared axes together', async () => {
    await fc.assert(
      fc.asyncProperty(
        sizes(1, 2),
        sizes(1, 3),
        sizes(0, 2),
        fc.nat(2),
        fc.nat(1000),
        async (shared, rest, picked, axis, seed) => {
          const along = shared.length + (axis % rest.length)
          await check(
            (x, i) => ops.gather(x, i, along, { batchDims: shared.length }),
            [
              randomTensor([...shared, ...rest], seed),
              randomIndices([...shared, ...picked], rest[axis % rest.length], seed, 'i32'),
            ],
            { second: true },
          )
        },
      ),
      { numRuns: 8 },
    )
  })
  it('takes nothing for no indices', async () => {
    await check((x, i) => ops.gather(x, i), [randomTensor([3, 2]), integers([])])
    await check((x, i) => ops.gather(x, i, 1), [randomTensor([0, 2]), integers([1, 0])])
  })
  it('reads plain numbers', async () => {
    const rows = await ops
      .gather(
        tensor([
          [1, 2],
          [3, 4],
        ]),
        [-1, 0],
      )
      .value()
    expect([...rows.numbers()]).toEqual([3, 4, 1, 2])
  })
  it('names the index that is out of range, when it is known', () => {
    expect(() => ops.gather(tensor([1, 2, 3]), [0, 3])).toThrow(
      'gather: index 3 is out of range for axis 0 of [3], which takes -3 to 2',
    )
    expect(() => ops.gather(tensor([1, 2, 3]), tensor([0.5]))).toThrow('gather: indices must be i32 or i64, got f32')
    expect(() => ops.gather(tensor([[1, 2]]), tensor([0, 0], [2], 'i64'), 1, { batchDims: 1 })).toThrow(
      'gather: [1,2] and indices [2] do not share 1 leading axes',
    )
  })
})

describe('indexAdd', () => {
  it('adds slices, repeated ones together', async () => {
    await check(
      (x, i, u) => ops.indexAdd(x, i, u),
      [randomTensor([4, 3]), integers([1, 3, 1, -1]), randomTensor([4, 3], 2)],
      {
        second: true,
      },
    )
    await check(
      (x, i, u) => ops.indexAdd(x, i, u, 1),
      [randomTensor([2, 3, 2]), integers([0, 2, 2, 1], [2, 2], 'i32'), randomTensor([2, 2, 2, 2], 2)],
    )
  })
  it('says what shape the updates should have', () => {
    expect(() => ops.indexAdd(tensor([[1, 2]]), [0, 0], tensor([[1, 2]]))).toThrow(
      'indexAdd: updates are [1,2], expected [2,2] for [1,2] and indices [2] along axis 0',
    )
  })
})

describe('single elements along an axis', () => {
  it('takeAlongAxis broadcasts outside the axis', async () => {
    await check((x, i) => ops.takeAlongAxis(x, i, 1), [randomTensor([2, 3, 4]), randomIndices([2, 5, 1], 3, 1)], {
      second: true,
    })
    await check((x, i) => ops.takeAlongAxis(x, i), [randomTensor([1, 4]), randomIndices([3, 2], 4, 1, 'i32')])
  })
  it('scatterAdd adds up repeated indices', async () => {
    await check(
      (x, i, u) => ops.scatterAdd(x, i, u, 0),
      [randomTensor([3, 2]), randomIndices([5, 2], 3, 4), randomTensor([5, 2], 2)],
      { second: true },
    )
    await check(
      (x, i, u) => ops.scatterAdd(x, i, u),
      [randomTensor([3, 2]), integers([1, 1, 0], [1, 3]), randomTensor([3, 3], 2)],
    )
  })
  it('scatter replaces', async () => {
    await check(
      (x, i, u) => ops.scatter(x, i, u),
      [randomTensor([2, 4]), integers([3, 0, 1, -2], [2, 2]), randomTensor([2, 2], 2)],
      { second: true },
    )
  })
  it('refuses what does not fit', () => {
    expect(() => ops.takeAlongAxis(tensor([[1, 2]]), [0])).toThrow(
      'takeAlongAxis: [1,2] and [1] differ in their number of axes',
    )
    expect(() => ops.scatter(tensor([[1, 2]]), [[0], [1]], tensor([[1]]))).toThrow(
      'scatter: indices [2,1] and updates [1,1] do not fit [1,2] along axis 1',
    )
    expect(() => ops.scatterAdd(tensor([[1, 2]]), [[2]], tensor([[1]]))).toThrow('scatterAdd: index 2 is out of range')
    expect(() => ops.scatterAdd(tensor([true]), [0], tensor([true]))).toThrow('scatterAdd: cast the bool tensor')
    expect(() => ops.indexAdd(tensor([true]), [0], tensor([true]))).toThrow('indexAdd: cast the bool tensor')
  })
})

describe('adding up many slices', () => {
  // Enough elements that ONNX Runtime would share one ScatterND out among threads, which lose each other's sums.
  it.each([
    [3, 400, 1024],
    [2, 700000, 1],
    [5000, 300, 1024],
    [40000, 33, 8000],
  ])('loses nothing into %i rows of %i from %i', async (size, width, count) => {
    const next = randomNumbers(size)
    const places = BigInt64Array.from({ length: count }, () => BigInt(Math.floor(next() * size)))
    const updates = Float32Array.from({ length: count * width }, () => Math.round(next() * 8))
    const expected = new Float32Array(size * width)
    for (let k = 0; k < count; k++)
      for (let c = 0; c < width; c++) expected[Number(places[k]) * width + c] += updates[k * width + c]
    const inputs = [placeholder('places', [count], 'i64'), placeholder('updates', [count, width])]
    const sums = ops.indexAdd(zeros([size, width]), inputs[0], inputs[1])
    const program = await Program.compile(inputs, [sums])
    for (let run = 0; run < 3; run++) {
      const [{ data }] = await program.run([hostTensor(places, [count]), hostTensor(updates, [count, width])])
      expect((data as Float32Array).findIndex((value, i) => value !== expected[i])).toBe(-1)
    }
    await program.release()
  })
  it('takes the way of known places: a permutation, or no two equal', async () => {
    await check(x => ops.gather(x, [2, 0, -2], 1), [randomTensor([2, 3, 2])], { second: true })
    await check(x => ops.gather(x, [2, 0]), [randomTensor([4, 3])], { second: true })
  })
  it('keeps apart constants that differ and constants that repeat', async () => {
    const x = tensor(randomTensor([40, 2]).data as Float32Array, [40, 2])
    const counts = async (places: number[]): Promise<number[]> => {
      const [gradient] = grad(sum(ops.gather(x, places)), [x])
      return [...(await gradient.slice(1, 0, 1).value()).numbers()]
    }
    const places = Array.from({ length: 20 }, (_, i) => i)
    expect(await counts(places)).toEqual([...new Array(20).fill(1), ...new Array(20).fill(0)])
    expect(await counts(places.map(i => i >> 1))).toEqual([...new Array(10).fill(2), ...new Array(30).fill(0)])
  })
  it('works under a symbolic batch', async () => {
    const x = placeholder('x', [-1, 3, 2])
    const places = placeholder('places', [-1, 2], 'i32')
    const outputs = [ops.gather(x, places, 1, { batchDims: 1 })]
    outputs.push(...grad(sum(mul(outputs[0], outputs[0])), [x]))
    const program = await Program.compile([x, places], outputs)
    const [rows, gradient] = await program.run([
      hostTensor([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12], [2, 3, 2]),
      integers([0, 0, -1, 1], [2, 2], 'i32'),
    ])
    expect([...rows.numbers()]).toEqual([1, 2, 1, 2, 11, 12, 9, 10])
    expect([...gradient.numbers()]).toEqual([4, 8, 0, 0, 0, 0, 0, 0, 18, 20, 22, 24])
    await program.release()
  })
})

describe('tuples of indices', () => {
  it('gatherNd takes slices, also below shared axes', async () => {
    await check((x, i) => ops.gatherNd(x, i), [randomTensor([3, 4, 2]), integers([0, 1, -1, 3, 2, -4], [3, 2])], {
      second: true,
    })
    await check((x, i) => ops.gatherNd(x, i, 1), [randomTensor([2, 3, 4]), integers([0, 1, -1, 3], [2, 1, 2], 'i32')])
  })
  it('scatterAddNd adds slices', async () => {
    await check(
      ops.scatterAddNd,
      [randomTensor([3, 4, 2]), integers([0, 1, -3, 1, 2, 3], [3, 2]), randomTensor([3, 2], 2)],
      { second: true },
    )
  })
  it('names the axis that a known index leaves', () => {
    expect(() => ops.gatherNd(tensor([[1, 2]]), [[0, 2]])).toThrow(
      'gatherNd: index 2 is out of range for axis 1 of [1,2]',
    )
    expect(() => ops.gatherNd(tensor([1]), [[0, 0]])).toThrow('gatherNd: tuples of 2 indices do not fit [1]')
  })
})

describe('oneHot, maskedFill, arange', () => {
  it('oneHot gives zeros for a class that does not exist', async () => {
    await check(i => ops.oneHot(i, 3), [integers([0, 2, -1, 3], [2, 2])])
    expect([...(await ops.oneHot([0, 2, -1], 3).value()).numbers()]).toEqual([1, 0, 0, 0, 0, 1, 0, 0, 0])
  })
  it('maskedFill keeps the gradient of what it keeps', async () => {
    await check((x, m) => ops.maskedFill(x, m, -5), [randomTensor([2, 3]), hostTensor([1, 0, 1], [3], 'bool')])
  })
  it('arange counts', async () => {
    expect([...(await ops.arange(20, 'i32').value()).numbers()]).toEqual(Array.from({ length: 20 }, (_, i) => i))
    expect(() => ops.arange(-1)).toThrow('arange: expected a whole number of elements, got -1')
  })
})

describe('embedding', () => {
  it('gives no gradient to the padding row', async () => {
    const weight = tensor([
      [1, 2],
      [3, 4],
      [5, 6],
    ])
    const [gradient] = grad(sum(ops.embedding(weight, [2, 0, 2, 1], { paddingIndex: -1 })), [weight])
    expect([...(await gradient.value()).numbers()]).toEqual([1, 1, 1, 1, 0, 0])
  })
  it('agrees with its reference', async () => {
    await check((w, i) => ops.embedding(w, i), [randomTensor([5, 3]), integers([0, 4, 4, 2, 1, 4], [2, 3], 'i32')], {
      second: true,
    })
  })
  it('refuses what no table holds', () => {
    const weight = tensor([
      [1, 2],
      [3, 4],
    ])
    expect(() => ops.embedding(weight, [2])).toThrow('embedding: index 2 is out of range for axis 0 of [2,2]')
    expect(() => ops.embedding(weight, [1], { paddingIndex: 2 })).toThrow(
      'embedding: padding index 2 is out of range for 2 entries',
    )
    expect(() => ops.embedding(tensor([1]), [0])).toThrow('embedding: weight must be [entries, width], got [1]')
  })
})
