import { describe, expect, it } from 'vitest'
import { check, expectClose, randomTensor } from '../../test/check.ts'
import { evaluate, type HostTensor, type Tensor, tensor } from '../core/index.ts'
import {
  cellCentres,
  MultiScaleDeformableAttention,
  MultiScaleDeformableSelfAttention,
  msDeformAttention,
} from './deformable-attention.ts'
import { withSeed } from './initialise.ts'
import { flattenLevels, type LevelSizes, levelTokens, splitLevels, unflattenLevels } from './levels.ts'

const random = (shape: number[], seed = 1, low = -1, high = 1): Tensor =>
  tensor(randomTensor(shape, seed, low, high).data, shape)
const near = (actual: HostTensor, expected: HostTensor, tolerance: number): void =>
  expectClose(actual.numbers(), expected.numbers(), tolerance, 'values')
const sizes: LevelSizes = [
  [2, 3],
  [1, 2],
]

describe('levels', () => {
  it('puts maps one after another and takes them apart', async () => {
    const maps = sizes.map(([h, w], i) => random([2, 3, h, w], i))
    const flat = flattenLevels(maps)
    expect(flat.shape).toEqual([2, levelTokens(sizes), 3])
    const back = await evaluate(unflattenLevels(flat, sizes))
    const given = await evaluate(maps)
    back.forEach((map, i) => {
      near(map, given[i], 0)
    })
    expect(() => splitLevels(random([1, 7, 3]), sizes)).toThrow('hold 8 tokens, got [1,7,3]')
  })
})

describe('msDeformAttention', () => {
  it('agrees with its reference and has the right gradients', async () => {
    // Places well inside cells: at a line between centres the slope jumps.
    const places = randomTensor([1, 2, 2, 2, 1, 2], 3, 0.3, 0.45)
    await check(
      (value, locations, weights) => msDeformAttention(value, sizes, locations, weights),
      [randomTensor([1, 8, 2, 3], 1), places, randomTensor([1, 2, 2, 2, 1], 4)],
    )
  })
  it('reads a cell at its centre, x before y, and nothing outside', async () => {
    const value = tensor(
      Float32Array.from({ length: 8 }, (_, i) => i + 1),
      [1, 8, 1, 1],
    )
    const at = (x: number, y: number): Tensor => tensor([x, y, 5, 5], [1, 1, 1, 2, 1, 2])
    const ones = tensor([1, 1], [1, 1, 1, 2, 1])
    const [last, between] = await evaluate([
      msDeformAttention(value, sizes, at(2.5 / 3, 0.75), ones),
      msDeformAttention(value, sizes, at(1 / 3, 0.25), ones),
    ])
    expect(last.numbers()[0]).toBeCloseTo(6, 5)
    expect(between.numbers()[0]).toBeCloseTo(1.5, 5)
  })
  it('says what does not fit', () => {
    const weights = random([1, 2, 2, 2, 1])
    const locations = random([1, 2, 2, 2, 1, 2])
    expect(() => msDeformAttention(random([1, 7, 2, 3]), sizes, locations, weights)).toThrow('hold 8 positions')
    expect(() => msDeformAttention(random([1, 8, 2, 3]), sizes, locations, random([1, 2, 2, 1, 1]))).toThrow(
      'expected locations',
    )
  })
})

describe('MultiScaleDeformableAttention', () => {
  const query = random([2, 5, 8], 7)
  const value = random([2, 8, 8], 8)
  const reference = random([2, 5, 1, 2], 9, 0.2, 0.8)

  it('gives weights that sum to 1 for every head', async () => {
    const attention = new MultiScaleDeformableAttention(8, { heads: 2, levels: 2, points: 3 })
    attention.attention_weights.weight.set(randomTensor([12, 8], 2).data as Float32Array<ArrayBuffer>)
    const { weights, locations } = attention.sampling(query, reference, sizes)
    const [sums] = await evaluate([weights.sum([3, 4])])
    expect(locations.shape).toEqual([2, 5, 2, 2, 3, 2])
    for (const sum of sums.numbers()) expect(sum).toBeCloseTo(1, 5)
  })
  it('is a linear map of each token when offsets are 0 and one point of one level is read', async () => {
    const attention = withSeed(2, () => new MultiScaleDeformableSelfAttention(8, { heads: 2, levels: 1, points: 1 }))
    attention.sampling_offsets.bias!.set(new Float32Array(4))
    const x = random([2, 6, 8], 3)
    const [a, b] = await evaluate([
      attention.attend(x, x, [[2, 3]]),
      attention.output_proj.forward(attention.value_proj.forward(x)),
    ])
    near(a, b, 1e-5)
  })
  it('starts with heads that look around a ring', () => {
    const { sampling_offsets } = new MultiScaleDeformableAttention(8, { heads: 4, levels: 1, points: 2 })
    const start = [...(sampling_offsets.bias!.data as Float32Array)].map(v => Math.round(v) + 0)
    expect(start).toEqual([1, 0, 2, 0, 0, 1, 0, 2, -1, 0, -2, 0, 0, -1, 0, -2])
  })
  it('counts offsets in halves of a box where references are boxes', async () => {
    const attention = new MultiScaleDeformableAttention(8, { heads: 4, levels: 2, points: 2 })
    const boxes = tensor([0.5, 0.5, 0.4, 0.2], [1, 1, 1, 4])
    const { locations } = attention.sampling(random([1, 1, 8]), boxes, sizes)
    const [places] = await evaluate([locations.at(0, 0, null, 0)])
    expect([...places.numbers()].slice(0, 4).map(v => Math.round(v * 100) / 100)).toEqual([0.6, 0.5, 0.7, 0.5])
  })
  it('does not read padding', async () => {
    const attention = withSeed(1, () => new MultiScaleDeformableAttention(8, { heads: 2, levels: 2 }))
    const padding = tensor(
      Uint8Array.from({ length: 16 }, (_, i) => (i % 8 < 4 ? 0 : 1)),
      [2, 8],
      'bool',
    )
    const other = value.add(padding.cast('f32').expandDims(-1).mul(3))
    const [a, b] = await evaluate([
      attention.forward(query, reference, value, sizes, padding),
      attention.forward(query, reference, other, sizes, padding),
    ])
    near(b, a, 1e-6)
  })
  it('says what does not fit', () => {
    expect(() => new MultiScaleDeformableAttention(8, { heads: 3 })).toThrow('3 heads do not divide the widths 8 and 8')
    const attention = new MultiScaleDeformableAttention(8, { heads: 2, levels: 3 })
    expect(() => attention.forward(query, reference, value, sizes)).toThrow('built for 3 levels, got sizes of 2')
    const two = new MultiScaleDeformableAttention(8, { heads: 2, levels: 2 })
    expect(() => two.forward(query, random([2, 5, 1, 3]), value, sizes)).toThrow('2 or 4')
  })
})

describe('cellCentres', () => {
  it('goes row by row, x before y', () => {
    expect(cellCentres([[1, 2]]).shape).toEqual([1, 2, 1, 2])
  })
  it('holds the middle of each cell', async () => {
    const [centres] = await evaluate([cellCentres([[2, 2]])])
    expect([...centres.numbers()]).toEqual([0.25, 0.25, 0.75, 0.25, 0.25, 0.75, 0.75, 0.75])
  })
})
