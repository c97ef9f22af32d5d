import { collectWrites, type DType, type HostData, type Shape, substitute, Tensor, Variable } from '../core/index.ts'

/** A {@link Variable} that an optimiser changes. Other variables of a module (running statistics, queues) are its buffers. */
export class Parameter extends Variable {}

/** A trainable tensor with its initial values. */
export const parameter = (data: HostData, shape: Shape, dtype: DType = 'f32'): Parameter =>
  new Parameter(data, shape, dtype, 'parameter')

/** What a field of a module can hold that belongs to its tree. */
type Branch = Module | Variable

/**
 * A model or a part of one: an object whose fields are its parameters, buffers and parts. Fields are named as in the
 * official PyTorch code, so that paths (`blocks.3.mlp.fc1.weight`) are the keys of its state dict. Arrays and plain
 * records of modules count with their index or key.
 *
 * Subclasses define `forward`. Calling it anywhere can be observed and changed from outside by path: see {@link intercept}.
 */
export abstract class Module {
  /** Computes the module's output. */
  abstract forward(...args: never[]): unknown

  constructor() {
    const { forward } = this
    // An own property around the subclass's method, so that every call passes the interceptors.
    Object.defineProperty(this, 'forward', {
      value: (...args: never[]): unknown => intercepted(this, args, (...given) => forward.apply(this, given)),
      enumerable: false,
    })
  }

  /** Direct parts with their names, in the order of the fields. */
  children(): Iterable<readonly [string, Branch]> {
    return branchesOf(this)
  }
}

function* branchesOf(holder: object): Iterable<readonly [string, Branch]> {
  for (const [name, value] of Object.entries(holder)) {
    if (value instanceof Module || value instanceof Variable) yield [name, value]
    else if (Array.isArray(value) || isRecord(value))
      for (const [inner, branch] of branchesOf(value)) yield [`${name}.${inner}`, branch]
  }
}

const isRecord = (value: unknown): value is object =>
  typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype

/** Every module of the tree with its path, the root ('') first. A module that stands at two paths is given twice. */
export function* namedModules(root: Module, prefix = ''): Iterable<readonly [string, Module]> {
  yield [prefix, root]
  for (const [name, branch] of root.children())
    if (branch instanceof Module) yield* namedModules(branch, join(prefix, name))
}

const join = (prefix: string, name: string): string => (prefix ? `${prefix}.${name}` : name)

/** Every parameter and buffer with its path. Shared variables are given under each of their paths. */
export function* namedVariables(root: Module): Iterable<readonly [string, Variable]> {
  for (const [path, module] of namedModules(root))
    for (const [name, branch] of module.children()) if (branch instanceof Variable) yield [join(path, name), branch]
}

/** The parameters of a tree with their paths, each once. */
export function namedParameters(root: Module): Map<string, Parameter> {
  const seen = new Set<Variable>()
  const found = new Map<string, Parameter>()
  for (const [path, variable] of namedVariables(root)) {
    if (!(variable instanceof Parameter) || seen.has(variable)) continue
    seen.add(variable)
    found.set(path, variable)
  }
  return found
}

/** The parameters of a tree, each once. */
export const parametersOf = (root: Module): Parameter[] => [...namedParameters(root).values()]

/** Number of trainable values. */
export const parameterCount = (root: Module): number => parametersOf(root).reduce((total, p) => total + p.size, 0)

/** Gives every variable its path as name, for messages, checkpoints and exported files. */
export function nameVariables<M extends Module>(root: M): M {
  for (const [path, variable] of namedVariables(root)) variable.name = path
  return root
}

/** A call of a module, as an interceptor sees it. */
export interface ModuleCall {
  readonly path: string
  readonly module: Module
  readonly args: readonly unknown[]
}

/** Sees a module's output and may give another in its place (or nothing, to leave it). */
export type Interceptor = (output: unknown, call: ModuleCall) => unknown

const active: Map<Module, { path: string; interceptor: Interceptor }[]>[] = []

function intercepted(module: Module, args: never[], forward: (...args: never[]) => unknown): unknown {
  let output = forward(...args)
  for (let i = active.length - 1; i >= 0; i--)
    for (const { path, interceptor } of active[i].get(module) ?? []) {
      const changed = interceptor(output, { path, module, args })
      if (changed !== undefined) output = changed
    }
  return output
}

/**
 * Runs `build` while the outputs of the named modules pass through interceptors: to read activations, replace them, or
 * edit them (steering, ablation, patching). Gradients flow through whatever an interceptor returns.
 * @param edits by path in `root`; `''` is the root itself
 * @throws when a path names no module, listing near ones
 */
export function intercept<T>(root: Module, edits: Readonly<Record<string, Interceptor>>, build: () => T): T {
  const modules = new Map(namedModules(root))
  const table = new Map<Module, { path: string; interceptor: Interceptor }[]>()
  for (const [path, interceptor] of Object.entries(edits)) {
    const module = modules.get(path)
    if (!module)
      throw new Error(
        `intercept: no module at '${path}'; there are: ${[...modules.keys()].filter(Boolean).slice(0, 20).join(', ')}`,
      )
    table.set(module, [...(table.get(module) ?? []), { path, interceptor }])
  }
  active.push(table)
  try {
    return build()
  } finally {
    active.pop()
  }
}

/** Runs `build` and gives the outputs of the named modules beside its result; a module called again keeps its last output. */
export function tap<T>(
  root: Module,
  paths: readonly string[],
  build: () => T,
): { result: T; activations: Record<string, unknown> } {
  const activations: Record<string, unknown> = {}
  const keep: Interceptor = (output, { path }) => {
    activations[path] = output
  }
  const result = intercept(root, Object.fromEntries(paths.map(path => [path, keep])), build)
  return { result, activations }
}

/**
 * Runs `build` with other values for some variables: any tensors of the same shape, through which gradients flow. State
 * that `build` assigns is computed from the other values too.
 * @param values by variable, or by path in `root`
 */
export function withValues(
  root: Module,
  values: Readonly<Record<string, Tensor>> | ReadonlyMap<Variable, Tensor>,
  build: () => Tensor,
): Tensor
export function withValues(
  root: Module,
  values: Readonly<Record<string, Tensor>> | ReadonlyMap<Variable, Tensor>,
  build: () => readonly Tensor[],
): Tensor[]
export function withValues(
  root: Module,
  values: Readonly<Record<string, Tensor>> | ReadonlyMap<Variable, Tensor>,
  build: () => Tensor | readonly Tensor[],
): Tensor | Tensor[] {
  const named = new Map(namedVariables(root))
  const pairs: [Variable, Tensor][] =
    values instanceof Map
      ? [...values]
      : Object.entries(values).map(([path, value]): [Variable, Tensor] => {
          const variable = named.get(path)
          if (!variable) throw new Error(`withValues: the module has no parameter or buffer '${path}'`)
          return [variable, value as Tensor]
        })
  for (const [variable, value] of pairs)
    if (value.shape.join() !== variable.shape.join())
      throw new Error(`withValues: '${variable.name}' is [${variable.shape}], the value given is [${value.shape}]`)
  const from = pairs.map(([variable]) => variable)
  const to = pairs.map(([, value]) => value)
  const { result, writes } = collectWrites(build)
  const outputs = result instanceof Tensor ? [result] : result
  const replaced = substitute([...outputs, ...writes.values()], from, to)
  ;[...writes.keys()].forEach((variable, i) => {
    variable.assign(replaced[outputs.length + i])
  })
  return result instanceof Tensor ? replaced[0] : replaced.slice(0, outputs.length)
}
