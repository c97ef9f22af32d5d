import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { check, expectClose, randomTensor } from '../../../test/check.ts'
import {
  grad,
  type HostTensor,
  hostTensor,
  interpret,
  logSoftmax,
  matmul,
  type Tensor,
  tensor,
} from '../../core/index.ts'
import * as losses from './index.ts'

const numbers = (t: Tensor): number[] => [...interpret([t])[0].data]
const constant = (value: HostTensor): Tensor => tensor(value.data, value.shape, value.dtype)
const random = (shape: readonly number[], seed: number, low = -2, high = 2): Tensor =>
  constant(randomTensor(shape, seed, low, high))
const ints = (...values: number[]): Tensor => tensor(Int32Array.from(values))
const boxes = (...corners: number[]): HostTensor => hostTensor(corners, [corners.length / 4, 4])

/** A loss of a batch: tensors with one row a sample, parameters that all samples share, and labels. */
interface Example {
  readonly loss: (batch: readonly Tensor[], shared: readonly Tensor[], labels: readonly Tensor[]) => Tensor
  readonly batch: readonly HostTensor[]
  readonly shared?: readonly HostTensor[]
  readonly labels?: readonly Tensor[]
}

const vectors = (count: number): HostTensor[] => Array.from({ length: count }, (_, i) => randomTensor([4, 3], i + 1))
const probabilities = randomTensor([4, 3], 9, 0.1, 1)
const classes = [ints(2, 0, 1, 1)]
const signs = [ints(1, -1, 1, -1)]
const classVectors = [randomTensor([3, 3], 8)]
const overlapping = [
  boxes(...[0.1, 0.2, 1.1, 1.4], ...[0, 0, 2, 1], ...[3, 3, 4.5, 5], ...[1, 1, 3, 4]),
  boxes(...[0.4, 0.1, 1.6, 1.2], ...[1, 0.5, 2.5, 2], ...[0, 0.3, 1, 1], ...[1.5, 1.2, 2, 3]),
]

const examples: Record<string, Example> = {
  meanSquaredError: { loss: ([a, b]) => losses.meanSquaredError(a, b), batch: vectors(2) },
  meanAbsoluteError: { loss: ([a, b]) => losses.meanAbsoluteError(a, b), batch: vectors(2) },
  huber: { loss: ([a, b]) => losses.huber(a, b, 0.7), batch: vectors(2) },
  smoothL1: { loss: ([a, b]) => losses.smoothL1(a, b, 0.7), batch: vectors(2) },
  binaryCrossEntropy: {
    loss: ([x, t], [weight]) => losses.binaryCrossEntropy(x, t, { positiveWeight: weight }),
    batch: [randomTensor([4, 3], 1), probabilities],
    shared: [randomTensor([3], 2, 0.5, 2)],
  },
  focalLoss: { loss: ([x, t]) => losses.focalLoss(x, t), batch: [randomTensor([4, 3], 1), probabilities] },
  diceLoss: {
    loss: ([x, t]) => losses.diceLoss(x, t),
    batch: [randomTensor([4, 2, 3], 1), randomTensor([4, 2, 3], 2, 0, 1)],
  },
  klDivergence: {
    loss: ([x, p]) => losses.klDivergence(logSoftmax(x), p),
    batch: [randomTensor([4, 3], 1), probabilities],
  },
  jensenShannon: { loss: ([x, z]) => losses.jensenShannon(x, z), batch: vectors(2) },
  distillation: { loss: ([x, z]) => losses.distillation(x, z, 3), batch: vectors(2) },
  gaussianKl: { loss: ([m, v]) => losses.gaussianKl(m, v), batch: vectors(2) },
  tripletLoss: { loss: ([a, p, n]) => losses.tripletLoss(a, p, n), batch: vectors(3) },
  'tripletLoss with swap': { loss: ([a, p, n]) => losses.tripletLoss(a, p, n, { swap: true }), batch: vectors(3) },
  'tripletLoss by cosine': {
    loss: ([a, p, n]) => losses.tripletLoss(a, p, n, { distance: losses.cosineDistance }),
    batch: vectors(3),
  },
  cosineEmbeddingLoss: {
    loss: ([a, b], _, [y]) => losses.cosineEmbeddingLoss(a, b, y, 0.1),
    batch: vectors(2),
    labels: signs,
  },
  marginRankingLoss: {
    loss: ([a, b], _, [y]) => losses.marginRankingLoss(a, b, y.expandDims(1), 0.5),
    batch: vectors(2),
    labels: signs,
  },
  multiMarginLoss: { loss: ([x], _, [y]) => losses.multiMarginLoss(x, y), batch: vectors(1), labels: classes },
  normalizedSoftmax: {
    loss: ([x], [w], [y]) => losses.normalizedSoftmax(x, w, y, 4),
    batch: vectors(1),
    shared: classVectors,
    labels: classes,
  },
  cosFace: {
    loss: ([x], [w], [y]) => losses.cosFace(x, w, y, { scale: 4 }),
    batch: vectors(1),
    shared: classVectors,
    labels: classes,
  },
  arcFace: {
    loss: ([x], [w], [y]) => losses.arcFace(x, w, y, { scale: 4 }),
    batch: vectors(1),
    shared: classVectors,
    labels: classes,
  },
  infoNce: {
    loss: ([u, v], [scale]) => losses.infoNce(u, v, scale.exp()),
    batch: vectors(2),
    shared: [randomTensor([1], 5)],
  },
  supervisedContrastive: {
    loss: ([z], _, [y]) => losses.supervisedContrastive(z, y, 0.5),
    batch: vectors(1),
    labels: classes,
  },
  ntXent: { loss: ([z]) => losses.ntXent(z), batch: vectors(1) },
  barlowTwins: { loss: ([a, b]) => losses.barlowTwins(a, b, 0.1), batch: vectors(2) },
  vicReg: { loss: ([a, b]) => losses.vicReg(a, b), batch: vectors(2) },
  generalizedIou: { loss: ([a, b]) => losses.generalizedIou(a, b).mean(), batch: overlapping },
  distanceIou: { loss: ([a, b]) => losses.distanceIou(a, b).mean(), batch: overlapping },
}

describe.each(Object.entries(examples))('%s', (_, { loss, batch, shared = [], labels = [] }) => {
  it('has a right gradient', async () => {
    await check(
      (...given) => loss(given.slice(0, batch.length), given.slice(batch.length), labels),
      [...batch, ...shared],
    )
  })
  it('does not see the order of the batch', () => {
    const [rows, parameters] = [batch.map(constant), shared.map(constant)]
    const flipped = loss(
      rows.map(t => t.flip(0)),
      parameters,
      labels.map(t => t.flip(0)),
    )
    expectClose(numbers(flipped), numbers(loss(rows, parameters, labels)), 1e-12, 'flipped batch')
  })
})

describe('margins on the hypersphere', () => {
  const given = fc.record({ seed: fc.nat(999), scale: fc.double({ min: 1, max: 30, noNaN: true }) })
  it('with margin 0 are the normalised softmax', () => {
    fc.assert(
      fc.property(given, ({ seed, scale }) => {
        const [x, w, y] = [random([5, 4], seed), random([3, 4], seed + 1), ints(0, 2, 1, 1, 0)]
        const plain = numbers(losses.normalizedSoftmax(x, w, y, scale))
        expectClose(numbers(losses.cosFace(x, w, y, { scale, margin: 0 })), plain, 1e-12, 'CosFace')
        expectClose(numbers(losses.arcFace(x, w, y, { scale, margin: 0 })), plain, 1e-12, 'ArcFace')
      }),
    )
  })
  it('do not see lengths, and grow with the margin', () => {
    const [x, w, y] = [random([5, 4], 1), random([3, 4], 2), ints(0, 2, 1, 1, 0)]
    for (const loss of [losses.cosFace, losses.arcFace]) {
      const at = (margin: number, length = 1): number => numbers(loss(x.mul(length), w.mul(length), y, { margin }))[0]
      expect(at(0.2, 5)).toBeCloseTo(at(0.2), 10)
      expect(at(0.2)).toBeGreaterThan(at(0.1))
    }
  })
  it('stay finite, with their gradients, where a feature meets its class exactly', () => {
    const w = tensor([
      [1, 0],
      [-1, 0],
    ])
    const x = tensor([
      [2, 0],
      [3, 0],
    ])
    const loss = losses.arcFace(x, w, ints(0, 1))
    expect(
      numbers(loss)
        .concat(...grad(loss, [x, w]).map(numbers))
        .every(Number.isFinite),
    ).toBe(true)
  })
})

describe('contrastive losses', () => {
  const unit = (t: Tensor): Tensor => t.div(t.mul(t).sum(-1, true).sqrt())
  it("ntXent finds each row's other view among all other rows", () => {
    const z = random([6, 4], 1)
    const scores = interpret([matmul(unit(z), unit(z), { transposeB: true }).div(0.5)])[0].data
    let total = 0
    for (let i = 0; i < 6; i++) {
      let sum = 0
      for (let j = 0; j < 6; j++) if (j !== i) sum += Math.exp(scores[i * 6 + j])
      total += Math.log(sum) - scores[i * 6 + ((i + 3) % 6)]
    }
    expectClose(numbers(losses.ntXent(z)), [total / 6], 1e-10, 'NT-Xent')
    const pairs = ints(0, 1, 2, 0, 1, 2)
    expectClose(numbers(losses.supervisedContrastive(z, pairs, 0.5)), [total / 6], 1e-10, 'the same by labels')
  })
  it('infoNce spreads a target over several positives, and with none but the diagonal is as without', () => {
    const [u, v] = [random([3, 4], 1), random([3, 4], 2)]
    const none = tensor(new Uint8Array(9), [3, 3], 'bool')
    expectClose(numbers(losses.infoNce(u, v, 4, none)), numbers(losses.infoNce(u, v, 4)), 1e-12, 'no more positives')
    const all = tensor(new Uint8Array(9).fill(1), [3, 3], 'bool')
    const logits = matmul(unit(u), unit(v), { transposeB: true }).mul(4)
    const spread = logSoftmax(logits, 1).add(logSoftmax(logits, 0)).mean().mul(-0.5)
    expectClose(numbers(losses.infoNce(u, v, 4, all)), numbers(spread), 1e-10, 'all positive')
  })
  it('supervisedContrastive leaves out anchors that nothing is like, and is 0 where all are alone', () => {
    const z = random([4, 3], 1)
    const alone = losses.supervisedContrastive(z, ints(0, 1, 2, 3))
    expect(numbers(alone)).toEqual([0])
    expect(numbers(grad(alone, [z])[0]).every(v => v === 0)).toBe(true)
  })
  it('bootstrapCosine gives the target no gradient', () => {
    const [p, z] = [random([3, 4], 1), random([3, 4], 2)]
    const [gp, gz] = grad(losses.bootstrapCosine(p, z), [p, z]).map(numbers)
    expect(gz.every(v => v === 0)).toBe(true)
    expect(gp.some(v => v !== 0)).toBe(true)
    expect(numbers(losses.bootstrapCosine(p, p.mul(3)))[0]).toBeCloseTo(0, 10)
  })
  it('say what does not fit', () => {
    expect(() => losses.ntXent(random([3, 4], 1))).toThrow('ntXent: rows must come in two halves of equal size, got 3')
    expect(() => losses.infoNce(random([3, 4], 1), random([2, 4], 1), 1)).toThrow(
      'infoNce: the batches are [3,4] and [2,4]',
    )
  })
})

describe('overlap of boxes', () => {
  it('is 1 for equal boxes, and the same for a and b in either order', () => {
    const [a, b] = overlapping.map(constant)
    for (const overlap of [losses.boxIou, losses.generalizedIou, losses.distanceIou, losses.completeIou]) {
      expectClose(numbers(overlap(a, a)), [1, 1, 1, 1], 1e-6, 'equal boxes')
      expectClose(numbers(overlap(a, b)), numbers(overlap(b, a)), 1e-12, 'order')
    }
  })
  it('orders the measures: none exceeds the IoU', () => {
    const [a, b] = overlapping.map(constant)
    const iou = numbers(losses.boxIou(a, b))
    for (const overlap of [losses.generalizedIou, losses.distanceIou, losses.completeIou])
      numbers(overlap(a, b)).forEach((value, i) => {
        expect(value).toBeLessThanOrEqual(iou[i])
      })
  })
  it('of all pairs comes by broadcasting', () => {
    const [a, b] = overlapping.map(constant)
    const pairs = losses.boxIou(a.expandDims(1), b.expandDims(0))
    expect(pairs.shape).toEqual([4, 4])
    expect([0, 5, 10, 15].map(i => numbers(pairs)[i])).toEqual(numbers(losses.boxIou(a, b)))
  })
  it('is a number for boxes without area, and so is its gradient', () => {
    const [a, b] = [constant(boxes(1, 1, 1, 1)), constant(boxes(1, 1, 1, 1))]
    for (const overlap of [losses.generalizedIou, losses.distanceIou, losses.completeIou]) {
      const value = overlap(a, b).sum()
      expect(
        numbers(value)
          .concat(...grad(value, [a, b]).map(numbers))
          .every(Number.isFinite),
      ).toBe(true)
    }
  })
  it('treats the weight of the aspect term as constant, and the rest of completeIou by its formula', async () => {
    const square = boxes(0, 0, 2, 2)
    await check(a => losses.completeIou(a, a.add(tensor([0.5, 0, 0.5, 0]))), [square])
    expect(() => losses.boxIou(random([2, 3], 1), random([2, 3], 2))).toThrow(
      'boxes: expected [..., 4] (x1, y1, x2, y2), got [2,3]',
    )
  })
})

describe('divergences', () => {
  it('are 0 between equal distributions and above 0 otherwise', () => {
    const [x, z] = [random([3, 4], 1), random([3, 4], 2)]
    for (const divergence of [losses.jensenShannon, losses.distillation]) {
      expect(numbers(divergence(x, x))[0]).toBeCloseTo(0, 10)
      expect(numbers(divergence(x, z))[0]).toBeGreaterThan(0)
    }
    expect(numbers(losses.gaussianKl(random([3, 2], 1).mul(0), random([3, 2], 1).mul(0)))).toEqual([0])
  })
  it('count a probability of 0 as 0', () => {
    const certain = tensor([[1, 0]])
    const logP = tensor([[-0.5, -2]])
    expect(numbers(losses.klDivergence(logP, certain))[0]).toBeCloseTo(0.5, 7)
    expect(numbers(grad(losses.klDivergence(logP, certain), [logP])[0])).toEqual([-1, -0])
  })
  it('have three reductions', () => {
    const [x, p] = [logSoftmax(random([2, 4], 1)), constant(randomTensor([2, 4], 2, 0.1, 1))]
    const [sum, batch, mean] = (['sum', 'batchmean', 'mean'] as const).map(
      r => numbers(losses.klDivergence(x, p, r))[0],
    )
    expect(batch).toBeCloseTo(sum / 2, 10)
    expect(mean).toBeCloseTo(sum / 8, 10)
  })
})

describe('binary and regression losses', () => {
  it('binaryCrossEntropy and focalLoss with gamma 0 agree, and stay finite far out', () => {
    const [x, t] = [random([3, 2], 1), random([3, 2], 2, 0, 1)]
    const options = { gamma: 0, alpha: -1 }
    expectClose(numbers(losses.focalLoss(x, t, options)), numbers(losses.binaryCrossEntropy(x, t)), 1e-12, 'gamma 0')
    const far = tensor([200, -200])
    const loss = losses.binaryCrossEntropy(far, tensor([0, 1]))
    expect(numbers(loss)).toEqual([200])
    expect(numbers(grad(loss, [far])[0])).toEqual([0.5, -0.5])
  })
  it('diceLoss is near 0 for a perfect mask and takes each mask by itself', () => {
    const masks = tensor([
      [1, 1, 0, 0],
      [0, 0, 0, 0],
    ])
    expect(numbers(losses.diceLoss(masks.sub(0.5).mul(100), masks))[0]).toBeCloseTo(0, 6)
    expect(numbers(losses.diceLoss(masks.sub(0.5).mul(-100), masks, { reduction: 'none' }))[1]).toBeCloseTo(0.8, 6)
  })
  it('huber joins the square and the absolute error', () => {
    const error = tensor([0.5, -2, 0])
    expect(numbers(losses.huber(error, error.mul(0), 1, 'none'))).toEqual([0.125, 1.5, 0])
    expect(numbers(losses.smoothL1(error, error.mul(0), 0.5, 'none'))).toEqual([0.25, 1.75, 0])
    expect(numbers(losses.smoothL1(error, error.mul(0), 0, 'sum'))).toEqual([2.5])
  })
  it('refuse targets of another shape instead of broadcasting them', () => {
    const message = 'the prediction is [3,1], the target [3]; they must be equal'
    for (const [name, loss] of Object.entries({
      meanSquaredError: losses.meanSquaredError,
      huber: losses.huber,
      binaryCrossEntropy: losses.binaryCrossEntropy,
      focalLoss: losses.focalLoss,
      diceLoss: losses.diceLoss,
    }))
      expect(() => loss(random([3, 1], 1), random([3], 1))).toThrow(`${name}: ${message}`)
  })
  it('reduce to the mean of weighted elements, 0 where no element weighs', () => {
    const each = tensor([1, 2, 3])
    expect(numbers(losses.reduceLoss(each, 'mean', tensor([1, 0, 1])))).toEqual([2])
    expect(numbers(losses.reduceLoss(each, 'mean', tensor([0, 0, 0])))).toEqual([0])
    expect(numbers(losses.reduceLoss(each, 'sum'))).toEqual([6])
  })
})

describe('redundancy losses', () => {
  it('barlowTwins is 0 for equal views with independent features, and does not see their scale', () => {
    const views = tensor([
      [1, 1],
      [1, -1],
      [-1, 1],
      [-1, -1],
    ])
    // The correlation divides by n what was standardised by n - 1: 3/4 on the diagonal.
    expect(numbers(losses.barlowTwins(views, views))[0]).toBeCloseTo(2 / 16, 6)
    expect(numbers(losses.barlowTwins(views.mul(5), views))[0]).toBeCloseTo(2 / 16, 6)
  })
  it('vicReg keeps the deviation of each feature above 1', () => {
    const spread = tensor([
      [2, 2],
      [2, -2],
      [-2, 2],
      [-2, -2],
    ])
    expect(numbers(losses.vicReg(spread, spread))[0]).toBeCloseTo(0, 10)
    const collapsed = losses.vicReg(spread.mul(0), spread.mul(0))
    expect(numbers(collapsed)[0]).toBeCloseTo(25 * (1 - 0.01), 6)
  })
})
