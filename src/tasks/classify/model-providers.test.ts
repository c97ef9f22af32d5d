import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { hostTensor } from '../../core/index.ts'
import { Classifier, type ClassifierCard, loadClassifier } from './classifier.ts'
import { findModelKind, modelKind, modelKinds, modelNames, provideModels } from './models.ts'

const asked: string[] = []
provideModels({
  find: async name => {
    asked.push(name)
    return name === 'provided' ? modelKinds.cnn : undefined
  },
  names: async () => ['provided'],
})

it('knows a built-in model without asking anyone', async () => {
  expect(await findModelKind('vit')).toBe(modelKinds.vit)
  expect(asked).toEqual([])
})

it('names every model there is when one is not found', async () => {
  expect(await modelNames()).toEqual(['cnn', 'resnet', 'vit', 'provided'])
  await expect(findModelKind('toString')).rejects.toThrow(
    "there is no model 'toString'; there are: cnn, resnet, vit, provided",
  )
  expect(() => modelKind('toString')).toThrow("there is no model 'toString'")
})

it('loads a saved classifier whose model a floor above provides', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'tenet-provided-'))
  const card: ClassifierCard = {
    kind: 'classifier',
    model: 'provided',
    options: { widths: [4] },
    channels: 1,
    size: [8, 8],
    classes: ['a', 'b'],
    normalisation: { mean: [0], std: [1] },
  }
  await findModelKind('provided')
  const saved = new Classifier(card)
  const images = hostTensor(
    Float32Array.from({ length: 64 }, (_, i) => i / 64),
    [1, 1, 8, 8],
  )
  try {
    const path = join(folder, 'model.safetensors')
    await saved.save(path)
    const loaded = await loadClassifier(path)
    expect((await loaded.logits(images)).numbers()).toEqual((await saved.logits(images)).numbers())
    await loaded.release()
  } finally {
    await saved.release()
    rmSync(folder, { recursive: true })
  }
})
