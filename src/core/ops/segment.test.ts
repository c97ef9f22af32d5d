import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { check, expectClose, integers, randomNumbers, randomTensor } from '../../../test/check.ts'
import { hostTensor, Program, placeholder, tensor } from '../index.ts'
import { segmentMax, segmentMean, segmentSoftmax, segmentSum } from './segment.ts'

/** Rows of some width, and a segment for each; the last segment stays empty. */
const ragged = fc.record({
  rows: fc.integer({ min: 1, max: 7 }),
  inner: fc.array(fc.integer({ min: 1, max: 3 }), { maxLength: 2 }),
  segments: fc.integer({ min: 2, max: 4 }),
  seed: fc.nat(1000),
})

const idsOf = (rows: number, segments: number, seed: number): number[] => {
  const next = randomNumbers(seed)
  return Array.from({ length: rows }, () => Math.floor(next() * (segments - 1)))
}

describe('segments', () => {
  it.each([
    ['segmentSum', segmentSum],
    ['segmentMean', segmentMean],
    ['segmentSoftmax', segmentSoftmax],
  ] as const)('%s is differentiable twice', async (_, f) => {
    await fc.assert(
      fc.asyncProperty(ragged, async ({ rows, inner, segments, seed }) => {
        await check(
          (x, ids) => f(x.mul(x), ids, segments),
          [
            randomTensor([rows, ...inner], seed),
            integers(idsOf(rows, segments, seed), [rows], seed % 2 ? 'i32' : 'i64'),
          ],
          { second: true },
        )
      }),
      { numRuns: 6 },
    )
  })
  it('segmentMax is differentiable twice where every segment has rows', async () => {
    await fc.assert(
      fc.asyncProperty(ragged, async ({ rows, inner, segments, seed }) => {
        const ids = [...Array(segments).keys(), ...idsOf(rows, segments, seed)]
        await check(
          (x, i) => segmentMax(x.mul(x), i, segments),
          [randomTensor([ids.length, ...inner], seed), integers(ids)],
          {
            second: true,
          },
        )
      }),
      { numRuns: 6 },
    )
  })
  it('without rows hold nothing', async () => {
    const ids = [0, 0, 2]
    const x = tensor([1, 3, -5])
    const numbers = async (t: typeof x): Promise<number[]> => [...(await t.value()).numbers()]
    expect(await numbers(segmentSum(x, ids, 4))).toEqual([4, 0, -5, 0])
    expect(await numbers(segmentMean(x, ids, 4))).toEqual([2, 0, -5, 0])
    expect(await numbers(segmentMax(x, ids, 4))).toEqual([3, Number.NEGATIVE_INFINITY, -5, Number.NEGATIVE_INFINITY])
    await check((r, i) => segmentSum(r, i, 2), [randomTensor([0, 3]), integers([])])
  })
  it('softmax sums to 1, is shift invariant and keeps its range', async () => {
    const ids = [0, 1, 0, 1, 2]
    const scores = [1000, -1000, 1001, -999, 5]
    const y = (await segmentSoftmax(tensor(scores), ids, 3).value()).numbers()
    const p = 1 / (1 + Math.E)
    expectClose(y, [p, p, 1 - p, 1 - p, 1], 1e-6, 'softmax')
    const masked = segmentSoftmax(tensor([Number.NEGATIVE_INFINITY, 0, Number.NEGATIVE_INFINITY]), [0, 1, 1], 2)
    expect([...(await masked.value()).numbers()]).toEqual([0, 1, 0])
  })
  it('segmentMax loses nothing on several threads', async () => {
    const rows = 300000
    const next = randomNumbers(5)
    const ids = Int32Array.from({ length: rows }, () => Math.floor(next() * 3))
    const values = Float32Array.from({ length: rows }, next)
    const expected = [0, 0, 0]
    for (let i = 0; i < rows; i++) expected[ids[i]] = Math.max(expected[ids[i]], values[i])
    const inputs = [placeholder('x', [rows]), placeholder('ids', [rows], 'i32')]
    const program = await Program.compile(inputs, [segmentMax(inputs[0], inputs[1], 3)])
    const [result] = await program.run([hostTensor(values, [rows]), hostTensor(ids, [rows])])
    expect([...result.numbers()]).toEqual(expected)
    await program.release()
  })
  it('ask for one id a row, in range', () => {
    expect(() => segmentSum(tensor([1, 2]), [0], 1)).toThrow(
      'segmentSum: expected one segment id for each row of [2], got [1]',
    )
    expect(() => segmentMax(tensor([1, 2]), [0, 3], 3)).toThrow('segmentMax: index 3 is out of range for axis 0 of [3]')
    expect(() => segmentMean(tensor([1]), [0], 0.5)).toThrow(
      'segmentMean: expected a whole number of segments, got 0.5',
    )
    expect(() => segmentSoftmax(tensor(new Int32Array([1])), [0], 1)).toThrow(
      'segmentSoftmax: expected a floating-point tensor',
    )
  })
})
