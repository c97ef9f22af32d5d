import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdir, open, rename, rm, stat } from 'node:fs/promises'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { writeAtomic } from '../train/atomic.ts'

/**
 * The folder for what can be fetched again: `$TENET_CACHE`, else `$XDG_CACHE_HOME/tenet`, else `~/.cache/tenet`
 * (XDG Base Directory Specification).
 */
export function cacheFolder(environment: NodeJS.ProcessEnv = process.env): string {
  if (environment['TENET_CACHE']) return environment['TENET_CACHE']
  return join(environment['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'tenet')
}

/** SHA-256 of the bytes, in lower-case hexadecimal. */
export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}

/** SHA-256 of a file of any size, in lower-case hexadecimal. */
export async function fileSha256(path: string): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) hash.update(chunk as Uint8Array)
  return hash.digest('hex')
}

export interface DownloadOptions {
  /** Sent with each request. */
  headers?: Readonly<Record<string, string>>
  /** Seconds without a finished answer after which an address is given up. Default 600. */
  timeout?: number
  /** Throws when the bytes are not what was asked for; their address is then passed over. */
  verify?: (bytes: Uint8Array) => void | Promise<void>
}

/** A failure's own reason: `fetch` hides it ("fetch failed") in its cause. */
export function downloadFailure(error: unknown): string {
  const { message, cause } = error as Error
  return cause instanceof Error ? cause.message || (cause as NodeJS.ErrnoException).code || message : message
}

/**
 * Fetches the first address that answers with bytes that pass `verify`, and writes them to `path` atomically.
 *
 * @param addresses http(s) addresses of the same file, tried in order
 * @throws Error listing each address with its reason when none will do
 */
export async function download(addresses: readonly string[], path: string, options: DownloadOptions = {}) {
  const { timeout = 600, verify, headers } = options
  const failures: string[] = []
  for (const address of addresses) {
    let bytes: Uint8Array
    try {
      const response = await fetch(address, { headers, signal: AbortSignal.timeout(timeout * 1000) })
      if (!response.ok) throw new Error(`HTTP ${response.status}`)
      bytes = new Uint8Array(await response.arrayBuffer())
      await verify?.(bytes)
    } catch (error) {
      failures.push(`${address}: ${downloadFailure(error)}`)
      continue
    }
    await writeAtomic(path, bytes)
    return
  }
  throw new Error(failures.join('; '))
}

export interface LargeDownloadOptions {
  /** What the file must be. A part that a broken download left is continued and then checked against it. */
  readonly sha256: string
  readonly headers?: Readonly<Record<string, string>>
  /** Seconds without a byte after which a try is given up. Default 60. */
  readonly idle?: number
  /** Tries, each continuing where the one before ended. Default 4. */
  readonly tries?: number
  /** @param done bytes of the file that are there */
  readonly onProgress?: (done: number) => void
}

/**
 * Fetches a large file piece by piece into `<path>.part`, which becomes `path` when it is whole and its digest right. What
 * a broken download left, in this process or an earlier one, is continued (RFC 9110, Range).
 *
 * @throws one line when no try brings the file; what came stays for the next time, unless its digest is wrong
 */
export async function downloadLarge(address: string, path: string, options: LargeDownloadOptions): Promise<void> {
  const { tries = 4, sha256: expected } = options
  const part = `${path}.part`
  await mkdir(dirname(path), { recursive: true })
  let failure: unknown
  for (let attempt = 0; attempt < tries; attempt++) {
    await pause(attempt === 0 ? 0 : 250 * 2 ** attempt)
    try {
      const continued = await fetchRest(address, part, options)
      const found = await fileSha256(part)
      if (found === expected) {
        await rename(part, path)
        return
      }
      await rm(part, { force: true })
      failure = new Error(`its digest is ${found.slice(0, 12)}…, expected ${expected.slice(0, 12)}…`)
      if (!continued) break
    } catch (error) {
      failure = error
      if (error instanceof RefusedDownload) break
    }
  }
  throw new Error(`${address}: ${downloadFailure(failure)}`)
}

/** The server answered, and will not answer otherwise when it is asked again. */
class RefusedDownload extends Error {}

/** @returns whether there was a part, which was continued */
async function fetchRest(address: string, part: string, options: LargeDownloadOptions): Promise<boolean> {
  const { headers, idle = 60, onProgress } = options
  const have = await stat(part).then(
    ({ size }) => size,
    () => 0,
  )
  const controller = new AbortController()
  const giveUp = () => controller.abort(new Error(`no answer for ${idle} s`))
  let timer = setTimeout(giveUp, idle * 1000)
  try {
    const range = have > 0 ? { range: `bytes=${have}-` } : undefined
    const response = await fetch(address, { headers: { ...headers, ...range }, signal: controller.signal })
    // Nothing is left to fetch: the part is whole, or of another file, which its digest tells.
    if (response.status === 416) return true
    if (!response.ok || !response.body)
      throw response.status < 500 && response.status !== 429
        ? new RefusedDownload(`HTTP ${response.status}`)
        : new Error(`HTTP ${response.status}`)
    const continues = response.status === 206
    let done = continues ? have : 0
    const file = await open(part, continues ? 'a' : 'w')
    try {
      for await (const chunk of response.body) {
        clearTimeout(timer)
        timer = setTimeout(giveUp, idle * 1000)
        await file.write(chunk as Uint8Array)
        done += (chunk as Uint8Array).length
        onProgress?.(done)
      }
      await file.sync()
    } finally {
      await file.close()
    }
    return continues
  } finally {
    clearTimeout(timer)
  }
}
