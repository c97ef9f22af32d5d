import { describe, expect, it } from 'vitest'
import { Augmenter, type AugmentOptions, drawResizedCrop } from './augment.ts'
import { RandomStream } from './random.ts'

const shape = [3, 12, 10]
const length = 360
const picture = Uint8Array.from({ length }, (_, at) => (at * 37) % 256)
const everything: AugmentOptions = {
  randomResizedCrop: { size: [9, 8] },
  rotation: 15,
  translation: 0.1,
  randomCrop: { padding: 2, size: [8, 7] },
  horizontalFlip: true,
  erasing: { probability: 1, fill: 'noise' },
}

function augmented(
  options: AugmentOptions,
  epoch = 0,
  index = 0,
  seed = 0,
  values: Uint8Array | Float32Array = picture,
) {
  const augmenter = new Augmenter(shape, values instanceof Uint8Array ? 255 : 1, seed, options)
  const out = new Float32Array(augmenter.outputShape.reduce((a, b) => a * b))
  augmenter.apply(values, 0, out, 0, epoch, index)
  return out
}

describe('Augmenter', () => {
  it('without changes only scales and normalises, bytes and floats alike', () => {
    const normalise = { mean: [0.5, 0.4, 0.3], std: [0.5, 0.25, 2] }
    const bytes = new Augmenter(shape, 255, 0, {}, normalise)
    const floats = new Augmenter(shape, 1, 0, {}, normalise)
    const out = [new Float32Array(length + 1), new Float32Array(length + 1)]
    bytes.apply(picture, 0, out[0], 1, 0, 0)
    floats.apply(
      Float32Array.from(picture, value => value / 255),
      0,
      out[1],
      1,
      0,
      0,
    )
    for (const values of out) {
      for (const at of [0, 119, 120, 359]) {
        const channel = Math.floor(at / 120)
        const expected = (picture[at] / 255 - normalise.mean[channel]) / normalise.std[channel]
        expect(values[at + 1]).toBeCloseTo(expected, 5)
      }
      expect(values[0]).toBe(0)
    }
  })

  it('is a pure function of seed, epoch and index', () => {
    const first = augmented(everything, 3, 7, 11)
    expect(first.length).toBe(3 * 8 * 7)
    expect(augmented(everything, 3, 7, 11)).toEqual(first)
    expect(augmented(everything, 4, 7, 11)).not.toEqual(first)
    expect(augmented(everything, 3, 8, 11)).not.toEqual(first)
    expect(augmented(everything, 3, 7, 12)).not.toEqual(first)
  })

  it('gives the same sample whatever it worked on before', () => {
    const augmenter = new Augmenter(shape, 255, 11, everything)
    const out = new Float32Array(3 * 8 * 7)
    for (let index = 0; index < 7; index++) augmenter.apply(picture, 0, out, 0, 3, index)
    augmenter.apply(picture, 0, out, 0, 3, 7)
    expect(out).toEqual(augmented(everything, 3, 7, 11))
  })

  it('draws each change apart, so that one more does not change the others', () => {
    const crop = augmented({ randomCrop: { padding: 3 } }, 1, 5)
    const flipped = augmented({ randomCrop: { padding: 3 }, horizontalFlip: 1 }, 1, 5)
    const width = 10
    const mirrored = crop.map((_, at) => crop[at - (at % width) + width - 1 - (at % width)])
    expect(flipped).toEqual(mirrored)
  })

  it('flips as often as it is told to', () => {
    const plain = augmented({})
    const isFlipped = (index: number) => augmented({ horizontalFlip: 0.25 }, 0, index)[0] !== plain[0]
    const flips = Array.from({ length: 800 }, (_, index) => isFlipped(index)).filter(Boolean).length
    expect(flips).toBeGreaterThan(150)
    expect(flips).toBeLessThan(250)
  })

  it('crops every window of the padded image, black outside', () => {
    const ones = new Float32Array(length).fill(1)
    const places = new Set<string>()
    for (let index = 0; index < 400; index++) {
      const out = augmented({ randomCrop: { padding: 1 } }, 0, index, 0, ones)
      const rows = Array.from({ length: 12 }, (_, y) => Math.max(...out.subarray(y * 10, y * 10 + 10)))
      const columns = Array.from({ length: 10 }, (_, x) => Math.max(...rows.map((_, y) => out[y * 10 + x])))
      places.add(`${rows[0]}${rows[11]}${columns[0]}${columns[9]}`)
    }
    expect([...places].sort()).toEqual(['0101', '0110', '0111', '1001', '1010', '1011', '1101', '1110', '1111'])
    expect(Math.min(...augmented({ randomCrop: { padding: 4, edge: 'reflect' } }, 0, 1, 0, ones))).toBe(1)
  })

  it('erases one rectangle of the size asked for, in every channel', () => {
    const ones = new Float32Array(length).fill(1)
    for (let index = 0; index < 50; index++) {
      const out = augmented({ erasing: { probability: 1, area: [0.1, 0.3], fill: -5 } }, 0, index, 0, ones)
      const erased = [0, 1, 2].map(
        channel => out.subarray(channel * 120, channel * 120 + 120).filter(x => x === -5).length,
      )
      expect(new Set(erased).size).toBe(1)
      expect(erased[0]).toBeGreaterThanOrEqual(6)
      expect(erased[0]).toBeLessThanOrEqual(42)
    }
    expect(augmented({ erasing: { probability: 0 } }, 0, 0, 0, ones)).toEqual(ones)
  })

  it('keeps the parts of a random resized crop inside the image and in the ranges asked for', () => {
    const image = { height: 40, width: 50 }
    for (let index = 0; index < 500; index++) {
      const crop = drawResizedCrop(new RandomStream(0, 1, 0, index), image, [0.2, 0.9], [0.75, 1.33])
      expect(Math.min(crop.top, crop.left)).toBeGreaterThanOrEqual(0)
      expect(crop.top + crop.height).toBeLessThanOrEqual(40)
      expect(crop.left + crop.width).toBeLessThanOrEqual(50)
      expect((crop.height * crop.width) / 2000).toBeGreaterThan(0.17)
      expect((crop.height * crop.width) / 2000).toBeLessThan(0.95)
    }
    // No part of a long strip has such a ratio and area, so the middle is taken.
    const strip = drawResizedCrop(new RandomStream(0, 1), { height: 4, width: 100 }, [0.9, 1], [1, 1])
    expect(strip).toEqual({ top: 0, left: 48, height: 4, width: 4 })
  })

  it('accepts samples that are not images, as long as nothing is to be cropped', () => {
    const augmenter = new Augmenter([4], 1, 0, {}, { mean: [1, 1, 1, 1], std: [2, 2, 2, 2] })
    const out = new Float32Array(4)
    augmenter.apply(Float32Array.of(1, 3, 5, 7), 0, out, 0, 0, 0)
    expect([...out]).toEqual([0, 1, 2, 3])
    expect(() => new Augmenter([4], 1, 0, { horizontalFlip: true })).toThrow(
      'augment: horizontalFlip needs images [channels, height, width], but the samples have shape [4].',
    )
  })

  it.each<[AugmentOptions, string]>([
    [{ horizontalFlip: 1.5 }, 'augment: horizontalFlip must be between 0 and 1, got 1.5.'],
    [{ rotation: Number.NaN }, 'augment: rotation must be a number of degrees'],
    [{ translation: 2 }, 'augment: translation must be between 0 and 1, got 2.'],
    [{ randomCrop: { padding: -1 } }, 'augment: randomCrop.padding must be a whole number of pixels, got -1.'],
    [{ randomCrop: { size: [20, 4] } }, 'augment: randomCrop.size [20, 4] is larger than the image [12, 10]'],
    [{ randomCrop: { size: [0, 4] } }, 'augment: randomCrop.size must be [height, width] in whole pixels, got [0,4].'],
    [{ randomResizedCrop: { size: [4, 4], scale: [0.5, 2] } }, 'randomResizedCrop.scale must be two rising positive'],
    [{ randomResizedCrop: { size: [4, 4], ratio: [2, 1] } }, 'randomResizedCrop.ratio must be two rising positive'],
    [{ erasing: { area: [0, 0.1] } }, 'augment: erasing.area must be two rising positive numbers up to 1'],
  ])('refuses %j', (options, message) => {
    expect(() => new Augmenter(shape, 255, 0, options)).toThrow(message)
  })

  it('refuses a normalisation that does not fit', () => {
    const make = (mean: number[], std: number[]) => () => new Augmenter(shape, 255, 0, {}, { mean, std })
    expect(make([0], [1])).toThrow('normalise: 1 means and 1 deviations for samples of 3 channels')
    expect(make([0, 0, 0], [1, 0, 1])).toThrow('normalise: means must be finite and deviations positive')
  })
})
