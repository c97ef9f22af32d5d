import { createHash } from 'node:crypto'
import { homedir } from 'node:os'
import { join } from 'node:path'
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

export interface DownloadOptions {
  /** Seconds without a finished answer after which an address is given up. Default 600. */
  timeout?: number
  /** Throws when the bytes are not what was asked for; their address is then passed over. */
  verify?: (bytes: Uint8Array) => void | Promise<void>
}

/** A failure's own reason: `fetch` hides it ("fetch failed") in its cause. */
function reasonOf(error: unknown): string {
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
  const { timeout = 600, verify } = options
  const failures: string[] = []
  for (const address of addresses) {
    let bytes: Uint8Array
    try {
      const response = await fetch(address, { signal: AbortSignal.timeout(timeout * 1000) })
      if (!response.ok) throw new Error(`HTTP ${response.status}`)
      bytes = new Uint8Array(await response.arrayBuffer())
      await verify?.(bytes)
    } catch (error) {
      failures.push(`${address}: ${reasonOf(error)}`)
      continue
    }
    await writeAtomic(path, bytes)
    return
  }
  throw new Error(failures.join('; '))
}
