import { describe, expect, it } from 'vitest'
import { hostTensor } from '../../core/index.ts'
import { Linear, withSeed } from '../../nn/index.ts'
import type { Batch } from '../../train/index.ts'
import { claimOptimizer, thinned, trainArm } from './training.ts'

const batch = (): Batch => ({
  x: hostTensor(
    Float32Array.from({ length: 8 }, (_, i) => Math.sin(i)),
    [4, 2],
  ),
})
const training = (batches: Iterable<Batch> | AsyncIterable<Batch>, steps: number) => {
  const model = withSeed(1, () => new Linear(2, 1))
  return {
    model,
    loss: ({ x }: Parameters<Parameters<typeof trainArm>[0]['loss']>[0]) => ({
      loss: model.forward(x).sub(1).pow(2).mean(),
    }),
    batches,
    steps,
    learningRate: 0.1,
    seed: 0,
  }
}
const quiet = { quick: true, progress: () => undefined }

describe('training an arm of a claim', () => {
  it('takes as many batches as there are steps, lets its source go, and says how far it is', async () => {
    let made = 0
    let closed = false
    async function* endless() {
      try {
        for (;;) {
          made++
          yield batch()
        }
      } finally {
        closed = true
      }
    }
    const told: number[] = []
    const losses = await trainArm(training(endless(), 20), { quick: true, progress: fraction => told.push(fraction) })
    expect(made).toBe(20)
    expect(closed).toBe(true)
    expect(told.at(-1)).toBe(1)
    expect(losses).toHaveLength(20)
    expect(losses[19]).toBeLessThan(losses[0] / 2)
  })
  it('throws where there are too few batches, and when it is told to stop', async () => {
    await expect(trainArm(training([batch(), batch()], 3), quiet)).rejects.toThrow('there were 2 batches for 3 steps')
    const signal = AbortSignal.abort(new Error('enough'))
    await expect(trainArm(training([batch()], 1), { ...quiet, signal })).rejects.toThrow('enough')
  })
  it('keeps about fifty losses, the first and the last among them', () => {
    const kept = thinned(Array.from({ length: 930 }, (_, i) => i))
    expect([kept[0], kept.at(-1)]).toEqual([0, 929])
    expect(kept.length).toBeLessThanOrEqual(51)
  })
  it('lets parameters out of the decay', () => {
    const optimizer = claimOptimizer(new Linear(3, 2), 0.1, 10, /weight/)
    expect(optimizer.parameters).toHaveLength(2)
  })
})
