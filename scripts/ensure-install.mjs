// Makes node_modules match package-lock.json, and does nothing when it already does.
// Runs before `npm start` and `npm test`, so it may use nothing but Node itself.
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))

/** The `packages` table of a lock file, or undefined when the file is absent or not readable as one. */
function lockedPackages(path) {
  if (!existsSync(path)) return undefined
  try {
    return JSON.parse(readFileSync(path, 'utf8')).packages
  } catch {
    return undefined
  }
}

/**
 * Why an install is needed, or undefined when it is not. npm writes node_modules/.package-lock.json at the end of every
 * successful install, so comparing it with package-lock.json also recognises what `npm install <name>` did by hand, and
 * an install that was interrupted leaves it missing. Optional packages of other platforms are absent by design.
 */
function reasonToInstall() {
  const wanted = lockedPackages(join(root, 'package-lock.json'))
  if (!wanted) return 'package-lock.json cannot be read'
  const installed = lockedPackages(join(root, 'node_modules', '.package-lock.json'))
  if (!installed) return 'node_modules is missing or incomplete'
  for (const [path, { version, integrity, optional }] of Object.entries(wanted)) {
    if (path === '') continue
    const found = installed[path]
    if (!found) {
      if (optional) continue
      return `${path} is not installed`
    }
    if (found.version !== version || found.integrity !== integrity) return `${path} is not at version ${version}`
  }
  return undefined
}

const reason = reasonToInstall()
if (reason) {
  console.log(`Installing dependencies (${reason}) …`)
  // npm names its own entry file in npm_execpath; running that avoids a shell and, on Windows, npm.cmd.
  const npmEntry = process.env.npm_execpath
  const [command, args] = npmEntry ? [process.execPath, [npmEntry, 'ci']] : ['npm', ['ci']]
  const { status, error } = spawnSync(command, args, {
    cwd: root,
    stdio: 'inherit',
    shell: !npmEntry && process.platform === 'win32',
    // onnxruntime-node ships its CPU and WebGPU kernels; its install script would fetch hundreds of megabytes of CUDA.
    env: { ONNXRUNTIME_NODE_INSTALL: 'skip', ...process.env },
  })
  if (status !== 0) {
    const cause = error ? error.message : status === null ? 'it was interrupted' : `it exited with ${status}`
    console.error(`npm ci failed: ${cause}. Fix the cause named above and run the command again.`)
    process.exit(1)
  }
}
