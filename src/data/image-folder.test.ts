import { mkdir, mkdtemp, rm, symlink, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import sharp from 'sharp'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Dataset, sampleName } from './dataset.ts'
import { type ImageFolderOptions, openImageFolder } from './image-folder.ts'
import { DataLoader } from './loader.ts'

let base: string
let picture: Buffer
let counter = 0
beforeAll(async () => {
  base = await mkdtemp(join(tmpdir(), 'tenet-images-'))
  picture = await sharp({ create: { width: 20, height: 10, channels: 3, background: 'red' } })
    .png()
    .toBuffer()
})
afterAll(() => rm(base, { recursive: true }))

/** Makes a folder of good pictures; returns its path. */
async function folderOf(...files: string[]): Promise<string> {
  const root = join(base, `root${counter++}`)
  await mkdir(root)
  for (const file of files) {
    await mkdir(dirname(join(root, file)), { recursive: true })
    await writeFile(join(root, file), picture)
  }
  return root
}

const numbered = (folder: string, count: number) =>
  Array.from({ length: count }, (_, index) => `${folder}/${String(index).padStart(3, '0')}.png`)

const open = (root: string, options: Partial<ImageFolderOptions> = {}) =>
  openImageFolder(root, { size: [8, 8], ...options })

const namesOf = (dataset: Dataset) => Array.from(dataset.labels, (_, index) => sampleName(dataset, index))

describe('openImageFolder', () => {
  it('reads classes in order of name and divides each among the splits', async () => {
    const root = await folderOf(...numbered('dog', 20), ...numbered('cat/deep/er', 10))
    const { classes, train, validation, test, skipped, warnings } = await open(root)
    expect(classes).toEqual(['cat', 'dog'])
    expect([train.length, validation.length, test.length]).toEqual([24, 3, 3])
    expect([...validation.labels].sort()).toEqual([0, 1, 1])
    expect(new Set([train, validation, test].flatMap(namesOf)).size).toBe(30)
    expect(namesOf(test)[0]).toMatch(/^cat\/deep\/er\/\d+\.png$/)
    expect(train.shape).toEqual([3, 8, 8])
    expect({ skipped, warnings }).toEqual({ skipped: [], warnings: [] })
  })

  it('divides as a pure function of names and seed', async () => {
    const files = [...numbered('a', 30), ...numbered('b', 30)]
    const root = await folderOf(...files)
    const tests = async (seed: number, from = root) => namesOf((await open(from, { seed })).test)
    const first = await tests(1)
    expect(await tests(1)).toEqual(first)
    expect(await tests(1, await folderOf(...files))).toEqual(first)
    expect(await tests(2)).not.toEqual(first)
    const more = await tests(1, await folderOf(...files, 'a/one-more.png'))
    expect(first.filter(name => !more.includes(name)).length).toBeLessThanOrEqual(1)
  })

  it('keeps the splits that folders give, and takes the others from train', async () => {
    const root = await folderOf(
      ...numbered('train/a', 10),
      ...numbered('train/b', 10),
      ...numbered('val/a', 3),
      ...numbered('notes/a', 1),
    )
    const { classes, train, validation, test, skipped } = await open(root)
    expect(classes).toEqual(['a', 'b'])
    expect(namesOf(validation)).toEqual(numbered('val/a', 3))
    expect([train.length, test.length]).toEqual([18, 2])
    expect(namesOf(test).every(name => name.startsWith('train/'))).toBe(true)
    expect(skipped).toEqual([{ name: 'notes', reason: 'is beside train/ but is none of train, val and test' }])
  })

  it('takes a folder called train for a class when it holds only images', async () => {
    const { classes } = await open(await folderOf(...numbered('train', 3), ...numbered('bus', 3)))
    expect(classes).toEqual(['bus', 'train'])
  })

  it.each(['in memory', 'from files'])('names unusable images with the reason and goes on (%s)', async where => {
    const root = await folderOf(...numbered('a', 5), ...numbered('b', 5), 'a/cut.png')
    await truncate(join(root, 'a/cut.png'), 60)
    await writeFile(join(root, 'a/empty.jpg'), '')
    await writeFile(join(root, 'b/text.webp'), 'no picture')
    await writeFile(join(root, 'b/old.bmp'), 'BM')
    await writeFile(join(root, 'b/readme.txt'), 'not taken for a picture')
    await writeFile(join(root, 'b/large.png'), Buffer.concat([picture, Buffer.alloc(5000)]))
    const wide = await sharp({ create: { width: 600, height: 1, channels: 3, background: 'red' } })
      .png()
      .toBuffer()
    await writeFile(join(root, 'b/wide.png'), wide)
    const limits = { maxBytes: 5000, maxPixels: 500, validation: 0, test: 0 }
    const { train, skipped } = await open(root, { ...limits, memory: where === 'in memory' ? 2 ** 20 : 0 })
    const onSkip = (file: { name: string; reason: string }) => skipped.push(file)
    const loader = new DataLoader(train, { batchSize: 4, workers: 1, onSkip })
    let weight = 0
    for await (const { weights } of loader.epoch(0)) weight += weights.reduce((sum, one) => sum + one)
    await loader.close()
    expect(weight).toBe(10)
    const report = skipped.map(({ name, reason }) => `${name} ${reason}`).sort()
    expect(report).toEqual([
      expect.stringMatching(/^a\/cut.png cannot be decoded, it is damaged or cut off/),
      'a/empty.jpg is empty (0 bytes)',
      expect.stringMatching(/^b\/large.png is \d+ bytes; the limit is 5000$/),
      'b/old.bmp has the ending .bmp, which is not read; convert it to PNG or JPEG',
      expect.stringMatching(/^b\/text.webp is not a readable image/),
      'b/wide.png is 600 x 1 pixels; the limit is 500 pixels',
    ])
  })

  it('gives the same batches from memory and from files', async () => {
    const root = await folderOf()
    for (const [index, background] of ['red', 'lime', 'blue', 'white', 'gray', 'black'].entries()) {
      const file = join(root, index % 2 ? 'a' : 'b', `${index}.jpg`)
      await mkdir(dirname(file), { recursive: true })
      await sharp({ create: { width: 31, height: 17, channels: 3, background } })
        .jpeg()
        .toFile(file)
    }
    const inputs = async (memory: number) => {
      const { train } = await open(root, { memory })
      expect(train.source.kind).toBe(memory ? 'array' : 'files')
      const loader = new DataLoader(train, {
        batchSize: 2,
        shuffle: true,
        augment: { horizontalFlip: true },
        workers: 1,
      })
      const batches: Float32Array[] = []
      for await (const batch of loader.epoch(0)) batches.push(batch.inputs)
      await loader.close()
      return batches
    }
    expect(await inputs(2 ** 20)).toEqual(await inputs(0))
  })

  it('follows links to images inside the folder, but none out of it, to folders or into nothing', async () => {
    const outside = await folderOf('secret.png')
    const root = await folderOf(...numbered('a', 2), ...numbered('b', 2))
    await symlink(root, join(root, 'a/up'))
    await symlink('.', join(root, 'b/loop'))
    await symlink(join(root, 'a'), join(root, 'c'))
    await symlink(outside, join(root, 'b/out'))
    await symlink(join(outside, 'secret.png'), join(root, 'b/out.png'))
    await symlink('nowhere.png', join(root, 'b/dangling.png'))
    await symlink('000.png', join(root, 'b/alias.png'))
    const { train, skipped } = await open(root, { validation: 0, test: 0 })
    expect(namesOf(train)).toEqual(['a/000.png', 'a/001.png', 'b/000.png', 'b/001.png', 'b/alias.png'])
    expect(Object.fromEntries(skipped.map(({ name, reason }) => [name, reason]))).toEqual({
      'a/up': 'is a link to a folder, which is not followed',
      'b/dangling.png': 'is a link that leads nowhere',
      'b/loop': 'is a link to a folder, which is not followed',
      'b/out': 'is a link that leads out of the folder',
      'b/out.png': 'is a link that leads out of the folder',
      c: 'is a link to a folder, which is not followed',
    })
  })

  it('warns of a class with one image, which it trains on, and of one without', async () => {
    const root = await folderOf(...numbered('a', 10), ...numbered('b', 10), 'lonely/x.png')
    await mkdir(join(root, 'hollow'))
    const { classes, train, warnings } = await open(root)
    expect(classes).toEqual(['a', 'b', 'lonely'])
    expect(namesOf(train)).toContain('lonely/x.png')
    expect(warnings).toEqual([
      'The class folder hollow holds no usable images and is left out.',
      'The class lonely has one image, which is used for training only.',
    ])
  })

  it('says in one line what is wrong with a folder', async () => {
    const failure = (root: string) =>
      open(root).then(
        () => 'opened',
        (error: Error) => error.message,
      )
    const missing = join(base, 'missing')
    expect(await failure(missing)).toBe(`image folder ${missing}: does not exist.`)
    const file = join(await folderOf('x.png'), 'x.png')
    expect(await failure(file)).toBe(
      `image folder ${file}: is a file; expected a folder that holds one folder of images for each class.`,
    )
    const empty = await folderOf()
    expect(await failure(empty)).toContain(`${empty}: holds no folders of images; expected one folder for each class`)
    expect(await failure(await folderOf('1.png', '2.png'))).toContain(': holds 2 images but no folders; expected')
    expect(await failure(await folderOf(...numbered('a', 3)))).toContain(
      ': holds one class with usable images (a); a classifier needs at least two.',
    )
    const hollow = await folderOf()
    await mkdir(join(hollow, 'a'))
    expect(await failure(hollow)).toContain(': holds no usable images to train on.')
    const damaged = await folderOf(...numbered('a', 3), 'b/x.png')
    await truncate(join(damaged, 'b/x.png'), 0)
    expect(await failure(damaged)).toMatch(
      /holds one class .* at least two. 1 files were skipped, the first: b\/x.png is empty \(0 bytes\).$/,
    )
    const untrained = await folderOf(...numbered('train/a', 2), ...numbered('train/b', 2), 'test/c/1.png')
    expect(await failure(untrained)).toContain(': test has the class c, which train has no images of; add some or')
  })

  it('counts the files as it looks at them', async () => {
    const seen: [number, number][] = []
    await open(await folderOf(...numbered('a', 2), ...numbered('b', 1)), { onProgress: (...at) => seen.push(at) })
    expect(seen).toEqual([
      [1, 3],
      [2, 3],
      [3, 3],
    ])
  })
})
