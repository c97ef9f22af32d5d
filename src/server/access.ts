import { createHash, timingSafeEqual } from 'node:crypto'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { Refusal } from './refusal.ts'

const cookieName = 'tenet-key'

/** True for names and addresses that only this machine reaches. */
export function isLoopback(host: string): boolean {
  return /^(localhost|127(\.\d{1,3}){3}|\[?::1\]?)$/i.test(host)
}

const digest = (text: string) => createHash('sha256').update(text).digest()

/** Compares without telling, by its duration, how much of the key was right. */
export function sameKey(given: string, expected: string): boolean {
  return timingSafeEqual(digest(given), digest(expected))
}

function keyOf(request: FastifyRequest): string | undefined {
  const [, bearer] = /^Bearer (.+)$/i.exec(request.headers.authorization ?? '') ?? []
  const header = request.headers['x-api-key']
  const cookie = (request.headers.cookie ?? '')
    .split(';')
    .map(part => part.trim().split('='))
    .find(([name]) => name === cookieName)?.[1]
  return bearer ?? (typeof header === 'string' ? header : undefined) ?? (cookie && safeDecode(cookie))
}

function safeDecode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

/** Whether the request holds the key, or none is asked for. */
export const hasAccess = (request: FastifyRequest, apiKey: string | undefined): boolean =>
  apiKey === undefined || sameKey(keyOf(request) ?? '', apiKey)

/** The cookie that lets the page's pictures load; scripts cannot read it and other sites cannot send it. */
export const keyCookie = (key: string): string =>
  `${cookieName}=${encodeURIComponent(key)}; Path=/; HttpOnly; SameSite=Strict`

/**
 * Keeps out requests that a foreign web page makes through the user's browser: by a name that was pointed at this
 * machine (Host, checked where only this machine can connect), or across sites (Origin).
 */
export function guardOrigin(app: FastifyInstance, { loopback }: { readonly loopback: boolean }): void {
  app.addHook('onRequest', async request => {
    const host = request.headers.host?.replace(/:\d+$/, '')
    if (loopback && host !== undefined && !isLoopback(host))
      throw new Refusal(
        403,
        `host ${JSON.stringify(host.slice(0, 80))} is not this machine; open http://localhost instead.`,
      )
    const { origin } = request.headers
    if (origin !== undefined && originHost(origin) !== request.headers.host)
      throw new Refusal(403, 'requests from other web pages are refused.')
  })
}

/** Keeps out requests without the key. */
export function guardKey(app: FastifyInstance, apiKey: string | undefined): void {
  app.addHook('onRequest', async request => {
    if (!hasAccess(request, apiKey))
      throw new Refusal(401, 'an API key is needed: send it as "Authorization: Bearer <key>" or "x-api-key: <key>".')
  })
}

function originHost(origin: string): string | undefined {
  try {
    return new URL(origin).host
  } catch {
    return undefined
  }
}
