import { createHash } from 'node:crypto'
import { readdir } from 'node:fs/promises'
import { basename, extname, join } from 'node:path'
import pMap from 'p-map'
import { arrayDataset, type Dataset, type Skipped, type SplitFractions, stratifiedSplit, subset } from './dataset.ts'
import { checkImageFile, type DecodeOptions, decodeImage, ImageError, imageExtensions } from './decode.ts'
import { ImageScanner, realFolder } from './scan-images.ts'

export interface ImageFolderOptions extends Omit<DecodeOptions, 'size'>, Partial<SplitFractions> {
  /** Height and width that images are stored at; a random crop of the loader may make them smaller. */
  size: readonly [height: number, width: number]
  /** Share of each class set apart for validation, where there is no such folder. Default 0.1. */
  validation?: number
  /** Share of each class set apart for test, where there is no such folder. Default 0.1. */
  test?: number
  /** Decides, with each file's name, which split it belongs to. Default 0. */
  seed?: number
  /**
   * Bytes of memory for decoded images. Default 1 GiB. When all fit, they are decoded here, once; otherwise each is decoded
   * whenever a loader asks for it, which then reports those that turn out to be damaged.
   */
  memory?: number
  /** Called as files are looked at. */
  onProgress?: (done: number, total: number) => void
}

export interface ImageFolder {
  /** Real path of the folder. */
  root: string
  classes: readonly string[]
  train: Dataset
  validation: Dataset
  test: Dataset
  /** Files and links that were left out, and why. */
  skipped: Skipped[]
  /** Things that are allowed but seldom meant, one sentence each. */
  warnings: string[]
}

type Split = 'train' | 'validation' | 'test'

/** Names of the folders for each split, lower case. */
const splitFolders: Record<Split, readonly string[]> = {
  train: ['train', 'training'],
  validation: ['val', 'valid', 'validation'],
  test: ['test', 'testing'],
}

const filesAtOnce = 8

/** An image file and where the folders put it. */
interface Item {
  file: string
  className: string
  /** `pool` when no folder says: to be divided. */
  split: Split | 'pool'
}

interface ClassFolder {
  /** Relative to the root. */
  folder: string
  className: string
  split: Item['split']
}

/** The class folders of a root, which either holds them itself or holds a `train` folder that does. */
async function findClassFolders(scanner: ImageScanner): Promise<ClassFolder[]> {
  const names = await scanner.listFolders('')
  const trainName = names.find(name => splitFolders.train.includes(name.toLowerCase()))
  // A class may be called "train": it is a split only when it holds folders itself.
  if (trainName === undefined || (await scanner.listFolders(trainName)).length === 0) {
    return names.map(name => ({ folder: name, className: name, split: 'pool' }))
  }
  const folders: ClassFolder[] = []
  for (const name of names) {
    const split = (Object.keys(splitFolders) as Split[]).find(key => splitFolders[key].includes(name.toLowerCase()))
    if (!split) {
      scanner.skipped.push({ name, reason: `is beside ${trainName}/ but is none of train, val and test` })
      continue
    }
    for (const className of await scanner.listFolders(name)) {
      folders.push({ folder: `${name}/${className}`, className, split })
    }
  }
  return folders
}

async function noClassesError(root: string): Promise<Error> {
  const entries = await readdir(root)
  const images = entries.filter(name => imageExtensions.has(extname(name).toLowerCase())).length
  const found = images > 0 ? `holds ${images} images but no folders` : 'holds no folders of images'
  return new Error(`image folder ${root}: ${found}; expected one folder for each class, such as ${root}/cat/1.jpg.`)
}

/** What became of the files: those that can be used and, when they fit in memory, their pixels, in the same order. */
interface Gathered {
  items: Item[]
  pixels?: { values: Uint8Array; rows: Int32Array }
  skipped: Skipped[]
}

async function gather(root: string, items: Item[], options: ImageFolderOptions): Promise<Gathered> {
  const { size, channels = 3, memory = 2 ** 30, onProgress } = options
  const sampleBytes = channels * size[0] * size[1]
  const inMemory = items.length * sampleBytes <= memory
  // In shared memory, so that worker threads read the images where they are. Rows of unusable files stay untouched, and so
  // take up no memory.
  const values = new Uint8Array(new SharedArrayBuffer(inMemory ? items.length * sampleBytes : 0))
  let done = 0
  const outcomes = await pMap(
    items,
    async ({ file }, row) => {
      try {
        const path = join(root, file)
        if (inMemory) values.set((await decodeImage(path, options, file)).values, row * sampleBytes)
        else await checkImageFile(path, options, file)
        return undefined
      } catch (cause) {
        if (cause instanceof ImageError) return { name: cause.file, reason: cause.reason }
        throw cause
      } finally {
        onProgress?.(++done, items.length)
      }
    },
    { concurrency: filesAtOnce },
  )
  const rows = Int32Array.from(items.keys()).filter(row => outcomes[row] === undefined)
  return {
    items: Array.from(rows, row => items[row]),
    pixels: inMemory ? { values, rows } : undefined,
    skipped: outcomes.filter(outcome => outcome !== undefined),
  }
}

const isTrained = ({ split }: Item) => split === 'train' || split === 'pool'

/** The classes with something to train on, in order of name, and what is odd about them. */
function findClasses(root: string, folders: ClassFolder[], items: Item[], skipped: Skipped[]) {
  const counts = new Map<string, number>(folders.map(({ className }) => [className, 0]))
  for (const item of items) if (isTrained(item)) counts.set(item.className, counts.get(item.className)! + 1)
  const classes = [...counts.keys()].filter(name => counts.get(name)! > 0).sort()
  const left =
    skipped.length > 0
      ? ` ${skipped.length} files were skipped, the first: ${skipped[0].name} ${skipped[0].reason}.`
      : ''
  if (classes.length === 0) throw new Error(`image folder ${root}: holds no usable images to train on.${left}`)
  if (classes.length === 1) {
    throw new Error(
      `image folder ${root}: holds one class with usable images (${classes[0]}); a classifier needs at least two.${left}`,
    )
  }
  const untrained = items.find(item => !isTrained(item) && !classes.includes(item.className))
  if (untrained) {
    throw new Error(
      `image folder ${root}: ${untrained.split} has the class ${untrained.className}, which train has no images of; ` +
        'add some or remove the class.',
    )
  }
  const warnings: string[] = []
  for (const [name, count] of counts) {
    if (count === 0) warnings.push(`The class folder ${name} holds no usable images and is left out.`)
    if (count === 1) warnings.push(`The class ${name} has one image, which is used for training only.`)
  }
  return { classes, warnings }
}

/** The first four bytes of a name's SHA-256 as an integer. */
const nameKey = (name: string) => createHash('sha256').update(name).digest().readUInt32LE(0)

/** Which items are in each split: what the folders say, and the rest divided. */
function divide(items: Item[], labels: Int32Array, fractions: SplitFractions, seed: number): Record<Split, number[]> {
  const given: Record<Split, number[]> = { train: [], validation: [], test: [] }
  const divided: number[] = []
  for (const [index, { split }] of items.entries()) {
    if (split === 'pool' || split === 'train') divided.push(index)
    else given[split].push(index)
  }
  // A split that has a folder takes nothing from train.
  const split = stratifiedSplit(
    Int32Array.from(divided, index => labels[index]),
    {
      validation: given.validation.length > 0 ? 0 : fractions.validation,
      test: given.test.length > 0 ? 0 : fractions.test,
    },
    seed,
    Uint32Array.from(divided, index => nameKey(items[index].file)),
  )
  const join = (key: Split) => [...given[key], ...Array.from(split[key], at => divided[at])]
  return { train: join('train'), validation: join('validation'), test: join('test') }
}

/**
 * A folder of images by class: `<root>/<class>/**\/*.jpg|png|webp|…`, or the same below `<root>/train`, `<root>/val` and
 * `<root>/test`; a split without a folder is taken from train, class by class. Where a file goes depends on its name and the
 * seed, so adding or removing files leaves nearly all others where they were.
 *
 * An image that cannot be used (damaged, cut off, empty, of another type, too large) is listed in `skipped` and left out; so
 * is a link to a folder, or to a file outside of the root.
 *
 * @throws Error in one line when the folder is missing or empty, has fewer than two classes with images, or tests a class
 *   that it does not train
 */
export async function openImageFolder(folder: string, options: ImageFolderOptions): Promise<ImageFolder> {
  const { size, channels = 3, fit, kernel, background, maxBytes, maxPixels } = options
  const { validation = 0.1, test = 0.1, seed = 0 } = options
  const root = await realFolder(folder)
  const scanner = new ImageScanner(root)
  const folders = await findClassFolders(scanner)
  if (folders.length === 0) throw await noClassesError(root)
  const candidates: Item[] = []
  for (const { folder, className, split } of folders) {
    for (const file of await scanner.findImages(folder)) candidates.push({ file, className, split })
  }
  const gathered = await gather(root, candidates, options)
  const skipped = [...scanner.skipped, ...gathered.skipped]
  const { items, pixels } = gathered
  const { classes, warnings } = findClasses(root, folders, items, skipped)
  const labels = Int32Array.from(items, ({ className }) => classes.indexOf(className))
  const files = items.map(({ file }) => file)
  const name = basename(root)
  const shape = [channels, ...size]
  const decode = { size, channels, fit, kernel, background, maxBytes, maxPixels }
  const all: Dataset = pixels
    ? arrayDataset({ name, classes, shape, labels, names: files, ...pixels })
    : { name, classes, length: files.length, shape, labels, source: { kind: 'files', root, files, decode } }
  const parts = divide(items, labels, { validation, test }, seed)
  return {
    root,
    classes,
    train: subset(all, parts.train, `${name} train`),
    validation: subset(all, parts.validation, `${name} validation`),
    test: subset(all, parts.test, `${name} test`),
    skipped,
    warnings,
  }
}
