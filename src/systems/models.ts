import type { ModelProvider, SegmenterProvider } from '../tasks/index.ts'
import { loadSystem, loadSystems } from './load.ts'
import { registry } from './registry.ts'

/** The backbones among the systems as values of `--model`: each by its system's id, loaded when it is asked for. */
export const systemModels: ModelProvider = {
  find: async name => (registry.some(({ id }) => id === name) ? (await loadSystem(name)).model : undefined),
  names: async () => (await loadSystems()).filter(({ model }) => model).map(({ id }) => id),
}

/** The segmenters among the systems, by the names that their systems give them. */
export const systemSegmenters: SegmenterProvider = {
  find: async name => {
    for (const { segmenters } of await loadSystems())
      if (segmenters && Object.hasOwn(segmenters, name)) return segmenters[name]
    return undefined
  },
  names: async () => (await loadSystems()).flatMap(({ segmenters }) => Object.keys(segmenters ?? {})),
}
