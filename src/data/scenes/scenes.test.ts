import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  captionOf,
  openCueScenes,
  openPairBoards,
  openScenes,
  relationsOf,
  type SceneParts,
  tokenLabels,
} from './index.ts'

const cache = mkdtempSync(join(tmpdir(), 'tenet-scenes-'))
afterAll(() => rmSync(cache, { recursive: true }))
const sets = ['tabler', 'ph', 'mdi', 'heroicons', 'iconoir']

describe('scenes', () => {
  let parts: SceneParts
  beforeAll(async () => {
    parts = await openScenes({ size: 48, sets, objects: [2, 6], overlap: 0.3, nested: 0.3, cache })
  })

  it('are the same for the same number and seed, in any order', async () => {
    const again = await openScenes({ size: 48, sets, objects: [2, 6], overlap: 0.3, nested: 0.3, cache })
    const batch = again.train.batch(3, 4)
    expect(batch.scenes[2]).toEqual(parts.train.scene(5))
    expect(parts.train.scene(6).pixels).not.toEqual(parts.train.scene(5).pixels)
    expect(parts.test.scene(5).pixels).not.toEqual(parts.train.scene(5).pixels)
    const other = await openScenes({ size: 48, sets, objects: [2, 6], seed: 1, cache })
    expect(other.train.scene(5).pixels).not.toEqual(parts.train.scene(5).pixels)
  })

  it('have boxes that fit their masks, and masks that agree', () => {
    for (let number = 0; number < 40; number++) {
      const { objects, instances, semantic } = parts.train.scene(number)
      expect(objects.length).toBeGreaterThanOrEqual(1)
      for (const [i, { box, concept, visible }] of objects.entries()) {
        const pixels = [...instances.keys()].filter(at => instances[at] === i + 1)
        for (const at of pixels) {
          expect(semantic[at]).toBe(concept + 1)
          expect(at % 48).toBeGreaterThanOrEqual(box[0])
          expect(at % 48).toBeLessThan(box[2])
          expect(Math.floor(at / 48)).toBeGreaterThanOrEqual(box[1])
          expect(Math.floor(at / 48)).toBeLessThan(box[3])
        }
        if (visible === 1) {
          expect(Math.min(...pixels.map(at => at % 48))).toBe(box[0])
          expect(Math.max(...pixels.map(at => Math.floor(at / 48)))).toBe(box[3] - 1)
        }
      }
      expect(semantic.every((label, at) => label > 0 === instances[at] > 0)).toBe(true)
    }
  })

  it('are seen: an object’s pixels differ from the ground around it', () => {
    const { pixels, instances } = parts.train.scene(1)
    const mean = (inside: boolean): number => {
      const at = [...instances.keys()].filter(i => instances[i] > 0 === inside)
      const values = at.map(i => pixels[i])
      const middle = values.reduce((a, b) => a + b, 0) / values.length
      return Math.sqrt(values.reduce((sum, value) => sum + (value - middle) ** 2, 0) / values.length)
    }
    expect(mean(true)).toBeGreaterThan(mean(false))
  })

  it('keep apart where no overlap is allowed', async () => {
    const { train } = await openScenes({ size: 64, sets, objects: [4, 6], cache })
    for (let number = 0; number < 30; number++) {
      const { objects, relations } = train.scene(number)
      expect(relations.every(({ relation }) => relation === 'left of' || relation === 'above')).toBe(true)
      expect(objects.every(({ visible }) => visible === 1)).toBe(true)
    }
  })

  it('draw from other drawings in every part', () => {
    const icons = (name: 'train' | 'validation' | 'test'): Set<string> =>
      new Set(Array.from({ length: 60 }, (_, i) => parts[name].scene(i).objects.map(o => o.icon)).flat())
    const [train, test] = [icons('train'), icons('test')]
    expect([...test].filter(icon => train.has(icon))).toEqual([])
  })

  it('come grey too, and say what does not fit', async () => {
    const grey = await openScenes({ size: [32, 40], channels: 1, objectSize: [8, 16], sets, cache })
    expect(grey.train.batch(0, 2).images.length).toBe(2 * 32 * 40)
    await expect(openScenes({ size: 16, objectSize: [8, 20], sets, cache })).rejects.toThrow('objectSize is [8,20]')
    await expect(openScenes({ objects: [4, 2], sets, cache })).rejects.toThrow('objects are [4,2]')
  })

  it('are made faster than any network learns from them', () => {
    parts.train.batch(0, 64)
    const start = performance.now()
    parts.train.batch(64, 256)
    // 0.3 ms a scene on an idle core.
    expect((performance.now() - start) / 256).toBeLessThan(5)
  })
})

it('relations say what boxes show', () => {
  const relations = relationsOf([
    [0, 0, 10, 10],
    [12, 0, 20, 10],
    [2, 2, 6, 6],
    [8, 8, 14, 14],
  ])
  const told = relations.map(({ subject, relation, object }) => `${subject} ${relation} ${object}`)
  expect(told).toEqual(
    ['0 left of 1', '0 overlapping 3', '1 overlapping 3', '2 inside 0', '2 left of 1', '2 left of 3', '2 above 3'].sort(
      (a, b) => told.indexOf(a) - told.indexOf(b),
    ),
  )
  expect(captionOf(['red bell', 'orange eye'], relations.slice(0, 1))).toBe(
    'a red bell and an orange eye; the red bell is left of the orange eye',
  )
  expect(captionOf([], [])).toBe('nothing')
})

it('a token is labelled by the pixel at its centre', () => {
  const labels = Int32Array.from({ length: 2 * 4 * 6 }, (_, i) => i)
  expect([...tokenLabels(labels, 4, 6, 2)]).toEqual([7, 9, 11, 19, 21, 23, 31, 33, 35, 43, 45, 47])
  expect(() => tokenLabels(labels, 4, 6, 4)).toThrow('4 x 6 does not divide into patches of 4')
})

it('cue scenes mark the copies of the corner’s shape, and only those', async () => {
  const { train, test } = await openCueScenes({ sets: ['tabler', 'mdi'], shapes: 80, cache })
  expect(train.shapes + test.shapes).toBe(80)
  expect(train.shapes).toBeGreaterThan(test.shapes)
  const { images, masks } = train.batch(0, 20)
  expect(train.batch(7, 1).images).toEqual(images.slice(7 * 4096, 8 * 4096))
  for (let i = 0; i < 20; i++) {
    const mask = masks.subarray(i * 4096, (i + 1) * 4096)
    const marked = mask.reduce((a, b) => a + b, 0)
    expect(marked).toBeGreaterThan(0)
    expect(marked).toBeLessThanOrEqual(2 * 14 * 14)
    for (let y = 0; y < 15; y++) expect(mask.subarray(y * 64, y * 64 + 15).every(value => value === 0)).toBe(true)
  }
  await expect(openCueScenes({ sets: ['tabler'], shapes: 20, size: 20, cache })).rejects.toThrow(
    'have no room in 20 px',
  )
})

it('boards hold two icons in regions that do not touch', async () => {
  const { train, test, classes } = await openPairBoards({ sets, concepts: ['bell', 'cloud', 'eye'], cache })
  expect(classes).toEqual(['bell', 'cloud', 'eye'])
  const { regions, concepts, images } = train.batch(0, 50)
  expect(images.length).toBe(50 * 48 * 48)
  for (let i = 0; i < 50; i++) {
    const [a, b] = regions.subarray(2 * i, 2 * i + 2)
    expect(Math.max(Math.abs((a % 4) - (b % 4)), Math.abs((a >> 2) - (b >> 2)))).toBeGreaterThanOrEqual(2)
    expect(Math.max(...concepts.subarray(2 * i, 2 * i + 2))).toBeLessThan(3)
  }
  expect(test.batch(0, 1).images).not.toEqual(train.batch(0, 1).images)
})
