import type { FastifyInstance } from 'fastify'
import sharp from 'sharp'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { SampleCollection, sampleItems } from '../../test/served-collection.ts'
import { SvgRasterizer } from '../data/svg/index.ts'
import { createServer } from './create-server.ts'

let rasterizer: SvgRasterizer
let app: FastifyInstance
const collection = new SampleCollection()

beforeAll(async () => {
  rasterizer = await SvgRasterizer.create({ workers: 1 })
  app = await createServer({
    collections: [{ collection, facets: () => ({ set: [{ value: 'line', count: 10 }] }) }],
    rasterizer,
  })
})
afterAll(async () => {
  await app.close()
  await rasterizer.close()
})

const post = (url: string, payload: object | string, headers: Record<string, string> = {}) =>
  app.inject({ method: 'POST', url, payload, headers: { 'content-type': 'application/json', ...headers } })
const base64 = (text: string) => Buffer.from(text).toString('base64')
const picture = (format: 'png' | 'jpeg' | 'webp', side = 40) =>
  sharp({ create: { width: side, height: side, channels: 3, background: '#334455' } })
    .toFormat(format)
    .toBuffer()

/** A form as a browser sends it. */
function form(fields: Readonly<Record<string, string | Uint8Array>>) {
  const boundary = 'tenet-form-boundary'
  const parts = Object.entries(fields).map(([name, value]) =>
    Buffer.concat([
      Buffer.from(
        `--${boundary}\r\ncontent-disposition: form-data; name="${name}"${typeof value === 'string' ? '' : '; filename="a.png"\r\ncontent-type: image/png'}\r\n\r\n`,
      ),
      Buffer.from(value),
      Buffer.from('\r\n'),
    ]),
  )
  return {
    payload: Buffer.concat([...parts, Buffer.from(`--${boundary}--\r\n`)]),
    headers: { 'content-type': `multipart/form-data; boundary=${boundary}` },
  }
}

describe('search', () => {
  it('finds items by text, with why', async () => {
    const { results, total } = (await post('/search', { text: 'settings', top: 3 })).json()
    expect(total).toBe(4)
    expect(results).toHaveLength(3)
    expect(results[0]).toMatchObject({ name: 'cog', why: { matched: ['settings'] } })
  })
  it('pages', async () => {
    const { results } = (await post('/search', { text: 'settings', top: 3, offset: 3 })).json()
    expect(results.map(({ id }: { id: string }) => id)).toEqual(['paint:cog'])
  })
  it('takes pictures in base64, data URLs and forms alike', async () => {
    const image = await picture('webp')
    const plain = await post('/search', { image: image.toString('base64'), top: 5 })
    const url = await post('/search', { image: `data:image/webp;base64,${image.toString('base64')}`, top: 5 })
    const { payload, headers } = form({ image, top: '5', sketch: 'true' })
    const sent = await app.inject({ method: 'POST', url: '/search', payload, headers })
    expect(plain.statusCode).toBe(200)
    expect(plain.json().results).toHaveLength(5)
    expect(url.json().results).toEqual(plain.json().results)
    expect(sent.json().results).toEqual(plain.json().results)
  })
  it('filters, and says which condition is none', async () => {
    const { results } = (await post('/search', { text: 'cog', where: "set IN ('line', 'thin')" })).json()
    expect(results.map(({ id }: { id: string }) => id)).toEqual(['line:cog', 'thin:cog'])
    const refused = await post('/search', { text: 'cog', where: 'drop table' })
    expect([refused.statusCode, refused.json().error]).toEqual([400, expect.stringMatching(/^where: /)])
  })
  it('draws SVG queries, and refuses those that ask for more than drawing', async () => {
    const svg = (inside: string) => `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9">${inside}</svg>`
    expect((await post('/search', { image: base64(svg('<rect width="9" height="9"/>')) })).statusCode).toBe(200)
    for (const hostile of [
      svg('<script>alert(1)</script>'),
      svg('<image href="file:///etc/passwd" width="9" height="9"/>'),
      '<!DOCTYPE svg [<!ENTITY a "b">]><svg xmlns="http://www.w3.org/2000/svg">&a;</svg>',
    ]) {
      const answer = await post('/search', { image: base64(hostile) })
      expect([answer.statusCode, answer.json().error]).toEqual([
        422,
        expect.stringMatching(/^image: this SVG is refused/),
      ])
    }
  })
  it('refuses what cannot be a query, each with one sentence', async () => {
    for (const [body, status] of [
      [{}, 400],
      [{ text: '  ' }, 400],
      [{ text: 'x'.repeat(501) }, 400],
      [{ text: Array(17).fill('x') }, 400],
      [{ text: 'cog', top: 1001 }, 400],
      [{ text: 'cog', top: 0 }, 400],
      [{ text: 'cog', colour: 'red' }, 400],
      [{ text: 'cog', mode: 'magic' }, 400],
      [{ text: 'cog', collection: 'other' }, 404],
      [{ like: 'nobody:knows' }, 400],
      [{ image: 'no base 64!' }, 400],
      [{ image: base64('not a picture') }, 415],
      [{ image: (await picture('png')).subarray(0, 60).toString('base64') }, 422],
      ['{"text":', 400],
      ['[]', 400],
    ] as const) {
      const answer = await post('/search', body)
      expect([answer.statusCode, Object.keys(answer.json())], JSON.stringify(body)).toEqual([status, ['error']])
      expect(answer.json().error.length).toBeGreaterThan(10)
    }
    expect((await post('/search', 'text=cog', { 'content-type': 'text/plain' })).statusCode).toBe(415)
  })
  it('refuses a picture of too many pixels or bytes before it unpacks it', async () => {
    const small = await createServer({
      collections: [{ collection }],
      limits: { imagePixels: 1_000, imageBytes: 20_000 },
    })
    const send = (image: Buffer) =>
      small.inject({ method: 'POST', url: '/search', payload: { image: image.toString('base64') } })
    expect((await send(await picture('png', 32))).statusCode).toBe(413)
    expect((await send(Buffer.alloc(40_000))).statusCode).toBe(400)
    expect((await send(await picture('png', 31))).statusCode).toBe(200)
    const { payload, headers } = form({ image: Buffer.alloc(40_000) })
    expect((await small.inject({ method: 'POST', url: '/search', payload, headers })).statusCode).toBe(413)
    await small.close()
  })
})

describe('description', () => {
  it('gives words, best first', async () => {
    const image = (await picture('jpeg')).toString('base64')
    const { words } = (await post('/describe', { image, top: 3 })).json()
    expect(words).toHaveLength(3)
    expect(words[0].score).toBeGreaterThan(words[1].score)
  })
  it('needs a picture', async () => {
    expect((await post('/describe', { top: 3 })).json().error).toMatch(/^image: /)
  })
})

describe('items', () => {
  it('are found by id, also one with a colon', async () => {
    const answer = (await app.inject('/items/line:cog')).json()
    expect(answer).toMatchObject({ name: 'cog', metadata: { licence: 'MIT' }, image: '/items/line%3Acog/image' })
    expect((await app.inject('/items/line:nothing')).statusCode).toBe(404)
    expect((await app.inject('/items/%E0%A4%A')).statusCode).toBe(400)
  })
  it('have pictures that can only paint', async () => {
    const answer = await app.inject('/items/line%3Acog/image')
    expect(answer.headers['content-type']).toBe('image/svg+xml')
    expect(answer.headers['content-security-policy']).toMatch(/default-src 'none'.*sandbox/)
    expect(answer.body).toMatch(/^<svg .*<path /)
    const again = await app.inject({
      url: '/items/line%3Acog/image',
      headers: { 'if-none-match': String(answer.headers.etag) },
    })
    expect(again.statusCode).toBe(304)
  })
  it('give their pictures many at a time', async () => {
    const { pictures } = (await post('/pictures', { ids: ['line:cog', 'thin:bell', 'no:where'] })).json()
    expect(Object.keys(pictures)).toEqual(['line:cog', 'thin:bell'])
    expect(pictures['line:cog']).toBe((await app.inject('/items/line:cog/image')).body)
    expect((await post('/pictures', { ids: [] })).statusCode).toBe(400)
    expect((await post('/pictures', { ids: Array(257).fill('line:cog') })).statusCode).toBe(400)
  })
  it('show nothing of a hostile picture but its shapes', async () => {
    const svg =
      '<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)" viewBox="0 0 9 9"><script>alert(2)</script>' +
      '<a href="javascript:alert(3)"><path d="M0 0"/></a><rect width="9" height="9" style="fill:url(http://x.invalid/)"/>' +
      '<image href="http://x.invalid/a.png"/><foreignObject><iframe/></foreignObject><circle r="2" onclick="alert(4)" fill="red"/></svg>'
    const bytes = await picture('png', 300)
    const hostile = await createServer({
      collections: [
        {
          collection: new SampleCollection([
            { ...sampleItems()[0], id: 'svg', image: { svg } },
            { ...sampleItems()[0], id: 'png', image: { bytes } },
            { ...sampleItems()[0], id: 'gone', image: { path: '/nowhere/secret.png' } },
            { ...sampleItems()[0], id: 'none', image: undefined },
          ]),
        },
      ],
    })
    const { body } = await hostile.inject('/items/svg/image')
    expect(body).not.toMatch(/script|alert|javascript|invalid|image|foreign|iframe|onload|onclick/i)
    expect(body).toMatch(/<circle r="2" fill="red"/)
    const png = await hostile.inject('/items/png/image?size=64')
    expect([png.headers['content-type'], (await sharp(png.rawPayload).metadata()).width]).toEqual(['image/png', 64])
    const gone = await hostile.inject('/items/gone/image')
    expect([gone.statusCode, gone.json().error]).toEqual([422, expect.not.stringContaining('secret')])
    expect((await hostile.inject('/items/none/image')).statusCode).toBe(404)
    await hostile.close()
  })
})

describe('status', () => {
  it('tells collections with their filters', async () => {
    expect((await app.inject('/collections')).json().collections).toEqual([
      { name: 'sample', count: 40, facets: { set: [{ value: 'line', count: 10 }] } },
    ])
  })
  it('tells how far indexing is', async () => {
    const indexing = { done: 5, total: 40, rate: 2.5, secondsLeft: 14, failed: 0 }
    const busy = await createServer({ collections: [{ collection, indexing: () => indexing }] })
    expect((await busy.inject('/health')).json()).toMatchObject({ status: 'ok', collections: [{ indexing }] })
    await busy.close()
  })
  it('counts requests', async () => {
    await post('/search', { text: 'cog' })
    const { body } = await app.inject('/metrics')
    expect(body).toMatch(/tenet_http_requests_total\{method="POST",route="\/search",status="200"\} [1-9]/)
    expect(body).toMatch(/tenet_collection_items\{collection="sample"\} 40/)
  })
  it('describes its routes as OpenAPI', async () => {
    const { openapi, paths } = (await app.inject('/openapi.json')).json()
    expect(openapi).toMatch(/^3\.1/)
    expect(Object.keys(paths).sort()).toEqual([
      '/collections',
      '/describe',
      '/health',
      '/items/{id}',
      '/items/{id}/image',
      '/metrics',
      '/pictures',
      '/search',
      '/session',
    ])
    expect(paths['/search'].post.requestBody.content['application/json'].schema.properties.top).toBeDefined()
  })
  it('answers what is not there', async () => {
    const answer = await app.inject('/nothing')
    expect([answer.statusCode, answer.json().error]).toEqual([404, expect.stringContaining('/openapi.json')])
  })
})

describe('access', () => {
  it('is refused to addresses beyond this machine without a key', async () => {
    await expect(createServer({ collections: [{ collection }], host: '0.0.0.0' })).rejects.toThrow(/API key/)
  })
  it('needs the key, in a header or the cookie of a session', async () => {
    const locked = await createServer({ collections: [{ collection }], host: '0.0.0.0', apiKey: 'secret key' })
    const get = (headers: Record<string, string> = {}) => locked.inject({ url: '/collections', headers })
    expect((await get()).statusCode).toBe(401)
    expect((await get({ authorization: 'Bearer wrong' })).statusCode).toBe(401)
    expect((await get({ authorization: 'Bearer secret key' })).statusCode).toBe(200)
    expect((await get({ 'x-api-key': 'secret key' })).statusCode).toBe(200)
    const session = await locked.inject({ method: 'POST', url: '/session', payload: { key: 'secret key' } })
    const cookie = String(session.headers['set-cookie'])
    expect(cookie).toMatch(/HttpOnly; SameSite=Strict/)
    expect((await get({ cookie: cookie.split(';')[0] })).statusCode).toBe(200)
    expect((await locked.inject({ method: 'POST', url: '/session', payload: { key: 'guess' } })).statusCode).toBe(401)
    expect(Object.keys((await locked.inject('/health')).json())).toEqual(['status', 'version'])
    await locked.close()
  })
  it('is refused to other web pages and to foreign names of this machine', async () => {
    const from = (headers: Record<string, string>) => app.inject({ url: '/collections', headers })
    expect((await from({ host: 'localhost:4242', origin: 'http://localhost:4242' })).statusCode).toBe(200)
    expect((await from({ host: 'localhost:4242', origin: 'https://elsewhere.example' })).statusCode).toBe(403)
    expect((await from({ host: 'rebound.example:4242' })).statusCode).toBe(403)
  })
})

describe('load', () => {
  it('lets a bounded number wait and refuses the rest, then goes on', async () => {
    const slow = new SampleCollection()
    let release = () => {}
    const held = new Promise<void>(resolve => {
      release = resolve
    })
    slow.before = () => held
    const busy = await createServer({ collections: [{ collection: slow }], limits: { concurrent: 2, waiting: 3 } })
    const ask = () => busy.inject({ method: 'POST', url: '/search', payload: { text: 'cog' } })
    const asked = Array.from({ length: 12 }, ask)
    const first = await Promise.race(asked)
    expect([first.statusCode, first.json().error]).toEqual([429, expect.stringMatching(/waiting/)])
    release()
    const statuses = (await Promise.all(asked)).map(({ statusCode }) => statusCode)
    expect(statuses.filter(status => status === 200).length).toBeGreaterThanOrEqual(5)
    expect(new Set(statuses)).toEqual(new Set([200, 429]))
    expect((await ask()).statusCode).toBe(200)
    await busy.close()
  })
  it('limits the searches of one address', async () => {
    const limited = await createServer({ collections: [{ collection }], limits: { searchesPerMinute: 3 } })
    const statuses: number[] = []
    for (let i = 0; i < 4; i++)
      statuses.push((await limited.inject({ method: 'POST', url: '/search', payload: { text: 'cog' } })).statusCode)
    expect(statuses).toEqual([200, 200, 200, 429])
    await limited.close()
  })
  it('tells a failure of its own apart, without its details', async () => {
    const broken = new SampleCollection()
    broken.before = () => Promise.reject(new TypeError('secret internals'))
    const failing = await createServer({ collections: [{ collection: broken }] })
    const answer = await failing.inject({ method: 'POST', url: '/search', payload: { text: 'cog' } })
    expect([answer.statusCode, answer.json().error]).toEqual([500, expect.not.stringContaining('secret')])
    await failing.close()
  })
})
