import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import sharp from 'sharp'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { HubStandIn } from './hub-server.ts'
import { colours, pairFiles, plain, writePair } from './onnx-pair.ts'
import { start, tenet } from './tenet.ts'

let work: string
let photos: string
let pair: string
let collection: string

beforeAll(async () => {
  work = await mkdtemp(join(tmpdir(), 'tenet-encoder-cli-'))
  photos = join(work, 'photos')
  await mkdir(photos)
  // Names say nothing: only the encoder knows the colours.
  for (const [i, word] of ['red', 'green', 'blue', 'yellow'].entries())
    await sharp(plain(colours[word], 20), { raw: { width: 20, height: 20, channels: 3 } })
      .png()
      .toFile(join(photos, `IMG_000${i}.png`))
  pair = await writePair(join(work, 'pair'))
  collection = join(work, 'shelf')
  const { code, stdout, stderr } = await tenet('index', photos, '--into', collection, '--encoder', pair, '--json')
  expect([code, stderr]).toEqual([0, ''])
  expect(JSON.parse(stdout)).toMatchObject({ count: 4, indexed: 4 })
})
afterAll(() => rm(work, { recursive: true, force: true }))

const first = async (...args: string[]): Promise<string> => {
  const { code, stdout, stderr } = await tenet('search', ...args, '--mode', 'meaning', '--json')
  expect([code, stderr]).toEqual([0, ''])
  return JSON.parse(stdout).results[0].id
}

async function refused(...args: string[]): Promise<string> {
  const { code, stderr, stdout } = await tenet(...args)
  expect([code, stdout]).toEqual([2, ''])
  expect(stderr.trim().split('\n')).toHaveLength(1)
  return stderr
}

describe('a collection of an encoder that the user brings', () => {
  it('is opened by the encoder that made it, without being told', async () => {
    const [byWord, byPicture, again] = await Promise.all([
      first(collection, 'blau'),
      first(collection, '--image', join(photos, 'IMG_0003.png')),
      tenet('index', photos, '--into', collection, '--json'),
    ])
    expect([byWord, byPicture]).toEqual(['IMG_0002.png', 'IMG_0003.png'])
    expect(JSON.parse(again.stdout)).toMatchObject({ indexed: 0, unchanged: 4 })
  }, 60_000)

  it('refuses another encoder, and says where its own should be', async () => {
    const other = await writePair(join(work, 'other'), pairFiles({ scale: 2 }))
    await writeFile(join(work, 'empty.safetensors'), '')
    const describeFlags = ['describe', join(photos, 'IMG_0000.png'), '--collection', collection]
    const [differs, damaged] = await Promise.all([
      refused('search', collection, 'red', '--encoder', other),
      refused(...describeFlags, '--encoder', join(work, 'empty.safetensors')),
    ])
    expect(differs).toMatch(/was made by encoder pair .* not by other/)
    expect(damaged).toMatch(/empty\.safetensors/)
    await rename(pair, `${pair}-moved`)
    try {
      const [lost, found] = await Promise.all([
        refused('search', collection, 'red'),
        first(collection, 'red', '--encoder', `${pair}-moved`),
      ])
      expect(lost).toMatch(
        /was made by encoder pair, which cannot be opened: there is no encoder at .*pair; say with --encoder/,
      )
      expect(found).toBe('IMG_0000.png')
    } finally {
      await rename(`${pair}-moved`, pair)
    }
  }, 60_000)

  it('is served beside one of another encoder', async () => {
    const own = join(work, 'own')
    expect((await tenet('index', photos, '--into', own, '--json')).code).toBe(0)
    const { process: server, done } = start(['serve', collection, own, '--port', '0', '--json'])
    const line = await new Promise<string>(resolve => server.stdout?.once('data', chunk => resolve(String(chunk))))
    const { url, collections } = JSON.parse(line)
    expect(collections).toEqual(['shelf', 'own'])
    const body = JSON.stringify({ text: 'green', top: 1, mode: 'meaning' })
    const headers = { 'content-type': 'application/json' }
    const { results } = await (await fetch(`${url}/search`, { method: 'POST', headers, body })).json()
    expect(results[0].id).toBe('IMG_0001.png')
    server.kill('SIGTERM')
    const { code, stderr } = await done
    expect([code, stderr]).toEqual([0, ''])
  }, 60_000)
})

describe('an encoder of the hub', () => {
  it('is fetched, remembered by its name, and measured', async () => {
    const hub = new HubStandIn('someone/colours', pairFiles())
    process.env.HF_ENDPOINT = await hub.start()
    process.env.TENET_CACHE = join(work, 'cache')
    try {
      const shelf = join(work, 'hub-shelf')
      const { code, stderr } = await tenet(
        'index',
        photos,
        '--into',
        shelf,
        '--encoder',
        'hf:someone/colours',
        '--json',
      )
      expect([code, stderr]).toEqual([0, ''])
      await hub.stop()
      const queries = join(work, 'queries.jsonl')
      await writeFile(
        queries,
        '{"text":"rot","relevant":["IMG_0000.png"]}\n{"text":"blau","relevant":["IMG_0002.png"]}\n',
      )
      const flags = ['--queries', queries, '--into', join(work, 'report'), '--json']
      const [measured, lacking] = await Promise.all([
        tenet('eval', 'retrieve', '--collection', shelf, ...flags),
        refused('index', photos, '--into', join(work, 'y'), '--encoder', 'hf:someone/else'),
      ])
      expect(measured.stderr).toBe('')
      const [{ rankers }] = JSON.parse(measured.stdout).sets
      expect(rankers[0]).toMatchObject({ ranker: 'collection', measures: { 'R@1': { estimate: 1 } } })
      expect(lacking).toMatch(
        /hf:someone\/else is not in the cache and .* cannot be reached .* put its onnx\/vision_model\.onnx/,
      )
    } finally {
      delete process.env.HF_ENDPOINT
      delete process.env.TENET_CACHE
      await hub.stop().catch(() => undefined)
    }
  }, 60_000)
})
