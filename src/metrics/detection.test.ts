import { describe, expect, it } from 'vitest'
import { type Box, type DetectedBox, detectionAveragePrecision, type GroundTruthBox } from './detection.ts'

const object = (image: number | string, box: Box, rest: Partial<GroundTruthBox> = {}): GroundTruthBox => ({
  image,
  category: 'cat',
  box,
  ...rest,
})
const detection = (image: number | string, box: Box, score: number, category = 'cat'): DetectedBox => ({
  image,
  category,
  box,
  score,
})

/** Objects and jittered detections of them from a linear congruential generator: the same everywhere. */
function scene(seed: number, images: number): { objects: GroundTruthBox[]; detections: DetectedBox[] } {
  let state = seed
  const next = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 32
  }
  const objects: GroundTruthBox[] = []
  const detections: DetectedBox[] = []
  for (let image = 1; image <= images; image++) {
    const count = Math.floor(next() * 7)
    for (let k = 0; k < count; k++) {
      const size = 10 + 140 * next() ** 2
      const [x, y] = [300 * next(), 300 * next()]
      const [w, h] = [size * (0.5 + next()), size * (0.5 + next())]
      const category = 1 + Math.floor(next() * 3)
      const crowd = next() < 0.1
      objects.push({ image, category, box: [x, y, x + w, y + h], crowd, area: w * h * (0.6 + 0.4 * next()) })
      for (let copy = Math.floor(next() * 3); copy > 0; copy--) {
        const jitter = () => (next() - 0.5) * 0.4
        const [left, top] = [x + w * jitter(), y + h * jitter()]
        const [right, bottom] = [left + w * (1 + jitter()), top + h * (1 + jitter())]
        const seenAs = next() < 0.9 ? category : 1 + Math.floor(next() * 4)
        detections.push({
          image,
          category: seenAs,
          box: [left, top, right, bottom],
          score: Math.round(next() * 20) / 20,
        })
      }
    }
    for (let k = Math.floor(next() * 4); k > 0; k--) {
      const [x, y, s] = [300 * next(), 300 * next(), 5 + 100 * next()]
      detections.push({ image, category: 1 + Math.floor(next() * 3), box: [x, y, x + s, y + s], score: next() })
    }
  }
  return { objects, detections }
}

describe('detection average precision', () => {
  // What pycocotools 2.0.11 computes for these scenes.
  const benchmark = [
    {
      seed: 3,
      images: 60,
      maxDetections: 100,
      ap: 0.11283733330480876,
      ap50: 0.34373148298912415,
      ap75: 0.03548891089595029,
      apSmall: 0.16237862078901122,
      apMedium: 0.08269869235180526,
      apLarge: 0.12754138509089002,
      recall: 0.2617618087689559,
    },
    {
      seed: 3,
      images: 60,
      maxDetections: 2,
      ap: 0.09081927393685033,
      ap50: 0.29136490648789237,
      ap75: 0.03155020324183951,
      apSmall: 0.11903261453553092,
      apMedium: 0.07499963706710853,
      apLarge: 0.11765047933364763,
      recall: 0.19905201508834622,
    },
    {
      seed: 2,
      images: 20,
      maxDetections: 100,
      ap: 0.1575057414085988,
      ap50: 0.49521614859898694,
      ap75: 0.06034889203206035,
      apSmall: 0.1640786578657866,
      apMedium: 0.14752821710742503,
      apLarge: 0.28668316831683166,
      recall: 0.27436647173489276,
    },
    {
      seed: 4,
      images: 2,
      maxDetections: 100,
      ap: 0.054702970297029696,
      ap50: 0.2103960396039604,
      ap75: 0,
      apSmall: 0.05,
      apMedium: 1 / 12,
      apLarge: Number.NaN,
      recall: 0.15,
    },
  ]

  it.each(benchmark)(
    'equals the benchmark on scene $seed with $maxDetections detections',
    ({ seed, images, maxDetections, ...expected }) => {
      const { objects, detections } = scene(seed, images)
      const found = detectionAveragePrecision(objects, detections, { maxDetections })
      for (const [name, value] of Object.entries(expected)) {
        const actual = found[name as keyof typeof expected]
        if (Number.isNaN(value)) expect(actual, name).toBeNaN()
        else expect(actual, name).toBeCloseTo(value, 12)
      }
      const perCategory = [...found.apOfCategory.values()]
      expect(perCategory.reduce((sum, ap) => sum + ap, 0) / perCategory.length).toBeCloseTo(found.ap, 12)
    },
  )

  it('perfect detections score 1, at any scores', () => {
    const objects = [object(1, [0, 0, 10, 10]), object(1, [20, 20, 80, 90]), object(2, [0, 0, 200, 200])]
    const perfect = objects.map(({ image, box }, i) => detection(image, box, i))
    const { ap, apSmall, apMedium, apLarge, recall } = detectionAveragePrecision(objects, perfect)
    expect([ap, apSmall, apMedium, apLarge, recall]).toEqual([1, 1, 1, 1, 1])
  })

  it('one object, found second: precision 1/2 at every recall', () => {
    const objects = [object(1, [0, 0, 10, 10])]
    const detections = [detection(1, [50, 50, 60, 60], 0.9), detection(1, [0, 0, 10, 10], 0.8)]
    expect(detectionAveragePrecision(objects, detections).ap).toBeCloseTo(0.5, 12)
    // A second detection of the same object is wrong, but comes after full recall.
    const twice = [detection(1, [0, 0, 10, 10], 0.9), detection(1, [0, 0, 10, 10], 0.8)]
    expect(detectionAveragePrecision(objects, twice).ap).toBe(1)
  })

  it('half of the objects found: precision 1 up to recall 0.5', () => {
    const objects = [object(1, [0, 0, 10, 10]), object(2, [0, 0, 10, 10])]
    const { ap, recall } = detectionAveragePrecision(objects, [detection(1, [0, 0, 10, 10], 1)])
    expect(ap).toBeCloseTo(51 / 101, 12)
    expect(recall).toBe(0.5)
  })

  it('IoU 0.72 counts for the five thresholds below it', () => {
    const objects = [object(1, [0, 0, 100, 100])]
    const { ap, ap50, ap75 } = detectionAveragePrecision(objects, [detection(1, [0, 0, 72, 100], 1)])
    expect([ap50, ap75]).toEqual([1, 0])
    expect(ap).toBeCloseTo(0.5, 12)
    const strict = detectionAveragePrecision(objects, [detection(1, [0, 0, 72, 100], 1)], { iouThresholds: [0.7] })
    expect(strict.ap).toBe(1)
    expect(strict.ap50).toBeNaN()
  })

  it('crowds excuse detections inside them, any number', () => {
    const objects = [object(1, [0, 0, 10, 10]), object(1, [100, 100, 200, 200], { crowd: true })]
    const inCrowd = [0, 1, 2].map(i => detection(1, [110 + i, 110, 130 + i, 130], 0.9))
    expect(detectionAveragePrecision(objects, [...inCrowd, detection(1, [0, 0, 10, 10], 0.1)]).ap).toBe(1)
  })

  it('categories average with equal weight, those without objects not at all', () => {
    const objects = [object(1, [0, 0, 10, 10]), object(1, [0, 0, 10, 10], { category: 'dog' })]
    const detections = [detection(1, [0, 0, 10, 10], 1), detection(1, [0, 0, 10, 10], 1, 'bird')]
    const { ap, apOfCategory } = detectionAveragePrecision(objects, detections)
    expect(ap).toBe(0.5)
    expect([...apOfCategory]).toEqual([
      ['cat', 1],
      ['dog', 0],
    ])
    expect(detectionAveragePrecision([], detections).ap).toBeNaN()
  })

  it('says what does not fit', () => {
    expect(() => detectionAveragePrecision([object(1, [5, 0, 0, 5])], [])).toThrow('object 0 has box (5, 0, 0, 5)')
    expect(() => detectionAveragePrecision([], [detection(1, [0, 0, 1, 1], Number.NaN)])).toThrow('score 0 is NaN')
    expect(() => detectionAveragePrecision([], [], { iouThresholds: [0] })).toThrow('IoU threshold 0')
  })
})
