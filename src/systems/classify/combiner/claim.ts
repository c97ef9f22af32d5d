import { compile, type HostTensor, hostTensor, type Tensor } from '../../../core/index.ts'
import { type Dataset, loadFashionMnist, readSample, shuffledOrder } from '../../../data/index.ts'
import { withSeed } from '../../../nn/index.ts'
import type { Batch } from '../../../train/index.ts'
import { armMean } from '../../claims/arm-mean.ts'
import { trainArm } from '../../claims/training.ts'
import type { ArmResult, Claim, ClaimContext } from '../../system.ts'
import { logitsPerToken } from './attention-cost.ts'
import { CombinerLanguageModel } from './language-model.ts'

/** Side of the pictures, and length of a segment: one row. */
const SIDE = 16
const LENGTH = SIDE * SIDE
const LEVELS = 16

const attentions = {
  'Combiner, fixed': { pattern: 'fixed', segment: SIDE },
  'own row only': { pattern: 'local', segment: SIDE },
  // With one segment all that lies before is attended to directly.
  'dense attention': { pattern: 'fixed', segment: LENGTH },
} as const

const attentionOf = (arm: string) => attentions[arm as keyof typeof attentions]

/** The network of an arm. */
export const networkOf = (arm: string): CombinerLanguageModel =>
  new CombinerLanguageModel({ vocabulary: LEVELS, dim: 64, heads: 4, depth: 2, ...attentionOf(arm) })

/** A picture averaged over the cells of a coarser grid and cut into levels, row by row. */
export function levelsOf(pixels: ArrayLike<number>, height: number, width: number): Int32Array {
  /** How much of each pixel a cell covers, along one axis. */
  const shares = (size: number): number[][] =>
    Array.from({ length: SIDE }, (_, cell) =>
      Array.from({ length: size }, (_, pixel) => {
        const covered = Math.min(pixel + 1, ((cell + 1) * size) / SIDE) - Math.max(pixel, (cell * size) / SIDE)
        return (Math.max(0, covered) * SIDE) / size
      }),
    )
  const [rows, columns] = [shares(height), shares(width)]
  return Int32Array.from({ length: LENGTH }, (_, i) => {
    const [row, column] = [rows[Math.floor(i / SIDE)], columns[i % SIDE]]
    let mean = 0
    for (let y = 0; y < height; y++)
      if (row[y] > 0) for (let x = 0; x < width; x++) mean += row[y] * column[x] * pixels[y * width + x]
    return Math.min(LEVELS - 1, Math.floor((mean * LEVELS) / 256))
  })
}

async function symbolsOf(data: Dataset, indices: readonly number[]): Promise<HostTensor> {
  const [, height, width] = data.shape
  const symbols = new Int32Array(indices.length * LENGTH)
  for (const [row, index] of indices.entries()) {
    const { values, offset } = await readSample(data, index)
    symbols.set(levelsOf(values.subarray(offset, offset + height * width), height, width), row * LENGTH)
  }
  return hostTensor(symbols, [indices.length, LENGTH])
}

async function* batchesOf(data: Dataset, batch: number, seed: number): AsyncGenerator<Batch, void, undefined> {
  for (let epoch = 0; ; epoch++) {
    const order = shuffledOrder(data.length, seed, epoch)
    for (let start = 0; start + batch <= order.length; start += batch)
      yield { symbols: await symbolsOf(data, [...order.slice(start, start + batch)]) }
  }
}

/** Mean bits a pixel of the first pictures. */
async function bitsOf(model: CombinerLanguageModel, data: Dataset, count: number, batch: number): Promise<number> {
  const bits = compile((symbols: Tensor) => model.bits(symbols))
  let total = 0
  for (let start = 0; start < count; start += batch) {
    const indices = Array.from({ length: batch }, (_, i) => start + i)
    total += (await bits(await symbolsOf(data, indices))).item() / (count / batch)
  }
  await bits.release()
  return total
}

async function run(arm: string, seed: number, context: ClaimContext): Promise<ArmResult> {
  const { quick } = context
  const { train, test } = await loadFashionMnist()
  const model = withSeed(seed, () => networkOf(arm))
  const losses = await trainArm(
    {
      model,
      loss: ({ symbols }) => ({ loss: model.bits(symbols) }),
      batches: batchesOf(train, quick ? 8 : 16, seed),
      steps: quick ? 12 : 500,
      learningRate: 3e-3,
      seed,
    },
    context,
  )
  const value = await bitsOf(model, test, quick ? 50 : 2000, 50)
  const { pattern, segment } = attentionOf(arm)
  return { value, losses, also: { 'logits a token': logitsPerToken(pattern, LENGTH, segment) } }
}

/** Share of the gap between the row alone and dense attention that Combiner closes. */
function closed(results: ReadonlyMap<string, readonly ArmResult[]>): number {
  const [ours, row, dense] = claim.arms.map(({ name }) => armMean(results, name))
  return (row - ours) / (row - dense)
}

export const claim: Claim = {
  statement:
    'Regions beside the own row predict pixels at least 0.10 bits better than the own row alone, with 32 logits a token in place of 256, and close at least half of the gap to dense attention.',
  data: 'fashion-mnist averaged to 16x16 and cut into 16 levels, pixel by pixel; 8,000 pictures to train on, 2,000 test pictures',
  metric: { name: 'next-pixel code length', unit: 'bits/dim', better: 'lower' },
  arms: [
    { name: 'Combiner, fixed', what: 'segments of one row, earlier rows as regions: 32 logits a token' },
    { name: 'own row only', what: 'the same layers without regions: 16 logits a token' },
    { name: 'dense attention', what: 'the same layers, all pixels before: 256 logits a token' },
  ],
  expected: { gain: 0.1 },
  conditions: results => {
    const share = closed(results)
    return [
      { what: 'closes at least half of the gap to dense attention', measured: share.toFixed(2), holds: share >= 0.5 },
    ]
  },
  run,
}
