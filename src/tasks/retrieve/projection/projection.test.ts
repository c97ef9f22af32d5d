import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import sharp from 'sharp'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { pairFiles, plain, writePair } from '../../../../test/onnx-pair.ts'
import { RandomStream } from '../../../data/index.ts'
import type { RetrievalEncoder } from '../encoder.ts'
import { loadEncoder } from '../load-encoder.ts'
import { compareRanks, directionsOf, ranksOf } from './pair-score.ts'
import { encodePairs, type PairFeatures, readPairs } from './pairs.ts'
import { trainProjection } from './train-projection.ts'

let work: string
let pair: string
let base: RetrievalEncoder
beforeAll(async () => {
  work = await mkdtemp(join(tmpdir(), 'tenet-projection-'))
  pair = await writePair(join(work, 'pair'))
  base = await loadEncoder(pair)
})
afterAll(async () => {
  await base.close()
  await rm(work, { recursive: true, force: true })
})

const dim = 12

/** Pairs whose texts are their pictures turned by a rotation that heads can undo. */
function turnedPairs(count: number, { pictures = true, noise = 0 } = {}): PairFeatures {
  const random = new RandomStream(3, 900)
  const unit = (values: number[]): number[] => {
    const length = Math.hypot(...values)
    return values.map(value => value / length)
  }
  const normal = (): number => Array.from({ length: 12 }, () => random.uniform()).reduce((a, b) => a + b) - 6
  const images = Array.from({ length: count }, () => unit(Array.from({ length: dim }, normal)))
  const turn = (v: number[]): number[] => v.map((_, i) => v[(i + 3) % dim] * (i % 2 ? -1 : 1))
  const texts = images.map(v => unit(turn(v).map(value => value + noise * normal())))
  const flat = (rows: number[][]): Float32Array => Float32Array.from(rows.flat())
  return {
    title: 'turned',
    dim,
    items: images.map((_, i) =>
      pictures ? { group: i, picture: i, texts: [i] } : { group: i, texts: [i, count + i] },
    ),
    images: pictures ? flat(images) : new Float32Array(0),
    texts: pictures ? flat(texts) : flat([...images, ...texts]),
    skipped: [],
    digest: 'turned',
  }
}

describe('heads over frozen features', () => {
  it('learn what turns texts to their pictures, and are opened by their file', async () => {
    const folder = join(work, 'run')
    const { report, path } = await trainProjection(base, turnedPairs(240), folder, { epochs: 60, learningRate: 2e-2 })
    expect(report!.groups).toEqual({ train: 192, validation: 48 })
    expect(report!.improved).toBe(true)
    const [byText] = report!.directions
    expect(byText).toMatchObject({ direction: 'text to picture', queries: 48, gallery: 48 })
    expect(byText.before['R@1'].estimate).toBeLessThan(0.3)
    expect(byText.after['R@1'].estimate).toBeGreaterThan(0.9)
    expect(byText.difference['R@1'].low).toBeGreaterThan(0.3)
    const encoder = await loadEncoder(path)
    expect([encoder.dim, encoder.imageSize, encoder.imageFit, encoder.source]).toEqual([12, 8, 'cover', path])
    expect(encoder.id).not.toBe(base.id)
    const texts = await encoder.encodeTexts(['red', 'blue', ''])
    expect([texts.length, Math.hypot(...texts.subarray(0, 12))]).toEqual([36, expect.closeTo(1, 5)])
    expect(await encoder.encodeImages(plain([0, 0, 255]), 1)).toHaveLength(12)
    await encoder.close()
  })

  it('to another width and with a hidden layer learn too; from texts alone both towers turn alike', async () => {
    const wide = await trainProjection(base, turnedPairs(240), join(work, 'mlp'), {
      head: 'mlp',
      dim: 16,
      epochs: 60,
      learningRate: 1e-2,
    })
    expect(wide.report!.directions[0].difference['R@1'].low).toBeGreaterThan(0.1)
    const words = await trainProjection(base, turnedPairs(120, { pictures: false, noise: 0.1 }), join(work, 'words'), {
      epochs: 3,
    })
    expect(words.report!.directions.map(({ direction }) => direction)).toEqual(['text to text'])
    const encoder = await loadEncoder(words.path)
    const [text, image] = [await encoder.encodeTexts(['red']), await encoder.encodeImages(plain([255, 0, 0]), 1)]
    expect(text.reduce((sum, value, i) => sum + value * image[i], 0)).toBeGreaterThan(0.99)
    await encoder.close()
  })

  it('change nothing where they cannot do better than the encoder', async () => {
    const same = turnedPairs(40)
    const { report, path } = await trainProjection(base, { ...same, texts: same.images }, join(work, 'same'), {
      epochs: 3,
    })
    expect([report!.improved, report!.widths, report!.directions[0].difference['R@1'].estimate]).toEqual([
      false,
      [12],
      0,
    ])
    const encoder = await loadEncoder(path)
    const [own, frozen] = [await encoder.encodeTexts(['red', 'blue']), await base.encodeTexts(['red', 'blue'])]
    for (const [i, value] of own.entries()) expect(value).toBeCloseTo(frozen[i], 5)
    await encoder.close()
  })

  it('are continued after an interruption to the same result', async () => {
    const pairs = turnedPairs(60)
    const options = { epochs: 6, batchSize: 16, seed: 5 }
    const whole = await trainProjection(base, pairs, join(work, 'whole'), options)
    const stop = new AbortController()
    const onProgress = ({ batch }: { batch: number }) => batch === 8 && stop.abort()
    const cut = await trainProjection(base, pairs, join(work, 'cut'), { ...options, signal: stop.signal, onProgress })
    expect([cut.fit.interrupted, cut.report]).toEqual([true, undefined])
    const rest = await trainProjection(base, pairs, join(work, 'cut'), { ...options, resume: true })
    expect(rest.report).toEqual(whole.report)
    const others = { ...pairs, digest: 'other' }
    await expect(trainProjection(base, others, join(work, 'cut'), { ...options, resume: true })).rejects.toThrow(
      /other options/,
    )
  })

  it('say in one line when their encoder is gone or has changed, and find it moved along', async () => {
    const home = join(work, 'home')
    const own = await writePair(join(home, 'frozen'))
    const frozen = await loadEncoder(own)
    const { path } = await trainProjection(frozen, turnedPairs(20), join(home, 'heads'), { epochs: 1 })
    await frozen.close()
    await rename(home, `${home}-moved`)
    const moved = path.replace(home, `${home}-moved`)
    const encoder = await loadEncoder(moved)
    await encoder.close()
    await writePair(join(`${home}-moved`, 'frozen'), pairFiles({ scale: 3 }))
    await expect(loadEncoder(moved)).rejects.toThrow(/cannot be opened: there is no encoder at|is now/)
    await rm(join(`${home}-moved`, 'frozen'), { recursive: true })
    await expect(loadEncoder(moved)).rejects.toThrow(
      /stands on encoder frozen, which cannot be opened: there is no encoder at [^\n]*$/,
    )
  })

  it('need enough pairs', async () => {
    const none = { ...turnedPairs(5), items: [], skipped: [{ id: 'a.png', reason: 'does not exist' }] }
    await expect(trainProjection(base, none, join(work, 'x'))).rejects.toThrow(
      'turned: holds no usable pair (a.png: does not exist)',
    )
    await expect(trainProjection(base, turnedPairs(3), join(work, 'x'))).rejects.toThrow(
      /pairs of 3 groups; at least 4/,
    )
  })
})

describe('pairs of a table', () => {
  it('are pictures with their texts and texts with each other; what cannot be used is listed', async () => {
    const folder = join(work, 'table')
    await mkdir(folder)
    const png = await sharp(plain([255, 0, 0]), { raw: { width: 8, height: 8, channels: 3 } })
      .png()
      .toBuffer()
    await writeFile(join(folder, 'a.png'), png)
    await writeFile(join(folder, 'broken.png'), 'no picture')
    const rows = [
      { image: 'a.png', caption: ['red', 'rot'] },
      { image: 'a.png', caption: ['crimson'] },
      { image: 'missing.png', caption: ['blue'] },
      { image: 'broken.png', caption: ['green'] },
      { image: null, caption: ['one', 'two'] },
      { image: null, caption: ['alone'] },
      { image: 'a.png', caption: [] },
    ]
    const file = join(folder, 'pairs.jsonl')
    await writeFile(file, rows.map(row => JSON.stringify(row)).join('\n'))
    const pairs = await readPairs(file)
    expect(pairs.texts).toEqual(['red', 'rot', 'crimson', 'blue', 'green', 'one', 'two'])
    const features = await encodePairs(base, pairs)
    expect(features.items).toEqual([
      { group: 0, picture: 0, texts: [0, 1] },
      { group: 0, picture: 0, texts: [2] },
      { group: 3, texts: [5, 6] },
    ])
    expect(features.skipped).toEqual([
      { id: 'row 6', reason: 'has no picture and fewer than two texts' },
      { id: 'a.png', reason: 'has no text' },
      { id: 'missing.png', reason: 'does not exist' },
      { id: 'broken.png', reason: expect.stringMatching(/is not a readable image/) },
    ])
    const grouped = await readPairs(file, { group: 'image' })
    expect(grouped.items.map(({ group }) => group)).toEqual([0, 0, 1, 2, 3])
    await expect(readPairs(file, { group: 'set' })).rejects.toThrow(
      /has no column 'set'; its columns are image, caption$/,
    )
    await expect(readPairs(join(folder, 'none.csv'))).rejects.toThrow(/does not exist$/)
    await expect(readPairs(join(folder, 'a.png'))).rejects.toThrow(/is no table/)
  })

  it('are scored with every right answer counted as right, and a constant model as finding nothing', () => {
    const items = [
      { group: 0, picture: 0, texts: [0] },
      { group: 1, picture: 1, texts: [0, 1] },
      { group: 2, picture: 2, texts: [2] },
    ]
    const [byText, byPicture] = directionsOf(items)
    expect(byText.relevant.map(set => [...set])).toEqual([[0, 1], [0, 1], [1], [2]])
    expect(byPicture.relevant.map(set => [...set])).toEqual([[0], [0, 1], [2]])
    const constant = { image: new Float32Array(6).fill(1), text: new Float32Array(6).fill(1) }
    expect([...ranksOf(byText, constant, 2)]).toEqual([2, 2, 3, 3])
    const compared = compareRanks(byText, Int32Array.of(2, 2, 3, 3), Int32Array.of(1, 1, 1, 6), 0)
    expect(compared.after['R@1'].estimate).toBe(0.75)
    expect(compared.difference['R@5'].estimate).toBe(-0.25)
  })
})
