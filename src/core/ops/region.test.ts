import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { check, expectClose, randomNumbers, randomTensor } from '../../../test/check.ts'
import { constant, grad, type HostTensor, hostTensor, interpret, mul, sum, type Tensor, tensor } from '../index.ts'
import { type RoiAlignOptions, roiAlign, roiPool } from './region.ts'

const asConstant = ({ data, shape, dtype }: HostTensor): Tensor => constant(data, shape, dtype)
const numbersOf = (t: Tensor): Float64Array => interpret([t])[0].data

/** Boxes of all sizes, some partly or wholly outside a map of `size` elements, some without area. */
function randomBoxes(count: number, batch: number, size: number, seed: number): HostTensor {
  const next = randomNumbers(seed)
  const rows = Array.from({ length: count }, () => {
    const [x, y] = [next(), next()].map(value => value * (size + 3) - 2)
    return [Math.floor(next() * batch), x, y, x + next() * (size + 2), y + next() * (size + 2)]
  })
  return hostTensor(rows.flat(), [count, 5])
}

/** One channel of a map, read by the rule of the paper's code: sample by sample. */
function sampleMap(map: (row: number, column: number) => number, y: number, x: number, height: number, width: number) {
  if (y < -1 || y > height || x < -1 || x > width) return 0
  const along = (position: number, size: number): [number, number, number] => {
    const inside = Math.min(Math.max(position, 0), size - 1)
    const low = Math.floor(inside)
    return [low, Math.min(low + 1, size - 1), inside - low]
  }
  const [top, bottom, fy] = along(y, height)
  const [left, right, fx] = along(x, width)
  return (
    (1 - fy) * ((1 - fx) * map(top, left) + fx * map(top, right)) +
    fy * ((1 - fx) * map(bottom, left) + fx * map(bottom, right))
  )
}

function roiAlignByLoops(x: HostTensor, boxes: HostTensor, options: RoiAlignOptions): number[] {
  const [, channels, height, width] = x.shape
  const [rows, columns] = options.size as [number, number]
  const { spatialScale = 1, samplingRatio, aligned = false } = options
  const data = x.numbers()
  const out: number[] = []
  for (let r = 0; r < boxes.shape[0]; r++) {
    const [image, ...corners] = boxes.numbers().subarray(5 * r, 5 * r + 5)
    const [x1, y1, x2, y2] = corners.map(corner => corner * spatialScale - (aligned ? 0.5 : 0))
    const [cellWidth, cellHeight] = [
      (aligned ? x2 - x1 : Math.max(x2 - x1, 1)) / columns,
      (aligned ? y2 - y1 : Math.max(y2 - y1, 1)) / rows,
    ]
    const [down, across] = [samplingRatio ?? Math.ceil(cellHeight), samplingRatio ?? Math.ceil(cellWidth)]
    for (let c = 0; c < channels; c++)
      for (let i = 0; i < rows; i++)
        for (let j = 0; j < columns; j++) {
          let total = 0
          for (let s = 0; s < down; s++)
            for (let t = 0; t < across; t++)
              total += sampleMap(
                (row, column) => data[((image * channels + c) * height + row) * width + column],
                y1 + (i + (s + 0.5) / down) * cellHeight,
                x1 + (j + (t + 0.5) / across) * cellWidth,
                height,
                width,
              )
          out.push(total / Math.max(down * across, 1))
        }
  }
  return out
}

const roundAway = (value: number): number => Math.sign(value) * Math.floor(Math.abs(value) + 0.5)

function roiPoolByLoops(x: HostTensor, boxes: HostTensor, [rows, columns]: [number, number], scale: number): number[] {
  const [, channels, height, width] = x.shape
  const data = x.numbers()
  const out: number[] = []
  const range = (first: number, last: number, cells: number, i: number, size: number): [number, number] => {
    const step = Math.max(last - first + 1, 1) / cells
    const border = (edge: number): number => Math.min(Math.max(edge + first, 0), size)
    return [border(Math.floor(i * step)), border(Math.ceil((i + 1) * step))]
  }
  for (let r = 0; r < boxes.shape[0]; r++) {
    const [image, ...corners] = boxes.numbers().subarray(5 * r, 5 * r + 5)
    const [x1, y1, x2, y2] = corners.map(corner => roundAway(corner * scale))
    for (let c = 0; c < channels; c++)
      for (let i = 0; i < rows; i++)
        for (let j = 0; j < columns; j++) {
          const [top, bottom] = range(y1, y2, rows, i, height)
          const [left, right] = range(x1, x2, columns, j, width)
          let most = bottom <= top || right <= left ? 0 : Number.NEGATIVE_INFINITY
          for (let row = top; row < bottom; row++)
            for (let column = left; column < right; column++)
              most = Math.max(most, data[((image * channels + c) * height + row) * width + column])
          out.push(most)
        }
  }
  return out
}

const alignOptions = fc.record({
  size: fc.tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 3 })),
  spatialScale: fc.constantFrom(1, 0.75, 0.25),
  samplingRatio: fc.constantFrom(undefined, 1, 2),
  aligned: fc.boolean(),
})
const maps = fc.tuple(fc.integer({ min: 1, max: 8 }), fc.integer({ min: 1, max: 8 }))
/** A fixed seed keeps float32 and float64 on the same side of every rounded border. */
const fixed = { seed: 4, numRuns: 8 }

describe('roiAlign', () => {
  it('agrees with averaging the samples one by one, inside, across and beyond the border', () => {
    fc.assert(
      fc.property(alignOptions, maps, fc.integer({ min: 1, max: 20 }), fc.nat(1000), (options, map, batch, seed) => {
        // More than sixteen images are read through copies instead of one product over all of them.
        const x = randomTensor([batch, 2, ...map], seed)
        const boxes = randomBoxes(5, batch, 10 / options.spatialScale, seed)
        const y = numbersOf(roiAlign(asConstant(x), asConstant(boxes), options))
        expectClose(y, roiAlignByLoops(x, boxes, options), 1e-9, JSON.stringify(options))
      }),
      { seed: 4, numRuns: 100 },
    )
  })
  it('runs as its reference does and differentiates', async () => {
    await fc.assert(
      fc.asyncProperty(alignOptions, maps, fc.constantFrom(2, 17), fc.nat(1000), async (options, map, batch, seed) => {
        const boxes = asConstant(randomBoxes(3, batch, 10 / options.spatialScale, seed))
        await check(x => roiAlign(x, boxes, options), [randomTensor([batch, 2, ...map], seed)])
      }),
      fixed,
    )
  })
  it('a constant map gives that constant for every region inside', () => {
    fc.assert(
      fc.property(alignOptions, fc.nat(1000), (options, seed) => {
        const next = randomNumbers(seed)
        const [x1, y1] = [next() * 4 + 1, next() * 4 + 1]
        const box = [0, x1, y1, x1 + 1 + next() * 3, y1 + 1 + next() * 3].map((v, i) =>
          i ? v / options.spatialScale : v,
        )
        const y = numbersOf(roiAlign(constant(new Float32Array(100).fill(3), [1, 1, 10, 10]), tensor([box]), options))
        expectClose(y, new Array(y.length).fill(3), 1e-6, 'constant')
      }),
    )
  })
  it('regions wholly outside, or turned inside out, give nothing', () => {
    const x = constant(new Float32Array(16).fill(1), [1, 1, 4, 4])
    const boxes = tensor([
      [0, 10, 10, 12, 12],
      [0, 3, 3, 1, 1],
    ])
    expect([...numbersOf(roiAlign(x, boxes, { size: 1, aligned: true }))]).toEqual([0, 0])
  })
  it('sends no gradient to the boxes', () => {
    const boxes = asConstant(randomBoxes(2, 1, 4, 3))
    const y = roiAlign(asConstant(randomTensor([1, 1, 4, 4])), boxes, { size: 2 })
    expect([...numbersOf(grad(sum(y), [boxes])[0])]).toEqual(new Array(10).fill(0))
  })
  it('names what does not fit', () => {
    const x = tensor(new Float32Array(16), [1, 1, 4, 4])
    const boxes = tensor([[0, 0, 0, 2, 2]])
    expect(() => roiAlign(tensor([[1]]), boxes, { size: 2 })).toThrow(
      'roiAlign: expected features [batch, channels, height, width], got [1,1]',
    )
    expect(() => roiAlign(x, tensor([[0, 0, 2, 2]]), { size: 2 })).toThrow(
      'roiAlign: expected regions [count, 5] as (image, x1, y1, x2, y2), got [1,4]',
    )
    expect(() => roiAlign(x, boxes, { size: [2, 0] })).toThrow(
      'roiAlign: the output size must be whole and at least 1, got [2,0]',
    )
    expect(() => roiAlign(x, boxes, { size: 2, samplingRatio: -1 })).toThrow(
      'roiAlign: samplingRatio must be a whole number above 0, or left out, got -1',
    )
    expect(() => roiAlign(x, tensor([[1, 0, 0, 2, 2]]), { size: 2 })).toThrow(
      'roiAlign: region 0 lies in image 1, but the batch has 1',
    )
    expect(() => roiAlign(tensor(new Float32Array(0), [1, 1, 0, 4]), boxes, { size: 2 })).toThrow(
      'roiAlign: the feature maps [1,1,0,4] are empty',
    )
  })
})

const poolSizes = fc.tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 3 }))

describe('roiPool', () => {
  it('agrees with taking the maxima one by one, empty cells included', () => {
    fc.assert(
      fc.property(poolSizes, maps, fc.constantFrom(1, 0.5), fc.nat(1000), (size, map, spatialScale, seed) => {
        const x = randomTensor([2, 2, ...map], seed)
        const boxes = randomBoxes(5, 2, 10 / spatialScale, seed)
        const y = numbersOf(roiPool(asConstant(x), asConstant(boxes), { size, spatialScale }))
        expectClose(y, roiPoolByLoops(x, boxes, size, spatialScale), 0, `${size} of ${map}`)
      }),
      { seed: 4, numRuns: 60 },
    )
  })
  it('runs as its reference does and differentiates', async () => {
    await fc.assert(
      fc.asyncProperty(poolSizes, maps, fc.nat(1000), async (size, map, seed) => {
        const boxes = asConstant(randomBoxes(3, 2, 10, seed))
        await check(x => roiPool(x, boxes, { size }), [randomTensor([2, 2, ...map], seed)])
      }),
      fixed,
    )
  })
  it('of equal maxima the first in row-major order gets the gradient', () => {
    const x = tensor([
      [
        [
          [0, 5, 1],
          [5, 5, 1],
          [0, 1, 5],
        ],
      ],
    ])
    const y = roiPool(x, tensor([[0, 0, 0, 2, 2]]), { size: 1 })
    expect([...numbersOf(grad(sum(mul(y, 3)), [x])[0])]).toEqual([0, 3, 0, 0, 0, 0, 0, 0, 0])
  })
  it('names what does not fit', () => {
    expect(() => roiPool(tensor(new Float32Array(4), [1, 1, 2, 2]), tensor([[0, 0, 2, 2]]), { size: 2 })).toThrow(
      'roiPool: expected regions [count, 5] as (image, x1, y1, x2, y2), got [1,4]',
    )
  })
})
