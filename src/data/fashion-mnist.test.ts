import { existsSync } from 'node:fs'
import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { measureNormalisation } from './channel-statistics.ts'
import { debianFashionMnistFolder, fashionMnistNormalisation, loadFashionMnist } from './fashion-mnist.ts'

let base: string
let server: Server
let address: string
let counter = 0
beforeAll(async () => {
  base = await mkdtemp(join(tmpdir(), 'tenet-fashion-'))
  // Serves /system/… from the system's package, and a false file for anything else.
  server = createServer(async (request, response) => {
    const file = join(debianFashionMnistFolder, basename(request.url!))
    response.end(request.url!.startsWith('/system/') && existsSync(file) ? await readFile(file) : gzipSync('false'))
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
})
afterAll(async () => {
  server.close()
  await rm(base, { recursive: true })
})

function idx(dimensions: number[], values: Uint8Array): Buffer {
  const header = Buffer.alloc(4 + 4 * dimensions.length)
  header.set([0, 0, 8, dimensions.length])
  for (const [axis, dimension] of dimensions.entries()) header.writeUInt32BE(dimension, 4 + 4 * axis)
  return Buffer.concat([header, values])
}

const images = (count: number, side = 28) =>
  idx(
    [count, side, side],
    Uint8Array.from({ length: count * side * side }, (_, at) => Math.floor(at / side ** 2)),
  )
const labels = (count: number) =>
  idx(
    [count],
    Uint8Array.from({ length: count }, (_, at) => at % 10),
  )

/** A folder with the four files, small: 60 images to train on, 20 to test on. Some packed, some not. */
async function smallFolder(changes: Record<string, Buffer | undefined> = {}): Promise<string> {
  const folder = join(base, `small${counter++}`)
  await mkdir(folder)
  const files: Record<string, Buffer | undefined> = {
    'train-images-idx3-ubyte.gz': gzipSync(images(60)),
    'train-labels-idx1-ubyte': labels(60),
    't10k-images-idx3-ubyte': images(20),
    't10k-labels-idx1-ubyte.gz': gzipSync(labels(20)),
    ...changes,
  }
  for (const [name, bytes] of Object.entries(files)) if (bytes) await writeFile(join(folder, name), bytes)
  return folder
}

const nowhere = () => ({ systemFolder: join(base, 'no-system'), cache: join(base, `cache${counter++}`) })

const failure = (options: Parameters<typeof loadFashionMnist>[0]) =>
  loadFashionMnist(options).then(
    () => 'loaded',
    (error: Error) => error.message,
  )

describe('loadFashionMnist', () => {
  it('reads a given folder, with validation taken evenly from train and always the same', async () => {
    const folder = await smallFolder()
    const { train, validation, test, classes, ...rest } = await loadFashionMnist({ folder, validation: 20 })
    expect(rest.folder).toBe(folder)
    expect(classes.length).toBe(10)
    expect([train.length, validation.length, test.length]).toEqual([40, 20, 20])
    expect([...validation.labels].sort()).toEqual([...labels(20).subarray(8)].sort())
    const again = await loadFashionMnist({ folder, validation: 20 })
    expect(again.validation.source).toEqual(validation.source)
    expect((await loadFashionMnist({ folder, validation: 0 })).train.length).toBe(60)
  })

  it('prefers the system folder, then the cache', async () => {
    const systemFolder = await smallFolder()
    const cache = await smallFolder()
    const options = { cache, addresses: [], validation: 0 }
    expect((await loadFashionMnist({ ...options, systemFolder })).folder).toBe(systemFolder)
    expect((await loadFashionMnist({ ...options, systemFolder: nowhere().systemFolder })).folder).toBe(cache)
  })

  it('says what to do when the files are nowhere, offline or on', async () => {
    const places = nowhere()
    const advice =
      /Install Debian's package dataset-fashion-mnist, or put the four files .* in a folder and give that folder\.$/
    const offline = await failure({ ...places, addresses: [] })
    expect(offline).toContain(`fashion-mnist: not found in ${places.systemFolder} or ${places.cache}. Install`)
    expect(offline).toMatch(advice)
    const refused = await failure({ ...places, addresses: ['http://127.0.0.1:1'] })
    expect(refused).toContain('and the download failed (http://127.0.0.1:1/train-images-idx3-ubyte.gz: ')
    expect(refused).toMatch(advice)
    expect(refused).not.toContain('\n')
  })

  it('keeps no download whose content is not the official one', async () => {
    const places = nowhere()
    expect(await failure({ ...places, addresses: [`${address}/false`] })).toContain('so it is not the official file')
    expect(existsSync(places.cache)).toBe(false)
  })

  it('names what a given folder lacks, without looking elsewhere', async () => {
    const folder = await smallFolder({ 'train-labels-idx1-ubyte': undefined })
    expect(await failure({ folder })).toBe(`fashion-mnist: ${folder} lacks train-labels-idx1-ubyte[.gz].`)
  })

  it.each<[string, Record<string, Buffer>, RegExp]>([
    [
      'packed data cut off',
      { 'train-images-idx3-ubyte.gz': gzipSync(images(60)).subarray(0, 100) },
      /train-images-idx3-ubyte.gz: the gzip data is cut off or damaged/,
    ],
    ['another format', { 't10k-images-idx3-ubyte': Buffer.from('<html>') }, /t10k-images-idx3-ubyte: not an IDX file/],
    ['images of another size', { 't10k-images-idx3-ubyte': images(20, 14) }, /expected images of 28 x 28 pixels/],
    ['labels of another count', { 'train-labels-idx1-ubyte': labels(59) }, /expected 60 labels, one an image/],
    ['a label without a class', { 'train-labels-idx1-ubyte': idx([60], new Uint8Array(60).fill(10)) }, /has label 10/],
  ])('refuses %s in one line', async (_, changes, message) => {
    const text = await failure({ folder: await smallFolder(changes), validation: 0 })
    expect(text).toMatch(message)
    expect(text).not.toContain('\n')
  })

  it('refuses to validate on everything', async () => {
    expect(await failure({ folder: await smallFolder() })).toBe(
      'fashion-mnist: validation must be a whole number below 60 samples, got 5000.',
    )
  })

  it("the system's package, where it is installed, holds the official data and can stand in for a download", async () => {
    const cache = join(base, 'official')
    if (!existsSync(debianFashionMnistFolder)) {
      expect(await failure({ cache, addresses: [] })).toContain(`not found in ${debianFashionMnistFolder} or`)
      return
    }
    await mkdir(cache)
    await copyFile(
      join(debianFashionMnistFolder, 't10k-labels-idx1-ubyte.gz'),
      join(cache, 't10k-labels-idx1-ubyte.gz'),
    )
    const systemFolder = nowhere().systemFolder
    const { train, validation, test, folder } = await loadFashionMnist({
      systemFolder,
      cache,
      addresses: [`${address}/false`, `${address}/system`],
    })
    expect(folder).toBe(cache)
    expect((await readdir(cache)).length).toBe(4)
    expect([train.length, validation.length, test.length]).toEqual([55_000, 5000, 10_000])
    const counts = new Array<number>(10).fill(0)
    for (const label of validation.labels) counts[label]++
    expect(counts).toEqual(new Array(10).fill(500))
    const all = await loadFashionMnist({ systemFolder, cache, addresses: [], validation: 0 })
    const { mean, std } = await measureNormalisation(all.train)
    expect(mean[0]).toBeCloseTo(fashionMnistNormalisation.mean[0], 10)
    expect(std[0]).toBeCloseTo(fashionMnistNormalisation.std[0], 10)
  })
})
