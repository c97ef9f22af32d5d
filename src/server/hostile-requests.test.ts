import fc from 'fast-check'
import type { FastifyInstance } from 'fastify'
import sharp from 'sharp'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { SampleCollection } from '../../test/served-collection.ts'
import { SvgRasterizer } from '../data/svg/index.ts'
import { createServer } from './create-server.ts'

let app: FastifyInstance
let rasterizer: SvgRasterizer
let brokenImages: Uint8Array[]

beforeAll(async () => {
  rasterizer = await SvgRasterizer.create({ workers: 1, timeoutMs: 2_000 })
  app = await createServer({ collections: [{ collection: new SampleCollection() }], rasterizer })
  brokenImages = await damagedPictures()
})
afterAll(async () => {
  await app.close()
  await rasterizer.close()
})

/** Pictures cut off, flipped in their header, promising more than they hold, empty, and of other kinds. */
async function damagedPictures(): Promise<Uint8Array[]> {
  const noise = Buffer.from(Array.from({ length: 48 * 48 * 3 }, (_, i) => (i * 7919) % 256))
  const source = () => sharp(noise, { raw: { width: 48, height: 48, channels: 3 } })
  const whole = await Promise.all(
    (['png', 'jpeg', 'webp', 'gif', 'tiff', 'avif'] as const).map(f => source().toFormat(f).toBuffer()),
  )
  const cut = whole.flatMap(bytes => [0, 1, 4, 11, 20].map(length => bytes.subarray(0, length)))
  const flipped = whole.flatMap(bytes =>
    [0, 1, 2, 3].map(at => {
      const copy = Buffer.from(bytes)
      copy[at] ^= 0xff
      return copy
    }),
  )
  const huge = Buffer.from(whole[0])
  huge.writeUInt32BE(60_000, 16)
  huge.writeUInt32BE(60_000, 20)
  const nested = `<svg xmlns="http://www.w3.org/2000/svg">${'<g>'.repeat(5_000)}${'</g>'.repeat(5_000)}</svg>`
  const text = ['%PDF-1.7', '<html><svg></svg></html>', '{"a":1}', 'GIF89a', 'RIFF____WEBP', '<svg', '<svg></', nested]
  return [...cut, ...flipped, huge, ...text.map(each => Buffer.from(each))]
}

/** Answers with 4xx and `{ error }`. */
async function expectRefusal(answer: { statusCode: number; body: string }): Promise<void> {
  expect(answer.statusCode, answer.body).toBeGreaterThanOrEqual(400)
  expect(answer.statusCode, answer.body).toBeLessThan(500)
  const { error } = JSON.parse(answer.body)
  expect(error).toMatch(/\S/)
  expect(error).not.toMatch(/\n|node_modules|\/src\//)
}

async function expectAlive(): Promise<void> {
  const { statusCode, body } = await app.inject({ method: 'POST', url: '/search', payload: { text: 'cog' } })
  expect([statusCode, JSON.parse(body).total]).toEqual([200, 4])
}

const route = fc.constantFrom('/search', '/describe')
/** Values that no field takes. */
const wrongValue = fc.oneof(
  fc.constant(null),
  fc.object({ maxDepth: 2 }),
  fc.double({ min: -1e9, max: -0.1 }),
  fc.string({ minLength: 501, maxLength: 900 }),
  fc.array(fc.object({ maxDepth: 1 }), { minLength: 1, maxLength: 30 }),
)
const field = fc.constantFrom('text', 'image', 'sketch', 'like', 'top', 'offset', 'mode', 'collection')

describe('300 malformed requests', () => {
  it('with wrong fields are refused', async () => {
    await fc.assert(
      fc.asyncProperty(route, field, wrongValue, async (url, name, value) => {
        await expectRefusal(await app.inject({ method: 'POST', url, payload: { text: 'x', [name]: value } }))
      }),
      { numRuns: 100 },
    )
    await expectAlive()
  })
  it('with bodies that are no JSON, or no form, are refused', async () => {
    const type = fc.constantFrom(
      'application/json',
      'multipart/form-data; boundary=x',
      'multipart/form-data',
      'text/xml',
      'application/x-www-form-urlencoded',
      '',
    )
    const body = fc.oneof(fc.string(), fc.uint8Array({ maxLength: 300 }).map(Buffer.from))
    await fc.assert(
      fc.asyncProperty(route, type, body, async (url, contentType, payload) => {
        const headers = contentType ? { 'content-type': contentType } : {}
        await expectRefusal(await app.inject({ method: 'POST', url, payload, headers }))
      }),
      { numRuns: 70 },
    )
    await expectAlive()
  })
  it('with damaged pictures are refused, in JSON and in forms', async () => {
    for (const bytes of brokenImages) {
      const image = Buffer.from(bytes).toString('base64')
      await expectRefusal(await app.inject({ method: 'POST', url: '/describe', payload: { image } }))
      const payload = Buffer.concat([
        Buffer.from('--b\r\ncontent-disposition: form-data; name="image"; filename="x"\r\n\r\n'),
        bytes,
        Buffer.from('\r\n--b--\r\n'),
      ])
      const headers = { 'content-type': 'multipart/form-data; boundary=b' }
      await expectRefusal(await app.inject({ method: 'POST', url: '/search', payload, headers }))
    }
    expect(brokenImages.length).toBeGreaterThanOrEqual(60)
    await expectAlive()
  })
  it('for addresses and items that do not exist are refused', async () => {
    const path = fc.oneof(
      fc.webPath().map(p => `/items/x${encodeURIComponent(p)}`),
      fc.string({ maxLength: 400 }).map(text => `/items/none-${encodeURIComponent(text)}/image`),
      fc.constantFrom(
        '/items/%ff',
        '/%00',
        '/../../etc/passwd',
        '/items/..%2f..%2fpackage.json/image',
        '/assets/../../x',
      ),
    )
    await fc.assert(
      fc.asyncProperty(path, async url => {
        await expectRefusal(await app.inject({ method: 'GET', url }))
      }),
      { numRuns: 50 },
    )
    await expectAlive()
  })
})
