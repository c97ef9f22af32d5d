import { formatShape, normalizeAxis, requireConcrete, sizeOf } from '../shape.ts'
import type { Tensor, TensorLike } from '../tensor.ts'
import { asTensor } from '../tensor.ts'
import { channelAffine } from './batch-norm.ts'
import { clip, mul, requireFloat, rsqrt } from './elementwise.ts'
import { layerNorm, type NormOptions } from './layer-norm.ts'
import { moveAxis, ones, reshape, zeros } from './layout.ts'
import { sum } from './reduce.ts'

/** Scales and shifts channels, where either was asked for. */
function affine(x: Tensor, { weight, bias }: NormOptions): Tensor {
  if (weight === undefined && bias === undefined) return x
  const channels = [x.shape[1]]
  return channelAffine(
    x,
    weight === undefined ? ones(channels, x.dtype) : asTensor(weight),
    bias === undefined ? zeros(channels, x.dtype) : asTensor(bias),
  )
}

/**
 * Normalises groups of neighbouring channels (axis 1), with all their positions, within each sample; then scales and
 * shifts each channel.
 * @param x [batch, channels, ...]
 * @param groups how many groups the channels fall into
 * @param weight, bias [channels]; left out: 1 and 0
 * @throws when the channels do not divide into the groups. Source: Wu & He 2018
 */
export function groupNorm(x: TensorLike, groups: number, options: NormOptions = {}): Tensor {
  const input = asTensor(x)
  if (input.rank < 2) throw new Error(`groupNorm: expected [batch, channels, ...], got ${formatShape(input.shape)}`)
  const [batch, channels, ...space] = input.shape
  if (!Number.isInteger(groups) || groups < 1 || channels % groups !== 0)
    throw new Error(
      `groupNorm: ${channels} channels of ${formatShape(input.shape)} do not divide into ${groups} groups`,
    )
  const grouped = reshape(input, [batch, groups, (channels / groups) * sizeOf(space)])
  return affine(reshape(layerNorm(grouped, { epsilon: options.epsilon }), input.shape), options)
}

/**
 * Normalises each channel (axis 1) of each sample over its positions; then scales and shifts it.
 * @param x [batch, channels, ...positions]
 * @param weight, bias [channels]; left out: 1 and 0
 * @throws when there is no axis of positions. Source: Ulyanov, Vedaldi & Lempitsky 2016
 */
export function instanceNorm(x: TensorLike, options: NormOptions = {}): Tensor {
  const input = asTensor(x)
  if (input.rank < 3)
    throw new Error(`instanceNorm: expected [batch, channels, ...positions], got ${formatShape(input.shape)}`)
  const [batch, channels, ...space] = input.shape
  const flat = reshape(input, [batch, channels, sizeOf(space)])
  return affine(reshape(layerNorm(flat, { epsilon: options.epsilon }), input.shape), options)
}

/**
 * Layer norm over the channels (axis 1) at each position of [batch, channels, ...positions].
 * @param weight, bias [channels]; left out: 1 and 0
 * @throws when weight or bias do not have one number for each channel. Source: Liu et al. 2022 (ConvNeXt)
 */
export function channelLayerNorm(x: TensorLike, options: NormOptions = {}): Tensor {
  const input = asTensor(x)
  if (input.rank < 2)
    throw new Error(`channelLayerNorm: expected [batch, channels, ...], got ${formatShape(input.shape)}`)
  return moveAxis(layerNorm(moveAxis(input, 1, -1), options), -1, 1)
}

/**
 * x / max(||x||, epsilon) with the Euclidean length along one axis. Vectors shorter than epsilon are divided by epsilon,
 * so that 0 stays 0, with a finite gradient.
 * @param axis default: the last
 * @param epsilon default 1e-12, as PyTorch's normalize
 */
export function l2Normalize(
  x: TensorLike,
  { axis = -1, epsilon = 1e-12 }: { readonly axis?: number; readonly epsilon?: number } = {},
): Tensor {
  const input = asTensor(x)
  requireFloat('l2Normalize', input)
  if (!(epsilon > 0)) throw new Error(`l2Normalize: epsilon is ${epsilon}; it must be above 0`)
  const along = normalizeAxis('l2Normalize', axis, input.rank)
  return mul(input, rsqrt(clip(sum(mul(input, input), along, true), epsilon * epsilon)))
}

/**
 * Weight standardisation: each output channel's weights (all axes but the first) with mean 0 and variance 1.
 * (w - mean) / sqrt(variance + epsilon), with the population variance.
 * @param weight [out, ...]
 * @param epsilon default 1e-5
 * @throws when there is nothing but the channel axis. Source: Qiao et al. 2019
 */
export function standardiseWeight(weight: TensorLike, { epsilon = 1e-5 } = {}): Tensor {
  const input = asTensor(weight)
  if (input.rank < 2) throw new Error(`standardiseWeight: expected [out, ...], got ${formatShape(input.shape)}`)
  requireConcrete('standardiseWeight', input.shape)
  return layerNorm(input, { axes: input.rank - 1, epsilon })
}
