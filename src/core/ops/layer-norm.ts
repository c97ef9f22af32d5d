import { fromNumbers } from '../dtype.ts'
import type { Lowering, Primitive, Reference, Spec } from '../primitive.ts'
import { formatShape, requireConcrete, type Shape, sameShape, sizeOf } from '../shape.ts'
import type { Node, Tensor, TensorLike } from '../tensor.ts'
import { applyMany, asTensor } from '../tensor.ts'
import { addScaledRows } from './add-scaled.ts'
import { cast } from './cast.ts'
import { add, mul, requireFloat, sub } from './elementwise.ts'
import { broadcastTo, ones, reshape } from './layout.ts'
import { matmul } from './matmul.ts'
import { sum } from './reduce.ts'

interface NormAttributes {
  /** How many trailing axes are normalised together. */
  readonly axes: number
  readonly epsilon: number
}

/** The two sizes a norm over trailing axes sees: lines to normalise, and elements in each. */
function rowsOf(shape: Shape, axes: number): [rows: number, length: number] {
  const cut = shape.length - axes
  return [sizeOf(shape.slice(0, cut)), sizeOf(shape.slice(cut))]
}

const statisticsShape = (shape: Shape, axes: number): number[] =>
  shape.map((dim, axis) => (axis < shape.length - axes ? dim : 1))

function checkNorm(name: string, [x, weight, bias]: readonly Spec[], { axes, epsilon }: NormAttributes): void {
  requireFloat(name, x)
  if (!Number.isInteger(axes) || axes < 1 || axes > x.shape.length)
    throw new Error(`${name}: axes is ${axes}, but ${formatShape(x.shape)} has ${x.shape.length} axes to normalise`)
  if (!(epsilon >= 0)) throw new Error(`${name}: epsilon is ${epsilon}; it must be 0 or more`)
  const trailing = x.shape.slice(-axes)
  requireConcrete(
    name,
    x.shape,
    trailing.map((_, i) => x.shape.length - axes + i),
  )
  if (sizeOf(trailing) === 0) throw new Error(`${name}: nothing to normalise in ${formatShape(x.shape)}`)
  for (const [role, given] of [['weight', weight] as const, ['bias', bias] as const])
    if (given && !sameShape(given.shape, trailing))
      throw new Error(
        `${name}: ${role} is ${formatShape(given.shape)} but the normalised axes are ${formatShape(trailing)}`,
      )
}

const onesFor = (to: Lowering, { shape, dtype }: Spec, axes: number): string => {
  const trailing = shape.slice(-axes)
  return to.constant(fromNumbers(dtype, new Array<number>(sizeOf(trailing)).fill(1)), trailing, dtype)
}

/** Runs `row` on each line of a reference, with the line's first position. */
function eachRow(x: Reference, axes: number, row: (values: Float64Array, start: number, index: number) => void): void {
  const [rows, length] = rowsOf(x.shape, axes)
  for (let r = 0; r < rows; r++) row(x.data.subarray(r * length, (r + 1) * length), r * length, r)
}

const meanOf = (values: Float64Array, f: (value: number) => number): number => {
  let total = 0
  for (const value of values) total += f(value)
  return total / values.length
}

/** Inputs x, weight, bias (the last two may be missing from the end); outputs y, mean and 1/sqrt(variance + epsilon). */
const layerNormPrimitive: Primitive<NormAttributes> = {
  name: 'layerNorm',
  shape: (inputs, attributes) => {
    checkNorm('layerNorm', inputs, attributes)
    const statistics: Spec = { shape: statisticsShape(inputs[0].shape, attributes.axes), dtype: 'f32' }
    return [{ shape: inputs[0].shape, dtype: inputs[0].dtype }, statistics, statistics]
  },
  vjp: (node, cotangents) => layerNormGradient(node, cotangents),
  lower: (to, [x, weight, bias], { attributes: { axes, epsilon }, inputs }) =>
    to.emitMany(
      'LayerNormalization',
      [x, weight ?? onesFor(to, inputs[0], axes), ...(bias === undefined ? [] : [bias])],
      3,
      { axis: { int: -axes }, epsilon: { float: epsilon } },
    ),
  evaluate: ([x, weight, bias], { axes, epsilon }) => {
    const [rows] = rowsOf(x.shape, axes)
    const result = new Float64Array(x.data.length)
    const means = new Float64Array(rows)
    const inverses = new Float64Array(rows)
    eachRow(x, axes, (values, start, r) => {
      const mean = meanOf(values, value => value)
      const inverse = 1 / Math.sqrt(meanOf(values, value => (value - mean) ** 2) + epsilon)
      values.forEach((value, i) => {
        result[start + i] = (value - mean) * inverse * (weight?.data[i] ?? 1) + (bias?.data[i] ?? 0)
      })
      means[r] = mean
      inverses[r] = inverse
    })
    return [result, means, inverses]
  },
}

/**
 * With n values a line, z = (x - mean) s and g = ct * weight:
 * dx = s (g - mean(g) - z mean(g z)), dweight = sum(ct z), dbias = sum(ct).
 * The mean of g z is taken as a product of ct z with the weight, so that ct z serves both (docs/decisions/0006).
 */
function layerNormGradient(
  { inputs, outputs, attributes: { axes } }: Node<NormAttributes>,
  [ct, meanCotangent, inverseCotangent]: readonly (Tensor | undefined)[],
): (Tensor | undefined)[] {
  const [x, weight, bias] = inputs
  const [rows, length] = rowsOf(x.shape, axes)
  const perRow = (t: Tensor): Tensor => cast(reshape(t, [rows, 1]), x.dtype)
  const mean = perRow(outputs[1])
  const inverse = perRow(outputs[2])
  const normal = mul(sub(reshape(x, [rows, length]), mean), inverse)
  const parts: Tensor[] = []
  let weightGradient: Tensor | undefined
  let biasGradient: Tensor | undefined
  if (ct) {
    const flat = reshape(ct, [rows, length])
    const scaled = weight ? mul(flat, reshape(weight, [length])) : flat
    const along = mul(flat, normal)
    const projection = weight ? matmul(along, reshape(weight, [length, 1])) : sum(along, -1, true)
    const total = sum(scaled, -1, true)
    const tangent = sub(addScaledRows(scaled, normal, mul(projection, -1 / length)), mul(total, 1 / length))
    parts.push(mul(tangent, inverse))
    weightGradient = weight && reshape(sum(along, 0), weight.shape)
    biasGradient = bias && reshape(sum(flat, 0), bias.shape)
  }
  if (meanCotangent) parts.push(broadcastTo(mul(perRow(meanCotangent), 1 / length), [rows, length]))
  if (inverseCotangent) parts.push(mul(normal, mul(mul(mul(inverse, inverse), perRow(inverseCotangent)), -1 / length)))
  const gradient = parts.length ? reshape(parts.reduce(add), x.shape) : undefined
  return [gradient, weightGradient, biasGradient]
}

export interface NormOptions {
  /** Multiplies the normalised values. */
  readonly weight?: TensorLike
  /** Added at the end. */
  readonly bias?: TensorLike
  /** Added to the variance (or mean square); default 1e-5. */
  readonly epsilon?: number
}

/**
 * (x - mean) / sqrt(variance + epsilon) * weight + bias, with mean and population variance over trailing axes.
 * @param axes how many trailing axes are normalised together; default 1
 * @param weight, bias of those axes' shape; left out: 1 and 0
 * @throws when weight or bias do not have that shape. Source: Ba, Kiros & Hinton 2016; ONNX LayerNormalization-17
 */
export function layerNorm(
  x: TensorLike,
  { weight, bias, axes = 1, epsilon = 1e-5 }: NormOptions & { readonly axes?: number } = {},
): Tensor {
  const input = asTensor(x)
  const scale = weight ?? (bias === undefined ? undefined : ones(input.shape.slice(-axes), input.dtype))
  const inputs = [input, scale, bias].filter(given => given !== undefined).map(given => asTensor(given))
  return applyMany(layerNormPrimitive, inputs, { axes, epsilon })[0]
}

/** Inputs x and perhaps weight; outputs y and 1/sqrt(mean(x^2) + epsilon). */
const rmsNormPrimitive: Primitive<NormAttributes> = {
  name: 'rmsNorm',
  shape: (inputs, attributes) => {
    checkNorm('rmsNorm', inputs, attributes)
    return [
      { shape: inputs[0].shape, dtype: inputs[0].dtype },
      { shape: statisticsShape(inputs[0].shape, attributes.axes), dtype: 'f32' },
    ]
  },
  vjp: (node, cotangents) => rmsNormGradient(node, cotangents),
  lower: (to, [x, weight], { attributes: { axes, epsilon }, inputs: [{ shape, dtype }] }) => {
    // ONNX Runtime keeps this operator, which no ONNX file may hold, in the standard domain; over several axes it gives
    // its second output a wrong shape.
    if (to.contributed && axes === 1)
      return to.emitMany('SimplifiedLayerNormalization', [x, weight ?? onesFor(to, { shape, dtype }, axes)], 2, {
        axis: { int: -axes },
        epsilon: { float: epsilon },
      })
    const trailing = Array.from({ length: axes }, (_, i) => shape.length - axes + i)
    const square = to.emit('ReduceMean', [to.emit('Mul', [x, x]), ...(to.opset >= 18 ? [to.ints(trailing)] : [])], {
      keepdims: { int: 1 },
      ...(to.opset >= 18 ? {} : { axes: { ints: trailing } }),
    })
    const shifted = to.emit('Add', [square, to.scalar(epsilon, dtype)])
    const inverse = to.emit('Reciprocal', [to.emit('Sqrt', [shifted])])
    const normal = to.emit('Mul', [x, inverse])
    const scaled = weight === undefined ? normal : to.emit('Mul', [normal, weight])
    return [scaled, dtype === 'f32' ? inverse : to.emit('Cast', [inverse], { to: { int: 1 } })]
  },
  evaluate: ([x, weight], { axes, epsilon }) => {
    const [rows] = rowsOf(x.shape, axes)
    const result = new Float64Array(x.data.length)
    const inverses = new Float64Array(rows)
    eachRow(x, axes, (values, start, r) => {
      inverses[r] = 1 / Math.sqrt(meanOf(values, value => value * value) + epsilon)
      values.forEach((value, i) => {
        result[start + i] = value * inverses[r] * (weight?.data[i] ?? 1)
      })
    })
    return [result, inverses]
  },
}

/** With z = x s and g = ct * weight: dx = s (g - z mean(g z)), dweight = sum(ct z). */
function rmsNormGradient(
  { inputs: [x, weight], outputs, attributes: { axes } }: Node<NormAttributes>,
  [ct, inverseCotangent]: readonly (Tensor | undefined)[],
): (Tensor | undefined)[] {
  const [rows, length] = rowsOf(x.shape, axes)
  const inverse = cast(reshape(outputs[1], [rows, 1]), x.dtype)
  const normal = mul(reshape(x, [rows, length]), inverse)
  const parts: Tensor[] = []
  let weightGradient: Tensor | undefined
  if (ct) {
    const flat = reshape(ct, [rows, length])
    const scaled = weight ? mul(flat, reshape(weight, [length])) : flat
    const along = mul(flat, normal)
    const projection = weight ? matmul(along, reshape(weight, [length, 1])) : sum(along, -1, true)
    parts.push(mul(addScaledRows(scaled, normal, mul(projection, -1 / length)), inverse))
    weightGradient = weight && reshape(sum(along, 0), weight.shape)
  }
  if (inverseCotangent) {
    const slope = mul(mul(inverse, inverse), cast(reshape(inverseCotangent, [rows, 1]), x.dtype))
    parts.push(mul(normal, mul(slope, -1 / length)))
  }
  return [parts.length ? reshape(parts.reduce(add), x.shape) : undefined, weightGradient]
}

/**
 * x / sqrt(mean(x^2) + epsilon) * weight over trailing axes.
 * @param axes how many trailing axes are normalised together; default 1
 * @param weight of those axes' shape; left out: 1
 * @throws when weight does not have that shape. Source: Zhang & Sennrich 2019
 */
export function rmsNorm(
  x: TensorLike,
  { weight, axes = 1, epsilon = 1e-5 }: Omit<NormOptions, 'bias'> & { readonly axes?: number } = {},
): Tensor {
  const inputs = [x, ...(weight === undefined ? [] : [weight])].map(given => asTensor(given))
  return applyMany(rmsNormPrimitive, inputs, { axes, epsilon })[0]
}
