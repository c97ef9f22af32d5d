import { readFileSync } from 'node:fs'
import { open, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { CollectionError } from './collection-error.ts'

const held = new Set<string>()

/** When a process started (clock ticks since boot), which tells a process from a later one of the same number; Linux only. */
function startOf(pid: number): string | undefined {
  try {
    const status = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return status.slice(status.lastIndexOf(')') + 2).split(' ')[19]
  } catch {
    return undefined
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

/** Whether the process that a lock names is gone, so that nobody will ever release it. */
async function isAbandoned(path: string): Promise<boolean> {
  const [pid, start] = (await readFile(path, 'utf8').catch(() => '')).trim().split(' ')
  if (!pid) return true
  if (Number(pid) === process.pid || !isAlive(Number(pid))) return true
  return start !== undefined && start !== '' && startOf(Number(pid)) !== start
}

/**
 * One writer at a time, across processes. A writer that was killed leaves its lock, which the next one takes over.
 *
 * @returns what releases it
 * @throws CollectionError when another process, or another call in this one, is writing
 */
export async function lockWriter(folder: string): Promise<() => Promise<void>> {
  const path = join(folder, 'writer.lock')
  const busy = () =>
    new CollectionError(`collection ${folder} is being indexed already; wait for that to end, or remove ${path}.`)
  if (held.has(path)) throw busy()
  held.add(path)
  try {
    for (let attempt = 0; ; attempt++) {
      try {
        const handle = await open(path, 'wx')
        await handle.writeFile(`${process.pid} ${startOf(process.pid) ?? ''}`)
        await handle.close()
        break
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
        if (attempt > 0 || !(await isAbandoned(path))) throw busy()
        await rm(path, { force: true })
      }
    }
  } catch (error) {
    held.delete(path)
    throw error
  }
  return async () => {
    await rm(path, { force: true })
    held.delete(path)
  }
}
