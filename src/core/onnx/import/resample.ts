import {
  cast,
  concat,
  expandDims,
  gather,
  gridSample,
  matmul,
  moveAxis,
  or,
  reshape,
  resize,
  roiAlign,
  roiPool,
  type SampleMode,
  type SamplePadding,
  where,
} from '../../ops/index.ts'
import { formatShape, normalizeAxis, requireConcrete } from '../../shape.ts'
import { asTensor, constant, type Tensor } from '../../tensor.ts'
import type { NodeReader, OperatorReaders } from './node-reader.ts'
import {
  type CoordinateMode,
  coordinateModes,
  liesOutside,
  nearestSources,
  type ResizedAxis,
  type ResizeRule,
  type Rounding,
  roundings,
  rowOf,
} from './resize-rules.ts'

/** Interpolation matrices are written out as constants up to this size. */
const MAX_MATRIX = 2 ** 24

function ruleOf(node: NodeReader): ResizeRule {
  // The first Resize, and Upsample before it, knew one kind of coordinates.
  const first = node.opset < 11
  return {
    kind: node.choice('mode', 'nearest', ['nearest', 'linear', 'cubic']),
    coordinates: first
      ? 'asymmetric'
      : node.choice<CoordinateMode>('coordinate_transformation_mode', 'half_pixel', coordinateModes),
    rounding: first ? 'by_direction' : node.choice<Rounding>('nearest_mode', 'round_prefer_floor', roundings),
    a: node.float('cubic_coeff_a', -0.75),
    excludeOutside: node.flag('exclude_outside'),
    antialias: node.flag('antialias'),
  }
}

interface Targets {
  readonly sizes: readonly number[]
  readonly scales: readonly number[]
}

/** New sizes from scales, or scales from new sizes, keeping the proportions where the node asks for that (18). */
function targetsOf(node: NodeReader, old: readonly number[], scalesAt: number, sizesAt: number): Targets {
  const attribute = node.floats('scales')
  const scales = node.has(scalesAt) ? node.numbers(scalesAt) : attribute
  if (scales?.length) {
    if (scales.length !== old.length || scales.some(scale => !(scale > 0)))
      throw new Error(`scales [${scales}] do not fit ${formatShape(old)}`)
    return { scales, sizes: old.map((dim, axis) => (scales[axis] === 1 ? dim : Math.floor(dim * scales[axis]))) }
  }
  if (!node.has(sizesAt)) throw new Error('neither scales nor sizes are given')
  const sizes = node.sizes(sizesAt)
  if (sizes.length !== old.length) throw new Error(`sizes [${sizes}] do not fit ${formatShape(old)}`)
  const policy = node.choice('keep_aspect_ratio_policy', 'stretch', ['stretch', 'not_larger', 'not_smaller'])
  const ratios = sizes.map((size, axis) => (size === old[axis] ? 1 : size / old[axis]))
  if (policy === 'stretch') return { sizes, scales: ratios }
  const scale = policy === 'not_larger' ? Math.min(...ratios) : Math.max(...ratios)
  return { sizes: old.map(dim => Math.round(dim * scale)), scales: old.map(() => scale) }
}

function resized(node: NodeReader, roiAt: number, scalesAt: number, sizesAt: number): Tensor {
  const x = node.input(0)
  const rule = ruleOf(node)
  const named = node.ints('axes', [...x.shape.keys()]).map(axis => normalizeAxis(node.op, axis, x.rank))
  const targets = targetsOf(
    node,
    named.map(axis => x.shape[axis]),
    scalesAt,
    sizesAt,
  )
  const cuts = rule.coordinates === 'tf_crop_and_resize'
  const roi = cuts ? node.numbers(roiAt) : []
  if (cuts && roi.length !== 2 * named.length) throw new Error(`roi [${roi}] does not fit ${named.length} axes`)
  const axes = named.flatMap((axis, i): [number, ResizedAxis][] => {
    const [from, to, scale] = [x.shape[axis], targets.sizes[i], targets.scales[i]]
    const crop: [number, number] = cuts ? [roi[i], roi[named.length + i]] : [0, 1]
    if (from === to && scale === 1 && (!cuts || (crop[0] === 0 && crop[1] === 1))) return []
    requireConcrete(node.op, x.shape, [axis])
    if (!(Number.isInteger(to) && to >= 1 && from >= 1)) throw new Error(`axis ${axis} cannot go from ${from} to ${to}`)
    if (from * to > MAX_MATRIX) throw new Error(`resizing an axis from ${from} to ${to} is not supported`)
    return [[axis, { from, to, scale, crop }]]
  })
  const result = rule.kind === 'nearest' ? copied(x, axes, rule) : blended(x, axes, rule)
  return cuts ? filled(result, axes, node.float('extrapolation_value', 0)) : result
}

/** Repeats of whole images have an operator of their own; other copies gather along each axis. */
function copied(x: Tensor, axes: readonly [number, ResizedAxis][], rule: ResizeRule): Tensor {
  const sources = axes.map(([, axis]) => nearestSources(axis, rule))
  const repeats = axes.every(
    ([axis, { from, to }], k) => axis >= 2 && sources[k].every((source, i) => source === Math.floor((i * from) / to)),
  )
  if (repeats && x.rank >= 3 && axes.length > 0) {
    const size = [...x.shape]
    for (const [axis, { to }] of axes) size[axis] = to
    return resize(x, { size: size.slice(2), mode: 'nearest' })
  }
  return axes.reduce((value, [axis], k) => gather(value, integers(sources[k]), axis), x)
}

/** One product with the interpolation matrix of each axis. */
function blended(x: Tensor, axes: readonly [number, ResizedAxis][], rule: ResizeRule): Tensor {
  return axes.reduceRight((value, [place, axis]) => {
    const matrix = new Float32Array(axis.to * axis.from)
    for (let i = 0; i < axis.to; i++) matrix.set(rowOf(i, axis, rule), i * axis.from)
    const weights = cast(constant(matrix, [axis.to, axis.from]), value.dtype)
    if (place === value.rank - 1) return matmul(value, weights, { transposeB: true })
    if (place === value.rank - 2) return matmul(weights, value)
    return moveAxis(matmul(moveAxis(value, place, -1), weights, { transposeB: true }), -1, place)
  }, x)
}

/** What lies outside the image that was cut takes a value of its own. */
function filled(x: Tensor, axes: readonly [number, ResizedAxis][], value: number): Tensor {
  const masks = axes.map(([place, axis]) => {
    const outside = Uint8Array.from({ length: axis.to }, (_, i) => Number(liesOutside(i, axis)))
    return reshape(
      constant(outside, [axis.to], 'bool'),
      x.shape.map((_, i) => (i === place ? axis.to : 1)),
    )
  })
  return masks.length ? where(masks.reduce(or), asTensor(value, x.dtype), x) : x
}

const integers = (values: readonly number[]): Tensor => constant(BigInt64Array.from(values, BigInt), [values.length])

const sampleModes: Record<string, SampleMode> = {
  bilinear: 'linear',
  linear: 'linear',
  nearest: 'nearest',
  bicubic: 'cubic',
  cubic: 'cubic',
}

function sampled(node: NodeReader): Tensor {
  const mode = node.choice('mode', node.opset >= 20 ? 'linear' : 'bilinear', Object.keys(sampleModes))
  return gridSample(node.input(0), node.input(1), {
    mode: sampleModes[mode],
    padding: node.choice<SamplePadding>('padding_mode', 'zeros', ['zeros', 'border', 'reflection']),
    alignCorners: node.flag('align_corners'),
  })
}

/** Means over the cells of boxes; coordinates count from pixel edges unless the node says otherwise (16), before that never. */
function alignedRegions(node: NodeReader): Tensor {
  const x = node.input(0)
  if (node.choice('mode', 'avg', ['avg', 'max']) === 'max') throw new Error("mode 'max' is not supported")
  const boxes = node.input(1)
  const images = expandDims(cast(node.input(2), boxes.dtype), 1)
  const coordinates = node.choice(
    'coordinate_transformation_mode',
    node.opset >= 16 ? 'half_pixel' : 'output_half_pixel',
    ['half_pixel', 'output_half_pixel'],
  )
  const samples = node.int('sampling_ratio', 0)
  return roiAlign(x, concat([images, boxes], 1), {
    size: [node.int('output_height', 1), node.int('output_width', 1)],
    spatialScale: node.float('spatial_scale', 1),
    samplingRatio: samples > 0 ? samples : undefined,
    aligned: coordinates === 'half_pixel',
  })
}

function maxRegions(node: NodeReader): Tensor {
  const [height, width] = node.ints('pooled_shape', [])
  return roiPool(node.input(0), node.input(1), {
    size: [height, width],
    spatialScale: node.float('spatial_scale', 1),
  })
}

export const resampleReaders: OperatorReaders = {
  GridSample: sampled,
  MaxRoiPool: maxRegions,
  Resize: node => (node.opset < 11 ? resized(node, -1, 1, -1) : resized(node, 1, 2, 3)),
  RoiAlign: alignedRegions,
  Upsample: node => resized(node, -1, 1, -1),
}
