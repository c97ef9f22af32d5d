import { constants } from 'node:fs'
import { access } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { gunzip } from 'node:zlib'
import { arrayDataset, type Dataset, stratifiedSplit, subset } from './dataset.ts'
import { cacheFolder, download, sha256 } from './download.ts'
import { parseIdx, readMaybeGzip } from './idx.ts'
import type { Normalisation } from './normalise.ts'

/** Names of the ten labels, in order (https://github.com/zalandoresearch/fashion-mnist, "Labels"). */
export const fashionMnistClasses = [
  'T-shirt/top',
  'Trouser',
  'Pullover',
  'Dress',
  'Coat',
  'Sandal',
  'Shirt',
  'Sneaker',
  'Bag',
  'Ankle boot',
] as const

/** Mean and deviation of the 60,000 official training images, as `measureNormalisation` gives them. */
export const fashionMnistNormalisation: Normalisation = { mean: [0.2860405969887955], std: [0.3530242445149223] }

/** Where Debian's package dataset-fashion-mnist puts the files. */
export const debianFashionMnistFolder = '/usr/share/datasets/fashion-mnist'

/** Where the authors publish the files. */
export const fashionMnistAddresses = [
  'https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion',
  'http://fashion-mnist.s3-website.eu-central-1.amazonaws.com',
] as const

/** The four official files and the SHA-256 of what is in them, unpacked: a mirror may have packed them anew. */
const officialFiles = {
  trainImages: {
    name: 'train-images-idx3-ubyte',
    checksum: 'c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888',
  },
  trainLabels: {
    name: 'train-labels-idx1-ubyte',
    checksum: 'bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9',
  },
  testImages: {
    name: 't10k-images-idx3-ubyte',
    checksum: '5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b',
  },
  testLabels: {
    name: 't10k-labels-idx1-ubyte',
    checksum: '0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34',
  },
} as const

type Part = keyof typeof officialFiles
type Paths = Record<Part, string>
const parts = Object.keys(officialFiles) as Part[]

export interface FashionMnistOptions {
  /** Folder with the four IDX files, packed or not. When given, no other place is tried. */
  folder?: string
  /** Folder that downloads are kept in. Default `fashion-mnist` in `cacheFolder()`. */
  cache?: string
  /** Folder of the system's package. Default `debianFashionMnistFolder`. */
  systemFolder?: string
  /** Folders on the web that hold the files, tried in order; none to stay off the network. */
  addresses?: readonly string[]
  /** Training samples set apart for validation, evenly from each class and always the same ones. Default 5000. */
  validation?: number
}

export interface FashionMnist {
  classes: readonly string[]
  train: Dataset
  validation: Dataset
  test: Dataset
  normalisation: Normalisation
  /** The folder that the files were read from. */
  folder: string
}

/** A constant, so that every run and every seed is judged by the same validation samples. */
const validationSeed = 0

async function isReadable(path: string): Promise<boolean> {
  return access(path, constants.R_OK).then(
    () => true,
    () => false,
  )
}

/** Each part's file in a folder, packed or not; undefined for parts that are not there. */
async function findIn(folder: string): Promise<Partial<Paths>> {
  const found: Partial<Paths> = {}
  for (const part of parts) {
    const { name } = officialFiles[part]
    for (const file of [`${name}.gz`, name]) {
      const path = join(folder, file)
      if (found[part] === undefined && (await isReadable(path))) found[part] = path
    }
  }
  return found
}

const isComplete = (paths: Partial<Paths>): paths is Paths => parts.every(part => paths[part] !== undefined)

/** Throws when packed bytes are not the official file. */
async function verifyOfficial(part: Part, packed: Uint8Array): Promise<void> {
  const content = await promisify(gunzip)(packed)
  const found = sha256(content)
  const { checksum } = officialFiles[part]
  if (found !== checksum) {
    throw new Error(
      `its SHA-256 is ${found.slice(0, 12)}… and not ${checksum.slice(0, 12)}…, so it is not the official file`,
    )
  }
}

async function downloadInto(folder: string, addresses: readonly string[]): Promise<void> {
  const present = await findIn(folder)
  for (const part of parts) {
    if (present[part] !== undefined) continue
    const file = `${officialFiles[part].name}.gz`
    await download(
      addresses.map(address => `${address}/${file}`),
      join(folder, file),
      { verify: packed => verifyOfficial(part, packed) },
    )
  }
}

async function locate(options: FashionMnistOptions): Promise<{ folder: string; paths: Paths }> {
  const {
    folder,
    systemFolder = debianFashionMnistFolder,
    cache = join(cacheFolder(), 'fashion-mnist'),
    addresses = fashionMnistAddresses,
  } = options
  const places = folder === undefined ? [systemFolder, cache] : [folder]
  for (const place of places) {
    const paths = await findIn(place)
    if (isComplete(paths)) return { folder: place, paths }
  }
  if (folder !== undefined) {
    const found = await findIn(folder)
    const absent = parts.filter(part => found[part] === undefined).map(part => `${officialFiles[part].name}[.gz]`)
    throw new Error(`fashion-mnist: ${folder} lacks ${absent.join(', ')}.`)
  }
  const advice =
    `Install Debian's package dataset-fashion-mnist, or put the four files ${officialFiles.trainImages.name}.gz … in ` +
    'a folder and give that folder.'
  const sought = `fashion-mnist: not found in ${places.join(' or ')}`
  if (addresses.length === 0) throw new Error(`${sought}. ${advice}`)
  try {
    await downloadInto(cache, addresses)
  } catch (cause) {
    throw new Error(`${sought}, and the download failed (${(cause as Error).message}). ${advice}`, { cause })
  }
  const paths = await findIn(cache)
  if (!isComplete(paths)) throw new Error(`fashion-mnist: ${cache} lost files while they were downloaded; try again.`)
  return { folder: cache, paths }
}

async function readSplit(name: string, imagesPath: string, labelsPath: string): Promise<Dataset> {
  const [images, labels] = await Promise.all(
    [imagesPath, labelsPath].map(async path => parseIdx(await readMaybeGzip(path), path)),
  )
  const [count, height, width] = images.dimensions
  if (images.dimensions.length !== 3 || height !== 28 || width !== 28) {
    throw new Error(`${imagesPath}: expected images of 28 x 28 pixels, found dimensions [${images.dimensions}].`)
  }
  if (labels.dimensions.length !== 1 || labels.dimensions[0] !== count) {
    throw new Error(`${labelsPath}: expected ${count} labels, one an image, found dimensions [${labels.dimensions}].`)
  }
  // In shared memory, so that worker threads read the images where they are.
  const values = new Uint8Array(new SharedArrayBuffer(images.values.length))
  values.set(images.values)
  return arrayDataset({
    name,
    classes: fashionMnistClasses,
    shape: [1, height, width],
    values,
    labels: Int32Array.from(labels.values),
  })
}

/**
 * Fashion-MNIST (Xiao, Rasul and Vollgraf, 2017): 28 x 28 grey pictures of ten kinds of clothes, 60,000 to train on and
 * 10,000 to test on. Read from the given folder; else from the system's package; else from the cache, into which the
 * official files are downloaded if needed and kept once their checksums agree.
 *
 * @throws Error in one line when the files are in none of the places (with what to do), or are damaged
 */
export async function loadFashionMnist(options: FashionMnistOptions = {}): Promise<FashionMnist> {
  const { folder, paths } = await locate(options)
  const [all, test] = await Promise.all([
    readSplit('fashion-mnist train', paths.trainImages, paths.trainLabels),
    readSplit('fashion-mnist test', paths.testImages, paths.testLabels),
  ])
  const { validation = 5000 } = options
  if (!Number.isInteger(validation) || validation < 0 || validation >= all.length) {
    throw new Error(`fashion-mnist: validation must be a whole number below ${all.length} samples, got ${validation}.`)
  }
  const split = stratifiedSplit(all.labels, { validation: validation / all.length, test: 0 }, validationSeed)
  return {
    classes: fashionMnistClasses,
    train: subset(all, split.train),
    validation: subset(all, split.validation, 'fashion-mnist validation'),
    test,
    normalisation: fashionMnistNormalisation,
    folder,
  }
}
