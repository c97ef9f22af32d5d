import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { check, expectClose, randomTensor } from '../../../test/check.ts'
import { compile, interpret, logSoftmax, oneHot, type Tensor, tensor } from '../../core/index.ts'
import { crossEntropy } from './cross-entropy.ts'

const numbers = (t: Tensor): number[] => [...interpret([t])[0].data]
const random = (shape: readonly number[], seed: number): Tensor => tensor(randomTensor(shape, seed).data, shape)
const labelsOf = (labels: number[]): Tensor => tensor(Int32Array.from(labels))

const problem = fc.integer({ min: 2, max: 5 }).chain(classes =>
  fc.record({
    classes: fc.constant(classes),
    labels: fc.array(fc.nat(classes - 1), { minLength: 1, maxLength: 6 }),
    seed: fc.nat(999),
  }),
)

describe('crossEntropy', () => {
  it('is the mean of -log p of the labels, and that with smoothing 0', () => {
    fc.assert(
      fc.property(problem, ({ classes, labels, seed }) => {
        const logits = random([labels.length, classes], seed)
        const logP = interpret([logSoftmax(logits)])[0].data
        const expected = labels.reduce((sum, label, i) => sum - logP[i * classes + label], 0) / labels.length
        expectClose(numbers(crossEntropy(logits, labelsOf(labels))), [expected], 1e-12, 'cross-entropy')
        const smoothed = crossEntropy(logits, labelsOf(labels), { labelSmoothing: 0 })
        expectClose(numbers(smoothed), [expected], 1e-12, 'smoothing 0')
      }),
    )
  })
  // The graph rounds 1-e and e/classes to f32 each, which a small loss between large logits shows.
  it('is the same for labels and for their one-hot probabilities, smoothed or not', () => {
    fc.assert(
      fc.property(problem, fc.double({ min: 0, max: 1, noNaN: true }), (given, labelSmoothing) => {
        const { classes, labels, seed } = given
        const logits = random([labels.length, classes], seed)
        const soft = crossEntropy(logits, oneHot(labelsOf(labels), classes), { labelSmoothing })
        expectClose(numbers(crossEntropy(logits, labelsOf(labels), { labelSmoothing })), numbers(soft), 1e-5, 'soft')
      }),
    )
  })
  it('does not see the order of the batch', () => {
    const logits = random([4, 3], 1)
    const labels = labelsOf([2, 0, 1, 1])
    const options = { labelSmoothing: 0.1, classWeights: random([3], 2).abs(), ignoreIndex: 0 }
    const flipped = crossEntropy(logits.flip(0), labels.flip(0), options)
    expectClose(numbers(flipped), numbers(crossEntropy(logits, labels, options)), 1e-12, 'flipped batch')
  })
  it('has right gradients in every form', async () => {
    const logits = randomTensor([3, 4], 1)
    const labels = labelsOf([3, 1, -100])
    await check(x => crossEntropy(x, labels, { ignoreIndex: -100 }), [logits], { second: true })
    await check(
      (x, classWeights, sampleWeights) =>
        crossEntropy(x, labels, { ignoreIndex: -100, classWeights, sampleWeights, labelSmoothing: 0.2 }),
      [logits, randomTensor([4], 2, 0.5, 2), randomTensor([3], 3, 0.5, 2)],
    )
    await check((x, p) => crossEntropy(x, p, { reduction: 'none' }), [logits, randomTensor([3, 4], 4, 0, 1)])
    await check(
      x => crossEntropy(x, tensor(Int32Array.of(1, 0, 1, 1), [2, 2]), { reduction: 'sum' }),
      [randomTensor([2, 2, 2], 5)],
    )
  })
  it('counts nothing where every label is ignored', () => {
    const ignored = { ignoreIndex: 1 }
    const [logits, labels] = [random([2, 3], 1), labelsOf([1, 1])]
    expect(numbers(crossEntropy(logits, labels, ignored))).toEqual([0])
    expect(numbers(crossEntropy(logits, labels, { ...ignored, classWeights: tensor([1, 2, 3]) }))).toEqual([0])
  })
  it('weighs samples, dividing by the sum of the weights', () => {
    const [logits, labels] = [random([3, 4], 1), labelsOf([3, 1, 0])]
    const each = numbers(crossEntropy(logits, labels, { reduction: 'none' }))
    const weighted = crossEntropy(logits, labels, { sampleWeights: tensor([1, 0, 3]) })
    expectClose(numbers(weighted), [(each[0] + 3 * each[2]) / 4], 1e-12, 'weighted mean')
  })
  it('refuses a constant label that is no class, and gives NaN for one that is computed', async () => {
    expect(() => crossEntropy(random([2, 3], 1), labelsOf([0, 3]))).toThrow(
      'crossEntropy: label 3 at position 1 is not one of 3 classes (0 to 2); pass ignoreIndex to leave it out',
    )
    expect(() => crossEntropy(random([2, 3], 1), labelsOf([-1, 0]), { ignoreIndex: 255 })).toThrow(
      'crossEntropy: label -1 at position 0 is not one of 3 classes (0 to 2) nor the ignored 255',
    )
    const step = compile((labels: Tensor) => crossEntropy(random([2, 3], 1), labels, { reduction: 'none' }))
    expect([...(await step(Int32Array.of(0, 3))).data].map(Number.isNaN)).toEqual([false, true])
    expect([...(await step(Int32Array.of(-1, 2))).data].map(Number.isNaN)).toEqual([true, false])
    await step.release()
  })
  it('says which shapes do not fit', () => {
    expect(() => crossEntropy(random([2, 3], 1), labelsOf([1]))).toThrow(
      'crossEntropy: labels are [1], expected [2] for logits [2,3]',
    )
    expect(() => crossEntropy(random([2, 3], 1), random([2, 4], 1))).toThrow(
      'crossEntropy: probabilities are [2,4], the logits [2,3]',
    )
    expect(() => crossEntropy(random([3], 1), labelsOf([1]))).toThrow(
      'crossEntropy: logits must be [batch, classes, ...], got [3]',
    )
    expect(() => crossEntropy(random([1, 3], 1), labelsOf([1]), { labelSmoothing: 2 })).toThrow(
      'crossEntropy: labelSmoothing must be in [0, 1], got 2',
    )
  })
})
