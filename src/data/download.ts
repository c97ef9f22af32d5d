import { createHash, randomUUID } from 'node:crypto'
import { mkdir, open, rename, rm } from 'node:fs/promises'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'

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

/**
 * Writes a file so that `path` holds either all of the bytes or what it held before, even when the process or the machine
 * stops half way: a temporary neighbour is written, flushed to the disk and renamed.
 */
export async function writeAtomically(path: string, bytes: Uint8Array): Promise<void> {
  await mkdir(dirname(path), { recursive: true })
  const temporary = `${path}.${randomUUID()}.partial`
  try {
    const file = await open(temporary, 'wx')
    try {
      await file.writeFile(bytes)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(temporary, path)
  } catch (cause) {
    await rm(temporary, { force: true })
    throw cause
  }
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
    await writeAtomically(path, bytes)
    return
  }
  throw new Error(failures.join('; '))
}
