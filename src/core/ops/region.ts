import { formatShape, requireConcrete, sizeOf } from '../shape.ts'
import { asTensor, constantData, type Tensor, type TensorLike } from '../tensor.ts'
import { cast } from './cast.ts'
import {
  abs,
  add,
  and,
  ceil,
  clip,
  div,
  equal,
  floor,
  greater,
  greaterOrEqual,
  less,
  lessOrEqual,
  maximum,
  mul,
  or,
  relu,
  requireFloat,
  sub,
  where,
} from './elementwise.ts'
import { arange, gather, oneHot } from './indexing.ts'
import { broadcastTo, concat, expandDims, ones, pad, reshape, slice, stack, transpose, zeros } from './layout.ts'
import { matmul } from './matmul.ts'
import { stopGradient, sum } from './reduce.ts'

/** Regions of a batch of feature maps, one coordinate a tensor. */
interface Regions {
  readonly features: Tensor
  readonly count: number
  /** i64 [regions]: the image each lies in. */
  readonly image: Tensor
  /** f32 [regions], in the units of the boxes. */
  readonly left: Tensor
  readonly top: Tensor
  readonly right: Tensor
  readonly bottom: Tensor
  readonly out: readonly [number, number]
}

type OutputSize = number | readonly [height: number, width: number]

function readRegions(op: string, x: TensorLike, regions: TensorLike, size: OutputSize): Regions {
  const features = asTensor(x)
  // Boxes are chosen, not learnt, by what follows: as in torchvision, no gradient reaches them.
  const boxes = stopGradient(asTensor(regions))
  const out = typeof size === 'number' ? ([size, size] as const) : size
  requireFloat(op, features)
  if (features.rank !== 4)
    throw new Error(`${op}: expected features [batch, channels, height, width], got ${formatShape(features.shape)}`)
  if (boxes.rank !== 2 || boxes.shape[1] !== 5)
    throw new Error(`${op}: expected regions [count, 5] as (image, x1, y1, x2, y2), got ${formatShape(boxes.shape)}`)
  if (out.some(dim => !Number.isInteger(dim) || dim < 1))
    throw new Error(`${op}: the output size must be whole and at least 1, got [${out}]`)
  requireConcrete(op, features.shape, [2, 3])
  if (features.shape[2] === 0 || features.shape[3] === 0)
    throw new Error(`${op}: the feature maps ${formatShape(features.shape)} are empty`)
  requireImages(op, asTensor(regions), features.shape[0])
  const column = (k: number): Tensor => boxes.at(null, k)
  return {
    features,
    count: boxes.shape[0],
    image: cast(column(0), 'i64'),
    left: column(1),
    top: column(2),
    right: column(3),
    bottom: column(4),
    out,
  }
}

/** Regions that are known when the graph is built must lie in images that exist. */
function requireImages(op: string, regions: Tensor, batch: number): void {
  const data = constantData(regions)
  if (!data || batch < 0 || regions.dtype === 'f16') return
  for (let i = 0; i < data.length; i += 5)
    if (!(Number(data[i]) >= 0 && Number(data[i]) < batch))
      throw new Error(`${op}: region ${i / 5} lies in image ${data[i]}, but the batch has ${batch}`)
}

export interface RoiAlignOptions {
  /** Cells of the output, [height, width] or one number for both. */
  readonly size: OutputSize
  /** Feature map elements per unit of the boxes (1/stride of the map); default 1. */
  readonly spatialScale?: number
  /** Samples a cell along each axis; default: as many as the cell has elements, ceil(region size / output size). */
  readonly samplingRatio?: number
  /** Whether coordinates count from element edges (shifted by half an element) and regions may be smaller than one element; default false. */
  readonly aligned?: boolean
}

/**
 * Averages of bilinear samples over the cells of regions (He et al. 2017, Mask R-CNN, section 3; torchvision's `roi_align`):
 * y[r, c, i, j] = mean over the samples of cell (i, j) of x[image r, c] at the sample.
 *
 * Samples lie on a lattice, so the sum over them is separable: y[r, c] = A[r] x[image r, c] B[r]^T, where A and B hold how
 * much each row and each column of the map weighs in each cell. They are worked out in closed form, whatever the number of
 * samples, and the rest are matrix products: shapes stay static although adaptive sample counts depend on the boxes.
 * @param x features [batch, channels, height, width]
 * @param regions [count, 5]: index of the image, x1, y1, x2, y2; receives no gradient
 * @returns [count, channels, ...size]. Samples further than one element outside the map count as 0
 * @throws when shapes do not fit, or a constant region names an image that does not exist
 */
export function roiAlign(x: TensorLike, regions: TensorLike, options: RoiAlignOptions): Tensor {
  const { spatialScale = 1, samplingRatio, aligned = false } = options
  if (samplingRatio !== undefined && (!Number.isInteger(samplingRatio) || samplingRatio < 1))
    throw new Error(`roiAlign: samplingRatio must be a whole number above 0, or left out, got ${samplingRatio}`)
  const read = readRegions('roiAlign', x, regions, options.size)
  const weights = (from: Tensor, to: Tensor, cells: number, size: number): Tensor => {
    const start = sub(mul(from, spatialScale), aligned ? 0.5 : 0)
    const end = sub(mul(to, spatialScale), aligned ? 0.5 : 0)
    const extent = aligned ? sub(end, start) : maximum(sub(end, start), 1)
    const step = div(extent, cells)
    // [regions, cells]: where each cell begins.
    const begin = add(expandDims(start, 1), mul(expandDims(step, 1), arange(cells, start.dtype)))
    return samplingRatio === undefined
      ? adaptiveWeights(begin, expandDims(step, 1), size)
      : fixedWeights(begin, expandDims(step, 1), size, samplingRatio)
  }
  const [, , height, width] = read.features.shape
  return contract(
    read,
    weights(read.top, read.bottom, read.out[0], height),
    weights(read.left, read.right, read.out[1], width),
  )
}

/** Mean weight of each element of an axis over `samples` equally spaced in each cell: [regions, cells, size]. */
function fixedWeights(begin: Tensor, step: Tensor, size: number, samples: number): Tensor {
  const offsets = mul(add(arange(samples, begin.dtype), 0.5), 1 / samples)
  // [regions, cells, samples, 1]
  const position = expandDims(add(expandDims(begin, 2), mul(expandDims(step, 2), offsets)), 3)
  const inside = and(greaterOrEqual(position, -1), lessOrEqual(position, size))
  const tent = relu(sub(1, abs(sub(clip(position, 0, size - 1), arange(size, begin.dtype)))))
  return mul(sum(where(inside, tent, 0), 2), 1 / samples)
}

/**
 * The same with ceil(step) samples a cell, without walking over them. The samples of a cell are the arithmetic progression
 * a + s d. Those in [k, k+1) share their weight between elements k and k+1 by their fraction, and the sum of the fractions
 * of a run of samples is their number times the fraction of its middle.
 */
function adaptiveWeights(begin: Tensor, step: Tensor, size: number): Tensor {
  const samples = maximum(ceil(step), 0)
  const some = greater(samples, 0)
  const spacing = where(some, div(step, maximum(samples, 1)), 1)
  const first = expandDims(add(begin, mul(spacing, 0.5)), 2)
  const d = expandDims(spacing, 2)
  const n = expandDims(samples, 2)
  const below = (threshold: Tensor): Tensor => clip(ceil(div(sub(threshold, first), d)), 0, n)
  const borders = sub(arange(size + 1, begin.dtype), 1)
  // How many samples lie before -1, 0, …, size-1; the last interval is closed, [size-1, size].
  const before = below(borders)
  const upTo = clip(add(floor(div(sub(size, first), d)), 1), 0, n)
  const after = concat([slice(before, 2, 1), upTo], 2)
  // [regions, cells, size+1]: the interval from element k to k+1, for k = -1, 0, …, size-1.
  const count = maximum(sub(after, before), 0)
  const middle = add(sub(first, borders), mul(d, mul(sub(add(before, after), 1), 0.5)))
  const fraction = mul(count, middle)
  // Before the first centre and after the last, the outermost element takes all.
  const inner = slice(fraction, 2, 1, size)
  const upper = concat([slice(count, 2, 0, 1), inner], 2)
  const lower = concat([sub(slice(count, 2, 1, size), inner), slice(count, 2, size)], 2)
  return div(add(upper, lower), maximum(n, 1))
}

/** Up to this many images, weights spread over all of them cost less than a copy of its image for every region. */
const FOLDED_IMAGES = 16

/** y[r] = A[r] x[image r] B[r]^T for every channel. */
function contract({ features, count, image, out }: Regions, rows: Tensor, columns: Tensor): Tensor {
  const [batch, channels, height, width] = features.shape
  if (batch < 0 || batch > FOLDED_IMAGES) {
    const own = gather(features, image)
    return matmul(matmul(expandDims(rows, 1), own), expandDims(columns, 1), { transposeB: true })
  }
  // One product for all regions: the rows of all images one below the other, weights being 0 in other images.
  const images = oneHot(image, batch, features.dtype)
  const spread = mul(reshape(images, [count, 1, batch, 1]), expandDims(rows, 2))
  const lines = reshape(transpose(features, [0, 2, 1, 3]), [batch * height, channels * width])
  const cut = matmul(reshape(spread, [count * out[0], batch * height]), lines)
  const cells = matmul(reshape(cut, [count, out[0] * channels, width]), columns, { transposeB: true })
  return transpose(reshape(cells, [count, out[0], channels, out[1]]), [0, 2, 1, 3])
}

/**
 * Maxima over the cells of regions, whose borders are rounded to whole elements (Girshick 2015, Fast R-CNN, section 2.1;
 * torchvision's `roi_pool`). Cells may overlap by one element; one that holds none gives 0. The gradient goes to the first
 * maximum of a cell in row-major order.
 * @param x features [batch, channels, height, width]
 * @param regions [count, 5]: index of the image, x1, y1, x2, y2 (both ends included); receives no gradient
 * @param options.size cells of the output, [height, width] or one number for both
 * @param options.spatialScale feature map elements per unit of the boxes; default 1
 * @returns [count, channels, ...size]
 * @throws when shapes do not fit, or a constant region names an image that does not exist
 */
export function roiPool(
  x: TensorLike,
  regions: TensorLike,
  { size, spatialScale = 1 }: { readonly size: OutputSize; readonly spatialScale?: number },
): Tensor {
  const { features, image, left, top, right, bottom, out, count } = readRegions('roiPool', x, regions, size)
  requireConcrete('roiPool', features.shape, [0])
  const [batch, channels, height, width] = features.shape
  const rows = cellRanges(top, bottom, spatialScale, out[0], height)
  const columns = cellRanges(left, right, spatialScale, out[1], width)
  const { values, places } = rangeMaxima(stopGradient(features))
  // Each cell is the union of four blocks whose sides are powers of two, one in each corner of the cell.
  const corners = [0, 1].flatMap(bottomHalf =>
    [0, 1].map(rightHalf => {
      const block = (cells: CellRanges, second: number, levels: number, length: number): [Tensor, Tensor] => [
        cast(clip(cells.level, 0, levels - 1), 'i64'),
        cast(clip(second ? sub(cells.end, cells.block) : cells.start, 0, length - 1), 'i64'),
      ]
      const [rowLevel, row] = block(rows, bottomHalf, levelsOf(height), height)
      const [columnLevel, column] = block(columns, rightHalf, levelsOf(width), width)
      const level = add(mul(expandDims(rowLevel, 2), levelsOf(width)), expandDims(columnLevel, 1))
      const own = add(mul(level, batch), reshape(image, [count, 1, 1]))
      const flat = add(mul(add(mul(own, height), expandDims(row, 2)), width), expandDims(column, 1))
      return { values: gather(values, flat), places: gather(places, flat) }
    }),
  )
  const { places: chosen } = corners.reduce(firstLargest)
  // The value is read from the features themselves, so that the gradient goes where the maximum is.
  const flat = reshape(features, [batch, channels, height * width])
  const channelOffset = mul(arange(channels), height * width)
  const imageOffset = mul(reshape(image, [count, 1, 1, 1]), channels * height * width)
  const read = gather(reshape(flat, [sizeOf(features.shape)]), add(add(chosen, channelOffset), imageOffset))
  const empty = or(expandDims(rows.empty, 2), expandDims(columns.empty, 1))
  return transpose(where(expandDims(empty, 3), 0, read), [0, 3, 1, 2])
}

/** Cells along one axis, each [regions, cells]: elements start to end-1, which hold two runs of `block` = 2^level. */
interface CellRanges {
  readonly start: Tensor
  readonly end: Tensor
  readonly block: Tensor
  readonly level: Tensor
  readonly empty: Tensor
}

/** C's `round`: halves away from zero. */
const roundAway = (x: Tensor): Tensor => where(less(x, 0), ceil(sub(x, 0.5)), floor(add(x, 0.5)))

function cellRanges(from: Tensor, to: Tensor, spatialScale: number, cells: number, size: number): CellRanges {
  const first = roundAway(mul(from, spatialScale))
  const last = roundAway(mul(to, spatialScale))
  const step = div(maximum(add(sub(last, first), 1), 1), cells)
  const index = arange(cells, from.dtype)
  const border = (edge: Tensor): Tensor => clip(add(edge, expandDims(first, 1)), 0, size)
  const start = border(floor(mul(expandDims(step, 1), index)))
  const end = border(ceil(mul(expandDims(step, 1), add(index, 1))))
  const length = sub(end, start)
  let level = zeros(length.shape, length.dtype)
  let block = ones(length.shape, length.dtype)
  for (let k = 1; k < levelsOf(size); k++) {
    const fits = greaterOrEqual(length, 2 ** k)
    level = where(fits, k, level)
    block = where(fits, 2 ** k, block)
  }
  return { start, end, block, level, empty: lessOrEqual(length, 0) }
}

/** Number of powers of two up to `size`. */
const levelsOf = (size: number): number => Math.floor(Math.log2(size)) + 1

interface Maxima {
  readonly values: Tensor
  /** i64: place of the maximum in its map, row-major; of equal ones the first. */
  readonly places: Tensor
}

function firstLargest(a: Maxima, b: Maxima): Maxima {
  const first = or(greater(a.values, b.values), and(equal(a.values, b.values), less(a.places, b.places)))
  return { values: where(first, a.values, b.values), places: where(first, a.places, b.places) }
}

/**
 * Maxima of all blocks of 2^k rows and 2^l columns (a sparse table: any range is the union of two of its blocks), as rows
 * of channels in the order [k, l, image, first row, first column].
 */
function rangeMaxima(features: Tensor): Maxima {
  const [batch, , height, width] = features.shape
  const channelsLast = transpose(features, [0, 2, 3, 1])
  const place = reshape(arange(height * width), [1, height, width, 1])
  const single: Maxima = { values: channelsLast, places: broadcastTo(place, channelsLast.shape) }
  const tables = doubled(single, 1, height).flatMap(rows => doubled(rows, 2, width))
  const join = (parts: readonly Tensor[]): Tensor =>
    reshape(stack(parts), [parts.length * batch * height * width, channelsLast.shape[3]])
  return { values: join(tables.map(({ values }) => values)), places: join(tables.map(({ places }) => places)) }
}

/** Maxima of runs of 1, 2, 4, … along an axis; runs that would pass the end are shorter. */
function doubled(first: Maxima, axis: number, size: number): Maxima[] {
  const levels = [first]
  for (let k = 1; k < levelsOf(size); k++) {
    const half = 2 ** (k - 1)
    const shift = (t: Tensor): Tensor =>
      pad(
        slice(t, axis, half),
        t.shape.map((_, i): [number, number] => (i === axis ? [0, half] : [0, 0])),
        'replicate',
      )
    const { values, places } = levels[k - 1]
    levels.push(firstLargest({ values, places }, { values: shift(values), places: shift(places) }))
  }
  return levels
}
