import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import sharp from 'sharp'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { HostTensor } from '../../core/index.ts'
import { findModelKind } from '../classify/index.ts'
import { batchOf, trainingBatches } from './batches.ts'
import { IGNORED, openSegmentationData, type SegmentationData } from './data.ts'
import { DenseSegmenter } from './dense-segmenter.ts'
import { evaluateSegmenter } from './evaluate.ts'
import { findSegmenterKind } from './models.ts'
import { predictMask, writeMask } from './predict.ts'
import { exportSegmenter, loadSegmenter } from './segmenter.ts'
import { trainSegmenter } from './train.ts'

let root: string
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'tenet-segment-'))
})
afterAll(() => rmSync(root, { recursive: true }))

const side = 24

/** A bright square on a dark ground, and its mask with 0 and 255. */
async function writePair(folder: string, name: string, at: number, value = 255): Promise<void> {
  const inside = (i: number): boolean => Math.abs((i % side) - at) < 5 && Math.abs(Math.floor(i / side) - at) < 5
  const image = Uint8Array.from(
    { length: side * side * 3 },
    (_, i) => (inside(Math.floor(i / 3)) ? 220 : 30) + ((i * 7) % 20),
  )
  const mask = Uint8Array.from({ length: side * side }, (_, i) => (inside(i) ? value : 0))
  const raw = { width: side, height: side }
  await sharp(image, { raw: { ...raw, channels: 3 } })
    .png()
    .toFile(join(folder, 'images', `${name}.png`))
  await sharp(mask, { raw: { ...raw, channels: 1 } })
    .png()
    .toFile(join(folder, 'masks', `${name}.png`))
}

async function dataFolder(name: string, count: number): Promise<string> {
  const folder = join(root, name)
  for (const kind of ['images', 'masks']) mkdirSync(join(folder, kind), { recursive: true })
  for (let i = 0; i < count; i++) await writePair(folder, `p${i}`, 6 + (i % 12))
  return folder
}

describe('a folder of pictures and masks', () => {
  it('is divided, its classes are the masks’ values', async () => {
    const data = await openSegmentationData(await dataFolder('good', 20), { size: side })
    expect(data.classes).toEqual(['0', '255'])
    expect([data.train.length, data.validation.length, data.test.length]).toEqual([16, 2, 2])
    expect(new Set(data.train.masks)).toEqual(new Set([0, 1]))
    const at = data.train.masks.indexOf(1)
    expect(data.train.images[at]).toBeGreaterThan(200)
  })

  it('takes names from classes.json, and leaves out what it calls ignore', async () => {
    const folder = await dataFolder('named', 12)
    await writePair(folder, 'extra', 8, 128)
    writeFileSync(join(folder, 'classes.json'), '{"ground": 0, "square": 255, "ignore": 128}')
    const data = await openSegmentationData(folder, { size: side })
    expect(data.classes).toEqual(['ground', 'square'])
    const all = [data.train, data.validation, data.test].flatMap(({ masks }) => [...masks])
    expect(new Set(all)).toEqual(new Set([0, 1, IGNORED]))
  })

  it.each([
    [
      'a mask value outside the list',
      async (f: string) => writeFileSync(join(f, 'classes.json'), '["ground", "cell"]'),
      'has the value 255, which is none of the classes ground, cell',
    ],
    [
      'a list that is none',
      async (f: string) => writeFileSync(join(f, 'classes.json'), '{"ground": "dark"}'),
      'expected a list of names, or an object',
    ],
    ['a picture without a mask', async (f: string) => rmSync(join(f, 'masks', 'p1.png')), 'has no mask for p1.png'],
    [
      'no masks at all',
      async (f: string) => {
        rmSync(join(f, 'masks'), { recursive: true })
        mkdirSync(join(f, 'masks'))
      },
      'holds no masks',
    ],
    ['no folder of masks', async (f: string) => rmSync(join(f, 'masks'), { recursive: true }), "has no folder 'masks'"],
    [
      'a mask of another size',
      async (f: string) => {
        await sharp({ create: { width: 9, height: 7, channels: 3, background: '#000' } })
          .png()
          .toFile(join(f, 'masks', 'p0.png'))
      },
      'p0.png is 9x7, but its picture is 24x24',
    ],
    [
      'masks as JPEG',
      async (f: string) => {
        await sharp({ create: { width: side, height: side, channels: 3, background: '#000' } })
          .jpeg()
          .toFile(join(f, 'masks', 'p0.jpg'))
        rmSync(join(f, 'masks', 'p0.png'))
      },
      'p0.jpg is a JPEG',
    ],
  ])('says in one line what is wrong: %s', async (name, spoil, message) => {
    const folder = await dataFolder(name.replaceAll(' ', '-'), 4)
    await spoil(folder)
    await expect(openSegmentationData(folder, { size: side })).rejects.toThrow(message)
  })

  it('is asked for by name or path', async () => {
    await expect(openSegmentationData('nowhere')).rejects.toThrow("there is no data set or folder 'nowhere'")
    await expect(openSegmentationData(root)).rejects.toThrow('has neither images and masks nor train, val and test')
  })
})

describe('a segmenter', () => {
  let data: SegmentationData
  beforeAll(async () => {
    data = await openSegmentationData(await dataFolder('train-on', 30), { size: side })
  })

  it('learns, is saved, loaded and exported, and writes masks of the picture’s own size', async () => {
    const folder = join(root, 'run')
    const options = { model: 'resnet', modelOptions: { widths: [8, 16], depths: [1, 1], stem: 'small', headWidth: 16 } }
    const { segmenter, test, path, fit } = await trainSegmenter(data, folder, {
      ...options,
      epochs: 15,
      batchSize: 8,
      learningRate: 0.01,
    })
    expect(fit.history.length).toBe(15)
    expect(test!.meanIou).toBeGreaterThan(0.8)
    expect(test!.hd95).toBeLessThan(4)
    const loaded = await loadSegmenter(path)
    const { images } = batchOf(data.test, [0], data, data.normalisation)
    expect((await loaded.labels(images)).numbers()).toEqual((await segmenter.labels(images)).numbers())
    const file = join(root, 'large.png')
    await sharp(join(root, 'train-on', 'images', 'p3.png'))
      .resize(50, 30, { fit: 'fill' })
      .png()
      .toFile(file)
    const mask = await predictMask(loaded, file)
    expect([mask.height, mask.width, mask.labels.length]).toEqual([30, 50, 1500])
    const [written] = await writeMask(mask, file, join(root, 'masks-out'))
    const { data: back, info } = await sharp(written).raw().toBuffer({ resolveWithObject: true })
    expect([info.width, info.height]).toEqual([50, 30])
    expect(new Set(back.filter((_, i) => i % info.channels === 0))).toEqual(new Set(mask.labels))
    expect(exportSegmenter(loaded).model.length).toBeGreaterThan(1000)
    await segmenter.release()
    await loaded.release()
    await expect(loadSegmenter(join(folder, 'checkpoint.safetensors'))).rejects.toThrow('is not a segmenter')
  })

  it('can be any backbone that gives maps, and says so of one that does not', async () => {
    const kind = await findSegmenterKind('vit')
    const format = { channels: 3, size: [24, 24] as const, classes: 4 }
    const network = kind.build(format, kind.defaults(format))
    expect(network).toBeInstanceOf(DenseSegmenter)
    const cnn = await findSegmenterKind('cnn')
    expect(() => cnn.build(format, cnn.defaults(format))).toThrow("model 'cnn' gives no maps of features")
    await expect(findSegmenterKind('nothing')).rejects.toThrow(
      "there is no segmenter 'nothing'; there are: resnet, vit",
    )
    expect((await findModelKind('vit')).summary).toContain('vision transformer')
  })

  it('is measured: perfect masks score 1 and no distance', async () => {
    const truth = data.test
    const report = await evaluateSegmenter(
      async images =>
        new HostTensor(
          Int32Array.from(truth.masks.subarray(0, images.shape[0] * side * side)),
          [images.shape[0], side, side],
          'i32',
        ),
      truth,
      data,
      data.normalisation,
    )
    expect(report).toMatchObject({ meanIou: 1, meanDice: 1, pixelAccuracy: 1, hd95: 0 })
    await expect(
      evaluateSegmenter(async images => images, { ...truth, length: 0 }, data, data.normalisation),
    ).rejects.toThrow('there is nothing to evaluate')
  })
})

it('a batch shifts and mirrors picture and mask alike, and what is shifted in counts for nothing', () => {
  const [height, width] = [2, 4]
  const pictures = {
    length: 1,
    images: Uint8Array.from([0, 1, 2, 3, 4, 5, 6, 7]),
    masks: Uint8Array.from([0, 1, 2, 3, 4, 5, 6, 7]),
    names: ['a'],
  }
  const { images, masks } = batchOf(
    pictures,
    [0],
    { channels: 1, size: [height, width] },
    { mean: [0], std: [1 / 255] },
    () => ({ mirror: true, dx: 1, dy: 0 }),
  )
  expect([...masks.numbers()]).toEqual([IGNORED, 3, 2, 1, IGNORED, 7, 6, 5])
  expect([...images.numbers()].map(Math.round)).toEqual([0, 3, 2, 1, 0, 7, 6, 5])
})

it('batches of an epoch are the same whenever they are asked for again', async () => {
  const data = await openSegmentationData(await dataFolder('again', 16), { size: side })
  const source = trainingBatches(data, 4, 3, true)
  const first: number[][] = []
  for await (const { batch } of source.epoch(2, 0)) first.push([...batch.images.numbers().slice(0, 50)])
  const later: number[][] = []
  for await (const { batch } of source.epoch(2, 2)) later.push([...batch.images.numbers().slice(0, 50)])
  expect(later).toEqual(first.slice(2))
})
