import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Golden, goldenExists, goldenTensor, readGolden } from '../../test/golden.ts'
import { matrix } from '../numerics/index.ts'
import {
  brierScore,
  expectedCalibrationError,
  negativeLogLikelihood,
  reliabilityBins,
  softmaxRows,
} from './calibration.ts'
import {
  accuracy,
  averagePrecision,
  averagePrecisionOneVsRest,
  balancedAccuracy,
  classScores,
  cohenKappa,
  confusionMatrix,
  f1Score,
  matthewsCorrelation,
  predictedClasses,
  rocAuc,
  rocAucOneVsRest,
  topKAccuracy,
} from './classification.ts'
import { adjustedRandIndex, clusteringAccuracy, normalisedMutualInformation } from './clustering.ts'

const labellings = (classes: number) =>
  fc.integer({ min: 2, max: 40 }).chain(n => {
    const labels = fc.array(fc.integer({ min: 0, max: classes - 1 }), { minLength: n, maxLength: n })
    return fc.tuple(labels, labels)
  })

describe('accuracy', () => {
  it('breaks ties in favour of the lower class, in prediction and in rank', () => {
    const scores = matrix(2, 3, [1, 1, 0, 0, 2, 2])
    expect([...predictedClasses(scores)]).toEqual([0, 1])
    expect(topKAccuracy(scores, [1, 2])).toBe(0)
    expect(topKAccuracy(scores, [0, 1])).toBe(1)
    expect(topKAccuracy(scores, [1, 2], 2)).toBe(1)
  })

  it('at the number of classes is 1, and never falls with k', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 3 }), { minLength: 4, maxLength: 40 }), values => {
        const rows = Math.floor(values.length / 4)
        const scores = matrix(rows, 4, values.slice(0, rows * 4))
        const labels = Array.from({ length: rows }, (_, i) => i % 4)
        const curve = [1, 2, 3, 4].map(k => topKAccuracy(scores, labels, k))
        expect(curve).toEqual([...curve].sort())
        expect(curve[3]).toBe(1)
        expect(curve[0]).toBe(accuracy(confusionMatrix(labels, predictedClasses(scores), 4)))
      }),
    )
  })

  it('names a label out of range, a NaN and lengths that differ', () => {
    expect(() => topKAccuracy(matrix(1, 2), [2])).toThrow('target 0 is 2; it must be an integer from 0 to 1')
    expect(() => topKAccuracy(matrix(2, 2), [0])).toThrow('have 2 and 1 entries')
    expect(() => predictedClasses(matrix(1, 2, [0, Number.NaN]))).toThrow('score (0, 1) is NaN')
    expect(() => confusionMatrix([0], [5], 3)).toThrow('predicted class of sample 0 is 5')
    expect(() => accuracy(matrix(2, 2))).toThrow('counts no samples')
    expect(() => accuracy(matrix(2, 3))).toThrow('confusion is 2x3')
  })
})

describe('scores of a confusion matrix', () => {
  // Three classes: 6, 4 and 2 samples.
  const confusion = matrix(3, 3, [4, 1, 1, 1, 3, 0, 0, 2, 0])

  it('precision, recall and F1 of each class, and their averages', () => {
    const scores = classScores(confusion)
    expect([...scores.precision]).toEqual([4 / 5, 3 / 6, 0])
    expect([...scores.recall]).toEqual([4 / 6, 3 / 4, 0])
    expect([...scores.f1]).toEqual([8 / 11, 6 / 10, 0])
    expect([...scores.support]).toEqual([6, 4, 2])
    expect(f1Score(confusion)).toBeCloseTo((8 / 11 + 0.6) / 3, 12)
    expect(f1Score(confusion, 'micro')).toBeCloseTo(7 / 12, 12)
    expect(f1Score(confusion, 'weighted')).toBeCloseTo((6 * (8 / 11) + 4 * 0.6) / 12, 12)
    expect(balancedAccuracy(confusion)).toBeCloseTo((4 / 6 + 3 / 4) / 3, 12)
    expect(accuracy(confusion)).toBeCloseTo(7 / 12, 12)
  })

  it('leaves classes that never occur out of macro averages', () => {
    const padded = matrix(3, 3, [3, 1, 0, 0, 2, 0, 0, 0, 0])
    expect(f1Score(padded)).toBeCloseTo(f1Score(matrix(2, 2, [3, 1, 0, 2])), 12)
    expect(balancedAccuracy(padded)).toBeCloseTo((3 / 4 + 1) / 2, 12)
  })

  it('Matthews correlation equals the binary formula, and kappa the textbook example', () => {
    // tp 6, fn 2, fp 1, tn 3.
    expect(matthewsCorrelation(matrix(2, 2, [6, 2, 1, 3]))).toBeCloseTo((6 * 3 - 1 * 2) / Math.sqrt(7 * 8 * 4 * 5), 12)
    expect(matthewsCorrelation(matrix(2, 2, [5, 0, 3, 0]))).toBe(0)
    // Two readers on 50 grants: 35 agreements, chance 0.5.
    expect(cohenKappa(matrix(2, 2, [20, 5, 10, 15]))).toBeCloseTo(0.4, 12)
    expect(cohenKappa(matrix(2, 2, [4, 0, 0, 0]))).toBeNaN()
  })

  it('perfect prediction scores 1, and swapping the roles changes no symmetric score', () => {
    fc.assert(
      fc.property(labellings(3), ([a, b]) => {
        fc.pre(new Set(a).size > 1)
        const same = confusionMatrix(a, a, 3)
        for (const score of [f1Score, matthewsCorrelation, cohenKappa, accuracy]) expect(score(same)).toBeCloseTo(1, 12)
        const [forward, backward] = [confusionMatrix(a, b, 3), confusionMatrix(b, a, 3)]
        expect(matthewsCorrelation(forward)).toBeCloseTo(matthewsCorrelation(backward), 12)
        expect(cohenKappa(forward)).toBeCloseTo(cohenKappa(backward), 12)
        expect(f1Score(forward)).toBeCloseTo(f1Score(backward), 12)
      }),
    )
  })
})

describe('threshold-free scores', () => {
  it('average precision by hand, with and without ties', () => {
    expect(averagePrecision([0.9, 0.8, 0.7, 0.6], [1, 0, 1, 0])).toBeCloseTo((1 + 2 / 3) / 2, 12)
    // The first three share a threshold: recall goes from 0 to 1 at precision 2/3.
    expect(averagePrecision([1, 1, 1, 0], [1, 0, 1, 0])).toBeCloseTo(2 / 3, 12)
    expect(() => averagePrecision([1], [0])).toThrow('no sample is positive')
  })

  it('the area under the ROC curve is the share of pairs in order, ties half', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.integer({ min: 0, max: 5 }), fc.boolean()), { minLength: 2, maxLength: 30 }),
        samples => {
          const [scores, positive] = [samples.map(([score]) => score), samples.map(([, flag]) => flag)]
          const pick = (flag: boolean) => scores.filter((_, i) => positive[i] === flag)
          const [above, below] = [pick(true), pick(false)]
          fc.pre(above.length > 0 && below.length > 0)
          const wins = above.flatMap(p => below.map(n => (p > n ? 1 : p === n ? 0.5 : 0)))
          const share = wins.reduce((sum: number, value) => sum + value, 0) / wins.length
          expect(rocAuc(scores, positive)).toBeCloseTo(share, 12)
          const negated = scores.map(score => -score)
          expect(rocAuc(negated, positive)).toBeCloseTo(1 - share, 12)
        },
      ),
    )
    expect(() => rocAuc([1, 2], [1, 1])).toThrow('2 positive and 0 negative samples')
  })

  it('one-vs-rest means skip classes that do not occur', () => {
    const two = matrix(3, 2, [2, 1, 1, 2, 3, 0])
    const three = matrix(3, 3, [2, 1, 9, 1, 2, 9, 3, 0, 9])
    expect(averagePrecisionOneVsRest(three, [0, 1, 0])).toBe(averagePrecisionOneVsRest(two, [0, 1, 0]))
    expect(rocAucOneVsRest(three, [0, 1, 0])).toBe(1)
    expect(() => rocAucOneVsRest(two, [0, 0, 0])).toThrow('fewer than two classes')
  })
})

describe('calibration', () => {
  const probabilities = matrix(4, 2, [0.9, 0.1, 0.8, 0.2, 0.4, 0.6, 0.45, 0.55])
  const labels = [0, 1, 1, 0]

  it('by hand: bins, error, Brier and likelihood', () => {
    expect(expectedCalibrationError(probabilities, labels, 2)).toBeCloseTo(Math.abs(0.5 - 2.85 / 4), 12)
    // Four bins put 0.55, 0.6 into one and 0.8, 0.9 into the next.
    expect(expectedCalibrationError(probabilities, labels, 4)).toBeCloseTo(0.5 * 0.075 + 0.5 * 0.35, 12)
    const bins = reliabilityBins(probabilities, labels, 4)
    expect(bins.map(({ count }) => count)).toEqual([0, 0, 2, 2])
    expect(bins[3]).toMatchObject({ low: 0.75, high: 1, confidence: expect.closeTo(0.85, 12), accuracy: 0.5 })
    expect(bins[0].accuracy).toBeNaN()
    expect(brierScore(probabilities, labels)).toBeCloseTo((2 * (0.01 + 0.64 + 0.16 + 0.3025)) / 4, 12)
    const likelihood = -(Math.log(0.9) + Math.log(0.2) + Math.log(0.6) + Math.log(0.45)) / 4
    expect(negativeLogLikelihood(probabilities, labels)).toBeCloseTo(likelihood, 12)
  })

  it('a confidence on the border belongs to the lower bin, and 1 to the last', () => {
    const bins = reliabilityBins(matrix(2, 2, [0.5, 0.5, 1, 0]), [0, 0], 4)
    expect(bins.map(({ count }) => count)).toEqual([0, 1, 0, 1])
  })

  it('softmax rows are distributions that temperature sharpens, also for huge logits', () => {
    const sharp = softmaxRows(matrix(1, 2, [1000, 999]), 0.5)
    expect(sharp.data[0]).toBeCloseTo(1 / (1 + Math.exp(-2)), 12)
    expect(sharp.data[0] + sharp.data[1]).toBeCloseTo(1, 12)
    expect(() => softmaxRows(matrix(1, 2), 0)).toThrow('temperature is 0')
  })

  it('refuses logits', () => {
    expect(() => brierScore(matrix(1, 2, [2, -1]), [0])).toThrow('give probabilities, not logits')
    expect(() => negativeLogLikelihood(matrix(1, 2, [2, 1]), [0])).toThrow('(sum 3)')
    expect(() => expectedCalibrationError(matrix(0, 2), [])).toThrow('number of samples is 0')
  })
})

describe('clustering', () => {
  it('renaming clusters changes nothing, and equal partitions score 1', () => {
    fc.assert(
      fc.property(labellings(4), ([a, b]) => {
        const renamed = b.map(label => 100 - 7 * label)
        for (const score of [normalisedMutualInformation, adjustedRandIndex, clusteringAccuracy]) {
          expect(score(a, renamed)).toBeCloseTo(score(a, b), 12)
          expect(score(a, b)).toBeCloseTo(score(b, a), 12)
          expect(score(b, renamed)).toBeCloseTo(1, 12)
          expect(score(a, b)).toBeLessThanOrEqual(1 + 1e-12)
        }
      }),
    )
  })

  it('by hand', () => {
    // Independent halves share no information.
    expect(normalisedMutualInformation([0, 0, 1, 1], [0, 1, 0, 1])).toBe(0)
    expect(adjustedRandIndex([0, 0, 1, 1], [0, 1, 0, 1])).toBeCloseTo(-0.5, 12)
    expect(adjustedRandIndex([0, 0, 1, 1], [0, 0, 1, 2])).toBeCloseTo(4 / 7, 12)
    expect(normalisedMutualInformation([0, 0, 1, 1], [0, 0, 1, 2])).toBeCloseTo(0.8, 12)
    expect(clusteringAccuracy([0, 0, 1, 1, 2], [5, 5, 7, 5, 7])).toBeCloseTo(3 / 5, 12)
    expect(adjustedRandIndex([1, 1, 1], [2, 2, 2])).toBe(1)
    expect(normalisedMutualInformation([1, 1, 1], [2, 2, 2])).toBe(1)
    expect(adjustedRandIndex([1, 2, 3], [4, 5, 6])).toBe(1)
    expect(adjustedRandIndex([1, 1, 1], [4, 5, 6])).toBe(0)
    expect(() => adjustedRandIndex([], [])).toThrow('number of samples is 0')
  })
})

describe.skipIf(!goldenExists('core.metrics'))('core.metrics golden', () => {
  const read = () => {
    const golden = readGolden('core.metrics') as Golden
    const { shape, data } = goldenTensor(golden, 'in.scores')
    const scores = matrix(shape[0], shape[1], data)
    const labels = goldenTensor(golden, 'in.labels').data
    const predicted = predictedClasses(scores)
    const confusion = confusionMatrix(labels, predicted, shape[1])
    return { golden, scores, labels, predicted, confusion, probabilities: softmaxRows(scores) }
  }
  type Inputs = ReturnType<typeof read>

  it.each<[string, (inputs: Inputs) => number]>([
    ['top1', ({ scores, labels }) => topKAccuracy(scores, labels)],
    ['top3', ({ scores, labels }) => topKAccuracy(scores, labels, 3)],
    ['macro_f1', ({ confusion }) => f1Score(confusion)],
    ['micro_f1', ({ confusion }) => f1Score(confusion, 'micro')],
    ['mcc', ({ confusion }) => matthewsCorrelation(confusion)],
    ['kappa', ({ confusion }) => cohenKappa(confusion)],
    ['map_ovr', ({ scores, labels }) => averagePrecisionOneVsRest(scores, labels)],
    ['auc_ovr', ({ scores, labels }) => rocAucOneVsRest(scores, labels)],
    ['nmi', ({ labels, predicted }) => normalisedMutualInformation(labels, predicted)],
    ['ari', ({ labels, predicted }) => adjustedRandIndex(labels, predicted)],
    ['ece10', ({ probabilities, labels }) => expectedCalibrationError(probabilities, labels)],
    ['brier', ({ probabilities, labels }) => brierScore(probabilities, labels)],
    ['nll', ({ probabilities, labels }) => negativeLogLikelihood(probabilities, labels)],
  ])('%s', (name, metric) => {
    const inputs = read()
    expect(metric(inputs)).toBeCloseTo(goldenTensor(inputs.golden, `out.${name}`).data[0], 6)
  })
})
