import type { ModelProvider } from '../tasks/index.ts'
import { loadSystem, loadSystems } from './load.ts'
import { registry } from './registry.ts'

/** The backbones among the systems as values of `--model`: each by its system's id, loaded when it is asked for. */
export const systemModels: ModelProvider = {
  find: async name => (registry.some(({ id }) => id === name) ? (await loadSystem(name)).model : undefined),
  names: async () => (await loadSystems()).filter(({ model }) => model).map(({ id }) => id),
}
