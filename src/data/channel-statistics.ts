import { type Dataset, sizeOf } from './dataset.ts'
import type { Normalisation } from './normalise.ts'
import { readSample } from './read-sample.ts'

/**
 * Measures a data set's normalisation: mean and population standard deviation of each channel over samples and positions.
 *
 * @param maxSamples how many samples to look at, evenly spaced; by default all of those in memory, 1000 of those in files
 * @returns statistics in units where bytes 0 .. 255 are 0 .. 1; a constant channel gets deviation 1
 * @throws Error when the data set is empty; ImageError when a sample's file cannot be decoded
 */
export async function measureNormalisation(dataset: Dataset, maxSamples?: number): Promise<Normalisation> {
  const limit = Math.min(dataset.length, maxSamples ?? (dataset.source.kind === 'files' ? 1000 : dataset.length))
  if (limit < 1) throw new Error(`${dataset.name}: has no samples to measure a mean and deviation of.`)
  const channels = dataset.shape[0]
  const area = sizeOf(dataset.shape) / channels
  const sums = new Float64Array(channels)
  const squares = new Float64Array(channels)
  let unit = 1
  for (let sample = 0; sample < limit; sample++) {
    const { values, offset } = await readSample(dataset, Math.floor((sample * dataset.length) / limit))
    unit = values instanceof Uint8Array ? 255 : 1
    for (let channel = 0; channel < channels; channel++) {
      const start = offset + channel * area
      let sum = 0
      let square = 0
      for (let at = start; at < start + area; at++) {
        const value = values[at]
        sum += value
        square += value * value
      }
      sums[channel] += sum
      squares[channel] += square
    }
  }
  const count = limit * area
  const mean = Array.from(sums, sum => sum / count / unit)
  const std = mean.map((value, channel) => {
    const variance = squares[channel] / count / unit ** 2 - value ** 2
    return variance > 1e-12 ? Math.sqrt(variance) : 1
  })
  return { mean, std }
}
