import fc from 'fast-check'
import { expect, it } from 'vitest'
import { hausdorff95 } from './surface-distance.ts'

/** Every distance by hand. */
function slow(a: Uint8Array, b: Uint8Array, height: number, width: number): number {
  const edge = (mask: Uint8Array): [number, number][] => {
    const inside = (x: number, y: number): boolean =>
      x >= 0 && y >= 0 && x < width && y < height && mask[y * width + x] !== 0
    const found: [number, number][] = []
    for (let y = 0; y < height; y++)
      for (let x = 0; x < width; x++)
        if (inside(x, y) && !(inside(x - 1, y) && inside(x + 1, y) && inside(x, y - 1) && inside(x, y + 1)))
          found.push([x, y])
    return found
  }
  const [p, q] = [edge(a), edge(b)]
  if (!p.length || !q.length) return p.length === q.length ? 0 : Number.NaN
  const nearest = ([x, y]: [number, number], others: [number, number][]): number =>
    Math.min(...others.map(([u, v]) => Math.hypot(x - u, y - v)))
  const all = [...p.map(one => nearest(one, q)), ...q.map(one => nearest(one, p))].sort((m, n) => m - n)
  const place = 0.95 * (all.length - 1)
  const [low, high] = [Math.floor(place), Math.ceil(place)]
  return all[low] + (place - low) * (all[high] - all[low])
}

it('agrees with every distance taken by hand', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 9 }),
      fc.integer({ min: 1, max: 9 }),
      fc.infiniteStream(fc.boolean()),
      (h, w, bits) => {
        const mask = (): Uint8Array => Uint8Array.from({ length: h * w }, () => Number(bits.next().value))
        const [a, b] = [mask(), mask()]
        const [fast, exact] = [hausdorff95(a, b, h, w), slow(a, b, h, w)]
        if (Number.isNaN(exact)) expect(fast).toBeNaN()
        else expect(fast).toBeCloseTo(exact, 9)
      },
    ),
  )
})

it('is 0 for equal masks, the shift for one shifted pixel, and NaN where one is empty', () => {
  const at = (x: number): Uint8Array => Uint8Array.from({ length: 40 }, (_, i) => Number(i === 20 + x))
  expect(hausdorff95(at(1), at(1), 4, 10)).toBe(0)
  expect(hausdorff95(at(1), at(6), 4, 10)).toBe(5)
  expect(hausdorff95(at(1), new Uint8Array(40), 4, 10)).toBeNaN()
  expect(hausdorff95(new Uint8Array(40), new Uint8Array(40), 4, 10)).toBe(0)
  expect(() => hausdorff95([1], [1, 0], 1, 1)).toThrow('hausdorff95')
})
