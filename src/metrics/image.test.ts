import { describe, expect, it } from 'vitest'
import { type Golden, goldenExists, goldenTensor, readGolden } from '../../test/golden.ts'
import { matrix, scale } from '../numerics/index.ts'
import { accuracy } from './classification.ts'
import { frechetDistance } from './generation.ts'
import { type ImagePlanes, psnr, ssim } from './image.ts'
import { dicePerClass, iouPerClass, meanDice, meanIou, segmentationConfusion } from './segmentation.ts'

const image = (channels: number, height: number, width: number, f: (c: number, y: number, x: number) => number) => {
  const size = height * width
  const data = Float64Array.from({ length: channels * size }, (_, at) =>
    f(Math.floor(at / size), Math.floor((at % size) / width), at % width),
  )
  return { channels, height, width, data }
}

/** The window placed and weighed pixel by pixel. */
function slowSsim(a: ImagePlanes, b: ImagePlanes): number {
  const weight = (t: number) => Math.exp(-(t * t) / 4.5)
  let total = 0
  for (let t = -5; t <= 5; t++) total += weight(t)
  let [sum, windows] = [0, 0]
  for (let c = 0; c < a.channels; c++) {
    for (let y = 5; y < a.height - 5; y++) {
      for (let x = 5; x < a.width - 5; x++) {
        const average = (f: (p: number, q: number) => number) => {
          let mean = 0
          for (let dy = -5; dy <= 5; dy++) {
            for (let dx = -5; dx <= 5; dx++) {
              const at = (c * a.height + y + dy) * a.width + x + dx
              mean += (weight(dy) / total) * (weight(dx) / total) * f(a.data[at], b.data[at])
            }
          }
          return mean
        }
        const [p, q] = [average(p => p), average((_, q) => q)]
        const variances = average((u, v) => (u - p) ** 2 + (v - q) ** 2)
        const covariance = average((u, v) => (u - p) * (v - q))
        sum += ((2 * p * q + 1e-4) * (2 * covariance + 9e-4)) / ((p * p + q * q + 1e-4) * (variances + 9e-4))
        windows++
      }
    }
  }
  return sum / windows
}

describe('image similarity', () => {
  const a = image(2, 13, 14, (c, y, x) => 0.5 + 0.4 * Math.sin(c + y * 0.7 + x * x * 0.1))
  const b = image(2, 13, 14, (c, y, x) => 0.5 + 0.4 * Math.sin(c + y * 0.7 + x * x * 0.1 + 0.4 * Math.cos(y)))

  it('psnr of a constant error, and of none', () => {
    const shifted = { ...a, data: a.data.map(value => value + 0.1) }
    expect(psnr(a, shifted)).toBeCloseTo(20, 10)
    expect(psnr(a, shifted, 255)).toBeCloseTo(20 + 20 * Math.log10(255), 10)
    expect(psnr(a, a)).toBe(Infinity)
  })

  it('ssim equals its definition, is symmetric, 1 for equal images and free of the value range', () => {
    expect(ssim(a, b)).toBeCloseTo(slowSsim(a, b), 10)
    expect(ssim(a, b)).toBeCloseTo(ssim(b, a), 12)
    expect(ssim(a, a)).toBeCloseTo(1, 12)
    expect(ssim(a, b)).toBeLessThan(1)
    const bytes = ({ data, ...shape }: ImagePlanes) => ({ ...shape, data: Array.from(data, value => value * 255) })
    expect(ssim(bytes(a), bytes(b), { peak: 255 })).toBeCloseTo(ssim(a, b), 10)
  })

  it('says what does not fit', () => {
    expect(() =>
      psnr(
        a,
        image(2, 13, 13, () => 0),
      ),
    ).toThrow('the images are 2x13x14 and 2x13x13')
    expect(() => psnr({ ...a, data: [1] }, a)).toThrow('an image of 2x13x14 has 1 values')
    expect(() => ssim(a, a, { sigma: 0 })).toThrow('sigma is 0')
    const small = image(1, 10, 20, () => 0)
    expect(() => ssim(small, small)).toThrow('10x20, smaller than the window of 11 pixels')
  })
})

describe('segmentation', () => {
  it('by hand, with an ignored label and a class in neither map', () => {
    const confusion = segmentationConfusion([0, 0, 1, 1, 255], [0, 1, 1, 1, 0], 3, { ignoreLabel: 255 })
    expect([...confusion.data]).toEqual([1, 1, 0, 0, 2, 0, 0, 0, 0])
    expect([...iouPerClass(confusion)]).toEqual([1 / 2, 2 / 3, Number.NaN])
    expect(meanIou(confusion)).toBeCloseTo((1 / 2 + 2 / 3) / 2, 12)
    expect([...dicePerClass(confusion)]).toEqual([2 / 3, 4 / 5, Number.NaN])
    expect(meanDice(confusion)).toBeCloseTo((2 / 3 + 4 / 5) / 2, 12)
    expect(accuracy(confusion)).toBe(3 / 4)
    expect(() => segmentationConfusion([255], [0], 3)).toThrow('true class of sample 0 is 255')
    expect(() => meanIou(matrix(2, 3))).toThrow('columns of the confusion matrix is 3')
  })

  it('Dice is 2 IoU / (1 + IoU)', () => {
    const confusion = matrix(3, 3, [5, 1, 2, 0, 7, 3, 1, 1, 4])
    const iou = iouPerClass(confusion)
    dicePerClass(confusion).forEach((dice, c) => {
      expect(dice).toBeCloseTo((2 * iou[c]) / (1 + iou[c]), 12)
    })
  })
})

describe('Fréchet distance', () => {
  const features = matrix(6, 2, [0, 1, 2, -1, 1, 3, -2, 0, 1, 1, -1, 2])

  it('is 0 for equal features, the squared shift for a shift, and follows the formula in one dimension', () => {
    expect(frechetDistance(features, features)).toBeCloseTo(0, 10)
    const shifted = matrix(
      6,
      2,
      features.data.map((value, at) => value + (at % 2 ? 4 : 3)),
    )
    expect(frechetDistance(features, shifted)).toBeCloseTo(25, 10)
    const line = matrix(3, 1, [-1, 0, 1])
    // Standard deviations 1 and 3.
    expect(frechetDistance(line, scale(line, 3))).toBeCloseTo(4, 10)
    expect(frechetDistance(features, scale(features, 2))).toBeCloseTo(frechetDistance(scale(features, 2), features), 10)
  })

  it('works with fewer samples than features, and refuses other widths', () => {
    expect(frechetDistance(matrix(2, 3, [0, 0, 0, 1, 1, 1]), matrix(2, 3, [0, 0, 0, 1, 1, 1]))).toBeCloseTo(0, 7)
    expect(() => frechetDistance(features, matrix(6, 3))).toThrow('a is 6x2 and b is 6x3')
    expect(() => frechetDistance(features, matrix(1, 2))).toThrow('rows of b is 1')
  })
})

describe.skipIf(!goldenExists('core.metrics'))('core.metrics golden', () => {
  it('confusion, IoU and mean IoU of label maps', () => {
    const golden = readGolden('core.metrics') as Golden
    const confusion = segmentationConfusion(
      goldenTensor(golden, 'in.seg.true').data,
      goldenTensor(golden, 'in.seg.pred').data,
      4,
    )
    expect([...confusion.data]).toEqual([...goldenTensor(golden, 'out.seg.confusion').data])
    const expected = goldenTensor(golden, 'out.seg.iou').data
    iouPerClass(confusion).forEach((iou, c) => {
      expect(iou).toBeCloseTo(expected[c], 6)
    })
    expect(meanIou(confusion)).toBeCloseTo(goldenTensor(golden, 'out.seg.miou').data[0], 6)
  })

  it.each([0, 1])('psnr and ssim of image %i', item => {
    const golden = readGolden('core.metrics') as Golden
    const pick = (name: string): ImagePlanes => {
      const { shape, data } = goldenTensor(golden, name)
      const [, channels, height, width] = shape
      const size = channels * height * width
      return { channels, height, width, data: data.subarray(item * size, (item + 1) * size) }
    }
    const [a, b] = [pick('in.img.a'), pick('in.img.b')]
    expect(psnr(a, b)).toBeCloseTo(goldenTensor(golden, 'out.img.psnr').data[item], 4)
    expect(ssim(a, b)).toBeCloseTo(goldenTensor(golden, 'out.img.ssim_gauss').data[item], 5)
  })
})
