import { readdir, readFile, stat } from 'node:fs/promises'
import { extname, join } from 'node:path'
import pMap from 'p-map'
import {
  arrayDataset,
  decodeImage,
  imageExtensions,
  measureNormalisation,
  type Normalisation,
  openCueScenes,
  openScenes,
  readImageHeader,
  stratifiedSplit,
} from '../../data/index.ts'

/** Pictures and the class of each of their pixels. */
export interface LabelledPictures {
  readonly length: number
  /** [n, channels, height, width], 0 .. 255 */
  readonly images: Uint8Array
  /** [n, height, width]; {@link IGNORED} counts for nothing. */
  readonly masks: Uint8Array
  readonly names: readonly string[]
}

/** Mask value of pixels that are neither trained on nor measured. */
export const IGNORED = 255

export interface SegmentationData {
  readonly name: string
  readonly classes: readonly string[]
  readonly channels: number
  readonly size: readonly [height: number, width: number]
  readonly train: LabelledPictures
  readonly validation: LabelledPictures
  readonly test: LabelledPictures
  readonly normalisation: Normalisation
  /** Whether a mirrored picture means the same. */
  readonly mirrored: boolean
}

export interface SegmentationDataOptions {
  /** Side of the square that pictures are brought to; default 64. */
  readonly size?: number
  readonly channels?: 1 | 3
  readonly seed?: number
  readonly onProgress?: (done: number, total: number) => void
}

type Part = 'train' | 'validation' | 'test'

const partFolders: Readonly<Record<Part, readonly string[]>> = {
  train: ['train', 'training'],
  validation: ['val', 'valid', 'validation'],
  test: ['test', 'testing'],
}

/**
 * Opens data by name (`scenes`, `cues`) or a folder: `images/` and `masks/` with files of the same name, in the folder
 * itself or in `train`, `val` and `test`. Masks are lossless pictures; `classes.json` beside them says what their values
 * mean: a list of names for the values 0, 1, …, or an object from name to grey value or [red, green, blue]. Without it every
 * distinct colour of the masks is a class. A value named `ignore` counts for nothing.
 *
 * @throws one line that names the file and what is wrong with it
 */
export async function openSegmentationData(
  source: string,
  options: SegmentationDataOptions = {},
): Promise<SegmentationData> {
  if (source === 'scenes') return composed(options)
  if (source === 'cues') return cued(options)
  const isFolder = await stat(source).then(
    info => info.isDirectory(),
    () => false,
  )
  if (!isFolder)
    throw new Error(
      `there is no data set or folder '${source}'; give 'scenes', 'cues' or a folder with the folders images and masks`,
    )
  return openFolder(source, options)
}

/** Numbers of scenes in each part when they are opened by name. */
const sceneCounts: Readonly<Record<Part, number>> = { train: 2000, validation: 200, test: 500 }

async function composed({ size = 64, channels = 3, seed = 0 }: SegmentationDataOptions): Promise<SegmentationData> {
  const scale = size / 64
  const scenes = await openScenes({
    size,
    channels,
    seed,
    objects: [3, 6],
    objectSize: [Math.max(6, Math.round(10 * scale)), Math.max(8, Math.round(26 * scale))],
  })
  const part = (name: Part): LabelledPictures => {
    const all = Array.from({ length: sceneCounts[name] }, (_, i) => scenes[name].scene(i))
    return {
      length: all.length,
      images: joined(all.map(({ pixels }) => pixels)),
      masks: joined(all.map(({ semantic }) => semantic)),
      names: all.map((_, i) => `scene ${i}`),
    }
  }
  return complete(
    { name: 'scenes', classes: ['ground', ...scenes.classes], channels, size: [size, size], mirrored: true },
    part,
  )
}

async function cued({ size = 64, seed = 0 }: SegmentationDataOptions): Promise<SegmentationData> {
  const { train, test } = await openCueScenes({ size, seed })
  const part = (name: Part): LabelledPictures => {
    // Validation draws from the shapes that are trained on, in scenes that are not.
    const first = name === 'validation' ? sceneCounts.train : 0
    const { images, masks } = (name === 'test' ? test : train).batch(first, sceneCounts[name])
    return {
      length: sceneCounts[name],
      images: Uint8Array.from(images, value => Math.round((value + 2) * (255 / 4))),
      masks: Uint8Array.from(masks),
      names: Array.from({ length: sceneCounts[name] }, (_, i) => `scene ${i}`),
    }
  }
  return complete({ name: 'cues', classes: ['other', 'copy'], channels: 1, size: [size, size], mirrored: false }, part)
}

const joined = (parts: readonly Uint8Array[]): Uint8Array => {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}

async function complete(
  facts: Pick<SegmentationData, 'name' | 'classes' | 'channels' | 'size' | 'mirrored'>,
  part: (name: Part) => LabelledPictures,
): Promise<SegmentationData> {
  const train = part('train')
  const pictures = arrayDataset({
    name: facts.name,
    classes: ['picture'],
    shape: [facts.channels, ...facts.size],
    values: train.images,
    labels: new Int32Array(train.length),
  })
  return {
    ...facts,
    train,
    validation: part('validation'),
    test: part('test'),
    normalisation: await measureNormalisation(pictures, 1000),
  }
}

interface Pair {
  readonly name: string
  readonly image: string
  readonly mask: string
}

async function filesOf(folder: string): Promise<Map<string, string>> {
  const entries = await readdir(folder, { withFileTypes: true })
  const files = entries
    .filter(
      entry => entry.isFile() && !entry.name.startsWith('.') && imageExtensions.has(extname(entry.name).toLowerCase()),
    )
    .map(({ name }) => name)
    .sort()
  return new Map(files.map(name => [name.slice(0, -extname(name).length), name]))
}

/** The pictures of `folder/images` with their masks in `folder/masks`; undefined when there is no such folder. */
async function pairsIn(folder: string): Promise<Pair[] | undefined> {
  const [images, masks] = [join(folder, 'images'), join(folder, 'masks')]
  const there = await Promise.all(
    [images, masks].map(path =>
      stat(path).then(
        () => true,
        () => false,
      ),
    ),
  )
  if (!there[0] && !there[1]) return undefined
  if (!there[0] || !there[1])
    throw new Error(
      `${folder} has no folder '${there[0] ? 'masks' : 'images'}'; expected images and masks beside each other`,
    )
  const [imageFiles, maskFiles] = [await filesOf(images), await filesOf(masks)]
  if (imageFiles.size === 0) throw new Error(`${images} holds no pictures`)
  if (maskFiles.size === 0) throw new Error(`${masks} holds no masks; expected one a picture, of the same name`)
  const lone = [...imageFiles.keys()].filter(name => !maskFiles.has(name))
  if (lone.length)
    throw new Error(
      `${masks} has no mask for ${imageFiles.get(lone[0])}${lone.length > 1 ? ` and ${lone.length - 1} others` : ''}; a mask has its picture's name`,
    )
  return [...imageFiles].map(([name, file]) => {
    const mask = maskFiles.get(name)!
    if (/\.jpe?g$/i.test(mask))
      throw new Error(`${join(masks, mask)} is a JPEG, which changes values; save masks as PNG`)
    return { name, image: join(images, file), mask: join(masks, mask) }
  })
}

const keyOf = (r: number, g: number, b: number): number => (r << 16) | (g << 8) | b
const colourName = (key: number): string => {
  const [r, g, b] = [key >> 16, (key >> 8) & 255, key & 255]
  return r === g && g === b ? String(r) : `[${r}, ${g}, ${b}]`
}

/** What the colours of masks mean: positions in the list of classes, or {@link IGNORED}. */
interface Legend {
  readonly classes: readonly string[]
  readonly labels: ReadonlyMap<number, number>
}

async function readLegend(folder: string): Promise<Legend | undefined> {
  const path = join(folder, 'classes.json')
  const text = await readFile(path, 'utf8').catch(() => undefined)
  if (text === undefined) return undefined
  const wrong = (): never => {
    throw new Error(
      `${path}: expected a list of names, or an object from name to a grey value or [red, green, blue], such as {"background": 0, "cell": 255}`,
    )
  }
  let given: unknown
  try {
    given = JSON.parse(text)
  } catch {
    wrong()
  }
  if (typeof given !== 'object' || given === null) return wrong()
  const entries: [string, unknown][] = Array.isArray(given)
    ? given.map((name, value) => [String(name), value])
    : Object.entries(given)
  const isByte = (value: unknown): value is number =>
    Number.isInteger(value) && (value as number) >= 0 && (value as number) < 256
  const labels = new Map<number, number>()
  const classes: string[] = []
  for (const [name, value] of entries) {
    const colour = Array.isArray(value) ? value : [value, value, value]
    if (colour.length !== 3 || !colour.every(isByte)) return wrong()
    const label = name === 'ignore' ? IGNORED : classes.push(name) - 1
    labels.set(keyOf(colour[0], colour[1], colour[2]), label)
  }
  if (classes.length < 2 || classes.length > 254)
    throw new Error(`${path} names ${classes.length} classes; expected 2 to 254`)
  return { classes, labels }
}

/** Most colours that masks without a legend may have: more is a sign of smoothed edges. */
const mostColours = 64

function legendOf(colours: ReadonlySet<number>, folder: string): Legend {
  if (colours.size > mostColours)
    throw new Error(
      `the masks of ${folder} have more than ${mostColours} colours, as pictures with smoothed edges do; save them without smoothing or add a classes.json`,
    )
  if (colours.size < 2) throw new Error(`the masks of ${folder} are all of one colour; expected at least two`)
  const sorted = [...colours].sort((a, b) => a - b)
  return { classes: sorted.map(colourName), labels: new Map(sorted.map((key, i) => [key, i])) }
}

interface Read {
  readonly image: Uint8Array
  /** Colour of each pixel. */
  readonly colours: Int32Array
}

async function readPair({ image, mask }: Pair, size: readonly [number, number], channels: 1 | 3): Promise<Read> {
  const [a, b] = await Promise.all([readImageHeader(image), readImageHeader(mask)])
  if (a.width !== b.width || a.height !== b.height)
    throw new Error(`${mask} is ${b.width}x${b.height}, but its picture is ${a.width}x${a.height}`)
  const picture = await decodeImage(image, { size, channels, fit: 'fill' })
  const { values } = await decodeImage(mask, { size, channels: 3, fit: 'fill', kernel: 'nearest' })
  const area = size[0] * size[1]
  const colours = Int32Array.from({ length: area }, (_, at) =>
    keyOf(values[at], values[area + at], values[2 * area + at]),
  )
  return { image: picture.values, colours }
}

async function openFolder(
  folder: string,
  { size = 64, channels = 3, seed = 0, onProgress }: SegmentationDataOptions,
): Promise<SegmentationData> {
  const found = new Map<Part, Pair[]>()
  for (const [part, names] of Object.entries(partFolders) as [Part, readonly string[]][])
    for (const name of names) {
      const pairs = await pairsIn(join(folder, name))
      if (pairs) found.set(part, pairs)
    }
  const loose = await pairsIn(folder)
  if (!found.size && !loose) throw new Error(`${folder} has neither images and masks nor train, val and test with them`)
  if (loose) divide(loose, seed, found)
  else if (!found.has('train')) throw new Error(`${folder} has no folder train with images and masks`)
  else if (!found.has('validation')) {
    const { train, validation } = split(found.get('train')!, { validation: 0.1, test: 0 }, seed)
    found.set('train', train).set('validation', validation)
  }
  const all = [...found.values()].flat()
  let done = 0
  const sides: [number, number] = [size, size]
  const read = await pMap(
    all,
    async pair => {
      const result = await readPair(pair, sides, channels)
      onProgress?.(++done, all.length)
      return result
    },
    { concurrency: 8 },
  )
  const legend =
    (await readLegend(folder)) ?? legendOf(new Set(read.flatMap(({ colours }) => [...new Set(colours)])), folder)
  const byPair = new Map(all.map((pair, i) => [pair, read[i]]))
  const part = (name: Part): LabelledPictures => {
    const pairs = found.get(name) ?? []
    return {
      length: pairs.length,
      images: joined(pairs.map(pair => byPair.get(pair)!.image)),
      masks: joined(pairs.map(pair => labelled(byPair.get(pair)!.colours, legend, pair.mask))),
      names: pairs.map(pair => pair.name),
    }
  }
  return complete({ name: folder, classes: legend.classes, channels, size: sides, mirrored: true }, part)
}

function labelled(colours: Int32Array, { classes, labels }: Legend, file: string): Uint8Array {
  return Uint8Array.from(colours, key => {
    const label = labels.get(key)
    if (label === undefined)
      throw new Error(`${file} has the value ${colourName(key)}, which is none of the classes ${classes.join(', ')}`)
    return label
  })
}

function split(
  pairs: readonly Pair[],
  fractions: { validation: number; test: number },
  seed: number,
): Record<Part, Pair[]> {
  const indices = stratifiedSplit(new Int32Array(pairs.length), fractions, seed)
  const chosen = (part: Part): Pair[] => Array.from(indices[part], i => pairs[i])
  return { train: chosen('train'), validation: chosen('validation'), test: chosen('test') }
}

function divide(pairs: readonly Pair[], seed: number, found: Map<Part, Pair[]>): void {
  const parts = split(pairs, { validation: 0.1, test: 0.1 }, seed)
  for (const [part, members] of Object.entries(parts) as [Part, Pair[]][])
    found.set(part, [...(found.get(part) ?? []), ...members])
}
