import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { SvgRasterizer } from './rasterizer.ts'

const svg = (body: string, attributes = 'viewBox="0 0 24 24"') =>
  `<svg xmlns="http://www.w3.org/2000/svg" ${attributes}>${body}</svg>`

const full = svg('<rect width="24" height="24" fill="currentColor"/>')
const endless = svg(
  '<filter id="f"><feTurbulence numOctaves="2000000000" baseFrequency="0.1"/></filter><rect width="24" height="24" filter="url(#f)"/>',
)

let rasterizer: SvgRasterizer

beforeAll(async () => {
  rasterizer = await SvgRasterizer.create({ workers: 2, timeoutMs: 700 })
})
afterAll(() => rasterizer.close())

/** [red, green, blue] at one place of one picture. */
const at = (pixels: Uint8Array, size: number, image: number, x: number, y: number) => [
  ...pixels.subarray(((image * size + y) * size + x) * 3, ((image * size + y) * size + x) * 3 + 3),
]

const [white, black] = [
  [255, 255, 255],
  [0, 0, 0],
]

describe('SvgRasterizer', () => {
  it('draws over white, with currentColor as black and other colours as they are', async () => {
    const half = svg('<rect width="12" height="24" fill="#f00"/>')
    const { pixels, failed } = await rasterizer.rasterise([full, half, svg('')], 16)
    expect(failed).toEqual([])
    expect(pixels.length).toBe(3 * 16 * 16 * 3)
    expect(at(pixels, 16, 0, 8, 8)).toEqual(black)
    expect(at(pixels, 16, 1, 3, 8)).toEqual([255, 0, 0])
    expect(at(pixels, 16, 1, 12, 8)).toEqual(white)
    expect(at(pixels, 16, 2, 8, 8)).toEqual(white)
  })

  it('keeps the aspect and puts the drawing in the middle', async () => {
    const wide = svg('<rect width="40" height="20"/>', 'viewBox="0 0 40 20"')
    const tall = svg('<rect width="20" height="40"/>', 'width="20" height="40"')
    const { pixels } = await rasterizer.rasterise([wide, tall], 16)
    expect([1, 8, 14].map(y => at(pixels, 16, 0, 8, y))).toEqual([white, black, white])
    expect([0, 15].map(x => at(pixels, 16, 0, x, 8))).toEqual([black, black])
    expect([1, 8, 14].map(x => at(pixels, 16, 1, x, 8))).toEqual([white, black, white])
    expect([0, 15].map(y => at(pixels, 16, 1, 8, y))).toEqual([black, black])
  })

  it('names what it does not draw, leaves it white and draws the rest', async () => {
    const documents = Array.from({ length: 200 }, (_, i) => (i % 50 === 7 ? svg('<script/>') : full))
    documents[70] = endless
    documents[199] = 'no document'
    const { pixels, failed } = await rasterizer.rasterise(documents, 8)
    expect(failed.map(({ index }) => index)).toEqual([7, 57, 70, 107, 157, 199])
    expect(failed[2].reason).toBe('it takes longer than 700 ms to draw')
    const colours = documents.map((_, i) => at(pixels, 8, i, 4, 4))
    const lost = new Set(failed.map(({ index }) => index))
    expect(colours).toEqual(documents.map((_, i) => (lost.has(i) ? white : black)))
  })

  it('serves several callers at a time', async () => {
    const results = await Promise.all([4, 8, 16].map(size => rasterizer.rasterise(Array(100).fill(full), size)))
    expect(results.map(({ pixels }) => pixels.every(value => value === 0))).toEqual([true, true, true])
    expect(await rasterizer.rasterise([], 8)).toEqual({ pixels: new Uint8Array(0), failed: [] })
  })

  it('survives drawings made to break it', async () => {
    const chain = (count: number, part: (i: number) => string) =>
      Array.from({ length: count }, (_, i) => part(i)).join('')
    const hostile = [
      svg(
        '<path d="M-1e38 -1e38L1e38 1e38z"/><path d="M0 0A1e30 1e-30 0 0 1 1e30 1e30" stroke="red" stroke-width="1e30"/>',
      ),
      svg('<path d="M0 0H1000000000" stroke="black" stroke-dasharray="0.0001"/>'),
      svg(
        '<pattern id="p" width="1e-5" height="1e-5"><path d="M0 0h9"/></pattern><path fill="url(#p)" d="M0 0h9v9z"/>',
      ),
      svg(chain(90, () => '<g opacity=".9">') + chain(90, () => '</g>')),
      svg(
        `${chain(200, i => `<mask id="m${i}" mask="url(#m${i - 1})"><path d="M0 0h9"/></mask>`)}<g mask="url(#m199)"/>`,
      ),
      svg('<path d="MNaN 1Linf 2"/><rect width="-5" height="NaN" transform="matrix(0 0 0 0 0 0)"/>'),
      svg('<marker id="m"><path d="M0 0h9"/></marker><path marker-mid="url(#m)" d="M0 0 1 1 2 2"/>'),
      svg('<text font-size="1e9">text</text>'),
    ]
    const { failed } = await rasterizer.rasterise(hostile, 32)
    for (const { reason } of failed) expect(reason).toMatch(/^it /)
    const { pixels } = await rasterizer.rasterise([full], 4)
    expect(pixels.every(value => value === 0)).toBe(true)
  })

  it('refuses settings that make no sense', async () => {
    await expect(SvgRasterizer.create({ workers: 0 })).rejects.toThrow('workers is 0')
    await expect(SvgRasterizer.create({ timeoutMs: 0 })).rejects.toThrow('timeoutMs is 0')
    await expect(rasterizer.rasterise([full], 0)).rejects.toThrow('size is 0')
  })

  it('rejects what is waited for when it is closed, and what comes after', async () => {
    const other = await SvgRasterizer.create({ workers: 1 })
    const waiting = other.rasterise([endless], 8)
    const outcome = expect(waiting).rejects.toThrow('closed')
    await other.close()
    await outcome
    await expect(other.rasterise([full], 8)).rejects.toThrow('closed')
  })
})
