import { mkdtemp, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { sampleItems } from './served-collection.ts'
import { start, tenet } from './tenet.ts'

let collection: string

beforeAll(async () => {
  const folder = await mkdtemp(join(tmpdir(), 'tenet-serve-'))
  const rows = sampleItems().map(({ id, name, texts, image, metadata }) =>
    JSON.stringify({ id, name, words: texts.join(' '), picture: (image as { svg: string }).svg, set: metadata.set }),
  )
  const table = join(folder, 'things.jsonl')
  await writeFile(table, rows.join('\n'))
  collection = join(folder, 'things')
  const flags = ['--id', 'id', '--name', 'name', '--text', 'words', '--image', 'picture']
  const { code, stderr } = await tenet('index', table, '--into', collection, ...flags, '--json')
  expect([code, stderr]).toEqual([0, ''])
})

async function refused(...args: string[]): Promise<string> {
  const { code, stderr, stdout } = await tenet('serve', ...args)
  expect([code, stdout]).toEqual([2, ''])
  expect(stderr).not.toMatch(/^\s+at /m)
  return stderr
}

describe('tenet serve', () => {
  it('serves a collection, and ends well when it is asked to', async () => {
    const { process: server, done } = start(['serve', collection, '--port', '0', '--json'])
    const line = await new Promise<string>(resolve => server.stdout?.once('data', chunk => resolve(String(chunk))))
    const { url, collections } = JSON.parse(line)
    expect(collections).toEqual(['things'])
    const body = JSON.stringify({ text: 'cog', where: "set = 'line'", top: 1 })
    const headers = { 'content-type': 'application/json' }
    const { results } = await (await fetch(`${url}/search`, { method: 'POST', headers, body })).json()
    expect(results).toMatchObject([{ id: 'line:cog', name: 'cog', metadata: { set: 'line' } }])
    const { image } = await (await fetch(`${url}/items/line:cog`)).json()
    expect(await (await fetch(url + image)).text()).toMatch(/^<svg/)
    const [served] = (await (await fetch(`${url}/collections`)).json()).collections
    expect(served).toMatchObject({ name: 'things', count: 40 })
    expect(served.facets.set).toHaveLength(4)
    server.kill('SIGTERM')
    const { code, stderr } = await done
    expect([code, stderr]).toEqual([0, ''])
  })
  it('says in one line what it cannot do', async () => {
    expect(await refused()).toMatch(/nothing to serve/)
    expect(await refused(collection, '--host', '0.0.0.0')).toMatch(/API_KEY/)
    expect(await refused(`${collection}-none`)).toMatch(/no collection/)
    expect(await refused(collection, '--port', '70000')).toMatch(/65535/)
    expect(await refused(collection, '--log-level', 'loud')).toMatch(/--log-level/)
  })
})
