import { type RegistryEntry, registry } from './registry.ts'
import type { System } from './system.ts'

function entryOf(id: string): RegistryEntry {
  const entry = registry.find(one => one.id === id)
  if (!entry) throw new Error(`there is no system '${id}'; there are: ${registry.map(one => one.id).join(', ')}`)
  return entry
}

/**
 * Loads one system by its id.
 * @throws naming the systems there are
 */
export async function loadSystem(id: string): Promise<System> {
  const { system } = await entryOf(id).load()
  return system
}

/**
 * Loads systems in the registry's order, or those of the given ids in theirs.
 * @throws naming the systems there are, before any is loaded
 */
export async function loadSystems(ids: readonly string[] = registry.map(({ id }) => id)): Promise<System[]> {
  const entries = ids.map(entryOf)
  return Promise.all(entries.map(async entry => (await entry.load()).system))
}
