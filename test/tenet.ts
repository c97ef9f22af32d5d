import { type ChildProcess, spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const bin = fileURLToPath(new URL('../bin/tenet.js', import.meta.url))

export interface Ran {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

/** Starts the command line as a user does. */
export function start(args: readonly string[]): { process: ChildProcess; done: Promise<Ran> } {
  const process_ = spawn(process.execPath, [bin, ...args], {
    env: { ...process.env, TENET_THREADS: '1', NO_COLOR: '1' },
  })
  let stdout = ''
  let stderr = ''
  process_.stdout.on('data', chunk => {
    stdout += chunk
  })
  process_.stderr.on('data', chunk => {
    stderr += chunk
  })
  const done = new Promise<Ran>(resolve => {
    process_.on('close', (code, signal) => resolve({ code, signal, stdout, stderr }))
  })
  return { process: process_, done }
}

/** Runs the command line to its end. */
export const tenet = (...args: string[]): Promise<Ran> => start(args).done
