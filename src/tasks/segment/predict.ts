import { mkdir } from 'node:fs/promises'
import { basename, extname, join } from 'node:path'
import sharp from 'sharp'
import { decodeImage, imageToFloat32, readImageHeader } from '../../data/index.ts'
import { writeAtomic } from '../../train/index.ts'
import { asBatch } from '../classify/index.ts'
import type { Segmenter } from './segmenter.ts'

/** A picture's mask, and how much of it each class takes. */
export interface PredictedMask {
  /** Class of each pixel at the picture's own size, row by row. */
  readonly labels: Uint8Array
  readonly height: number
  readonly width: number
  readonly shares: readonly { readonly name: string; readonly share: number }[]
}

/**
 * Labels every pixel of a picture file.
 * @throws one line when the file is not a readable picture
 */
export async function predictMask(segmenter: Segmenter, file: string): Promise<PredictedMask> {
  const { card } = segmenter
  const { height, width } = await readImageHeader(file)
  const image = await decodeImage(file, { size: card.size, channels: card.channels as 1 | 3, fit: 'fill' })
  const result = await segmenter.labels(asBatch(imageToFloat32(image, card.normalisation), card))
  const small = Uint8Array.from(result.numbers())
  const [rows, cols] = card.size
  const labels = Uint8Array.from({ length: height * width }, (_, at) => {
    const y = Math.floor(((Math.floor(at / width) + 0.5) * rows) / height)
    const x = Math.floor((((at % width) + 0.5) * cols) / width)
    return small[y * cols + x]
  })
  const counts = card.classes.map(() => 0)
  for (const label of small) counts[label]++
  const shares = card.classes.map((name, c) => ({ name, share: counts[c] / small.length }))
  return { labels, height, width, shares: shares.filter(({ share }) => share > 0).sort((a, b) => b.share - a.share) }
}

/** Colours of masks that people look at: far apart on the wheel, the first class black. */
function paletteColour(label: number): [number, number, number] {
  if (label === 0) return [0, 0, 0]
  const hue = (label * 137.508) % 360
  const channel = (shift: number): number => {
    const k = (shift + hue / 60) % 6
    return Math.round(235 * (1 - Math.max(0, Math.min(k, 4 - k, 1)) * 0.8))
  }
  return [channel(5), channel(3), channel(1)]
}

/**
 * Writes `<name>.mask.png`, whose grey values are positions in the list of classes, and `<name>.colours.png` to look at.
 * @returns the paths
 */
export async function writeMask(mask: PredictedMask, file: string, folder: string): Promise<string[]> {
  await mkdir(folder, { recursive: true })
  const name = join(folder, basename(file, extname(file)))
  const { labels, height, width } = mask
  const colours = new Uint8Array(labels.length * 3)
  for (const [at, label] of labels.entries()) colours.set(paletteColour(label), 3 * at)
  const png = (pixels: Uint8Array, channels: 1 | 3) =>
    sharp(pixels, { raw: { width, height, channels } }).png().toBuffer()
  await writeAtomic(`${name}.mask.png`, await png(labels, 1))
  await writeAtomic(`${name}.colours.png`, await png(colours, 3))
  return [`${name}.mask.png`, `${name}.colours.png`]
}
