import { stat } from 'node:fs/promises'
import {
  type AugmentOptions,
  type Dataset,
  loadFashionMnist,
  measureNormalisation,
  type Normalisation,
  openEmoji,
  openGlyphs,
  openIcons,
  openImageFolder,
  type PictureParts,
  type Skipped,
} from '../../data/index.ts'

/** Labelled pictures in three parts, ready to train on. */
export interface ClassificationData {
  readonly name: string
  readonly classes: readonly string[]
  readonly channels: number
  readonly size: readonly [number, number]
  readonly train: Dataset
  readonly validation: Dataset
  readonly test: Dataset
  readonly normalisation: Normalisation
  /** Random changes that suit these pictures. */
  readonly augment: AugmentOptions
  readonly skipped: readonly Skipped[]
  readonly warnings: readonly string[]
}

export interface DataOptions {
  /** Side of the square that folder pictures are brought to; default 64. */
  readonly size?: number
  readonly channels?: 1 | 3
  readonly seed?: number
  readonly onProgress?: (done: number, total: number) => void
}

/** Data sets that are drawn from installed packages, by name; letters and icons mean something else when mirrored. */
const drawnSets: Readonly<Record<string, (size: number | undefined) => Promise<PictureParts>>> = {
  icons: size => openIcons({ size }),
  emoji: size => openEmoji({ size }),
  glyphs: size => openGlyphs({ size }),
}

/** Names that `--data` knows beside folders. */
export const classificationDataSets: readonly string[] = ['fashion-mnist', ...Object.keys(drawnSets)]

async function openDrawn(source: string, size: number | undefined): Promise<ClassificationData> {
  const parts = await drawnSets[source](size)
  const [channels, height, width] = parts.train.shape
  return {
    ...parts,
    channels,
    size: [height, width],
    augment: { randomCrop: { padding: Math.max(1, Math.round(height / 16)) } },
    skipped: [],
    warnings: [],
  }
}

/**
 * Opens a data set by name (see {@link classificationDataSets}) or a folder of pictures by class.
 * @throws one line when there is no such data
 */
export async function openClassificationData(source: string, options: DataOptions = {}): Promise<ClassificationData> {
  if (source === 'fashion-mnist') {
    const { classes, train, validation, test, normalisation } = await loadFashionMnist()
    const augment: AugmentOptions = { randomCrop: { padding: 2 }, horizontalFlip: true }
    return {
      name: source,
      classes,
      channels: 1,
      size: [28, 28],
      train,
      validation,
      test,
      normalisation,
      augment,
      skipped: [],
      warnings: [],
    }
  }
  if (Object.hasOwn(drawnSets, source)) return openDrawn(source, options.size)
  const isFolder = await stat(source).then(
    info => info.isDirectory(),
    () => false,
  )
  if (!isFolder)
    throw new Error(
      `there is no data set or folder '${source}'; give ${classificationDataSets.map(name => `'${name}'`).join(', ')} or a folder with one folder of pictures a class`,
    )
  const { size = 64, channels = 3, seed = 0, onProgress } = options
  const folder = await openImageFolder(source, { size: [size, size], channels, seed, onProgress })
  const padding = Math.max(1, Math.round(size / 16))
  return {
    name: source,
    classes: folder.classes,
    channels,
    size: [size, size],
    train: folder.train,
    validation: folder.validation,
    test: folder.test,
    normalisation: await measureNormalisation(folder.train),
    augment: { randomCrop: { padding }, horizontalFlip: true },
    skipped: folder.skipped,
    warnings: folder.warnings,
  }
}
