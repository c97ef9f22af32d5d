import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { cacheFolder, download, sha256 } from './download.ts'

let folder: string
let server: Server
let address: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tenet-download-'))
  server = createServer((request, response) => {
    if (request.url === '/good') response.end('good bytes')
    else if (request.url === '/cut') {
      response.writeHead(200, { 'content-length': '100' })
      response.write('half')
      setTimeout(() => response.destroy(), 20)
    } else if (request.url !== '/silent') response.writeHead(404).end()
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
})
afterAll(async () => {
  server.closeAllConnections()
  server.close()
  await rm(folder, { recursive: true })
})

const verify = (bytes: Uint8Array) => {
  if (Buffer.from(bytes).toString() !== 'good bytes') throw new Error('wrong bytes')
}

describe('download', () => {
  it('keeps the first answer that passes the check', async () => {
    const path = join(folder, 'deep', 'file')
    await download([`${address}/absent`, `${address}/cut`, `${address}/good`], path, { verify })
    expect(await readFile(path, 'utf8')).toBe('good bytes')
    expect(await readdir(join(folder, 'deep'))).toEqual(['file'])
  })

  it('names every address with its reason when none will do, and leaves nothing behind', async () => {
    const path = join(folder, 'none', 'file')
    const addresses = [`${address}/absent`, `${address}/good`, `${address}/silent`, 'http://127.0.0.1:1/refused']
    const reject = () => {
      throw new Error('is not the official file')
    }
    const failure = await download(addresses, path, { verify: reject, timeout: 0.2 }).catch(error => error.message)
    expect(failure).toContain(`${address}/absent: HTTP 404; ${address}/good: is not the official file; `)
    expect(failure).toMatch(/silent: .*timeout.*; http:\/\/127.0.0.1:1\/refused: .+/)
    await expect(readdir(join(folder, 'none'))).rejects.toThrow('ENOENT')
  })
})

it('the cache folder follows TENET_CACHE, then XDG_CACHE_HOME, then the home folder', () => {
  expect(cacheFolder({ TENET_CACHE: '/a', XDG_CACHE_HOME: '/b' })).toBe('/a')
  expect(cacheFolder({ XDG_CACHE_HOME: '/b' })).toBe(join('/b', 'tenet'))
  expect(cacheFolder({})).toMatch(/\.cache.tenet$/)
})

it('sha256 is the standard one', () => {
  expect(sha256(Buffer.from('abc'))).toBe('ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad')
})
