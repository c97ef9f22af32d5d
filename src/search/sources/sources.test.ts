import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DuckDBInstance } from '@duckdb/node-api'
import sharp from 'sharp'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { SourceItem } from '../source-item.ts'
import { openSource, type TableColumns } from './index.ts'

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tenet-sources-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

async function read(name: string, columns?: TableColumns): Promise<SourceItem[]> {
  const items: SourceItem[] = []
  for await (const item of (await openSource(name, { columns })).items()) items.push(item)
  return items
}

describe('a folder of pictures', () => {
  it('takes captions from the text file beside a picture, or else the words of names', async () => {
    const root = join(folder, 'pictures')
    await mkdir(join(root, 'wild cats'), { recursive: true })
    await mkdir(join(root, '.hidden'))
    const png = await sharp({ create: { width: 4, height: 4, channels: 3, background: '#f00' } })
      .png()
      .toBuffer()
    for (const name of ['IMG_0012.png', 'wild cats/sleepingLion.png', 'captioned.png', '.hidden/no.png'])
      await writeFile(join(root, name), png)
    await writeFile(join(root, 'captioned.txt'), 'a red square\r\n\n  square of paint ')
    await writeFile(join(root, 'drawn.svg'), '<svg xmlns="http://www.w3.org/2000/svg"/>')
    const items = await read(root)
    expect(items.map(({ id, texts }) => [id, texts])).toEqual([
      ['IMG_0012.png', []],
      ['captioned.png', ['a red square', 'square of paint']],
      ['drawn.svg', ['drawn']],
      ['wild cats/sleepingLion.png', ['sleeping lion', 'wild cats']],
    ])
    expect(items[3].metadata).toMatchObject({ folder: 'wild cats', format: 'png', bytes: png.length })
    await writeFile(join(root, 'captioned.txt'), 'another caption')
    const again = await read(root)
    expect(again.map((item, at) => item.fingerprint !== items[at].fingerprint)).toEqual([false, true, false, false])
  })

  it('says in one line when there is nothing to read', async () => {
    await expect(openSource(join(folder, 'absent'))).rejects.toThrow(/^source [^\n]*absent: does not exist\.$/)
    await mkdir(join(folder, 'empty'))
    await expect(openSource(join(folder, 'empty'))).rejects.toThrow(/holds no pictures/)
    await writeFile(join(folder, 'notes.doc'), 'x')
    await expect(openSource(join(folder, 'notes.doc'))).rejects.toThrow(
      /is neither 'icons', a folder of pictures, nor a table/,
    )
  })
})

describe('a table', () => {
  it('reads CSV by the usual column names, everything else as metadata', async () => {
    const file = join(folder, "o'table.csv")
    await writeFile(
      file,
      'id,title,caption,price,sold,image\n7,Lamp,a green lamp,12.5,true,lamp.png\n8,Chair,,3,false,\n',
    )
    const [lamp, chair] = await read(file)
    expect(lamp).toMatchObject({
      id: '7',
      name: 'Lamp',
      texts: ['a green lamp', 'Lamp'],
      metadata: { price: 12.5, sold: true },
    })
    expect(lamp.image).toEqual({ path: join(folder, 'lamp.png') })
    expect(chair).toMatchObject({ id: '8', texts: ['Chair'], image: undefined })
    expect(chair.fingerprint).not.toBe(lamp.fingerprint)
  })

  it('reads lists from JSON lines, and the columns it is told', async () => {
    const file = join(folder, 'rows.jsonl')
    await writeFile(file, '{"key":"a","words":["one","two"],"n":1}\n{"key":"b","words":[],"n":null}\n')
    const [a, b] = await read(file, { id: 'key', texts: ['words'], metadata: ['n'] })
    expect(a).toMatchObject({ id: 'a', name: 'one', texts: ['one', 'two'], metadata: { n: 1 } })
    expect(b).toMatchObject({ id: 'b', name: 'b', texts: [], metadata: { n: null } })
    await expect(openSource(file, { columns: { texts: ['missing'] } })).rejects.toThrow(
      /has no column 'missing'; its columns are key, words, n\.$/,
    )
    await expect(openSource(file)).rejects.toThrow(/say which with --text or --image/)
  })

  it('takes the bytes of pictures from Parquet', async () => {
    const file = join(folder, 'pictures.parquet')
    const connection = await (await DuckDBInstance.create(':memory:')).connect()
    await connection.run(
      `copy (select 1 as id, 'dot' as name, 'abc'::blob as image, date '2024-02-03' as day) to '${file}'`,
    )
    const [item] = await read(file)
    expect(item.image).toEqual({ bytes: new Uint8Array([97, 98, 99]) })
    expect(item.metadata.day).toBe('2024-02-03T00:00:00.000Z')
  })

  it('says in one line that a file is no table', async () => {
    const file = join(folder, 'broken.parquet')
    await writeFile(file, 'not parquet')
    await expect(openSource(file)).rejects.toThrow(
      /^source [^\n]*broken\.parquet: cannot be read as a table \([^\n]*\)\.$/,
    )
  })
})
