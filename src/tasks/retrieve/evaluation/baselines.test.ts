import { expect, test } from 'vitest'
import {
  baselineSize,
  gradientLength,
  gradientRanker,
  greyThumbnail,
  orientedGradients,
  pixelRanker,
} from './image-baselines.ts'
import { fullTextRanker, substringRanker } from './text-baselines.ts'

const nothing = { id: 'q', relevant: new Set<string>() }
const named = (...names: string[]) => names.map(name => ({ id: name, names: [name] }))

test('substring search finds a query anywhere in a name, an exact name first', async () => {
  const ranker = substringRanker(named('scarf', 'cars', 'car', 'taxi'))
  expect(await ranker.rank({ ...nothing, text: 'Car' }, 10)).toEqual(['car', 'cars', 'scarf'])
  expect(await ranker.rank({ ...nothing, text: 'automobile' }, 10)).toEqual([])
})

test('substring search writes spaces as names do', async () => {
  const ranker = substringRanker(named('arrow-left', 'left-arrow'))
  expect(await ranker.rank({ ...nothing, text: 'arrow left' }, 10)).toEqual(['arrow-left'])
})

test('full text forgives a letter and completes a word', async () => {
  const ranker = fullTextRanker(named('calendar', 'thermometer', 'moon'))
  expect(await ranker.rank({ ...nothing, text: 'calender' }, 10)).toEqual(['calendar'])
  expect(await ranker.rank({ ...nothing, text: 'thermo' }, 10)).toEqual(['thermometer'])
})

test('rankings are no longer than asked', async () => {
  const items = named('car-a', 'car-b', 'car-c')
  for (const ranker of [substringRanker(items), fullTextRanker(items)])
    expect(await ranker.rank({ ...nothing, text: 'car' }, 2)).toHaveLength(2)
})

/** A picture that is black where `ink` says so. */
function drawn(ink: (y: number, x: number) => boolean, size = 64) {
  const pixels = new Uint8Array(3 * size * size).fill(255)
  for (let i = 0; i < size * size; i++) {
    if (ink(Math.floor(i / size) / size, (i % size) / size)) pixels.fill(0, 3 * i, 3 * i + 3)
  }
  return { pixels, size }
}

const upright = drawn((_, x) => Math.abs(x - 0.5) < 0.1)
const level = drawn(y => Math.abs(y - 0.5) < 0.1)
const disc = drawn((y, x) => Math.hypot(y - 0.5, x - 0.5) < 0.3)

test('a thumbnail averages what it shrinks', () => {
  const half = greyThumbnail(drawn((y, _x) => Math.floor(y * 64) % 2 === 0))
  expect([...new Set(half)]).toEqual([128])
  expect(() => greyThumbnail({ pixels: new Uint8Array(12), size: 2 })).toThrow(/no RGB picture/)
})

test('gradients of an upright bar lie across it, and brightness does not change them', () => {
  const features = orientedGradients(greyThumbnail(upright))
  expect(features).toHaveLength(gradientLength)
  const turned = orientedGradients(greyThumbnail(level))
  const dot = (a: Float32Array, b: Float32Array) => a.reduce((sum, value, i) => sum + value * b[i], 0)
  expect(dot(features, turned)).toBeLessThan(0.2 * dot(features, features))
  const pale = orientedGradients(greyThumbnail(upright).map(value => 128 + value / 2))
  expect(dot(features, pale) / dot(features, features)).toBeCloseTo(1, 2)
})

test('nearest neighbours find the picture itself, then the most similar', async () => {
  const ids = ['upright', 'level', 'disc']
  const thumbnails = new Uint8Array(ids.length * baselineSize ** 2)
  for (const [i, picture] of [upright, level, disc].entries())
    thumbnails.set(greyThumbnail(picture), i * baselineSize ** 2)
  const image = drawn((_, x) => Math.abs(x - 0.5) < 0.12)
  for (const ranker of [pixelRanker(ids, thumbnails), gradientRanker(ids, thumbnails)]) {
    expect((await ranker.rank({ ...nothing, image }, 3))[0]).toBe('upright')
    expect(new Set(await ranker.rank({ ...nothing, image: disc }, 3))).toEqual(new Set(ids))
    expect((await ranker.rank({ ...nothing, image: disc }, 1))[0]).toBe('disc')
    expect(ranker.answers({ ...nothing, text: 'disc' })).toBe(false)
  }
})

test('thumbnails that do not fit the ids are refused', () => {
  expect(() => pixelRanker(['a'], new Uint8Array(5))).toThrow(/5 bytes are not 1 grey pictures/)
})
