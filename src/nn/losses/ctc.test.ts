import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { check, expectClose, randomTensor } from '../../../test/check.ts'
import { compile, grad, interpret, logSoftmax, type Tensor, tensor } from '../../core/index.ts'
import { ctcLoss } from './ctc.ts'

const numbers = (t: Tensor): number[] => [...interpret([t])[0].data]
const random = (shape: readonly number[], seed: number): Tensor => tensor(randomTensor(shape, seed).data, shape)
const ints = (...values: number[]): Tensor => tensor(Int32Array.from(values))
const targetsOf = (rows: number[][]): Tensor => tensor(Int32Array.from(rows.flat()), [rows.length, rows[0].length])

/** -log of the summed probability of every path of labels that collapses to the target. */
function byEnumeration(
  logProbabilities: Float64Array,
  classes: number,
  time: number,
  target: readonly number[],
): number {
  let total = 0
  for (let path = 0; path < classes ** time; path++) {
    const labels = Array.from({ length: time }, (_, t) => Math.floor(path / classes ** t) % classes)
    const collapsed = labels.filter((label, t) => label !== 0 && label !== labels[t - 1])
    if (collapsed.join() !== target.join()) continue
    total += Math.exp(labels.reduce((sum, label, t) => sum + logProbabilities[t * classes + label], 0))
  }
  return -Math.log(total)
}

describe('ctcLoss', () => {
  it('sums the probability of every alignment', () => {
    const given = fc.record({
      time: fc.integer({ min: 1, max: 5 }),
      target: fc.array(fc.integer({ min: 1, max: 2 }), { maxLength: 3 }),
      seed: fc.nat(999),
    })
    fc.assert(
      fc.property(given, ({ time, target, seed }) => {
        const logits = random([time, 1, 3], seed)
        const padded = targetsOf([[...target, ...new Array<number>(4 - target.length).fill(1)]])
        const expected = byEnumeration(interpret([logSoftmax(logits)])[0].data, 3, time, target)
        const loss = numbers(
          ctcLoss(logits, padded, ints(time), ints(target.length), { reduction: 'none', zeroInfinity: true }),
        )
        expectClose(loss, [Number.isFinite(expected) ? expected : 0], 1e-9, 'CTC')
      }),
      { numRuns: 40 },
    )
  })
  it('is the sum of -log p of the labels where they fill the input without repeats', () => {
    const logits = random([3, 2, 5], 1)
    const target = [
      [1, 2, 3],
      [4, 1, 4],
    ]
    const logP = interpret([logSoftmax(logits)])[0].data
    const expected = target.map((labels, b) => labels.reduce((sum, label, t) => sum - logP[(t * 2 + b) * 5 + label], 0))
    const loss = ctcLoss(logits, targetsOf(target), ints(3, 3), ints(3, 3), { reduction: 'none' })
    expectClose(numbers(loss), expected, 1e-12, 'full length')
    expectClose(
      numbers(ctcLoss(logits, targetsOf(target), ints(3, 3), ints(3, 3))),
      [(expected[0] / 3 + expected[1] / 3) / 2],
      1e-12,
      'mean by target length',
    )
  })
  it('has a right gradient, for other blanks and lengths too', async () => {
    const lengths = [ints(4, 3), ints(2, 1)] as const
    await check(
      x =>
        ctcLoss(
          x,
          targetsOf([
            [0, 0],
            [1, 2],
          ]),
          ...lengths,
          { blank: 3, reduction: 'sum' },
        ),
      [randomTensor([4, 2, 4], 1)],
    )
  })
  it("gives no gradient to what lies after an input's end", () => {
    const x = random([4, 1, 3], 1)
    const loss = ctcLoss(x, targetsOf([[1]]), ints(2), ints(1))
    const [g] = grad(loss, [x])
    const sizes = numbers(g.abs().sum([1, 2]))
    expect(sizes.slice(2)).toEqual([0, 0])
    expect(Math.min(...sizes.slice(0, 2))).toBeGreaterThan(0)
  })
  it('does not see the order of the batch', () => {
    const x = random([5, 2, 4], 1)
    const targets = targetsOf([
      [1, 2],
      [3, 3],
    ])
    const loss = ctcLoss(x, targets, ints(5, 4), ints(2, 2))
    const flipped = ctcLoss(x.flip(1), targets.flip(0), ints(4, 5), ints(2, 2))
    expectClose(numbers(flipped), numbers(loss), 1e-12, 'flipped batch')
  })
  it('names the item whose target does not fit', () => {
    const run = (targets: number[][], inputs: Tensor, lengths: Tensor): unknown =>
      ctcLoss(random([3, 2, 5], 1), targetsOf(targets), inputs, lengths)
    expect(() =>
      run(
        [
          [1, 2, 3],
          [1, 2, 3],
        ],
        ints(3, 2),
        ints(3, 3),
      ),
    ).toThrow('ctc: the target of item 1 has 3 labels but its input only 2 steps; shorten it or pass zeroInfinity')
    expect(() =>
      run(
        [
          [1, 1, 3],
          [1, 2, 3],
        ],
        ints(3, 3),
        ints(3, 3),
      ),
    ).toThrow(
      'ctc: the target of item 0 has 3 labels (1 of them repeated, which takes a blank between) but its input only 3 steps',
    )
    expect(() =>
      run(
        [
          [1, 2, 3],
          [1, 2, 3],
        ],
        ints(3, 4),
        ints(3, 3),
      ),
    ).toThrow('ctc: the input of item 1 has 4 steps but the logits hold 3')
    expect(() =>
      run(
        [
          [1, 2, 3],
          [1, 2, 3],
        ],
        ints(3, 3),
        ints(4, 3),
      ),
    ).toThrow('ctc: the target of item 0 has 4 labels but the targets hold 3')
    expect(() => run([[1, 2, 3]], ints(3, 3), ints(3, 3))).toThrow('ctc: targets are [1,3] for logits [3,2,5]')
    expect(() =>
      run(
        [
          [1, 2],
          [1, 2],
        ],
        ints(3),
        ints(2, 2),
      ),
    ).toThrow('ctc: inputLengths are [1], expected [2]')
  })
  it('is infinite, or 0 with gradient 0, where lengths that are computed do not fit', async () => {
    const x = random([2, 2, 4], 1)
    const run = compile((lengths: Tensor) => {
      const loss = (zeroInfinity: boolean): Tensor =>
        ctcLoss(
          x,
          targetsOf([
            [1, 2, 3],
            [2, 1, 1],
          ]),
          ints(2, 2),
          lengths,
          { zeroInfinity, reduction: 'none' },
        )
      return { infinite: loss(false), zero: loss(true), gradient: grad(loss(true).sum(), [x])[0] }
    })
    const { infinite, zero, gradient } = await run(Int32Array.of(3, 1))
    await run.release()
    expect(infinite.data[0]).toBe(Number.POSITIVE_INFINITY)
    expect(infinite.data[1]).toBe(zero.data[1])
    expect(zero.data[0]).toBe(0)
    const slopes = gradient.numbers()
    expect([...slopes.slice(0, 4), ...slopes.slice(8, 12)]).toEqual(new Array(8).fill(0))
    expect(slopes.every(Number.isFinite)).toBe(true)
  })
})
