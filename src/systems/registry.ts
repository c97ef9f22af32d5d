// Written by scripts/registry.mjs from the folders of systems; `npm run build` brings it up to date.
import type { System, Task } from './system.ts'

/** Where a system is found. It is loaded when it is first asked for. */
export interface RegistryEntry {
  readonly id: string
  readonly task: Task
  readonly load: () => Promise<{ readonly system: System }>
}

/** Every system, by task and id. */
export const registry: readonly RegistryEntry[] = [
  { id: 'biformer', task: 'classify', load: () => import('./classify/biformer/index.ts') },
  { id: 'combiner', task: 'classify', load: () => import('./classify/combiner/index.ts') },
  { id: 'crossvit', task: 'classify', load: () => import('./classify/crossvit/index.ts') },
  { id: 'dhvt', task: 'classify', load: () => import('./classify/dhvt/index.ts') },
  { id: 'plain-mamba', task: 'classify', load: () => import('./classify/plain-mamba/index.ts') },
  { id: 'ulsam', task: 'classify', load: () => import('./classify/ulsam/index.ts') },
  { id: 'vision-mamba', task: 'classify', load: () => import('./classify/vision-mamba/index.ts') },
  { id: 'medical-ssm', task: 'segment', load: () => import('./segment/medical-ssm/index.ts') },
  { id: 'vit-comer', task: 'segment', load: () => import('./segment/vit-comer/index.ts') },
]
