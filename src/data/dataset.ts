import type { DecodeOptions } from './decode.ts'
import { RandomStream, randomPurposes } from './random.ts'

/** The shape of one sample without the batch axis; images are [channels, height, width]. */
export type SampleShape = readonly number[]

/** Samples that are in memory, one after the other, each of the data set's shape in row-major order. */
export interface ArraySource {
  kind: 'array'
  /** Bytes are pixel values 0 .. 255; floats are taken as they are. Shared memory is not copied for worker threads. */
  values: Uint8Array | Float32Array
  /** Sample i is row `rows[i]` of `values`; by default row i. */
  rows?: Int32Array
  /** What to call each sample: the file that it came from. */
  names?: readonly string[]
}

/** Samples that are image files, decoded each time they are asked for. */
export interface FileSource {
  kind: 'files'
  root: string
  /** Paths below `root`, one a sample. */
  files: readonly string[]
  decode: DecodeOptions & { size: readonly [height: number, width: number] }
}

/**
 * Labelled samples: plain data, so that it can be handed to worker threads.
 * `sampleName`, `readSample`, `subset` and `measureNormalisation` work on any of them.
 */
export interface Dataset {
  name: string
  /** The name of each label. */
  classes: readonly string[]
  length: number
  shape: SampleShape
  /** One label a sample, an index into `classes`. */
  labels: Int32Array
  source: ArraySource | FileSource
}

/** Something left out of a data set or a batch, and why. */
export interface Skipped {
  name: string
  reason: string
}

/** Number of elements of a shape. */
export function sizeOf(shape: SampleShape): number {
  return shape.reduce((product, dimension) => product * dimension, 1)
}

/**
 * A data set over samples in memory.
 *
 * @param fields.values samples one after the other: bytes (pixels 0 .. 255) or floats
 * @param fields.shape shape of one sample, [channels, height, width] for images
 * @param fields.labels one label a sample
 * @param fields.names what to call each sample, by default its position
 * @param fields.rows which row of `values` each sample is; by default as many samples as there are labels, in order
 * @throws Error when the lengths do not fit together or a label has no class
 */
export function arrayDataset(fields: {
  name: string
  classes: readonly string[]
  shape: SampleShape
  values: Uint8Array | Float32Array
  labels: Int32Array
  rows?: Int32Array
  names?: readonly string[]
}): Dataset {
  const { name, classes, shape, values, labels, rows, names } = fields
  const size = sizeOf(shape)
  const available = values.length / size
  if (!Number.isInteger(available)) {
    throw new Error(`${name}: ${values.length} values do not divide into samples of shape [${shape}] (${size} values).`)
  }
  const expected = rows ? rows.length : available
  if (labels.length !== expected) {
    throw new Error(`${name}: ${labels.length} labels for ${expected} samples of shape [${shape}].`)
  }
  if (names && names.length !== labels.length) {
    throw new Error(`${name}: ${names.length} names for ${labels.length} samples.`)
  }
  const misplaced = rows?.find(row => row < 0 || row >= available)
  if (misplaced !== undefined) throw new Error(`${name}: row ${misplaced} is not one of the ${available} rows.`)
  const unknown = labels.findIndex(label => label < 0 || label >= classes.length)
  if (unknown >= 0) {
    throw new Error(`${name}: sample ${unknown} has label ${labels[unknown]}, but there are ${classes.length} classes.`)
  }
  return { name, classes, length: labels.length, shape, labels, source: { kind: 'array', values, rows, names } }
}

/** What to call a sample in a message: its file below the root, or its position. */
export function sampleName({ name, source }: Dataset, index: number): string {
  const file = source.kind === 'files' ? source.files[index] : source.names?.[index]
  return file ?? `${name}[${index}]`
}

/** The samples at `indices`, in that order, as a data set that shares the memory of the whole. */
export function subset(dataset: Dataset, indices: ArrayLike<number>, name = dataset.name): Dataset {
  const { source } = dataset
  const outside = Array.prototype.find.call(indices, index => !(index >= 0 && index < dataset.length))
  if (outside !== undefined) {
    throw new Error(`${dataset.name}: index ${outside} is not one of the ${dataset.length} samples.`)
  }
  return {
    ...dataset,
    name,
    length: indices.length,
    labels: Int32Array.from(indices, index => dataset.labels[index]),
    source:
      source.kind === 'files'
        ? { ...source, files: Array.from(indices, index => source.files[index]) }
        : {
            ...source,
            rows: Int32Array.from(indices, index => source.rows?.[index] ?? index),
            names: source.names && Array.from(indices, index => source.names![index]),
          },
  }
}

export interface SplitFractions {
  /** Share of each class that goes to validation, 0 <= validation < 1. */
  validation: number
  /** Share of each class that goes to test, 0 <= test < 1. */
  test: number
}

export interface SplitIndices {
  train: Int32Array
  validation: Int32Array
  test: Int32Array
}

/** How many of `total` samples of one class go to validation and test. */
function splitCounts(total: number, fractions: SplitFractions): { validation: number; test: number } {
  // A class of three or more is seen in every split asked for; one of two is seen in train and one other.
  const share = (fraction: number) => (fraction > 0 && total > 1 ? Math.max(1, Math.round(total * fraction)) : 0)
  let validation = share(fractions.validation)
  let test = share(fractions.test)
  while (total > 0 && validation + test >= total) {
    if (test >= validation && test > 0) test--
    else validation--
  }
  return { validation, test }
}

/**
 * Splits samples class by class, so that every split has the classes in the same proportions, as a pure function of the
 * arguments. Train always keeps at least one sample of a class.
 *
 * @param labels one label a sample
 * @param keys one unsigned 32-bit integer a sample that decides, with the seed, where it goes; by default its position.
 *   With keys made from file names, adding or removing a file leaves nearly all others where they were.
 * @returns ascending sample indices
 */
export function stratifiedSplit(
  labels: Int32Array,
  fractions: SplitFractions,
  seed: number,
  keys?: Uint32Array,
): SplitIndices {
  const { validation, test } = fractions
  if (!(validation >= 0 && test >= 0 && validation + test < 1)) {
    throw new Error(
      `split: validation (${validation}) and test (${test}) must be shares >= 0 that leave some samples to train on.`,
    )
  }
  const byClass = new Map<number, number[]>()
  for (const [index, label] of labels.entries()) {
    const members = byClass.get(label)
    if (members) members.push(index)
    else byClass.set(label, [index])
  }
  const ranks = Float64Array.from(labels, (_, index) =>
    new RandomStream(seed, randomPurposes.split, 0, keys ? keys[index] : index).uint32(),
  )
  const parts: Record<keyof SplitIndices, number[]> = { train: [], validation: [], test: [] }
  for (const members of byClass.values()) {
    members.sort((a, b) => ranks[a] - ranks[b] || a - b)
    const counts = splitCounts(members.length, fractions)
    for (const [place, index] of members.entries()) {
      const part = place < counts.test ? 'test' : place < counts.test + counts.validation ? 'validation' : 'train'
      parts[part].push(index)
    }
  }
  return {
    train: Int32Array.from(parts.train).sort(),
    validation: Int32Array.from(parts.validation).sort(),
    test: Int32Array.from(parts.test).sort(),
  }
}
