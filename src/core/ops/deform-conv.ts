import { einsum } from '../einops.ts'
import { formatShape, requireConcrete, sizeOf } from '../shape.ts'
import { asTensor, constant, type Tensor, type TensorLike } from '../tensor.ts'
import { cast } from './cast.ts'
import { add, requireFloat } from './elementwise.ts'
import { sampleRows } from './grid-sample.ts'
import { reshape, transpose } from './layout.ts'
import { type Padding, type PerAxis, paddingPairs, perAxis, slide, type Window } from './window.ts'

export interface DeformConvOptions {
  /** [batch, offsetGroups kh kw, outHeight, outWidth]: factor of every sample (version 2); default 1 everywhere. */
  readonly mask?: TensorLike
  /** [outChannels] */
  readonly bias?: TensorLike
  readonly stride?: PerAxis
  /** Zeros around the input, as for `conv`; default 0. */
  readonly padding?: Padding
  readonly dilation?: PerAxis
}

/**
 * Convolution whose samples are displaced (Dai et al. 2017; with `mask`, Zhu et al. 2019, Deformable ConvNets v2):
 * y[p] = sum over taps k of W[k] x(p stride - padding + k dilation + offset[k, p]) mask[k, p], x being interpolated
 * bilinearly and 0 outside. Tensors are laid out as in torchvision's `deform_conv2d`.
 * @param x [batch, channels, height, width]
 * @param offset [batch, 2 offsetGroups kh kw, outHeight, outWidth]: for each group of channels and each tap in row-major
 * order, the displacement downwards, then to the right, in elements
 * @param weight [outChannels, channels/groups, kh, kw]; the number of groups follows from its second size
 * @returns [batch, outChannels, outHeight, outWidth]
 * @throws when channels do not divide into the groups, or offset or mask have other sizes than the output asks for
 */
export function deformConv(
  x: TensorLike,
  offset: TensorLike,
  weight: TensorLike,
  options: DeformConvOptions = {},
): Tensor {
  const input = asTensor(x)
  const kernel = asTensor(weight)
  const offsets = asTensor(offset)
  const geometry = readGeometry(input, offsets, kernel, options)
  const { batch, channels, height, width, out, taps, offsetGroups, groups } = geometry
  const points = out[0] * out[1]
  const groupChannels = channels / offsetGroups
  const rows = reshape(transpose(reshape(input, [batch * offsetGroups, groupChannels, height * width]), [0, 2, 1]), [
    batch * offsetGroups,
    height * width,
    groupChannels,
  ])
  // Samples in the order [point, tap], so that the channels of all taps of a point end up side by side.
  const displaced = transpose(reshape(offsets, [batch * offsetGroups, taps, 2, points]), [0, 2, 3, 1])
  const lattice = tapPositions(geometry)
  const positions = [0, 1].map(k =>
    reshape(add(displaced.at(null, k), cast(lattice[k], input.dtype)), [batch * offsetGroups, points * taps]),
  )
  const factor = (mask: TensorLike): Tensor =>
    reshape(transpose(reshape(asTensor(mask), [batch * offsetGroups, taps, points]), [0, 2, 1]), [
      batch * offsetGroups,
      points * taps,
    ])
  const samples = sampleRows(
    rows,
    [height, width],
    positions,
    options.mask === undefined ? undefined : factor(options.mask),
  )
  const columns = transpose(reshape(samples, [batch, offsetGroups, points, taps, groupChannels]), [0, 2, 3, 1, 4])
  const outChannels = kernel.shape[0]
  const product = einsum(
    'n p k g c, g f c k -> n g f p',
    reshape(columns, [batch, points, taps, groups, channels / groups]),
    reshape(kernel, [groups, outChannels / groups, channels / groups, taps]),
  )
  const y = reshape(product, [batch, outChannels, ...out])
  return options.bias === undefined ? y : add(y, reshape(asTensor(options.bias), [outChannels, 1, 1]))
}

interface Geometry {
  readonly batch: number
  readonly channels: number
  readonly height: number
  readonly width: number
  readonly out: readonly number[]
  readonly window: Window
  readonly taps: number
  readonly offsetGroups: number
  readonly groups: number
}

function readGeometry(x: Tensor, offset: Tensor, weight: Tensor, options: DeformConvOptions): Geometry {
  requireFloat('deformConv', x)
  if (x.rank !== 4 || offset.rank !== 4 || weight.rank !== 4)
    throw new Error(
      `deformConv: x, offset and weight must have four axes, got ${[x, offset, weight].map(t => formatShape(t.shape)).join(', ')}`,
    )
  const [batch, channels, height, width] = x.shape
  const [outChannels, perGroup, kernelHeight, kernelWidth] = weight.shape
  requireConcrete('deformConv', x.shape, [1, 2, 3])
  if (channels % perGroup !== 0 || outChannels % (channels / perGroup) !== 0)
    throw new Error(
      `deformConv: ${channels} input channels and ${outChannels} output channels do not divide into groups of the weight ${formatShape(weight.shape)}`,
    )
  const window: Window = {
    kernel: [kernelHeight, kernelWidth],
    strides: perAxis('deformConv', 'stride', options.stride ?? 1, 2),
    pads: paddingPairs('deformConv', options.padding ?? 0, 2),
    dilations: perAxis('deformConv', 'dilation', options.dilation ?? 1, 2),
  }
  const out = slide('deformConv', x.shape, window)
  const taps = kernelHeight * kernelWidth
  const offsetGroups = offset.shape[1] / (2 * taps)
  if (
    !Number.isInteger(offsetGroups) ||
    offsetGroups < 1 ||
    channels % offsetGroups !== 0 ||
    formatShape(offset.shape) !== formatShape([batch, offset.shape[1], ...out])
  )
    throw new Error(
      `deformConv: offset must be ${formatShape([batch, 2 * taps, ...out])}, or a multiple of its ${2 * taps} channels that divides the ${channels} input channels into groups; got ${formatShape(offset.shape)}`,
    )
  if (options.mask !== undefined) {
    const mask = asTensor(options.mask)
    const expected = [batch, offsetGroups * taps, ...out]
    if (formatShape(mask.shape) !== formatShape(expected))
      throw new Error(`deformConv: mask must be ${formatShape(expected)}, got ${formatShape(mask.shape)}`)
  }
  return {
    batch,
    channels,
    height,
    width,
    out,
    window,
    taps,
    offsetGroups,
    groups: channels / perGroup,
  }
}

/** Where an ordinary convolution samples: rows and columns, each [points, taps]. */
function tapPositions({ out, window, taps }: Geometry): Tensor[] {
  const shape = [sizeOf(out), taps]
  return [0, 1].map(axis => {
    const place = (i: number): number => {
      const point = axis === 0 ? Math.floor(Math.floor(i / taps) / out[1]) : Math.floor(i / taps) % out[1]
      const tap = axis === 0 ? Math.floor((i % taps) / window.kernel[1]) : (i % taps) % window.kernel[1]
      return point * window.strides[axis] - window.pads[axis][0] + tap * window.dilations[axis]
    }
    return constant(
      Float32Array.from({ length: sizeOf(shape) }, (_, i) => place(i)),
      shape,
    )
  })
}
