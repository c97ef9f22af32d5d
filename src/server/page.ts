import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import fastifyStatic from '@fastify/static'
import type { FastifyInstance } from 'fastify'

/** Where `npm run build` puts the page, seen from src/server and from dist/server alike. */
export const builtPage = fileURLToPath(new URL('../../dist/web/', import.meta.url))

/** The page speaks with this server only; pictures may also be made by the page itself. */
const pageHeaders = {
  'content-security-policy': [
    "default-src 'self'",
    "img-src 'self' data: blob:",
    "style-src 'self' 'unsafe-inline'",
    "object-src 'none'",
    "base-uri 'none'",
    "form-action 'self'",
    "frame-ancestors 'none'",
  ].join('; '),
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
}

const notBuilt = `<!doctype html><html lang="en"><meta charset="utf-8"><title>Tenet</title>
<body style="font:16px/1.6 system-ui;max-width:40rem;margin:15vh auto;padding:0 1rem">
<h1>Tenet is running</h1><p>The page is not built in this copy: run <code>npm run build</code> and reload.
The API is described at <a href="/openapi.json">/openapi.json</a>.</p>`

/** Serves the page's files: the document fresh each time, what has a hash in its name for ever. */
export async function servePage(app: FastifyInstance, folder = builtPage): Promise<void> {
  if (!existsSync(folder)) {
    app.get('/', { schema: { hide: true } }, (_, reply) => reply.headers(pageHeaders).type('text/html').send(notBuilt))
    return
  }
  await app.register(fastifyStatic, {
    root: folder,
    cacheControl: false,
    setHeaders: (reply, path) => {
      const lasting = /[\\/]assets[\\/]/.test(path)
      void reply.header('cache-control', lasting ? 'public, max-age=31536000, immutable' : 'no-cache')
      void reply.headers(pageHeaders)
    },
  })
}
