/** Per-channel mean and standard deviation, in units where bytes 0 .. 255 are 0 .. 1. */
export interface Normalisation {
  mean: readonly number[]
  std: readonly number[]
}

/**
 * The affine map of one channel from stored values to normalised ones:
 * value * scale + offset = (value / unit - mean) / std.
 *
 * @param unit the stored value that means 1: 255 for bytes, 1 for floats
 */
export function channelTransform(normalisation: Normalisation | undefined, channel: number, unit = 255) {
  if (!normalisation) return { scale: 1 / unit, offset: 0 }
  const mean = normalisation.mean[channel]
  const std = normalisation.std[channel]
  return { scale: 1 / (unit * std), offset: -mean / std }
}

/**
 * @throws Error when a normalisation does not have one finite mean and one positive deviation for each channel
 */
export function checkNormalisation({ mean, std }: Normalisation, channels: number): void {
  if (mean.length !== channels || std.length !== channels) {
    throw new Error(
      `normalise: ${mean.length} means and ${std.length} deviations for samples of ${channels} channels; give one of each a channel.`,
    )
  }
  if (!mean.every(Number.isFinite) || !std.every(value => value > 0 && Number.isFinite(value))) {
    throw new Error(`normalise: means must be finite and deviations positive, got mean [${mean}], std [${std}].`)
  }
}
