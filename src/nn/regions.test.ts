import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { randomTensor } from '../../test/check.ts'
import { evaluate, tensor } from '../core/index.ts'
import { padToMultiple, regionMerge, regionPartition } from './regions.ts'

const numbered = (height: number, width: number) =>
  tensor(
    Float32Array.from({ length: height * width }, (_, i) => i),
    [1, height, width, 1],
  )

describe('regionPartition', () => {
  it('takes regions row by row, and the tokens inside each row by row', async () => {
    const [regions] = await evaluate([regionPartition(numbered(4, 6), [2, 3])])
    expect(regions.shape).toEqual([1, 6, 4, 1])
    expect([...regions.numbers()].slice(0, 8)).toEqual([0, 1, 6, 7, 2, 3, 8, 9])
    expect([...regions.numbers()].slice(12, 16)).toEqual([12, 13, 18, 19])
  })
  it('is undone by regionMerge', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 1, max: 3 }), { minLength: 5, maxLength: 5 }),
        async ([rows, columns, h, w, channels]) => {
          const size = [rows * h, columns * w] as const
          const given = randomTensor([2, ...size, channels])
          const grid = [rows, columns] as const
          const x = tensor(given.data, given.shape)
          const [back] = await evaluate([regionMerge(regionPartition(x, grid), grid, size)])
          expect([...back.numbers()]).toEqual([...given.numbers()])
        },
      ),
      { numRuns: 8 },
    )
  })
  it('says what does not divide, and what is too small', () => {
    expect(() => regionPartition(numbered(4, 6), [3, 3])).toThrow('4x6 tokens do not divide into 3x3 regions')
    expect(() => regionPartition(numbered(2, 6), [3, 3])).toThrow('2x6 tokens are fewer than 3x3 regions')
    expect(() => regionPartition(tensor([1, 2], [2]), [1, 1])).toThrow('expected [batch, height, width, channels]')
  })
})

describe('padToMultiple', () => {
  it('adds zeros below and to the right only as far as needed', async () => {
    const [padded] = await evaluate([padToMultiple(numbered(2, 3).add(1), [3, 2])])
    expect(padded.shape).toEqual([1, 3, 4, 1])
    expect([...padded.numbers()]).toEqual([1, 2, 3, 0, 4, 5, 6, 0, 0, 0, 0, 0])
    const whole = numbered(4, 4)
    expect(padToMultiple(whole, [2, 4])).toBe(whole)
  })
})
