import { fromNumbers, isFloat } from '../dtype.ts'
import type { Lowering, Primitive, Reference, Spec } from '../primitive.ts'
import { formatShape, requireConcrete, sizeOf } from '../shape.ts'
import { apply, asTensor, constant, type Node, type Tensor, type TensorLike } from '../tensor.ts'
import {
  type AxisRule,
  interpolationBands,
  isIdentity,
  type MatrixBlock,
  matrixBlocks,
  nearestSources,
  type ResizeMode,
} from './interpolation.ts'
import { expandDims, reshape } from './layout.ts'
import { matmul } from './matmul.ts'

export type { ResizeMode } from './interpolation.ts'

interface ResizeAttributes {
  /** For each axis, how it is resized; null leaves it alone. */
  readonly rules: readonly (AxisRule | null)[]
  /** True for the transposed map, which takes the new sizes back to the old ones. */
  readonly adjoint: boolean
}

const isNearest = ({ mode }: AxisRule): boolean => mode === 'nearest' || mode === 'nearest-exact'

/** Rows computed by one matrix product. Larger matrices are cut, as most of their entries are zeros. */
const BLOCK_ROWS = 64

/**
 * A linear map along each of several axes. Interpolation of two or three axes is separable, so the matrices are small,
 * and products with them run at the speed of matrix products: faster here than ONNX Runtime's Resize for anything but
 * copies, and the gradient is a product with the transposed matrix.
 */
const resizePrimitive: Primitive<ResizeAttributes> = {
  name: 'resize',
  shape: ([x], { rules, adjoint }) => ({
    shape: x.shape.map((dim, axis) => sizesOf(rules[axis], adjoint)?.[1] ?? dim),
    dtype: x.dtype,
  }),
  vjp: (node, [ct]) => {
    const { rules, adjoint } = node.attributes
    return [ct && apply(resizePrimitive, [ct], { rules, adjoint: !adjoint })]
  },
  lower: (to, [x], node) => {
    const { rules, adjoint } = node.attributes
    const [input] = node.inputs
    if (!adjoint && rules.every(rule => rule === null || isNearest(rule))) return lowerCopies(to, x, node)
    const shape = [...input.shape]
    let value = x
    for (const axis of axisOrder(rules, adjoint)) {
      value = lowerProducts(to, value, { shape, dtype: input.dtype }, axis, rules[axis]!, adjoint)
      shape[axis] = sizesOf(rules[axis], adjoint)![1]
    }
    return value
  },
  evaluate: ([x], { rules, adjoint }) => {
    let value = x
    for (const axis of axisOrder(rules, adjoint)) value = evaluateAxis(value, axis, rules[axis]!, adjoint)
    return value.data === x.data ? x.data.slice() : value.data
  },
}

const sizesOf = (rule: AxisRule | null, adjoint: boolean): [number, number] | undefined =>
  rule ? (adjoint ? [rule.to, rule.from] : [rule.from, rule.to]) : undefined

/** The last axis is resized first, while rows are few: its product is one large matrix product. */
function axisOrder(rules: readonly (AxisRule | null)[], adjoint: boolean): number[] {
  const axes = rules.map((rule, axis) => (rule ? axis : -1)).filter(axis => axis >= 0)
  return adjoint ? axes : axes.reverse()
}

/** Nearest neighbours are copied, never multiplied: infinities must not spread, and integers stay what they are. */
function lowerCopies(to: Lowering, x: string, node: Node<ResizeAttributes>): string {
  const { rules } = node.attributes
  const { dtype } = node.inputs[0]
  const agrees = rules.every(rule => rule === null || nearestSources(rule).every(isFlooredQuotient(rule)))
  if (agrees && (dtype === 'f32' || dtype === 'i32' || dtype === 'u8')) {
    return to.emit('Resize', [x, '', '', to.shape(node.outputs[0].shape)], {
      mode: { string: 'nearest' },
      coordinate_transformation_mode: { string: 'asymmetric' },
      nearest_mode: { string: 'floor' },
    })
  }
  return axisOrder(rules, false).reduce(
    (value, axis) => to.emit('Gather', [value, to.ints(nearestSources(rules[axis]!))], { axis: { int: axis } }),
    x,
  )
}

/** Whether ONNX Runtime's Resize, which divides by new/old in float32, copies from the same place. */
const isFlooredQuotient =
  ({ from, to }: AxisRule) =>
  (source: number, i: number): boolean =>
    source === Math.floor(Math.fround(i / Math.fround(to / from)))

function lowerProducts(to: Lowering, x: string, spec: Spec, axis: number, rule: AxisRule, adjoint: boolean): string {
  const { shape } = spec
  const last = axis === shape.length - 1
  // [before, axis, after], with everything after the axis as one, so that it is the last axis but one of a product.
  const flat = last || axis === shape.length - 2
  const inner = sizeOf(shape.slice(axis + 1))
  const value = flat ? x : to.emit('Reshape', [x, to.ints(inferred([...shape.slice(0, axis), shape[axis], inner]))])
  const parts = matrixBlocks(rule, adjoint, BLOCK_ROWS).map(block => {
    const whole = block.columns === shape[axis]
    const read = whole
      ? value
      : to.emit('Slice', [value, to.ints([block.column]), to.ints([block.column + block.columns]), to.ints([axis])])
    return to.emit(
      'MatMul',
      last ? [read, blockMatrix(to, block, spec, true)] : [blockMatrix(to, block, spec, false), read],
    )
  })
  const joined = parts.length === 1 ? parts[0] : to.emit('Concat', parts, { axis: { int: axis } })
  if (flat) return joined
  const out = shape.map((dim, i) => (i === axis ? sizesOf(rule, adjoint)![1] : dim))
  return to.emit('Reshape', [joined, to.ints(inferred(out))])
}

/** The symbolic axis is left to Reshape to work out. */
const inferred = (shape: readonly number[]): number[] => shape.map(dim => (dim < 0 ? -1 : dim))

function blockMatrix(to: Lowering, { rows, columns, at }: MatrixBlock, { dtype }: Spec, transposed: boolean): string {
  const values = Array.from({ length: rows * columns }, (_, i) =>
    transposed ? at(i % rows, Math.floor(i / rows)) : at(Math.floor(i / columns), i % columns),
  )
  return to.constant(fromNumbers(dtype, values), transposed ? [columns, rows] : [rows, columns], dtype)
}

function evaluateAxis(x: Reference, axis: number, rule: AxisRule, adjoint: boolean): Reference {
  const bands = interpolationBands(rule)
  const [from, to] = sizesOf(rule, adjoint)!
  const inner = sizeOf(x.shape.slice(axis + 1))
  const outer = sizeOf(x.shape.slice(0, axis))
  const data = new Float64Array(outer * to * inner)
  for (let o = 0; o < outer; o++)
    bands.forEach(({ start, weights }, i) => {
      weights.forEach((weight, k) => {
        const source = (o * from + (adjoint ? i : start + k)) * inner
        const target = (o * to + (adjoint ? start + k : i)) * inner
        // A weight of 1 copies, whatever the value.
        for (let j = 0; j < inner; j++)
          data[target + j] += weight === 1 ? x.data[source + j] : weight * x.data[source + j]
      })
    })
  return { shape: x.shape.map((dim, i) => (i === axis ? to : dim)), dtype: x.dtype, data }
}

export interface ResizeOptions {
  /** New sizes of the spatial axes, or one for all. */
  readonly size?: number | readonly number[]
  /**
   * Factors instead of sizes: the new size is floor(old scale), and positions are spaced by exactly 1/scale even where
   * that does not divide (PyTorch's `scale_factor` with `recompute_scale_factor` unset).
   */
  readonly scale?: number | readonly number[]
  readonly mode: ResizeMode
  /** Whether the centres of the outermost elements stay in place, instead of their outer edges; default false. For linear and cubic. */
  readonly alignCorners?: boolean
  /** Whether shrinking averages over all elements it skips; default false. For linear and cubic. */
  readonly antialias?: boolean
}

/**
 * Resizes all axes after the second by interpolation, as PyTorch's `interpolate`:
 * new element i reads the old axis at (i + 0.5) old/new - 0.5, or at i (old-1)/(new-1) with `alignCorners`.
 * @param x [batch, channels, ...spatial]; any dtype for the nearest modes, floats otherwise
 * @param options `size` or `scale`, and the `mode` (see {@link ResizeMode})
 * @returns [batch, channels, ...new sizes]
 * @throws when a new size is not a whole number above 0, when both or neither of size and scale are given, or when an
 * option does not apply to the mode
 */
export function resize(x: TensorLike, options: ResizeOptions): Tensor {
  const input = asTensor(x)
  const { mode, alignCorners = false, antialias = false } = options
  const blends = mode === 'linear' || mode === 'cubic'
  if (input.rank < 3) throw new Error(`resize: expected [batch, channels, ...spatial], got ${formatShape(input.shape)}`)
  if (alignCorners && !blends) throw new Error(`resize: alignCorners applies to linear and cubic, not to ${mode}`)
  if (antialias && !blends) throw new Error(`resize: antialias applies to linear and cubic, not to ${mode}`)
  if (!mode.startsWith('nearest') && !isFloat(input.dtype))
    throw new Error(`resize: mode ${mode} needs a floating-point tensor, got ${input.dtype}; cast it or use nearest`)
  const spatial = input.shape.map((_, axis) => axis).slice(2)
  requireConcrete('resize', input.shape, spatial)
  const { sizes, ratios } = targetSizes(input.shape.slice(2), options)
  const rules = input.shape.map((from, axis): AxisRule | null => {
    if (axis < 2) return null
    const rule: AxisRule = { mode, from, to: sizes[axis - 2], ratio: ratios?.[axis - 2], alignCorners, antialias }
    return isIdentity(rule) ? null : rule
  })
  return rules.every(rule => rule === null) ? input : apply(resizePrimitive, [input], { rules, adjoint: false })
}

function targetSizes(
  spatial: readonly number[],
  { size, scale }: ResizeOptions,
): { sizes: readonly number[]; ratios?: readonly number[] } {
  const given = size ?? scale
  if (given === undefined || (size !== undefined && scale !== undefined))
    throw new Error('resize: give either size or scale')
  const each = typeof given === 'number' ? spatial.map(() => given) : given
  const word = size === undefined ? 'scale' : 'size'
  if (each.length !== spatial.length)
    throw new Error(
      `resize: ${word} [${each}] has ${each.length} entries for the ${spatial.length} axes of [${spatial}]`,
    )
  const sizes = size === undefined ? spatial.map((dim, i) => Math.floor(dim * each[i])) : each
  if (spatial.some(dim => dim === 0)) throw new Error(`resize: nothing to interpolate in axes [${spatial}]`)
  if (sizes.some(dim => !Number.isInteger(dim) || dim < 1))
    throw new Error(
      `resize: ${word} [${each}] of axes [${spatial}] gives sizes [${sizes}]; they must be whole and at least 1`,
    )
  return { sizes, ratios: size === undefined ? each.map(factor => 1 / factor) : undefined }
}

/**
 * Sampling positions of affine maps, for `gridSample`: grid[b, ..., :] = theta[b] (position, 1), the positions being those
 * of a regular lattice over -1..1 (PyTorch's `affine_grid`; Jaderberg et al. 2015).
 * @param theta [batch, 2, 3] for images, [batch, 3, 4] for volumes; the last column is the shift
 * @param size sizes of the spatial axes of the output: [height, width] or [depth, height, width]
 * @param options.alignCorners whether -1 and 1 are the centres of the outermost elements, instead of their outer edges; default false
 * @returns [batch, ...size, 2 or 3]; coordinates in the order x, y(, z)
 * @throws when theta does not fit the number of axes, or a size is not a whole number above 0
 */
export function affineGrid(theta: TensorLike, size: readonly number[], { alignCorners = false } = {}): Tensor {
  const maps = asTensor(theta)
  const axes = size.length
  if ((axes !== 2 && axes !== 3) || size.some(dim => !Number.isInteger(dim) || dim < 1))
    throw new Error(`affineGrid: size must be [height, width] or [depth, height, width], got [${size}]`)
  if (maps.rank !== 3 || maps.shape[1] !== axes || maps.shape[2] !== axes + 1)
    throw new Error(
      `affineGrid: theta must be [batch, ${axes}, ${axes + 1}] for size [${size}], got ${formatShape(maps.shape)}`,
    )
  const count = sizeOf(size)
  const lattice = new Float32Array(count * (axes + 1)).fill(1)
  for (let i = 0; i < count; i++) {
    let rest = i
    // Coordinate k runs along the k-th axis from the end: x along the width.
    for (let k = 0; k < axes; k++) {
      const dim = size[axes - 1 - k]
      const place = rest % dim
      rest = Math.floor(rest / dim)
      lattice[i * (axes + 1) + k] = alignCorners
        ? dim > 1
          ? -1 + (2 * place) / (dim - 1)
          : 0
        : (2 * place + 1) / dim - 1
    }
  }
  const positions = expandDims(constant(lattice, [count, axes + 1]), 0)
  return reshape(matmul(positions, maps, { transposeB: true }), [maps.shape[0], ...size, axes])
}
