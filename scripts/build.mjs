// Builds dist. With --if-stale it does nothing when dist already matches the sources.
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { buildIsFresh, root, sourceFingerprint, stampFile } from './build-stamp.mjs'
import { writeRegistry } from './registry.mjs'

/** The dist files that package.json's `exports` promise, as paths relative to the root. */
function promisedFiles() {
  const { exports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  const targets = entry => (typeof entry === 'string' ? [entry] : Object.values(entry).flatMap(targets))
  return [...new Set(targets(exports))].filter(target => target.startsWith('./dist/')).map(target => target.slice(2))
}

const sourceOf = target => target.replace(/^dist/, 'src').replace(/\.d\.ts$|\.js$/, '.ts')

function runTool(name, path, args = []) {
  const { status } = spawnSync(process.execPath, [join(root, 'node_modules', name, ...path), ...args], {
    cwd: root,
    stdio: 'inherit',
  })
  if (status === 0) return
  console.error(`The build failed at ${name}; the messages above name the file and line.`)
  process.exit(1)
}

function build() {
  writeRegistry()
  // Taken before the build, so that a file saved while it runs makes the result stale again.
  const fingerprint = sourceFingerprint()
  // In this order: the compiler empties dist, the page's build only dist/web.
  runTool('tsdown', ['dist', 'run.mjs'])
  runTool('vite', ['bin', 'vite.js'], ['build'])
  const absent = promisedFiles().filter(target => !existsSync(join(root, target)))
  if (absent.length > 0) console.error(`package.json exports files that the build did not make: ${absent.join(', ')}.`)
  if (absent.some(target => existsSync(join(root, sourceOf(target))))) process.exit(1)
  writeFileSync(stampFile, fingerprint)
}

if (!process.argv.includes('--if-stale') || !buildIsFresh()) build()
