import { formatShape, HostTensor } from '../core/index.ts'
import { type Module, namedVariables } from './module.ts'

/** Copies of all parameters and buffers by path. */
export async function stateDict(root: Module): Promise<Map<string, HostTensor>> {
  const state = new Map<string, HostTensor>()
  for (const [path, variable] of namedVariables(root)) {
    await variable.sync()
    state.set(path, new HostTensor(variable.data.slice(), variable.shape, variable.dtype))
  }
  return state
}

export interface LoadOptions {
  /** Gives each key of the file its path in the module, or undefined to leave it out. Default: keys are paths. */
  readonly rename?: (key: string) => string | undefined
  /** Whether every variable must be given and every key used; default true. */
  readonly strict?: boolean
}

/** What a state dict and a module did not agree on. */
export interface LoadReport {
  readonly missing: readonly string[]
  readonly extra: readonly string[]
}

/**
 * Puts the values of a state dict into a module. Nothing is changed unless everything fits.
 * @returns what was missing or extra, where `strict` is off
 * @throws one message that lists missing, extra and mis-shaped tensors
 */
export function loadStateDict(
  root: Module,
  state: ReadonlyMap<string, HostTensor>,
  { rename = key => key, strict = true }: LoadOptions = {},
): LoadReport {
  const given = new Map<string, HostTensor>()
  const extra: string[] = []
  const variables = new Map(namedVariables(root))
  for (const [key, value] of state) {
    const path = rename(key)
    if (path === undefined) continue
    if (variables.has(path)) given.set(path, value)
    else extra.push(key)
  }
  const missing = [...variables.keys()].filter(path => !given.has(path) && !isBatchCounter(path))
  const misfit = [...given]
    .filter(([path, value]) => !fits(value, variables.get(path)!))
    .map(
      ([path, value]) =>
        `${path} is ${value.dtype}${formatShape(value.shape)}, the model has ${variables.get(path)!.dtype}${formatShape(variables.get(path)!.shape)}`,
    )
  const problems = [
    misfit.length ? `${misfit.length} of another shape (${some(misfit)})` : '',
    strict && missing.length ? `${missing.length} missing (${some(missing)})` : '',
    strict && extra.length ? `${extra.length} unknown (${some(extra)})` : '',
  ].filter(Boolean)
  if (problems.length) throw new Error(`state dict does not fit the model: ${problems.join('; ')}`)
  for (const [path, value] of given) variables.get(path)!.set(value.data.slice())
  return { missing, extra }
}

/** PyTorch's count of batches has no effect on any output; files from before it existed lack it. */
const isBatchCounter = (path: string): boolean => path.endsWith('num_batches_tracked')

function fits(value: HostTensor, variable: { shape: readonly number[]; dtype: string }): boolean {
  return value.dtype === variable.dtype && value.shape.join() === variable.shape.join()
}

const some = (names: readonly string[]): string =>
  names.slice(0, 6).join(', ') + (names.length > 6 ? ` and ${names.length - 6} more` : '')
