import { spawnSync } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'

interface LockedPackage {
  readonly version: string
  readonly integrity: string
  readonly optional?: boolean
}

const present: LockedPackage = { version: '1.2.3', integrity: 'sha512-a' }
const otherPlatform: LockedPackage = { version: '4.5.6', integrity: 'sha512-b', optional: true }
let project: string

beforeEach(() => {
  project = mkdtempSync(join(tmpdir(), 'tenet-install-'))
  mkdirSync(join(project, 'scripts'))
  mkdirSync(join(project, 'node_modules'))
  copyFileSync(
    fileURLToPath(new URL('./ensure-install.mjs', import.meta.url)),
    join(project, 'scripts', 'ensure-install.mjs'),
  )
  // Stands in for npm: notes how it was called.
  writeFileSync(
    join(project, 'npm.cjs'),
    `require('node:fs').writeFileSync('called', process.argv[2] + ' ' + process.env.ONNXRUNTIME_NODE_INSTALL)
    process.exit(Number(process.env.NPM_STATUS))`,
  )
  writeLock('package-lock.json', { '': present, 'node_modules/a': present, 'node_modules/b': otherPlatform })
})
afterEach(() => rmSync(project, { recursive: true }))

function writeLock(path: string, packages: Record<string, LockedPackage>) {
  writeFileSync(join(project, path), JSON.stringify({ packages }))
}

/** Runs the script; `called` is what the stand-in for npm was asked to do, or undefined when it was not run. */
function ensureInstall(npmStatus = 0) {
  const { ONNXRUNTIME_NODE_INSTALL: _, ...env } = process.env
  const { status, stderr } = spawnSync(process.execPath, ['scripts/ensure-install.mjs'], {
    cwd: project,
    encoding: 'utf8',
    env: { ...env, npm_execpath: join(project, 'npm.cjs'), NPM_STATUS: String(npmStatus) },
  })
  const record = join(project, 'called')
  const called = existsSync(record) ? readFileSync(record, 'utf8') : undefined
  return { status, stderr, called }
}

describe('ensure-install', () => {
  it('installs into a fresh clone without the large native downloads', () => {
    expect(ensureInstall()).toMatchObject({ status: 0, called: 'ci skip' })
  })

  it('does nothing when what npm installed is what the lock file asks for, optional packages aside', () => {
    writeLock('node_modules/.package-lock.json', { 'node_modules/a': present })
    expect(ensureInstall()).toMatchObject({ status: 0, called: undefined })
  })

  it('installs again when the lock file asks for another version or one more package', () => {
    writeLock('node_modules/.package-lock.json', { 'node_modules/a': { ...present, version: '1.2.2' } })
    expect(ensureInstall().called).toBe('ci skip')
    rmSync(join(project, 'called'))
    writeLock('package-lock.json', { 'node_modules/a': present, 'node_modules/c': present })
    writeLock('node_modules/.package-lock.json', { 'node_modules/a': present })
    expect(ensureInstall().called).toBe('ci skip')
  })

  it('says in one line that npm failed, and fails itself', () => {
    const { status, stderr } = ensureInstall(7)
    expect(status).toBe(1)
    expect(stderr).toBe('npm ci failed: it exited with 7. Fix the cause named above and run the command again.\n')
  })
})
