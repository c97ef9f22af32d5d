import { createRequire } from 'node:module'
import rateLimit from '@fastify/rate-limit'
import swagger from '@fastify/swagger'
import Fastify, { type FastifyError, type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import {
  hasZodFastifySchemaValidationErrors,
  jsonSchemaTransform,
  serializerCompiler,
  validatorCompiler,
} from 'fastify-type-provider-zod'
import type { DestinationStream, LoggerOptions } from 'pino'
import { guardKey, guardOrigin, isLoopback } from './access.ts'
import type { ServerContext } from './context.ts'
import { defaultLimits, type ServerLimits } from './limits.ts'
import { createMetrics } from './metrics.ts'
import { acceptForms } from './multipart.ts'
import { servePage } from './page.ts'
import type { Rasterizer } from './query-image.ts'
import { itemRoutes } from './routes/items.ts'
import { searchRoutes } from './routes/search.ts'
import { openRoutes, statusRoutes } from './routes/status.ts'
import { requestSchemas } from './schemas.ts'
import type { ServedCollection } from './searchable.ts'
import { WorkQueue } from './work-queue.ts'

const { version } = createRequire(import.meta.url)('../../package.json') as { version: string }

export interface ServerOptions {
  /** What is served; requests that name none use the first. */
  readonly collections: readonly ServedCollection[]
  /** Address to listen on. Anything but loopback needs `apiKey`. Default 127.0.0.1. */
  readonly host?: string
  readonly apiKey?: string
  readonly limits?: Partial<ServerLimits>
  /** Draws SVG queries away from this process; without it they are refused. */
  readonly rasterizer?: Rasterizer
  /** pino's options, or false for no log. Default false. */
  readonly logger?: (LoggerOptions & { stream?: DestinationStream }) | false
  /** Folder of the built page. Default: the package's own. */
  readonly pageFolder?: string
}

/**
 * The HTTP server over collections: API, OpenAPI document, metrics and page. Call `listen` on what it returns.
 *
 * @throws RangeError when it would listen beyond this machine without an API key
 */
export async function createServer(options: ServerOptions): Promise<FastifyInstance> {
  const { collections, host = '127.0.0.1', apiKey, logger = false } = options
  const loopback = isLoopback(host)
  if (!loopback && !apiKey)
    throw new RangeError(
      `host ${host} can be reached from other machines: give an API key (--api-key or TENET_API_KEY), or use 127.0.0.1.`,
    )
  const limits: ServerLimits = {
    ...defaultLimits,
    ...(!loopback && { searchesPerMinute: 600 }),
    ...options.limits,
  }
  const queue = new WorkQueue(limits.concurrent, limits.waiting)
  const metrics = createMetrics(collections, queue)
  const schemas = requestSchemas(limits)
  const context: ServerContext = { collections, limits, schemas, queue, metrics, rasterizer: options.rasterizer }

  const app = Fastify({
    logger,
    bodyLimit: limits.bodyBytes,
    requestTimeout: 30_000,
    routerOptions: { maxParamLength: 1_000 },
    frameworkErrors: (error, _, reply) => {
      reply.raw.writeHead(error.statusCode ?? 400, { 'content-type': 'application/json' })
      reply.raw.end(JSON.stringify({ error: oneLine(error) }))
    },
    clientErrorHandler: (error, socket) => {
      if (!socket.writable || error.code === 'ECONNRESET') return socket.destroy()
      const body = JSON.stringify({ error: `the request is not HTTP that can be read (${error.code}).` })
      socket.end(
        `HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
      )
    },
  })
  // A body is JSON or a form; a text is neither.
  app.removeContentTypeParser('text/plain')
  app.setValidatorCompiler(validatorCompiler)
  app.setSerializerCompiler(serializerCompiler)
  app.setErrorHandler(answerError)
  app.addHook('onResponse', async ({ method, routeOptions }, { statusCode, elapsedTime }) =>
    metrics.request(method, routeOptions.url ?? 'none', statusCode, elapsedTime / 1000),
  )
  guardOrigin(app, { loopback })
  await app.register(rateLimit, { global: false })
  await app.register(swagger, {
    openapi: { openapi: '3.1.0', info: { title: 'Tenet', version, description: 'Two-way search over collections' } },
    transform: jsonSchemaTransform,
  })
  await app.register(openRoutes(context, apiKey))
  await app.register(async api => {
    guardKey(api, apiKey)
    await acceptForms(api, limits)
    await api.register(searchRoutes(context))
    await api.register(itemRoutes(context))
    await api.register(statusRoutes(context))
    api.get('/openapi.json', { schema: { hide: true } }, () => app.swagger())
  })
  await servePage(app, options.pageFolder)
  app.setNotFoundHandler((request, reply) =>
    reply
      .code(404)
      .send({ error: `${request.method} ${request.url.slice(0, 100)} is not here; /openapi.json lists what is.` }),
  )
  return app
}

const oneLine = (error: Error) => error.message.split('\n')[0]

/** Every answer to a request that cannot be used is `{ error }`; what is the server's own fault says so and no more. */
function answerError(error: FastifyError, request: FastifyRequest, reply: FastifyReply) {
  if (hasZodFastifySchemaValidationErrors(error)) {
    const [{ instancePath, message }] = error.validation
    const field = instancePath.replace(/^\//, '').replaceAll('/', '.')
    return reply.code(400).send({ error: field ? `${field}: ${message}` : `${error.validationContext}: ${message}` })
  }
  const status = error.statusCode ?? 500
  if (status >= 400 && status < 500) return reply.code(status).send({ error: oneLine(error) })
  request.log.error(error)
  return reply.code(500).send({ error: 'the server failed at this request; its log says why.' })
}
