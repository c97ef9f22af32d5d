import { execFile } from 'node:child_process'
import { mkdtemp, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import sharp from 'sharp'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Batch } from './batch.ts'
import { arrayDataset, type Dataset } from './dataset.ts'
import { DataLoader, type EpochOptions, type LoaderOptions } from './loader.ts'

/** 22 grey pictures of 6 x 6; every pixel of sample i has the value i. */
const numbered = (kind: 'bytes' | 'floats' = 'bytes'): Dataset => {
  const values = Uint8Array.from({ length: 22 * 36 }, (_, at) => Math.floor(at / 36))
  return arrayDataset({
    name: 'numbered',
    classes: ['even', 'odd'],
    shape: [1, 6, 6],
    values: kind === 'bytes' ? values : Float32Array.from(values),
    labels: Int32Array.from({ length: 22 }, (_, index) => index % 2),
  })
}

async function batchesOf(dataset: Dataset, options: LoaderOptions, epoch = 0, range: EpochOptions = {}) {
  const loader = new DataLoader(dataset, options)
  const batches: Batch[] = []
  for await (const batch of loader.epoch(epoch, range)) batches.push(batch)
  await loader.close()
  return batches
}

const everything: LoaderOptions = {
  batchSize: 4,
  seed: 9,
  shuffle: true,
  augment: { randomCrop: { padding: 2 }, rotation: 20, horizontalFlip: true, erasing: {} },
  normalise: { mean: [0.1], std: [0.3] },
  mix: { mixup: 0.4, cutmix: 1 },
}

describe('DataLoader on samples in memory', () => {
  it('gives every sample once, in order, with the last batch padded', async () => {
    const batches = await batchesOf(numbered(), { batchSize: 8 })
    expect(batches.map(({ number }) => number)).toEqual([0, 1, 2])
    const last = batches[2]
    expect(last.shape).toEqual([8, 1, 6, 6])
    expect([...last.indices]).toEqual([16, 17, 18, 19, 20, 21, -1, -1])
    expect([...last.weights]).toEqual([1, 1, 1, 1, 1, 1, 0, 0])
    expect([...last.labels]).toEqual([0, 1, 0, 1, 0, 1, 0, 0])
    expect(last.inputs[5 * 36]).toBeCloseTo(21 / 255, 6)
    expect(last.inputs.subarray(6 * 36).every(value => value === 0)).toBe(true)
    expect(last.targets).toBeUndefined()
  })

  it('takes floats as they are, and drops the last batch when told to', async () => {
    const batches = await batchesOf(numbered('floats'), { batchSize: 8, lastBatch: 'drop' })
    expect(batches.length).toBe(2)
    expect(batches[1].inputs[7 * 36]).toBe(15)
  })

  it('shuffles anew each epoch, and the same way each time', async () => {
    const order = async (epoch: number, seed = 0) => {
      const batches = await batchesOf(numbered(), { batchSize: 5, shuffle: true, seed }, epoch)
      return batches.flatMap(({ indices }) => [...indices]).filter(index => index >= 0)
    }
    const first = await order(0)
    expect([...first].sort((a, b) => a - b)).toEqual(Array.from({ length: 22 }, (_, index) => index))
    expect(await order(0)).toEqual(first)
    expect(await order(1)).not.toEqual(first)
    expect(await order(0, 1)).not.toEqual(first)
  })

  it('gives the same bits with any number of workers and any prefetch, over several epochs', async () => {
    for (const kind of ['bytes', 'floats'] as const) {
      const inline = new DataLoader(numbered(kind), { ...everything, workers: 0 })
      const threaded = new DataLoader(numbered(kind), { ...everything, workers: 2, prefetch: 5 })
      for (const epoch of [0, 1]) {
        const expected = inline.epoch(epoch)
        for await (const batch of threaded.epoch(epoch)) expect(batch).toEqual((await expected.next()).value)
        expect((await expected.next()).done).toBe(true)
      }
      await threaded.close()
    }
  })

  it('goes on from any batch with the bits of the whole epoch', async () => {
    const whole = await batchesOf(numbered(), everything, 5)
    for (const startBatch of [1, 4, 6]) {
      expect(await batchesOf(numbered(), everything, 5, { startBatch })).toEqual(whole.slice(startBatch))
    }
  })

  it('gives each batch memory of its own', async () => {
    const batches = await batchesOf(numbered(), { batchSize: 8, workers: 1 })
    expect(new Set(batches.map(({ inputs }) => inputs.buffer)).size).toBe(3)
  })

  it('can be left early and used again', async () => {
    const loader = new DataLoader(numbered(), { ...everything, workers: 1 })
    for await (const batch of loader.epoch(0)) {
      expect(batch.number).toBe(0)
      break
    }
    const numbers: number[] = []
    for await (const batch of loader.epoch(1)) numbers.push(batch.number)
    expect(numbers).toEqual([0, 1, 2, 3, 4, 5])
    await loader.close()
    await expect(loader.epoch(2).next()).rejects.toThrow('loader: it has been closed; make a new one.')
  })

  it('changes the shape as the crop does', () => {
    const loader = new DataLoader(numbered(), { batchSize: 3, augment: { randomCrop: { size: [4, 5] } } })
    expect(loader.shape).toEqual([3, 1, 4, 5])
    expect(loader.batches).toBe(8)
  })

  it('refuses options out of range', async () => {
    const make = (options: Partial<LoaderOptions>) => () => new DataLoader(numbered(), { batchSize: 4, ...options })
    expect(make({ batchSize: 0 })).toThrow('loader: batchSize must be a whole number of at least 1, got 0.')
    expect(make({ workers: -1 })).toThrow('loader: workers must be a whole number of at least 0, got -1.')
    expect(make({ prefetch: 0 })).toThrow('loader: prefetch must be a whole number of at least 1, got 0.')
    expect(make({ batchSize: 23, lastBatch: 'drop' })).toThrow('loader: numbered has 22 samples, which is less than')
    expect(make({ mix: {} })).toThrow('mix: give an alpha')
    await expect(make({})().epoch(-1).next()).rejects.toThrow('loader: epoch must be a whole number')
  })
})

describe('DataLoader on files', () => {
  let root: string
  let dataset: Dataset
  beforeAll(async () => {
    root = await mkdtemp(join(tmpdir(), 'tenet-loader-'))
    const files = ['a.png', 'b.png', 'cut.png', 'd.png', 'none.png', 'f.png']
    for (const [index, file] of files.entries()) {
      if (file === 'none.png') continue
      const background = { r: index * 20, g: 100, b: 200 }
      await sharp({ create: { width: 30, height: 20, channels: 3, background } })
        .png()
        .toFile(join(root, file))
    }
    await truncate(join(root, 'cut.png'), 60)
    dataset = {
      name: 'files',
      classes: ['x', 'y'],
      length: files.length,
      shape: [3, 8, 8],
      labels: Int32Array.of(1, 1, 1, 1, 1, 1),
      source: { kind: 'files', root, files, decode: { size: [8, 8] } },
    }
  })
  afterAll(() => rm(root, { recursive: true }))

  it('leaves out unreadable files by weight, reports each once, and goes on', async () => {
    const reports: string[] = []
    const onSkip = ({ name, reason }: { name: string; reason: string }) => reports.push(`${name}: ${reason}`)
    const results: Batch[][] = []
    for (const workers of [0, 2]) {
      const loader = new DataLoader(dataset, { batchSize: 4, workers, onSkip, mix: { mixup: 1 } })
      const batches: Batch[] = []
      for (const epoch of [0, 1]) for await (const batch of loader.epoch(epoch)) batches.push(batch)
      await loader.close()
      results.push(batches)
      expect(reports.splice(0)).toEqual([
        expect.stringMatching(/^cut.png: cannot be decoded, it is damaged or cut off/),
        'none.png: does not exist',
      ])
    }
    expect(results[1]).toEqual(results[0])
    const [first, second] = results[0]
    expect([...first.weights]).toEqual([1, 1, 0, 1])
    expect([...first.labels]).toEqual([1, 1, 0, 1])
    expect([...first.indices]).toEqual([0, 1, 2, 3])
    expect(first.skipped.map(({ name }) => name)).toEqual(['cut.png'])
    expect(first.inputs.subarray(2 * 192, 3 * 192).every(value => value === 0)).toBe(true)
    expect([...first.targets!.subarray(4, 6)]).toEqual([0, 0])
    expect([...second.weights]).toEqual([0, 1, 0, 0])
  })

  it.each([0, 1])('names the sample when preparing it fails for another reason (%i workers)', async workers => {
    const source = { kind: 'files' as const, root, files: ['a.png'], decode: { size: [-1, 8] as const } }
    const broken = { ...dataset, length: 1, labels: Int32Array.of(0), source }
    await expect(batchesOf(broken, { batchSize: 1, workers })).rejects.toThrow(
      /^sample a.png could not be prepared: Expected positive integer/,
    )
  })
})

it('works in a program run by tsx, which ends although the loader was neither finished nor closed', async () => {
  const here = new URL('.', import.meta.url).href
  const program = `
    import { arrayDataset } from '${here}dataset.ts'
    import { DataLoader } from '${here}loader.ts'
    const values = new Uint8Array(64)
    const dataset = arrayDataset({ name: 'd', classes: ['a'], shape: [1], values, labels: new Int32Array(64) })
    const loader = new DataLoader(dataset, { batchSize: 4, workers: 1 })
    for await (const batch of loader.epoch(0)) if (batch.number === 3) { console.log('batch', batch.number); break }
  `
  const folder = await mkdtemp(join(tmpdir(), 'tenet-tsx-'))
  await writeFile(join(folder, 'program.mts'), program)
  const { stdout, stderr } = await promisify(execFile)(
    process.execPath,
    ['--import', import.meta.resolve('tsx'), join(folder, 'program.mts')],
    { timeout: 20_000 },
  )
  await rm(folder, { recursive: true })
  expect({ stdout, stderr }).toEqual({ stdout: 'batch 3\n', stderr: '' })
})
