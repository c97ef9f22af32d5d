import { createRequire } from 'node:module'
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { hasAccess, keyCookie, sameKey } from '../access.ts'
import type { ServerContext } from '../context.ts'
import { Refusal } from '../refusal.ts'
import { collectionsResponse, errorSchema, healthResponse } from '../schemas.ts'

const { version } = createRequire(import.meta.url)('../../../package.json') as { version: string }

/** What there is to search, and how the server is. */
export function statusRoutes(context: ServerContext): FastifyPluginAsyncZod {
  return async app => {
    app.get(
      '/collections',
      {
        schema: {
          summary: 'The collections, how far their indexing is, and what they can be filtered by',
          response: { 200: collectionsResponse, '4xx': errorSchema },
        },
      },
      async () => ({
        collections: await Promise.all(
          context.collections.map(async ({ collection, indexing, facets }) => ({
            name: collection.name,
            count: collection.count,
            indexing: indexing?.(),
            facets: copyFacets((await facets?.()) ?? {}),
          })),
        ),
      }),
    )
    app.get(
      '/metrics',
      {
        schema: { summary: 'Prometheus metrics', response: { 200: z.string(), '4xx': errorSchema } },
        serializerCompiler: () => data => JSON.stringify(data),
      },
      async (_, reply) => {
        const { registry } = context.metrics
        return reply.type(registry.contentType).send(await registry.metrics())
      },
    )
  }
}

const copyFacets = (facets: Readonly<Record<string, readonly { value: string; count: number; title?: string }[]>>) =>
  Object.fromEntries(Object.entries(facets).map(([field, values]) => [field, [...values]]))

/** Routes that answer without the key: whether the server is up, and the exchange of the key for the page's cookie. */
export function openRoutes(context: ServerContext, apiKey: string | undefined): FastifyPluginAsyncZod {
  return async app => {
    app.get(
      '/health',
      {
        schema: {
          summary: 'Whether the server is up; with access, also how far indexing is',
          response: { 200: healthResponse },
        },
      },
      async request => ({
        status: 'ok' as const,
        version,
        ...(hasAccess(request, apiKey) && {
          uptimeSeconds: process.uptime(),
          collections: context.collections.map(({ collection, indexing }) => ({
            name: collection.name,
            count: collection.count,
            indexing: indexing?.(),
          })),
        }),
      }),
    )
    app.post(
      '/session',
      {
        config: { rateLimit: { max: 20, timeWindow: 60_000 } },
        schema: {
          summary: 'Exchanges the API key for a cookie, for the page',
          body: z.strictObject({ key: z.string().min(1).max(500) }),
          response: { 200: z.object({ ok: z.literal(true) }), '4xx': errorSchema },
        },
      },
      async ({ body: { key } }, reply) => {
        if (apiKey !== undefined && !sameKey(key, apiKey)) throw new Refusal(401, 'this is not the API key.')
        reply.header('set-cookie', keyCookie(key))
        return { ok: true as const }
      },
    )
  }
}
