import { compile, hostTensor, type Tensor } from '../../../core/index.ts'
import { openPairBoards, type PairBoards, RandomStream } from '../../../data/index.ts'
import { crossEntropy, withSeed } from '../../../nn/index.ts'
import type { Batch } from '../../../train/index.ts'
import { trainArm } from '../../claims/training.ts'
import type { ArmResult, Claim, ClaimContext } from '../../system.ts'
import { BoardReader, type BoardRouting } from './boards.ts'

const ACROSS = 4
const REGIONS = ACROSS * ACROSS
const K = 3

/** Regions that each looks at in an arm. */
function routingOf(arm: string, seed: number): BoardRouting {
  if (arm === 'routed by content') return 'content'
  const random = new RandomStream(seed, 1)
  return Array.from({ length: REGIONS }, (_, own) => {
    const others = Array.from({ length: REGIONS }, (_, i) => i).filter(i => i !== own)
    if (arm === 'nearest regions') {
      const distance = (i: number): number =>
        Math.abs((i % ACROSS) - (own % ACROSS)) + Math.abs(Math.floor(i / ACROSS) - Math.floor(own / ACROSS))
      return [own, ...others.sort((a, b) => distance(a) - distance(b) || a - b).slice(0, K - 1)]
    }
    const drawn = Array.from({ length: K - 1 }, () => others.splice(random.integer(others.length), 1)[0])
    return [own, ...drawn]
  })
}

/** The network of an arm. */
export const readerOf = (arm: string, seed: number, classes: number): BoardReader =>
  withSeed(seed, () => new BoardReader({ classes, regions: ACROSS, tokens: 9, k: K, routing: routingOf(arm, seed) }))

/** Boards with the question that each asks: the region of one icon is to name the other. */
function batchOf(
  boards: PairBoards,
  first: number,
  count: number,
): Batch & Record<'regions' | 'labels', Batch[string]> {
  const { images, regions, concepts } = boards.batch(first, count)
  return {
    images: hostTensor(images, [count, 1, boards.size, boards.size]),
    regions: hostTensor(regions, [count, 2]),
    labels: hostTensor(
      concepts.map((_, i) => concepts[i ^ 1]),
      [count * 2],
    ),
  }
}

function* batchesOf(boards: PairBoards, steps: number, batch: number): Generator<Batch> {
  for (let i = 0; i < steps; i++) yield batchOf(boards, i * batch, batch)
}

/** Share of right answers, and of icons whose region looked at the other's in some block, in percent. */
async function measure(reader: BoardReader, boards: PairBoards, count: number) {
  const run = compile((images: Tensor, regions: Tensor) => {
    const { looked } = reader.forward(images)
    return [reader.scoresAt(images, regions).argMax(-1), ...looked.map(indices => indices.cast('i32'))]
  })
  const each = 50
  let [right, found] = [0, 0]
  for (let first = 0; first < count; first += each) {
    const batch = batchOf(boards, first, each)
    const [answers, ...looked] = await run(batch.images, batch.regions)
    const [given, regions, labels] = [answers.numbers(), batch.regions.numbers(), batch.labels.numbers()]
    const seen = looked.map(indices => indices.numbers())
    for (let i = 0; i < 2 * each; i++) {
      if (Number(given[i]) === Number(labels[i])) right++
      const from = (Math.floor(i / 2) * REGIONS + Number(regions[i])) * K
      const other = Number(regions[i ^ 1])
      if (seen.some(indices => [0, 1, 2].some(j => Number(indices[from + j]) === other))) found++
    }
  }
  await run.release()
  return { accuracy: (50 * right) / count, looked: (50 * found) / count }
}

async function run(arm: string, seed: number, context: ClaimContext): Promise<ArmResult> {
  const { quick } = context
  const { classes, train, test } = await openPairBoards({ regions: ACROSS, seed })
  const reader = readerOf(arm, seed, classes.length)
  const testBoards = quick ? 100 : 1000
  const before = await measure(reader, test, testBoards)
  const [steps, batch] = quick ? [60, 16] : [1500, 64]
  const losses = await trainArm(
    {
      model: reader,
      loss: ({ images, regions, labels }) => {
        const scores = reader.scoresAt(images, regions)
        return { loss: crossEntropy(scores.reshape([-1, classes.length]), labels) }
      },
      batches: batchesOf(train, steps, batch),
      steps,
      learningRate: 3e-3,
      seed,
      undecayed: /offsets$/,
    },
    context,
  )
  const after = await measure(reader, test, testBoards)
  return { value: after.accuracy, losses, also: { lookedBefore: before.looked, lookedAfter: after.looked } }
}

export const claim: Claim = {
  statement:
    'At equal cost of attention, regions chosen by content find an icon that stands anywhere on a board; the nearest regions, and regions drawn at random, do not: at least 15 points of accuracy.',
  data: 'pair boards: two icons of 10 concepts in regions that do not touch, on noisy boards of 48x48 pixels; each icon’s region is to name the other; tested on icon sets never trained with; 96,000 boards to train on',
  metric: { name: 'accuracy on 1,000 boards', unit: '%', better: 'higher' },
  arms: [
    { name: 'routed by content', what: '2 blocks, 32 wide, 4 heads; each region looks at the 3 of 16 that fit best' },
    { name: 'nearest regions', what: 'the same; each region looks at itself and its 2 nearest' },
    { name: 'random regions', what: 'the same; each region looks at itself and 2 drawn once by the seed' },
  ],
  expected: { gain: 15 },
  conditions: results => {
    const values = (arm: string): readonly number[] => (results.get(arm) ?? []).map(({ value }) => value)
    const gains = values('routed by content').map((value, i) => value - values('random regions')[i])
    const mean = gains.reduce((a, b) => a + b, 0) / gains.length
    return [
      {
        what: 'at least 15 points over random regions too, with every seed better',
        measured: `${mean.toFixed(1)} points`,
        holds: mean >= 15 && gains.every(gain => gain > 0),
      },
    ]
  },
  run,
}
