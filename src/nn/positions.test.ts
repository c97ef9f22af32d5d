import { describe, expect, it } from 'vitest'
import { check, expectClose, randomTensor } from '../../test/check.ts'
import { interpret, matmul, type Tensor, tensor } from '../core/index.ts'
import { resizePositions, rotary, sinusoidalGrid, sinusoidalPositions } from './positions.ts'

const numbers = (t: Tensor): Float64Array => interpret([t])[0].data
const random = (shape: number[], seed: number): Tensor => tensor(randomTensor(shape, seed).data, shape)

describe('rotary', () => {
  const [q, k] = [random([5, 6], 1), random([5, 6], 2)]
  /** Products of all positions, both sequences moved by `start`. */
  const products = (layout: 'interleaved' | 'halves', start: number): Float64Array =>
    numbers(matmul(rotary(q, { layout, start }), rotary(k, { layout, start }), { transposeB: true }))

  it.each(['interleaved', 'halves'] as const)('makes products depend on distances only (%s)', layout => {
    expectClose(products(layout, 11), products(layout, 0), 1e-5, 'moved products')
  })
  it('keeps lengths and leaves the first position as it is', () => {
    const turned = rotary(q)
    expectClose(numbers(turned.mul(turned).sum(-1)), numbers(q.mul(q).sum(-1)), 1e-6, 'squared lengths')
    expect([...numbers(turned.at(0))]).toEqual([...numbers(q.at(0))])
  })
  it('has the two layouts agree up to the order of the columns', () => {
    const apart = q.rearrange('n (h two) -> n (two h)', { two: 2 })
    const together = rotary(apart, { layout: 'halves' }).rearrange('n (two h) -> n (h two)', { two: 2 })
    expectClose(numbers(together), numbers(rotary(q)), 1e-12, 'layouts')
  })
  it('has a gradient', async () => {
    await check(x => rotary(x, { base: 100 }), [randomTensor([2, 3, 4], 3)])
    await check(x => rotary(x, { layout: 'halves', start: 4 }), [randomTensor([2, 3, 4], 3)])
  })
  it('needs an even width', () => {
    expect(() => rotary(random([2, 3], 1))).toThrow('rotary: the width must be even, got [2,3]')
  })
})

describe('fixed positions', () => {
  it('hold sines and cosines of the paper', () => {
    const table = numbers(sinusoidalPositions(4, 6))
    expect(table[2 * 6]).toBeCloseTo(Math.sin(2), 6)
    expect(table[2 * 6 + 1]).toBeCloseTo(Math.cos(2), 6)
    expect(table[3 * 6 + 4]).toBeCloseTo(Math.sin(3 / 10000 ** (4 / 6)), 6)
    expect(() => sinusoidalPositions(4, 5)).toThrow('must be even, got 5')
  })
  it('of a grid encode the column in the first half and the row in the second', () => {
    const table = sinusoidalGrid(3, 4, 8).reshape([3, 4, 8])
    const [column, row] = table.split(2, -1)
    expectClose(numbers(column), numbers(column.at([0, 1]).broadcastTo([3, 4, 4])), 0, 'columns')
    expectClose(numbers(row), numbers(row.at(null, [0, 1]).broadcastTo([3, 4, 4])), 0, 'rows')
    expect([...numbers(column.at(0, 2))]).toEqual(
      [Math.sin(2), Math.sin(2 / 100), Math.cos(2), Math.cos(2 / 100)].map(Math.fround),
    )
    expect(() => sinusoidalGrid(3, 4, 6)).toThrow('must be a multiple of 4, got 6')
  })
})

describe('resizePositions', () => {
  it('keeps the leading tokens and positions that are linear in the place', () => {
    const places = [0, 1, 2, 3, 0, 1, 2, 3]
    const positions = resizePositions(tensor([[9, ...places]]).expandDims(-1), [2, 4], [2, 8])
    const values = numbers(positions)
    expect(positions.shape).toEqual([1, 17, 1])
    expect(values[0]).toBe(9)
    for (let x = 4; x < 12; x++) expect(values[1 + (x % 8)]).toBeCloseTo(values[9 + (x % 8)], 6)
    expect(values[1 + 4] - values[1 + 3]).toBeCloseTo(0.5, 1)
  })
  it('leaves a grid of the same size alone and refuses one that does not fit', () => {
    const positions = random([1, 5, 2], 1)
    expect(resizePositions(positions, [2, 2], [2, 2])).toBe(positions)
    expect(resizePositions(positions, [1, 5], [2, 5], 0).shape).toEqual([1, 10, 2])
    expect(() => resizePositions(positions, [2, 3], [4, 4])).toThrow(
      'resizePositions: [1,5,2] does not hold 1 tokens and a grid of 2x3',
    )
  })
})
