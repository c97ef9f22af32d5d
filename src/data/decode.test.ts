import { mkdtemp, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import sharp from 'sharp'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { decodeImage, ImageError, imageToFloat32, readImageHeader } from './decode.ts'

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tenet-decode-'))
})
afterAll(() => rm(folder, { recursive: true }))

/** A picture whose left half is red and right half is blue. */
const halves = (width = 40, height = 20) => {
  const pixels = Buffer.alloc(width * height * 3)
  for (let at = 0; at < width * height; at++) pixels[at * 3 + (at % width < width / 2 ? 0 : 2)] = 255
  return sharp(pixels, { raw: { width, height, channels: 3 } })
}

const noise = (width = 64, height = 48) => {
  const pixels = Buffer.alloc(width * height * 3)
  for (let at = 0; at < pixels.length; at++) pixels[at] = (at * at * 31) % 251
  return sharp(pixels, { raw: { width, height, channels: 3 } })
}

async function failure(input: string | Uint8Array, options = {}): Promise<string> {
  const error = await decodeImage(input, options).then(
    () => undefined,
    caught => caught,
  )
  expect(error).toBeInstanceOf(ImageError)
  expect(error.message).not.toContain('\n')
  expect(error.message).toBe(`${error.file}: ${error.reason}`)
  return error.message
}

describe('decodeImage', () => {
  it('gives the pixels of a PNG in [channels, height, width] order', async () => {
    const pixels = Buffer.from([1, 2, 3, 4, 5, 6])
    const png = await sharp(pixels, { raw: { width: 2, height: 1, channels: 3 } })
      .png()
      .toBuffer()
    const image = await decodeImage(png)
    expect(image.shape).toEqual([3, 1, 2])
    expect([...image.values]).toEqual([1, 4, 2, 5, 3, 6])
  })

  it.each(['jpeg', 'png', 'webp', 'gif', 'tiff', 'avif'] as const)('reads %s, whatever the name says', async format => {
    const path = join(folder, `a-${format}.dat`)
    await writeFile(path, await halves().toFormat(format).toBuffer())
    const { shape, values } = await decodeImage(path, { size: [8, 8], fit: 'fill' })
    expect(shape).toEqual([3, 8, 8])
    expect(values[0]).toBeGreaterThan(200)
    expect(values[2 * 64 + 7]).toBeGreaterThan(200)
    expect(await readImageHeader(path)).toEqual({ format, width: 40, height: 20 })
  })

  it('covers, contains or fills the size asked for', async () => {
    const png = await halves(40, 10).png().toBuffer()
    const row = async (fit: 'cover' | 'contain' | 'fill') => {
      const { values } = await decodeImage(png, { size: [20, 20], fit, kernel: 'nearest', background: 7 })
      return [values[0], values[10 * 20], values[10 * 20 + 19]]
    }
    expect(await row('cover')).toEqual([255, 255, 0])
    expect(await row('contain')).toEqual([7, 255, 0])
    expect(await row('fill')).toEqual([255, 255, 0])
  })

  it('reads grey, 16-bit, transparent and turned pictures as 1 or 3 channels of bytes', async () => {
    const grey16 = await sharp(new Uint16Array(12).fill(0x8080), { raw: { width: 4, height: 3, channels: 1 } })
      .toColourspace('grey16')
      .png()
      .toBuffer()
    expect((await decodeImage(grey16, { channels: 1 })).values).toEqual(new Uint8Array(12).fill(0x80))
    expect((await decodeImage(grey16)).shape).toEqual([3, 3, 4])

    const clear = await sharp({
      create: { width: 2, height: 2, channels: 4, background: { r: 0, g: 0, b: 0, alpha: 0 } },
    })
      .png()
      .toBuffer()
    expect((await decodeImage(clear)).values).toEqual(new Uint8Array(12).fill(255))
    expect((await decodeImage(clear, { background: [1, 2, 3] })).values).toEqual(
      Uint8Array.of(1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3),
    )

    const turned = await halves(40, 20).withMetadata({ orientation: 6 }).jpeg().toBuffer()
    expect((await decodeImage(turned)).shape).toEqual([3, 40, 20])
    expect(await readImageHeader(turned)).toEqual({ format: 'jpeg', width: 20, height: 40 })

    const cmyk = await halves().toColourspace('cmyk').jpeg().toBuffer()
    expect((await decodeImage(cmyk)).shape).toEqual([3, 20, 40])
  })

  it('names a missing, empty, mistyped, too large or oversized file in one line', async () => {
    const empty = join(folder, 'empty.png')
    await writeFile(empty, '')
    const text = join(folder, 'text.jpg')
    await writeFile(text, 'this is no picture')
    const svg = join(folder, 'drawing.png')
    await writeFile(svg, '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>')
    const png = join(folder, 'fine.png')
    await writeFile(png, await noise().png().toBuffer())
    expect(await failure(join(folder, 'none.png'))).toBe(`${join(folder, 'none.png')}: does not exist`)
    expect(await failure(folder)).toBe(`${folder}: is not a regular file`)
    expect(await failure(empty)).toBe(`${empty}: is empty (0 bytes)`)
    expect(await failure(text)).toContain('text.jpg: is not a readable image (expected jpeg, png')
    expect(await failure(svg)).toContain('drawing.png: is svg, not one of jpeg')
    expect(await failure(png, { maxBytes: 100 })).toMatch(/fine.png: is \d+ bytes; the limit is 100$/)
    expect(await failure(png, { maxPixels: 3000 })).toMatch(/fine.png: is 64 x 48 pixels; the limit is 3000 pixels$/)
    expect(await failure(new Uint8Array(0))).toBe('image: is empty (0 bytes)')
  })

  it('refuses an image bomb by its header, before unpacking it', async () => {
    const bomb = await sharp({
      create: { width: 12_000, height: 9_000, channels: 3, background: 'red' },
      limitInputPixels: false,
    })
      .png({ compressionLevel: 1 })
      .toBuffer()
    // Without its pixels: a decoder that looked at them would complain of their absence instead.
    expect(await failure(bomb.subarray(0, 200))).toBe('image: is 12000 x 9000 pixels; the limit is 100000000 pixels')
  })

  it.each(['jpeg', 'png', 'webp', 'gif', 'tiff', 'avif'] as const)('refuses a %s that is cut off', async format => {
    const path = join(folder, `cut.${format}`)
    const bytes = await noise().toFormat(format).toBuffer()
    await writeFile(path, bytes)
    await truncate(path, Math.floor(bytes.length * 0.6))
    expect(await failure(path)).toContain(`cut.${format}: `)
  })

  it.each(['jpeg', 'png'] as const)('refuses a %s with damaged pixels', async format => {
    const bytes = await noise().toFormat(format).toBuffer()
    for (let at = Math.floor(bytes.length / 2); at < bytes.length * 0.6; at++) bytes[at] ^= 0x5a
    expect(await failure(bytes)).toMatch(/^image: cannot be decoded, it is damaged or cut off \(.+\)$/)
  })
})

describe('imageToFloat32', () => {
  it('scales to 0 .. 1, then subtracts the mean and divides by the deviation of each channel', () => {
    const image = { values: Uint8Array.of(0, 255, 51, 102), shape: [2, 1, 2] as const }
    expect([...imageToFloat32(image)]).toEqual([0, 1, Math.fround(0.2), Math.fround(0.4)])
    const normalised = imageToFloat32(image, { mean: [0.5, 0.2], std: [0.5, 0.1] })
    for (const [at, expected] of [-1, 1, 0, 2].entries()) expect(normalised[at]).toBeCloseTo(expected, 5)
  })
})
