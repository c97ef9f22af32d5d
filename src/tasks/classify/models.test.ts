import { expect, it } from 'vitest'
import { modelKind, modelKinds, trainingSettings } from './models.ts'

it('keeps a model’s own settings for data of ordinary size', () => {
  for (const kind of Object.values(modelKinds)) expect(trainingSettings(kind, 54_000)).toEqual(kind.training)
})

it('gives small data smaller batches and more epochs, so that a run has hundreds of steps', () => {
  for (const kind of Object.values(modelKinds))
    for (const samples of [64, 200, 288, 1000, 3000]) {
      const { batchSize, epochs } = trainingSettings(kind, samples)
      const steps = Math.floor(samples / batchSize)
      expect(steps).toBeGreaterThanOrEqual(8)
      expect(steps * epochs).toBeGreaterThanOrEqual(600)
    }
})

it('stays finite for a handful of pictures', () => {
  const { batchSize, epochs } = trainingSettings(modelKind('vit'), 1)
  expect(batchSize).toBe(8)
  expect(epochs).toBe(100)
})
