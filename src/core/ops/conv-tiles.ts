import type { Lowering } from '../primitive.ts'
import { type Shape, sizeOf } from '../shape.ts'
import { type Convolution, reshaped, transposed, type WeightGradient } from './conv-layout.ts'
import type { ConvolutionGeometry } from './window.ts'

/** Columns of a tile from which cutting tiles out, run by run, costs less than a product over them saves. */
const LONG_RUN = 4

/** Whether windows tile the input, as those of a patch embedding do: each element lies in one window. */
export function tilesInput(
  xShape: Shape,
  kernel: readonly number[],
  outShape: Shape,
  { groups, strides, pads, dilations }: ConvolutionGeometry,
): boolean {
  return (
    groups === 1 &&
    kernel[kernel.length - 1] >= LONG_RUN &&
    kernel.every(
      (size, axis) =>
        strides[axis] === size &&
        dilations[axis] === 1 &&
        pads[axis][0] === 0 &&
        outShape[axis + 2] * size === xShape[axis + 2],
    )
  )
}

/** Tiles as rows, [N positions, channels taps]. The same nodes for the product and for its gradient, which thus share them. */
function tileRows(to: Lowering, x: string, xShape: Shape, kernel: readonly number[]): string {
  const [batch, channels, ...spatial] = xShape
  const places = kernel.map((size, axis) => spatial[axis] / size)
  const apart = reshaped(to, x, [batch, channels, ...kernel.flatMap((size, axis) => [places[axis], size])])
  const outer = kernel.map((_, axis) => 2 + 2 * axis)
  const rows = transposed(to, apart, [0, ...outer, 1, ...outer.map(axis => axis + 1)])
  return reshaped(to, rows, [batch * sizeOf(places), channels * sizeOf(kernel)])
}

/** One product of all tiles with all kernels. */
export function tiledConvolution(to: Lowering, { x, xShape, kernel, bias, outShape }: Convolution): string {
  const [outChannels, , ...sizes] = kernel.shape
  const rows = tileRows(to, x, xShape, sizes)
  const weights = reshaped(to, kernel.plain(), [outChannels, xShape[1] * sizeOf(sizes)])
  const y = to.emit('Gemm', bias ? [rows, weights, bias] : [rows, weights], { transB: { int: 1 } })
  const places = sizeOf(outShape.slice(2))
  return reshaped(to, transposed(to, reshaped(to, y, [outShape[0], places, outChannels]), [0, 2, 1]), outShape)
}

/** One product of all cotangents with all tiles. */
export function tiledWeightGradient(to: Lowering, { x, xShape, y, yShape, shape }: WeightGradient): string {
  const [batch, outChannels, ...places] = yShape
  const flat = reshaped(to, y, [batch, outChannels, sizeOf(places)])
  const columns = reshaped(to, transposed(to, flat, [1, 0, 2]), [outChannels, batch * sizeOf(places)])
  return reshaped(to, to.emit('Gemm', [columns, tileRows(to, x, xShape, shape.slice(2))]), shape)
}
