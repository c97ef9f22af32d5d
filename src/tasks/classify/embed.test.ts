import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DuckDBInstance } from '@duckdb/node-api'
import sharp from 'sharp'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { readSafetensors } from '../../core/safetensors.ts'
import { withSeed } from '../../nn/index.ts'
import { Classifier, type ClassifierCard, loadClassifier } from './classifier.ts'
import { embedFiles, openEmbedder, pictureFiles, writeVectors } from './embed.ts'
import { modelKind } from './models.ts'

let folder: string
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'tenet-embed-'))
  mkdirSync(join(folder, 'pictures', 'inner'), { recursive: true })
  for (const [i, name] of ['b.png', 'a.png', 'inner/c.png'].entries())
    await sharp({ create: { width: 20 + i, height: 18, channels: 3, background: { r: 80 * i, g: 40, b: 200 } } })
      .png()
      .toFile(join(folder, 'pictures', name))
  writeFileSync(join(folder, 'pictures', 'broken.png'), 'no picture')
})
afterAll(() => rmSync(folder, { recursive: true }))

/** A classifier's file, as training leaves it. */
async function saved(model: 'vit' | 'resnet', options: ClassifierCard['options']): Promise<string> {
  const card: ClassifierCard = {
    kind: 'classifier',
    model,
    options,
    channels: 3,
    size: [16, 16],
    classes: ['x', 'y'],
    normalisation: { mean: [0.5, 0.5, 0.5], std: [0.2, 0.2, 0.2] },
  }
  const format = { channels: 3, size: card.size, classes: 2 }
  const classifier = new Classifier(
    card,
    withSeed(1, () => modelKind(model).build(format, options)),
  )
  const path = join(folder, `${model}.safetensors`)
  await classifier.save(path)
  await classifier.release()
  return path
}

it('gives every readable picture of files and folders its vector, and writes them in three formats', async () => {
  const files = await pictureFiles([join(folder, 'pictures')])
  expect(files.map(file => file.slice(folder.length + 10))).toEqual(['a.png', 'b.png', 'broken.png', 'inner/c.png'])
  const embedder = await openEmbedder(await saved('resnet', { widths: [4, 6], depths: [1, 1], stem: 'small' }))
  expect(embedder.trained).toBe(true)
  const embedded = await embedFiles(embedder, files)
  expect(embedded.files.length).toBe(3)
  expect(embedded.dim).toBe(6)
  expect(embedded.skipped.map(({ name }) => name)).toEqual([files[2]])
  const path = (ending: string): string => join(folder, `vectors.${ending}`)
  for (const ending of ['jsonl', 'safetensors', 'parquet']) await writeVectors(embedded, path(ending))
  const lines = readFileSync(path('jsonl'), 'utf8')
    .trim()
    .split('\n')
    .map(line => JSON.parse(line))
  expect(lines.map(({ file }) => file)).toEqual(embedded.files)
  expect(Float32Array.from(lines.flatMap(({ vector }) => vector))).toEqual(embedded.vectors)
  const { tensors, metadata } = readSafetensors(readFileSync(path('safetensors')), 'vectors')
  expect(tensors.get('vectors')!.data).toEqual(embedded.vectors)
  expect(JSON.parse(metadata.files)).toEqual(embedded.files)
  const connection = await (await DuckDBInstance.create()).connect()
  const rows = (await connection.runAndReadAll(`SELECT file, vector[1] FROM '${path('parquet')}'`)).getRows()
  expect(rows.map(([file, first]) => [file, Math.fround(Number(first))])).toEqual(
    embedded.files.map((file, i) => [file, embedded.vectors[i * 6]]),
  )
  await expect(writeVectors(embedded, path('csv'))).rejects.toThrow("not '.csv'")
})

it('looks at larger pictures than it was trained on, where the architecture can', async () => {
  const path = await saved('vit', { patch: 4, dim: 8, depth: 1, heads: 2 })
  const larger = await openEmbedder(path, { size: 32 })
  expect(larger.size).toEqual([32, 32])
  const [file] = await pictureFiles([join(folder, 'pictures', 'a.png')])
  const at32 = await embedFiles(larger, [file])
  const at16 = await embedFiles(await openEmbedder(path), [file])
  expect(at32.dim).toBe(at16.dim)
  expect(at32.vectors).not.toEqual(at16.vectors)
  await expect(loadClassifier(path, undefined, [30, 30])).rejects.toThrow(
    'was trained on pictures of 16x16 and cannot look at 30x30',
  )
})

it('takes a model by name without training, the same for the same seed', async () => {
  const open = (seed: number) => openEmbedder('vit', { size: 16, seed, modelOptions: { dim: 8, depth: 1, heads: 2 } })
  const files = [join(folder, 'pictures', 'a.png')]
  const [first, again, other] = await Promise.all(
    [open(0), open(0), open(1)].map(async one => embedFiles(await one, files)),
  )
  expect(first.vectors).toEqual(again.vectors)
  expect(first.vectors).not.toEqual(other.vectors)
})

it('says what is missing', async () => {
  await expect(openEmbedder('nothing')).rejects.toThrow("there is no model 'nothing'")
  await expect(openEmbedder('nothing.safetensors')).rejects.toThrow('there is no checkpoint at nothing.safetensors')
  await expect(pictureFiles(['nowhere'])).rejects.toThrow("there is no file or folder 'nowhere'")
  const embedder = await openEmbedder('vit', { size: 16 })
  await expect(embedFiles(embedder, [join(folder, 'pictures', 'broken.png')])).rejects.toThrow(
    'no picture could be read',
  )
})
