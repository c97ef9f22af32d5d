import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { check, randomTensor } from '../../../test/check.ts'
import { asTensor, interpret, type Tensor, tensor } from '../../core/index.ts'
import { RandomStream } from '../../data/index.ts'
import { infoNce } from '../../nn/index.ts'
import type { Corpus, CorpusItem } from './corpus.ts'
import { heldOutTexts, readCorpus } from './corpus.ts'
import { DrawingAugment } from './drawing-augment.ts'
import { loadEncoder } from './load-encoder.ts'
import { matryoshka, nestedContrastive, together } from './objective.ts'
import { featuresOf, hash32, TextFeaturizer, words } from './text-features.ts'
import { drawPair, textKey, withoutHeldOut, withTypo } from './text-pairs.ts'
import { DualEncoder, type DualEncoderOptions } from './towers.ts'
import { recallByConcept, trainRetrieval } from './train.ts'

const number = (t: Tensor): number => interpret([t])[0].data[0]
const random = (shape: readonly number[], seed: number): Tensor => tensor(randomTensor(shape, seed).data, shape)

describe('texts as features', () => {
  it('cuts words as people write them', () => {
    expect(words('Arrow-left_2 homeOutline')).toEqual(['arrow', 'left', '2', 'home', 'outline'])
    expect(words('Crème brûlée')).toEqual(['creme', 'brulee'])
    expect(words('設定 が必要')).toEqual(['設定', 'が必要'])
    expect(words('  —  ')).toEqual([])
  })

  it('gives words their pieces, and unspaced scripts their characters', () => {
    expect(featuresOf('cog', 99)).toEqual(['w:cog', 'w:cog', 'g:<co', 'g:cog', 'g:og>', 'g:<cog', 'g:cog>'])
    expect(featuresOf('設定', 99)).toEqual(['w:設定', 'w:設', 'w:設定', 'w:定'])
  })

  it('hashes uniformly and independently over seeds', () => {
    const bins = 64
    const counts = new Float64Array(bins)
    let equal = 0
    const n = 40_000
    for (let i = 0; i < n; i++) {
      counts[hash32(1, `w:${i}`) % bins]++
      if (hash32(1, `w:${i}`) % bins === hash32(2, `w:${i}`) % bins) equal++
    }
    const chi = counts.reduce((sum, c) => sum + (c - n / bins) ** 2 / (n / bins), 0)
    // 63 degrees of freedom: above 103 with probability 0.001.
    expect(chi).toBeLessThan(103)
    expect(equal / n).toBeCloseTo(1 / bins, 2)
  })

  it('makes the same rows of any text whatever stands beside it, and finite ones of none', () => {
    const featurizer = new TextFeaturizer({ tableRows: 1000, lookups: 2, limit: 32 })
    fc.assert(
      fc.property(fc.array(fc.string({ unit: 'binary' }), { minLength: 1, maxLength: 5 }), texts => {
        const { rows, weights, features } = featurizer.batch(texts, 32)
        expect(features).toBe(32)
        for (const [i, text] of texts.entries()) {
          const alone = featurizer.batch([text], 32)
          expect(rows.slice(i * 64, (i + 1) * 64)).toEqual(alone.rows)
          expect(weights.slice(i * 32, (i + 1) * 32)).toEqual(alone.weights)
        }
        expect(rows.every(r => r >= 0 && r < 1000)).toBe(true)
      }),
    )
  })
})

describe('pairs of texts', () => {
  it('never holds a held-out text', () => {
    const groups = [
      { texts: ['cog', 'settings', 'gear'], towardsFirst: 0.5 },
      { texts: ['Arrow Left', 'back'], towardsFirst: 0.5 },
    ]
    expect(withoutHeldOut(groups, new Set(['arrow left', 'gear']))).toEqual([
      { texts: ['cog', 'settings'], towardsFirst: 0.5 },
    ])
  })

  it('draws two different texts', () => {
    const stream = new RandomStream(3, 1)
    for (let i = 0; i < 200; i++) {
      const [a, b] = drawPair({ texts: ['a', 'b', 'c'], towardsFirst: 0.5 }, stream)
      expect(a).not.toBe(b)
    }
    expect(drawPair({ texts: ['a', 'b'], towardsFirst: 1 }, stream)).toEqual(['b', 'a'])
  })

  it('mistypes one long word by one slip, and leaves short ones', () => {
    const stream = new RandomStream(4, 1)
    for (let i = 0; i < 200; i++) {
      const typed = withTypo('calendar', stream)
      expect(Math.abs(typed.length - 8)).toBeLessThanOrEqual(1)
      expect(typed[0]).toBe('c')
    }
    expect(withTypo('cog', stream)).toBe('cog')
    expect(withTypo('設定を開く', stream)).toBe('設定を開く')
  })
})

describe('objective', () => {
  it('equals the plain loss when only the whole width counts', () => {
    const [u, v] = [random([4, 8], 1), random([4, 8], 2)]
    const loss = (a: Tensor, b: Tensor): Tensor => infoNce(a, b, 5)
    expect(number(matryoshka(loss, u, v, [2, 8], [0, 1]))).toBeCloseTo(number(loss(u, v)), 10)
  })

  it('has the gradient of its value', async () => {
    const mask = tensor(Uint8Array.from([1, 0, 1, 0, 1, 0, 1, 0, 1]), [3, 3], 'bool')
    await check(
      (u, v) => nestedContrastive(u, v, asTensor(1.2), mask, [2, 4]),
      [randomTensor([3, 4], 5), randomTensor([3, 4], 6)],
    )
  })

  it('counts drawings of one concept and equal captions as belonging together', () => {
    const keys = (values: number[]): Tensor => tensor(Int32Array.from(values), [values.length], 'i32')
    expect([...interpret([together(keys([1, 1, 2]), keys([7, 8, 8]))])[0].data].map(Number)).toEqual([
      1, 1, 0, 1, 1, 1, 0, 1, 1,
    ])
  })

  it('refuses widths and weights that make no sense', () => {
    const x = random([2, 4], 1)
    const loss = (a: Tensor): Tensor => a.sum()
    expect(() => matryoshka(loss, x, x, [4, 2])).toThrow('grow up to 4')
    expect(() => matryoshka(loss, x, x, [2, 8])).toThrow('grow up to 4')
    expect(() => matryoshka(loss, x, x, [2, 4], [1])).toThrow('expected 2 weights')
    expect(() => matryoshka(loss, x, x, [2, 4], [0, 0])).toThrow('not all 0')
  })
})

it('recall counts ties as losses', () => {
  const same = new Float32Array([1, 0, 1, 0, 1, 0])
  expect(recallByConcept(same, same, ['a', 'b', 'c'], 2, 1)).toBe(0)
  const apart = new Float32Array([1, 0, 0, 1, -1, 0])
  expect(recallByConcept(apart, apart, ['a', 'b', 'c'], 2, 1)).toBe(1)
})

it('augmentation is a function of its random stream, and leaves white paper white', () => {
  const augment = new DrawingAugment(16)
  const paper = new Uint8Array(16 * 16 * 3).fill(255)
  const drawing = Uint8Array.from(paper, (_, i) => (Math.floor(i / 48) === 8 ? 0 : 255))
  const apply = (from: Uint8Array, seed: number): Uint8Array => {
    const out = new Uint8Array(from.length)
    augment.apply(from, 0, out, 0, new RandomStream(seed, 1))
    return out
  }
  let changed = 0
  for (let seed = 0; seed < 40; seed++) {
    expect(apply(drawing, seed)).toEqual(apply(drawing, seed))
    if (Buffer.compare(apply(drawing, seed), drawing) !== 0) changed++
    expect(apply(paper, seed).every(byte => byte === 255 || byte === 0)).toBe(true)
  }
  expect(changed).toBe(40)
})

/** Drawings of bars: their place is their concept. */
function barCorpus(size: number): Corpus {
  const names = ['top', 'upper', 'middle', 'lower', 'bottom', 'left', 'centre', 'right']
  const items: CorpusItem[] = []
  const rows: Uint8Array[] = []
  for (const [k, name] of names.entries())
    for (let copy = 0; copy < 12; copy++) {
      const row = new Uint8Array(size * size * 3).fill(255)
      const at = k < 5 ? 1 + k * 3 : 2 + (k - 5) * 5
      for (let i = 0; i < size; i++)
        for (let w = 0; w < 1 + (copy % 2); w++)
          row.fill(
            copy * 5,
            (k < 5 ? (at + w) * size + i : i * size + at + w) * 3,
            (k < 5 ? (at + w) * size + i : i * size + at + w) * 3 + 3,
          )
      rows.push(row)
      items.push({
        id: `bars:${name}-${copy}`,
        set: 'bars',
        name: `${name}-${copy}`,
        words: name,
        aliases: [],
        tags: [`${name} bar`],
        withheld: [],
        categories: [],
        style: 'filled',
        colour: false,
        concept: name,
        split: copy < 10 ? 'train' : 'validation',
        licence: 'MIT',
        author: 'tests',
      })
    }
  return { name: 'bars', items, size, pixels: Buffer.concat(rows) }
}

describe('training', () => {
  let folder: string
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'tenet-retrieve-'))
  })
  afterAll(() => rm(folder, { recursive: true, force: true }))
  const model: DualEncoderOptions = {
    text: { tableRows: 512, lookups: 2, rowDim: 8, hidden: 16 },
    textFeatures: 32,
    image: { size: 16, widths: [4, 8, 16] },
    widths: [4, 16],
  }

  it('learns which word names which drawing, and reads back what it saved', async () => {
    const corpus = barCorpus(16)
    const texts = [
      { name: 'bars', share: 1, groups: corpus.items.map(i => ({ texts: [i.words, ...i.tags], towardsFirst: 1 })) },
    ]
    const options = { model, epochs: 30, batchSize: 40, textBatch: 16, learningRate: 5e-3 }
    const { fit, path } = await trainRetrieval(corpus, texts, folder, options)
    expect(fit.best?.scores['recall@1']).toBeGreaterThan(0.7)
    const encoder = await loadEncoder(path)
    const each = 16 * 16 * 3
    const rows = corpus.items.flatMap((item, i) => (item.split === 'validation' ? [i] : []))
    const names = rows.map(row => corpus.items[row].words)
    const text = await encoder.encodeTexts(names)
    const drawn = Buffer.concat(rows.map(r => corpus.pixels.subarray(r * each, (r + 1) * each)))
    const image = await encoder.encodeImages(drawn, rows.length)
    // What was measured while training holds for the file, whose table is in bytes, within one name of eight.
    const again = recallByConcept(text, image, names, encoder.dim, 1)
    expect(Math.abs(again - fit.best!.scores['recall@1'])).toBeLessThanOrEqual(0.126)
    for (let r = 0; r < names.length; r++) {
      const norm = Math.hypot(...text.subarray(r * 16, (r + 1) * 16))
      expect(norm).toBeCloseTo(1, 4)
    }
    expect((await encoder.encodeTexts([''])).every(Number.isFinite)).toBe(true)
    await expect(encoder.encodeImages(new Uint8Array(5), 1)).rejects.toThrow('expected 1 images of 16x16')
    await encoder.close()
    await expect(loadEncoder(join(folder, 'none.safetensors'))).rejects.toThrow('there is no encoder at')
    await writeFile(join(folder, 'broken.safetensors'), 'not a model')
    await expect(loadEncoder(join(folder, 'broken.safetensors'))).rejects.toThrow('broken.safetensors')
  })

  it('refuses widths and sizes that make no sense', () => {
    expect(() => new DualEncoder({ ...model, widths: [8, 4] })).toThrow('numbers that grow')
    expect(() => new DualEncoder({ ...model, image: { size: 15, widths: [4, 8, 16] } })).toThrow('multiple of 8')
  })

  it('says what is wrong with a corpus', async () => {
    await expect(readCorpus(join(folder, 'nowhere'))).rejects.toThrow('tenet corpus icons')
    await writeFile(join(folder, 'items.jsonl'), '{}\n')
    await writeFile(join(folder, 'pixels-32.bin'), new Uint8Array(7))
    await expect(readCorpus(folder)).rejects.toThrow('1 items')
  })
})

it('names and aliases of evaluated items are held out', () => {
  const [a, b] = barCorpus(16).items
  const held = heldOutTexts([
    { ...a, split: 'test', words: 'Cog Wheel', aliases: ['settings'], concept: 'cog-wheel' },
    { ...b, words: 'arrow' },
  ])
  expect(held.has(textKey('cog wheel'))).toBe(true)
  expect(held.has('settings')).toBe(true)
  expect(held.has('arrow')).toBe(false)
})
