import type { Golden } from './golden.ts'
import { loadSystem } from './load.ts'
import type { Reproduction } from './parity.ts'
import { registry } from './registry.ts'

/**
 * How a golden is reproduced, by the system that its metadata names; `core` stands for the building blocks.
 * @throws one line when no such system is registered, or it has no official side
 */
export async function reproductionOf(golden: Golden): Promise<Reproduction> {
  const { system: id } = golden.metadata
  if (id === 'core') {
    const { coreReproduction } = await import('./core/index.ts')
    return coreReproduction(golden)
  }
  if (!registry.some(entry => entry.id === id)) throw new Error(`${golden.name}: no system '${id}' is registered`)
  const { official } = await loadSystem(id)
  if (!official) throw new Error(`${golden.name}: system '${id}' has no official implementation to compare with`)
  return official.reproduction(golden)
}
