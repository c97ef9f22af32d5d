import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { collectionNamed, type ServerContext } from '../context.ts'
import { itemPicture } from '../item-picture.ts'
import { Refusal } from '../refusal.ts'
import { sanitiseSvg } from '../sanitise-svg.ts'
import { errorSchema, itemSchema, picturesResponse } from '../schemas.ts'
import type { SourceItem } from '../searchable.ts'

/** An SVG that is opened by itself is a document: it may paint, and nothing else. */
const pictureHeaders = {
  'content-security-policy': "default-src 'none'; style-src 'unsafe-inline'; sandbox",
  'x-content-type-options': 'nosniff',
  'cross-origin-resource-policy': 'same-origin',
  'cache-control': 'private, max-age=3600',
}

/** Items and their pictures. */
export function itemRoutes(context: ServerContext): FastifyPluginAsyncZod {
  const { schemas, limits } = context
  const find = async (id: string, name: string | undefined): Promise<SourceItem> => {
    const { collection } = collectionNamed(context, name)
    const item = await collection.item(id)
    if (item) return item
    throw new Refusal(404, `item ${JSON.stringify(id.slice(0, 80))} is not in collection ${collection.name}.`)
  }
  return async app => {
    app.get(
      '/items/:id',
      {
        schema: {
          summary: 'One item with its texts and metadata',
          params: schemas.itemParameters,
          querystring: schemas.itemQuery,
          response: { 200: itemSchema, '4xx': errorSchema },
        },
      },
      async ({ params: { id }, query: { collection } }) => {
        const { name, texts, metadata, image } = await find(id, collection)
        const suffix = collection === undefined ? '' : `?collection=${encodeURIComponent(collection)}`
        return { id, name, texts, metadata, ...(image && { image: `/items/${encodeURIComponent(id)}/image${suffix}` }) }
      },
    )
    app.post(
      '/pictures',
      {
        schema: {
          summary: 'The pictures of many items at once, as far as they are SVG',
          body: schemas.pictures,
          response: { 200: picturesResponse, '4xx': errorSchema },
        },
      },
      async ({ body: { collection, ids } }) => {
        const pictures: Record<string, string> = Object.create(null)
        for (const { id, image } of await collectionNamed(context, collection).collection.items(ids)) {
          const svg = image && 'svg' in image ? sanitiseSvg(image.svg) : undefined
          if (svg !== undefined) pictures[id] = svg
        }
        return { pictures: { ...pictures } }
      },
    )
    app.get(
      '/items/:id/image',
      {
        schema: {
          summary: 'The picture of an item: SVG where it is one, otherwise PNG',
          params: schemas.itemParameters,
          querystring: schemas.imageQuery,
          response: { 200: z.any().describe('image/svg+xml or image/png'), '4xx': errorSchema },
        },
        serializerCompiler: () => data => JSON.stringify(data),
      },
      async ({ params: { id }, query: { collection, size }, headers }, reply) => {
        const item = await find(id, collection)
        const tag = `"${Buffer.from(item.fingerprint).toString('base64url').slice(0, 64)}-${size}"`
        reply.headers({ ...pictureHeaders, etag: tag })
        if (headers['if-none-match'] === tag) return reply.code(304).send()
        const { type, body } = await itemPicture(item, size, limits)
        return reply.type(type).send(typeof body === 'string' ? body : Buffer.from(body))
      },
    )
  }
}
