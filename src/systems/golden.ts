import { type HostTensor, placeholder, type Tensor } from '../core/index.ts'
import { readSafetensors } from '../core/safetensors.ts'
import { type Module, namedVariables } from '../nn/index.ts'

/** What a golden file says of itself. */
export interface GoldenMetadata {
  readonly system: string
  readonly what: string
  readonly config: Readonly<Record<string, unknown>>
}

/** Reference outputs and gradients of one system, read from a safetensors file. */
export interface Golden {
  /** File name without folder and extension: `core.conv`. */
  readonly name: string
  readonly metadata: GoldenMetadata
  readonly tensors: ReadonlyMap<string, HostTensor>
}

/** What a reproduction computes: tensors of the graph, or values worked out on the host. */
export type Outputs = Readonly<Record<string, Tensor | HostTensor>>

/** Kinds of tensors a reproduction is given. */
export type Given = 'in' | 'param'

/**
 * The inputs and parameters of one independent case of a golden, by their names inside the case.
 * Float tensors arrive as placeholders, so that gradients with respect to them can be compared.
 */
export class GoldenCase {
  readonly #leaves: Leaves
  readonly #prefix: string
  readonly name: string

  constructor(leaves: Leaves, name: string, prefix: string) {
    this.#leaves = leaves
    this.#prefix = prefix
    this.name = name
  }

  /** The golden's configuration. */
  get config(): Readonly<Record<string, unknown>> {
    return this.#leaves.golden.metadata.config
  }

  /** The key of a tensor of this case, or of one that the whole file shares. */
  #key(kind: Given | 'out', name: string): string {
    const own = `${kind}.${this.#prefix}${name}`
    return this.#leaves.golden.tensors.has(own) ? own : `${kind}.${name}`
  }

  /** An input as a tensor. @throws when the golden has none of this name */
  in(name: string): Tensor {
    return this.#leaves.tensor(this.#key('in', name))
  }

  /** A parameter as a tensor. @throws when the golden has none of this name */
  param(name: string): Tensor {
    return this.#leaves.tensor(this.#key('param', name))
  }

  /** The official state dict: every parameter of this case by its official key. */
  state(): Map<string, HostTensor> {
    return new Map(this.names('param').map(name => [name, this.value('param', name)]))
  }

  /**
   * Compares the gradients of official parameters with those of a model that was loaded from {@link state}.
   * @param officialKey gives the official key of each variable by its path in the model; undefined for one that has none. Default: the path
   */
  bindParameters(model: Module, officialKey: (path: string) => string | undefined = path => path): void {
    for (const [path, variable] of namedVariables(model)) {
      const key = officialKey(path)
      if (key !== undefined) this.bindParameter(key, variable)
    }
  }

  /** Compares the gradient of one official parameter with that of `tensor`, which holds its value in the same layout. */
  bindParameter(officialKey: string, tensor: Tensor): void {
    this.#leaves.bound.set(this.#key('param', officialKey), tensor)
  }

  has(kind: Given | 'out', name: string): boolean {
    return this.#leaves.golden.tensors.has(this.#key(kind, name))
  }

  /** An input or parameter as a host value, where its numbers decide shapes. */
  value(kind: Given, name: string): HostTensor {
    return this.#leaves.value(this.#key(kind, name))
  }

  /** Names of this case's inputs, parameters or expected outputs. */
  names(kind: Given | 'out'): string[] {
    const start = `${kind}.${this.#prefix}`
    return [...this.#leaves.golden.tensors.keys()]
      .filter(key => key.startsWith(start))
      .map(key => key.slice(start.length))
  }

  /** Shape an output has in the golden: what the reference was asked for where no option names it. */
  outputShape(name: string): readonly number[] {
    const key = name === '' ? `out.${this.#prefix.slice(0, -1)}` : `out.${this.#prefix}${name}`
    return this.#leaves.value(key).shape
  }
}

/** The placeholders of a golden, made when first asked for. */
export class Leaves {
  readonly made = new Map<string, Tensor>()
  /** Tensors of a loaded model that stand for parameters of the golden. */
  readonly bound = new Map<string, Tensor>()
  constructor(readonly golden: Golden) {}

  value(key: string): HostTensor {
    const value = this.golden.tensors.get(key)
    if (!value) throw new Error(`golden ${this.golden.name} has no tensor '${key}'`)
    return value
  }

  tensor(key: string): Tensor {
    let leaf = this.made.get(key)
    if (!leaf) {
      const { shape, dtype } = this.value(key)
      leaf = placeholder(key, shape, dtype)
      this.made.set(key, leaf)
    }
    return leaf
  }
}

export type CaseBuilder = (c: GoldenCase, match: RegExpMatchArray) => Outputs | Promise<Outputs>

/** How to reproduce the cases of a golden: the first pattern that matches a case's name builds it. */
export interface CaseTable {
  readonly cases: readonly (readonly [pattern: RegExp, build: CaseBuilder])[]
}

/** Reads a golden from the bytes of its file. @throws one line when it is not one */
export function readGolden(bytes: Uint8Array, name: string): Golden {
  const { tensors, metadata } = readSafetensors(bytes, name)
  let parsed: Partial<GoldenMetadata>
  try {
    parsed = JSON.parse(metadata.golden ?? '')
  } catch {
    throw new Error(`${name}: no golden: the metadata key 'golden' is missing or is not JSON`)
  }
  if (typeof parsed.system !== 'string') throw new Error(`${name}: the golden does not name its system`)
  return { name, metadata: { system: parsed.system, what: parsed.what ?? '', config: parsed.config ?? {} }, tensors }
}

/**
 * Splits a golden of many independent cases: a tensor `out.<case>.<name>` belongs to the case that a pattern of the table
 * matches; case names may hold dots, so the longest matching prefix wins. `out.<case>` alone is the case's output ''.
 */
export function casesOf(
  golden: Golden,
  table: CaseTable,
): { name: string; build: CaseBuilder; match: RegExpMatchArray }[] {
  const found = new Map<string, { name: string; build: CaseBuilder; match: RegExpMatchArray }>()
  for (const key of golden.tensors.keys()) {
    if (!key.startsWith('out.')) continue
    const path = key.slice(4).split('.')
    for (let length = path.length; length >= 1; length--) {
      const name = path.slice(0, length).join('.')
      const hit = matchCase(table, name)
      if (!hit) continue
      if (!found.has(name)) found.set(name, { name, ...hit })
      break
    }
  }
  return [...found.values()]
}

function matchCase(table: CaseTable, name: string): { build: CaseBuilder; match: RegExpMatchArray } | undefined {
  for (const [pattern, build] of table.cases) {
    const match = name.match(pattern)
    if (match && match[0] === name) return { build, match }
  }
  return undefined
}
