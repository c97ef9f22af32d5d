import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { placeholder } from '../core/index.ts'
import { stateDict } from '../nn/index.ts'
import {
  Classifier,
  type ClassifierCard,
  findModelKind,
  findSegmenterKind,
  loadClassifier,
  modelNames,
  segmenterNames,
} from '../tasks/index.ts'
// Importing the systems is what makes their models known by name.
import { loadSystems, registry } from './index.ts'

const bytesOf = ({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array =>
  new Uint8Array(buffer, byteOffset, byteLength)

const folder = mkdtempSync(join(tmpdir(), 'tenet-models-'))
afterAll(() => rmSync(folder, { recursive: true }))

const backbones = (await loadSystems()).filter(({ model }) => model).map(({ id }) => id)
const segmenters = (await loadSystems()).flatMap(system => Object.keys(system.segmenters ?? {}))

it('names every backbone and segmenter of the systems', async () => {
  expect(await modelNames()).toEqual(['cnn', 'resnet', 'vit', ...[...backbones].sort()])
  expect(await segmenterNames()).toEqual(['resnet', 'vit', ...[...segmenters].sort()])
  expect(new Set(registry.map(({ id }) => id)).size).toBe(registry.length)
})

describe.each(backbones)('%s as a value of --model', name => {
  it.each([
    { channels: 1, size: [32, 32] as const, classes: 3 },
    { channels: 3, size: [64, 64] as const, classes: 10 },
  ])('has defaults for pictures of $channels channels, $size', async format => {
    const kind = await findModelKind(name)
    const network = kind.build(format, kind.defaults(format))
    const images = placeholder('images', [2, format.channels, ...format.size], 'f32')
    expect(network.forward(images).shape).toEqual([2, format.classes])
    expect(network.features(images).shape).toEqual([2, network.featureDim])
  })

  it('is saved and loaded by name', async () => {
    const kind = await findModelKind(name)
    const format = { channels: 1, size: [32, 32] as const, classes: 2 }
    const options = kind.defaults(format)
    const card: ClassifierCard = {
      kind: 'classifier',
      model: name,
      options,
      channels: 1,
      size: format.size,
      classes: ['a', 'b'],
      normalisation: { mean: [0.5], std: [0.2] },
    }
    const path = join(folder, `${name}.safetensors`)
    const saved = new Classifier(card, kind.build(format, options))
    await saved.save(path)
    const loaded = await loadClassifier(path)
    const [before, after] = [await stateDict(saved.network), await stateDict(loaded.network)]
    expect([...after.keys()]).toEqual([...before.keys()])
    for (const [key, { data }] of before)
      expect(Buffer.compare(bytesOf(after.get(key)!.data), bytesOf(data)), key).toBe(0)
  })
})

it.each(segmenters)('%s labels every pixel', async name => {
  const kind = await findSegmenterKind(name)
  const format = { channels: 1, size: [64, 64] as const, classes: 3 }
  const network = kind.build(format, kind.defaults(format))
  expect(network.forward(placeholder('images', [2, 1, 64, 64], 'f32')).shape).toEqual([2, 3, 64, 64])
})
