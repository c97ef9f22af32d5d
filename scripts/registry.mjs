// Writes src/systems/registry.ts from the folders of systems: every src/systems/<task>/<id>/index.ts is one.
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const systems = fileURLToPath(new URL('../src/systems', import.meta.url))
export const registryFile = join(systems, 'registry.ts')

const folders = path =>
  readdirSync(path, { withFileTypes: true })
    .filter(entry => entry.isDirectory())
    .map(entry => entry.name)
    .sort()

/** Every system's task and id, in the order of their folders. */
export function systemFolders(root = systems) {
  return folders(root).flatMap(task =>
    folders(join(root, task))
      .filter(id => existsSync(join(root, task, id, 'index.ts')))
      .map(id => ({ task, id })),
  )
}

/** The registry's source for the systems there are. */
export function registrySource(found = systemFolders()) {
  const entries = found.map(({ task, id }) => {
    const load = `load: () => import('./${task}/${id}/index.ts')`
    const line = `  { id: '${id}', task: '${task}', ${load} },`
    // As the formatter would break it.
    return line.length <= 120 ? line : `  {\n    id: '${id}',\n    task: '${task}',\n    ${load},\n  },`
  })
  return [
    '// Written by scripts/registry.mjs from the folders of systems; `npm run build` brings it up to date.',
    "import type { System, Task } from './system.ts'",
    '',
    '/** Where a system is found. It is loaded when it is first asked for. */',
    'export interface RegistryEntry {',
    '  readonly id: string',
    '  readonly task: Task',
    '  readonly load: () => Promise<{ readonly system: System }>',
    '}',
    '',
    '/** Every system, by task and id. */',
    ...(entries.length
      ? ['export const registry: readonly RegistryEntry[] = [', ...entries, ']']
      : ['export const registry: readonly RegistryEntry[] = []']),
    '',
  ].join('\n')
}

/** Writes the registry if the folders have changed. */
export function writeRegistry() {
  const source = registrySource()
  if (existsSync(registryFile) && readFileSync(registryFile, 'utf8') === source) return false
  writeFileSync(registryFile, source)
  return true
}

if (process.argv[1] === fileURLToPath(import.meta.url)) writeRegistry()
