import { expect, test } from 'vitest'
import { simulatedSketch, thinned } from './sketch.ts'

const size = 96

function drawn(ink: (y: number, x: number) => boolean) {
  const pixels = new Uint8Array(3 * size * size).fill(255)
  for (let i = 0; i < size * size; i++) if (ink(Math.floor(i / size), i % size)) pixels.fill(0, 3 * i, 3 * i + 3)
  return { pixels, size }
}

const ring = drawn((y, x) => Math.abs(Math.hypot(y - 48, x - 48) - 30) < 3)
const disc = drawn((y, x) => Math.hypot(y - 48, x - 48) < 33)
const dark = ({ pixels }: { pixels: Uint8Array }, at: number) => pixels[3 * at] < 128

test('thinning leaves a line of one pixel that is as long as the bar', () => {
  const bar = new Uint8Array(30 * 30)
  for (let y = 10; y < 17; y++) bar.fill(1, y * 30 + 3, y * 30 + 27)
  const line = thinned(bar, 30)
  const columns = Array.from({ length: 30 }, (_, x) => Array.from({ length: 30 }, (_, y) => line[y * 30 + x]))
  const heights = columns.map(column => column.reduce((a, b) => a + b, 0))
  expect(Math.max(...heights)).toBeLessThanOrEqual(2)
  expect(heights.filter(height => height > 0).length).toBeGreaterThan(16)
})

test('the same seed and index draw the same sketch, another index another one', () => {
  expect(simulatedSketch(ring, 3)).toEqual(simulatedSketch(ring, 3))
  expect(simulatedSketch(ring, 3)).not.toEqual(simulatedSketch(ring, 4))
  expect(simulatedSketch(ring, 3, { seed: 1 })).not.toEqual(simulatedSketch(ring, 3))
})

test('a filled disc is drawn as its outline: its middle stays white', () => {
  const sketch = simulatedSketch(disc, 0, { gaps: 0 })
  const middle = Array.from({ length: 100 }, (_, i) => (43 + Math.floor(i / 10)) * size + 43 + (i % 10))
  expect(middle.some(at => dark(sketch, at))).toBe(false)
  expect(Array.from({ length: size * size }, (_, at) => dark(sketch, at)).filter(Boolean).length).toBeGreaterThan(150)
})

test('without any straying the strokes stay where they were', () => {
  const still = { rotation: 0, scale: 0, shift: 0, wobble: 0, gaps: 0 }
  const sketch = simulatedSketch(ring, 0, still)
  const strayed = Array.from({ length: size * size }, (_, at) => at).filter(at => {
    const radius = Math.hypot(Math.floor(at / size) - 48, (at % size) - 48)
    return dark(sketch, at) && Math.abs(radius - 30) > 4
  })
  expect(strayed).toEqual([])
})

test('gaps leave out part of the line', () => {
  const still = { rotation: 0, scale: 0, shift: 0, wobble: 0 }
  const inkOf = (gaps: number) =>
    simulatedSketch(ring, 1, { ...still, gaps }).pixels.reduce((sum, value) => sum + Number(value < 128), 0)
  expect(inkOf(0.6)).toBeLessThan(inkOf(0))
})

test('an empty picture gives an empty sketch', () => {
  expect(
    simulatedSketch(
      drawn(() => false),
      0,
    ).pixels.every(value => value === 255),
  ).toBe(true)
})
