import { mkdtemp, readdir, readFile, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, vi } from 'vitest'
import { type HostTensor, hostTensor, type Tensor, tanh } from '../core/index.ts'
import { Linear, Module, nameVariables, parametersOf, withSeed } from '../nn/index.ts'
import { adamW, cosine, ExponentialMovingAverage, Optimizer } from '../optim/index.ts'
import { writeAtomic } from './atomic.ts'
import { readCheckpoint } from './checkpoint.ts'
import { type BatchSource, CHECKPOINT, type FitOptions, LOG, fit as trainModel } from './fit.ts'
import { TrainingLog } from './log.ts'

class Net extends Module {
  readonly fc1 = new Linear(4, 8)
  readonly fc2 = new Linear(8, 1)
  override forward(x: Tensor): Tensor {
    return this.fc2.forward(tanh(this.fc1.forward(x)))
  }
}

/** Batches that depend on epoch and number only. */
const source: BatchSource = {
  batchesPerEpoch: 6,
  async *epoch(epoch, from) {
    for (let number = from; number < 6; number++) {
      const values = Float32Array.from({ length: 8 * 4 }, (_, i) => Math.sin(1 + i * (number + 1) + epoch))
      const targets = Float32Array.from({ length: 8 }, (_, i) => values[i * 4] * values[i * 4 + 1])
      yield { batch: { x: hostTensor(values, [8, 4]), y: hostTensor(targets, [8, 1]) }, size: 8 }
    }
  },
}

const folder = (): Promise<string> => mkdtemp(join(tmpdir(), 'tenet-fit-'))

function options(into: string, more: Partial<FitOptions> = {}): FitOptions & { model: Net } {
  const model = withSeed(1, () => nameVariables(new Net()))
  const parameters = parametersOf(model)
  return {
    model,
    optimizer: new Optimizer([
      { parameters, rule: adamW(), learningRate: cosine({ base: 0.03, total: 6 * (more.epochs ?? 3), warmup: 3 }) },
    ]),
    ema: new ExponentialMovingAverage(parameters, 0.9),
    loss: ({ x, y }) => ({ loss: model.forward(x).sub(y).pow(2).mean() }),
    train: source,
    epochs: 3,
    folder: into,
    clipNorm: 1,
    checkpointBatches: 1,
    ...more,
  } as FitOptions & { model: Net }
}

const losses = async (into: string): Promise<unknown[]> =>
  (await new TrainingLog(join(into, LOG)).read()).map(entry => entry.loss)
const bytes = (model: Net): string =>
  parametersOf(model)
    .map(p => Buffer.from(p.data.buffer as ArrayBuffer).toString('hex'))
    .join()

describe('fit', () => {
  it('learns', async () => {
    const into = await folder()
    await trainModel(options(into, { epochs: 40 }))
    const curve = (await losses(into)) as number[]
    expect(curve.length).toBe(240)
    const mean = (part: number[]): number => part.reduce((a, b) => a + b, 0) / part.length
    expect(mean(curve.slice(-24))).toBeLessThan(0.5 * mean(curve.slice(0, 24)))
  })
  it.each([1, 5, 6, 7, 13])(
    'stopped after batch %i and resumed, gives the bits of an uninterrupted run',
    async stopAfter => {
      const [whole, broken] = [await folder(), await folder()]
      const straight = options(whole)
      await trainModel(straight)
      const stop = new AbortController()
      const first = await trainModel(
        options(broken, { signal: stop.signal, onProgress: p => p.batch === stopAfter && stop.abort() }),
      )
      expect(first.interrupted).toBe(true)
      const second = options(broken, { resume: true })
      const result = await trainModel(second)
      expect(result.batches).toBe(18)
      expect(bytes(second.model)).toBe(bytes(straight.model))
      expect(await losses(broken)).toEqual(await losses(whole))
    },
  )
  it('accumulates gradients into the step of one large batch', async () => {
    const [a, b] = [await folder(), await folder()]
    const joined: BatchSource = {
      batchesPerEpoch: 3,
      async *epoch(epoch) {
        const parts: Record<string, HostTensor>[] = []
        for await (const part of source.epoch(epoch, 0)) parts.push({ ...part.batch })
        for (let i = 0; i < 6; i += 2) {
          const both = (key: string, width: number) =>
            hostTensor(
              Float32Array.from([...(parts[i][key].data as Float32Array), ...(parts[i + 1][key].data as Float32Array)]),
              [16, width],
            )
          yield { batch: { x: both('x', 4), y: both('y', 1) }, size: 16 }
        }
      },
    }
    const accumulated = options(a, { accumulate: 2 })
    const large = options(b, { train: joined })
    await trainModel(accumulated)
    await trainModel(large)
    const [left, right] = [accumulated, large].map(({ model }) => Array.from(model.fc1.weight.data as Float32Array))
    left.forEach((value, i) => {
      expect(value).toBeCloseTo(right[i], 5)
    })
  })
  it('keeps the best weights and stops when nothing improves', async () => {
    const into = await folder()
    const scores = [1, 3, 2, 2, 2]
    const result = await trainModel(
      options(into, {
        epochs: 5,
        watch: { score: 's', better: 'higher', patience: 2 },
        validate: async () => ({ s: scores.shift()! }),
      }),
    )
    expect(result.stoppedEarly).toBe(true)
    expect(result.epochs).toBe(4)
    expect(result.best).toEqual({ epoch: 2, scores: { s: 3 } })
    expect(await readdir(into)).toContain('best.safetensors')
  })
  it('refuses to continue a run with other options, or a damaged checkpoint, in one line', async () => {
    const into = await folder()
    await trainModel(options(into, { identity: { model: 'a' }, epochs: 1 }))
    await expect(trainModel(options(into, { identity: { model: 'b' }, resume: true }))).rejects.toThrow(
      /belongs to a run with other options/,
    )
    await truncate(join(into, CHECKPOINT), 300)
    await expect(trainModel(options(into, { identity: { model: 'a' }, resume: true }))).rejects.toThrow(
      /not a readable safetensors file/,
    )
    await writeFile(join(into, CHECKPOINT), '')
    await expect(trainModel(options(into, { resume: true }))).rejects.toThrow(/0 bytes are too few/)
  })
  it('stops with one line when the loss is not a number, and keeps the last checkpoint', async () => {
    const into = await folder()
    const diverging = options(into)
    const run = trainModel({
      ...diverging,
      loss: ({ x, y }) => ({ loss: diverging.model.forward(x).sub(y).pow(2).mean().mul(Number.POSITIVE_INFINITY) }),
    })
    await expect(run).rejects.toThrow(/training diverged: the loss is/)
  })
})

describe('atomic writes', () => {
  it('leave the old file whole and no temporary one when the disk is full', async () => {
    const into = await folder()
    const path = join(into, 'state')
    await writeAtomic(path, 'old')
    const { FileHandle } = (await import('node:fs/promises').then(async fs => {
      const handle = await fs.open(path)
      await handle.close()
      return { FileHandle: Object.getPrototypeOf(handle) as { writeFile: () => Promise<void> } }
    })) as { FileHandle: { writeFile: () => Promise<void> } }
    const full = vi
      .spyOn(FileHandle, 'writeFile')
      .mockRejectedValue(Object.assign(new Error('no space'), { code: 'ENOSPC' }))
    await expect(writeAtomic(path, 'new')).rejects.toThrow(`cannot write ${path}: the disk is full`)
    full.mockRestore()
    expect(await readFile(path, 'utf8')).toBe('old')
    expect(await readdir(into)).toEqual(['state'])
  })
  it('a file that is not a checkpoint is named as such', async () => {
    const path = join(await folder(), 'x.safetensors')
    await writeFile(path, 'hello, this is no checkpoint')
    await expect(readCheckpoint(path)).rejects.toThrow(/not a readable safetensors file/)
    await expect(readCheckpoint(`${path}.none`)).rejects.toThrow('there is no checkpoint at')
  })
})
