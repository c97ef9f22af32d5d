import { mkdir, mkdtemp, readdir, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import sharp from 'sharp'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { numberedItems } from '../../test/numbered-items.ts'
import { wordEncoder } from '../../test/word-encoder.ts'
import { Collection, openSource, type SourceItem } from './index.ts'

let folder: string
const encoder = wordEncoder()

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tenet-collection-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

async function picture(background: string): Promise<Uint8Array> {
  const image = sharp({ create: { width: 12, height: 12, channels: 3, background } })
  return new Uint8Array(await image.png().toBuffer())
}

function item(
  id: string,
  texts: string[],
  metadata: SourceItem['metadata'] = {},
  image?: SourceItem['image'],
): SourceItem {
  return { id, name: texts[0] ?? id, texts, metadata, fingerprint: JSON.stringify([texts, metadata]), image }
}

async function colours(): Promise<SourceItem[]> {
  return [
    item('a', ['red'], { set: 'x', n: 1, tags: ['warm', 'loud'] }, { bytes: await picture('#f00') }),
    item('b', ['blue'], { set: 'y', n: 2, tags: ['cold'] }, { bytes: await picture('#00f') }),
    item('c', ['gear', 'machine part'], { set: 'x', n: 3, tags: [] }),
    item('d', ['car'], { set: 'y', n: 4, flag: true }),
    item('e', ['care', 'nurse'], { set: 'y', n: 5 }),
  ]
}

const ids = ({ results }: { results: { id: string }[] }) => results.map(({ id }) => id)

async function filled(): Promise<Collection> {
  const collection = await Collection.create(join(folder, 'c'), encoder)
  await collection.index(await colours())
  return collection
}

describe('search', () => {
  it('finds by meaning what shares no word with the query, and an exact name first', async () => {
    const collection = await filled()
    expect(ids(await collection.search({ text: 'settings', top: 1 }))).toEqual(['c'])
    expect(ids(await collection.search({ text: 'car', top: 1 }))).toEqual(['d'])
    expect(ids(await collection.search({ text: 'Care', top: 1 }))).toEqual(['e'])
    const [first] = (await collection.search({ text: 'machne' })).results
    expect(first.id).toBe('c')
    expect(first.why?.matched).toContain('machine')
    await collection.close()
  })

  it('finds by picture, drawing, example and by several of them at once', async () => {
    const collection = await filled()
    expect(ids(await collection.search({ image: await picture('#e00'), top: 1 }))).toEqual(['a'])
    expect(ids(await collection.search({ image: await picture('#00e'), sketch: true, top: 1 }))).toEqual(['b'])
    expect(ids(await collection.search({ like: 'a' }))).not.toContain('a')
    expect(ids(await collection.search({ text: ['automobile', 'settings'], top: 2 })).sort()).toEqual(['c', 'd'])
    const both = await collection.search({ text: 'settings', image: await picture('#00f'), top: 2 })
    expect(ids(both).sort()).toEqual(['b', 'c'])
    await collection.close()
  })

  it('filters by SQL over metadata and names the columns when the condition is wrong', async () => {
    const collection = await filled()
    expect(ids(await collection.search({ text: 'car', where: "set = 'x'" })).sort()).toEqual(['a', 'c'])
    expect(ids(await collection.search({ where: 'n > 3 and flag' }))).toEqual(['d'])
    expect(ids(await collection.search({ where: "array_has(tags, 'loud')" }))).toEqual(['a'])
    expect((await collection.search({ text: 'car', where: "set = 'none'" })).total).toBe(0)
    await expect(collection.search({ where: 'sett = 1' })).rejects.toThrow(
      /^where: 'sett = 1' cannot be used: [^,]*sett\. Columns: id, name, set, n, tags, flag\.$/,
    )
    for (const where of [
      '1 = 1); drop table items; --',
      "set = 'x' order by n",
      'n >',
      "set = 'x",
      '(n > 1',
      'n',
      'id in (select id from items)',
    ])
      await expect(collection.search({ where })).rejects.toThrow(/^where: [^\n]* cannot be used: [^\n]*\.$/)
    await collection.close()
  })

  it('pages without gaps and lists everything when nothing is asked', async () => {
    const collection = await filled()
    const all = ids(await collection.search({ text: 'red car' }))
    const paged = [
      ...ids(await collection.search({ text: 'red car', top: 2 })),
      ...ids(await collection.search({ text: 'red car', top: 3, offset: 2 })),
    ]
    expect(paged).toEqual(all)
    expect(all).toHaveLength(5)
    expect(ids(await collection.search({}))).toEqual(['a', 'b', 'c', 'd', 'e'])
    expect(ids(await collection.search({ text: 'nurs', mode: 'keywords' }))).toEqual(['e'])
    await collection.close()
  })

  it('refuses requests it cannot use in one line', async () => {
    const collection = await filled()
    await expect(collection.search({ top: 0 })).rejects.toThrow(/^top: expected a whole number/)
    await expect(collection.search({ like: 'zzz' })).rejects.toThrow(/^like: the collection holds no item 'zzz'\.$/)
    await expect(collection.search({ image: Buffer.from('nothing') })).rejects.toThrow(/^image: [^\n]*\.$/)
    await collection.close()
  })

  it('describes a picture by the distinct texts of its items', async () => {
    const collection = await filled()
    const [best] = await collection.describe(await picture('#f00'))
    expect(best).toMatchObject({ text: 'red', count: 1 })
    expect(best.score).toBeCloseTo(1, 5)
    await collection.close()
  })
})

describe('indexing', () => {
  it('opens again as it was, pictures included', async () => {
    const before = await filled()
    const answer = await before.search({ text: 'settings' })
    await before.close()
    const collection = await Collection.open(join(folder, 'c'), encoder)
    expect(collection.count).toBe(5)
    expect((await collection.search({ text: 'settings' })).results).toEqual(answer.results)
    expect(await collection.item('a')).toEqual((await colours())[0])
    expect(await collection.item("o'clock")).toBeUndefined()
    await collection.close()
  })

  it('works on what changed only, and removes what vanished only when asked', async () => {
    const collection = await Collection.create(join(folder, 'c'), encoder)
    await collection.index(numberedItems(50), { batchSize: 16 })
    const items = [...numberedItems(40)]
    items[3] = { ...items[3], name: 'zebra', texts: ['zebra'], fingerprint: '2' }
    expect(await collection.index(items)).toMatchObject({ indexed: 1, unchanged: 39, removed: 0 })
    expect(collection.count).toBe(50)
    expect(ids(await collection.search({ text: 'zebra', top: 1 }))).toEqual(['item-3'])
    expect(ids(await collection.search({ text: 'thing 3', mode: 'keywords', top: 100 }))).not.toContain('item-3')
    expect(await collection.index(items, { removeMissing: true })).toMatchObject({ indexed: 0, removed: 10 })
    expect(ids(await collection.search({ text: 'thing 45', top: 50 }))).not.toContain('item-45')
    await collection.close()
    const again = await Collection.open(join(folder, 'c'), encoder)
    expect(again.count).toBe(40)
    expect(ids(await again.search({ text: 'zebra', top: 1 }))).toEqual(['item-3'])
    await again.close()
  })

  it('lists broken pictures and repeated ids, and goes on', async () => {
    const collection = await Collection.create(join(folder, 'c'), encoder)
    const broken = item('broken', ['broken'], {}, { bytes: Buffer.from('not a picture') })
    const report = await collection.index([broken, item('fine', ['fine']), item('fine', ['again'])])
    expect(report.skipped.map(({ id }) => id).sort()).toEqual(['broken', 'fine'])
    expect(report.indexed).toBe(1)
    await collection.close()
  })

  it('keeps a row of a table without its picture, and takes the picture when it comes', async () => {
    const home = join(folder, 'rows')
    await mkdir(home)
    const table = join(home, 'things.csv')
    await writeFile(table, 'id,caption,image\n1,crimson,later.png\n2,,never.png\n')
    const collection = await Collection.create(join(folder, 'c'), encoder)
    const read = async () => collection.index((await openSource(table)).items())
    const first = await read()
    expect(first).toMatchObject({
      indexed: 1,
      withoutPicture: [{ id: '1', reason: 'does not exist' }],
      skipped: [{ id: '2', reason: 'does not exist' }],
    })
    expect((await collection.search({ text: 'crimson' })).results.map(({ id }) => id)).toEqual(['1'])
    expect((await collection.item('1'))?.image).toBeUndefined()
    await sharp({ create: { width: 8, height: 8, channels: 3, background: '#f00' } })
      .png()
      .toFile(join(home, 'later.png'))
    expect(await read()).toMatchObject({ indexed: 1, withoutPicture: [] })
    expect((await collection.item('1'))?.image).toEqual({ path: join(home, 'later.png') })
    expect(await read()).toMatchObject({ indexed: 0, unchanged: 1 })
    await collection.close()
  })

  it('gives queries as they are typed to an encoder that reads sentences', async () => {
    const asked: string[] = []
    const encodeTexts = (texts: readonly string[]) => {
      asked.push(...texts)
      return encoder.encodeTexts(texts)
    }
    const collection = await Collection.create(join(folder, 'c'), { ...encoder, readsSentences: true, encodeTexts })
    await collection.index([item('a', ['settings'])])
    const typed = 'show me the settngs'
    const found = await collection.search({ text: typed })
    expect([asked.at(-1), found.understood]).toEqual([typed, undefined])
    await collection.close()
  })

  it('answers while it runs, and refuses a second writer', async () => {
    const collection = await Collection.create(join(folder, 'c'), encoder)
    let answered = 0
    async function* slowly() {
      for (const one of numberedItems(60)) {
        if (one.id === 'item-50') {
          answered = (await collection.search({ text: 'thing 1' })).results.length
          await expect(collection.index([])).rejects.toThrow(/is being indexed already/)
        }
        yield one
      }
    }
    await collection.index(slowly(), { batchSize: 10 })
    expect(answered).toBeGreaterThan(0)
    await collection.close()
  })

  it('stops at a signal and goes on later', async () => {
    const collection = await Collection.create(join(folder, 'c'), encoder)
    const controller = new AbortController()
    const stopped = await collection.index(numberedItems(100), {
      batchSize: 10,
      signal: controller.signal,
      removeMissing: true,
      onProgress: () => controller.abort(),
    })
    expect(stopped.stopped).toBe(true)
    expect(collection.count).toBeLessThan(100)
    await collection.index(numberedItems(100))
    expect(collection.count).toBe(100)
    await collection.close()
  })
})

describe('a collection that cannot be used', () => {
  it('says in one line that it is missing, another encoder’s, no collection, or damaged', async () => {
    const path = join(folder, 'c')
    await expect(Collection.open(path, encoder)).rejects.toThrow(/^there is no collection at/)
    await (await filled()).close()
    await expect(Collection.open(path, wordEncoder('b'.repeat(64)))).rejects.toThrow(
      /was made by encoder words \(aaaaaaaaaaaa\), not by words \(bbbbbbbbbbbb\)/,
    )
    await expect(Collection.create(path, encoder)).rejects.toThrow(/exists already/)
    await writeFile(join(folder, 'note.txt'), 'mine')
    await expect(Collection.create(folder, encoder)).rejects.toThrow(/is no collection and not empty/)
    const data = join(path, 'items.lance', 'data')
    for (const name of await readdir(data)) await truncate(join(data, name), 100)
    await expect(Collection.open(path, encoder)).rejects.toThrow(/^collection [^\n]* is damaged [^\n]*\.$/)
    await writeFile(join(path, 'manifest.json'), '{"format":')
    await expect(Collection.open(path, encoder)).rejects.toThrow(/is damaged: manifest\.json is not valid/)
  })
})
