// Knows whether dist was built from the sources as they are now. Used by the build and by bin/tenet.js in a checkout.
import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = fileURLToPath(new URL('..', import.meta.url))
export const stampFile = join(root, 'dist', '.built-from')

const settings = ['package.json', 'package-lock.json', 'tsconfig.json', 'tsdown.config.ts', 'vite.config.ts']

/** A hash over name, size and modification time of everything that dist is made of; tests are not part of it. */
export function sourceFingerprint() {
  const sources = readdirSync(join(root, 'src'), { recursive: true })
    .filter(name => !/\.test\.tsx?$/.test(name))
    .map(name => join('src', name))
  const hash = createHash('sha256')
  for (const name of [...settings, ...sources].sort()) {
    const { size, mtimeMs, isFile } = describe(join(root, name))
    if (isFile) hash.update(`${name}\0${size}\0${mtimeMs}\n`)
  }
  return hash.digest('hex')
}

function describe(path) {
  const found = statSync(path, { throwIfNoEntry: false })
  return found ? { size: found.size, mtimeMs: found.mtimeMs, isFile: found.isFile() } : { isFile: false }
}

/** True when dist exists and nothing that it was built from has changed since. */
export function buildIsFresh() {
  return existsSync(stampFile) && readFileSync(stampFile, 'utf8') === sourceFingerprint()
}
