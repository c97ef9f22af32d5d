import type { FastifyReply } from 'fastify'
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { CollectionError } from '../../search/index.ts'
import { collectionNamed, type ServerContext } from '../context.ts'
import { decodeBase64, readQueryImage } from '../query-image.ts'
import { Refusal } from '../refusal.ts'
import { describeResponse, errorSchema, searchResponse } from '../schemas.ts'

const refusals = { '4xx': errorSchema }

/** A page that types on closes its earlier requests: their searches need not run. */
const isClosed = (reply: FastifyReply) => () => reply.raw.destroyed

/** Errors that name the query's own fault, such as a condition that is no SQL or an item that does not exist. */
function asRefusal(cause: unknown): unknown {
  return cause instanceof CollectionError ? new Refusal(400, cause.message.split('\n')[0], { cause }) : cause
}

/** Query to items, and picture to words. */
export function searchRoutes(context: ServerContext): FastifyPluginAsyncZod {
  const { limits, schemas, queue, metrics } = context
  const config = {
    rateLimit: { max: limits.searchesPerMinute || Number.MAX_SAFE_INTEGER, timeWindow: 60_000 },
  }

  const timed = async <T>(kind: string, work: () => Promise<T>): Promise<T> => {
    const end = performance.now()
    try {
      return await work()
    } catch (cause) {
      throw asRefusal(cause)
    } finally {
      metrics.search(kind, (performance.now() - end) / 1000)
    }
  }
  const pictureOf = (base64: string | undefined) =>
    base64 === undefined ? undefined : readQueryImage(decodeBase64(base64), limits, context.rasterizer)

  return async app => {
    app.post(
      '/search',
      {
        config,
        schema: {
          summary: 'Find items by text, picture, drawing, other items, or several of these at once',
          consumes: ['application/json', 'multipart/form-data'],
          body: schemas.search,
          response: { 200: searchResponse, ...refusals },
        },
      },
      async ({ body }, reply) => {
        const { collection: name, image, ...query } = body
        const { collection } = collectionNamed(context, name)
        const texts = [query.text ?? []].flat().filter(text => text.trim() !== '')
        if (texts.length === 0 && image === undefined && query.like === undefined && query.where === undefined)
          throw new Refusal(400, 'nothing to look for: give text, image, like or where.')
        return queue.run(
          () =>
            timed(image === undefined ? 'text' : 'image', async () =>
              collection.search({ ...query, text: texts.length ? texts : undefined, image: await pictureOf(image) }),
            ),
          isClosed(reply),
        )
      },
    )
    app.post(
      '/describe',
      {
        config,
        schema: {
          summary: 'Words for a picture, best first',
          consumes: ['application/json', 'multipart/form-data'],
          body: schemas.describe,
          response: { 200: describeResponse, ...refusals },
        },
      },
      async ({ body: { collection: name, image, top } }, reply) => {
        const { collection } = collectionNamed(context, name)
        const start = performance.now()
        const words = await queue.run(
          () => timed('describe', async () => collection.describe((await pictureOf(image))!, top)),
          isClosed(reply),
        )
        return { words: [...words], milliseconds: performance.now() - start }
      },
    )
  }
}
