import type { ConstantAttributes, Node, Tensor } from './tensor.ts'
import { applyMany, topologicalOrder, Variable } from './tensor.ts'

const identities = new WeakMap<object, number>()
let nextIdentity = 0

/** A number that is equal for the same object or function only. */
function identityOf(value: object): number {
  let id = identities.get(value)
  if (id === undefined) {
    id = nextIdentity++
    identities.set(value, id)
  }
  return id
}

const SMALL = 64

/** A string that is equal for attributes that mean the same. Large arrays and functions count as the same only when they are one object. */
export function attributeKey(value: unknown): string {
  if (ArrayBuffer.isView(value)) {
    const data = value as Float32Array
    return data.length <= SMALL
      ? `${data.constructor.name}(${Array.from(data as ArrayLike<number>, exactKey)})`
      : `#${identityOf(value)}`
  }
  if (typeof value === 'function') return `#${identityOf(value)}`
  if (typeof value === 'number') return exactKey(value)
  if (typeof value !== 'object' || value === null) return String(value)
  if (Array.isArray(value)) return value.length > 4 * SMALL ? `#${identityOf(value)}` : `[${value.map(attributeKey)}]`
  if ('structureKey' in value) return String(value.structureKey)
  if (!isPlain(value)) return `#${identityOf(value)}`
  return `{${Object.keys(value)
    .sort()
    .map(key => `${key}:${attributeKey((value as Record<string, unknown>)[key])}`)}}`
}

const exactKey = (value: number): string => (Object.is(value, -0) ? '-0' : String(value))
const isPlain = (value: object): boolean => Object.getPrototypeOf(value) === Object.prototype

const isLeaf = (node: Node): boolean => node.primitive.name === 'placeholder' || node.primitive.name === 'variable'

/**
 * An equal graph with less work: equal subexpressions are computed once, each primitive's own rewrites are applied
 * (neutral elements, transposes folded into products, reshapes merged), and what nobody needs is gone.
 * Placeholders and variables stay the same objects.
 * @param prune also drop what nodes compute beside what is read; false for a graph that is still to be differentiated,
 *   as that may read it. Default true
 * @returns for each output, the tensor that replaces it
 */
export function simplify(outputs: readonly Tensor[], { prune = true } = {}): Tensor[] {
  const pass = new Simplifier()
  return (prune ? withoutUnused(outputs) : outputs).map(output => pass.tensor(output))
}

/** The same graph in which nodes that can do so ({@link Primitive.prune}) no longer compute outputs that nobody reads. */
function withoutUnused(outputs: readonly Tensor[]): readonly Tensor[] {
  const order = topologicalOrder(outputs)
  const used = new Set(outputs)
  const smaller = new Map<Node, readonly (Tensor | undefined)[]>()
  for (let i = order.length - 1; i >= 0; i--) {
    const node = order[i]
    const reads = node.outputs.map(output => used.has(output))
    if (!reads.includes(true)) continue
    const kept = reads.includes(false) ? node.primitive.prune?.(node, reads) : undefined
    if (kept) smaller.set(node, kept)
    for (const input of kept?.find(t => t)?.node.inputs ?? node.inputs) used.add(input)
  }
  if (smaller.size === 0) return outputs
  const replaced = new Map<Tensor, Tensor>()
  const current = (t: Tensor): Tensor => replaced.get(t) ?? t
  for (const node of order) {
    const kept = smaller.get(node) ?? node.outputs
    const source = kept.find(t => t)!.node
    const inputs = source.inputs.map(current)
    if (source === node && inputs.every((input, i) => input === node.inputs[i])) continue
    const made = applyMany(source.primitive, inputs, source.attributes)
    kept.forEach((t, i) => {
      if (t) replaced.set(node.outputs[i], made[t.index])
    })
  }
  return outputs.map(current)
}

class Simplifier {
  readonly #replaced = new Map<Tensor, Tensor>()
  readonly #known = new Map<string, readonly Tensor[]>()
  readonly #ids = new Map<Node, number>()

  tensor(output: Tensor): Tensor {
    for (const node of topologicalOrder([output], node => this.#replaced.has(node.outputs[0]))) this.#visit(node)
    return this.#replaced.get(output)!
  }

  #visit(node: Node): void {
    if (this.#replaced.has(node.outputs[0])) return
    const inputs = node.inputs.map(input => this.#replaced.get(input)!)
    const results = this.#canonical(node, inputs)
    node.outputs.forEach((output, i) => {
      this.#replaced.set(output, results[i])
    })
  }

  #canonical(node: Node, inputs: readonly Tensor[]): readonly Tensor[] {
    if (isLeaf(node)) return node.outputs
    const key = this.#key(node, inputs)
    const known = this.#known.get(key)
    if (known) return known
    const same = inputs.every((input, i) => input === node.inputs[i])
    const outputs = same ? node.outputs : applyMany(node.primitive, inputs, node.attributes)
    const better = outputs.length === 1 ? node.primitive.rewrite?.(outputs[0].node) : undefined
    // A rewrite may build several nodes; they are simplified in turn.
    const results = better && better !== outputs[0] ? [this.tensor(better)] : outputs
    this.#known.set(key, results)
    return results
  }

  #key(node: Node, inputs: readonly Tensor[]): string {
    const reads = inputs.map(input => `${this.#id(input.node)}.${input.index}`)
    return `${node.primitive.name}(${reads})${attributeKey(node.attributes)}`
  }

  #id(node: Node): number {
    let id = this.#ids.get(node)
    if (id === undefined) {
      id = this.#ids.size
      this.#ids.set(node, id)
    }
    return id
  }
}

/** Constants with more elements than this are fed to a program instead of being written into it. */
export const INLINE_LIMIT = 16

/** Leaves in the order a program takes them, and a key that is equal for graphs of equal structure. */
export interface Structure {
  readonly key: string
  readonly constants: readonly Tensor[]
  readonly variables: readonly Variable[]
  /** Placeholders that must be bound. */
  readonly leaves: readonly Tensor[]
}

/** Describes a graph so that a program compiled for an equal one can be used again. */
export function structureOf(outputs: readonly Tensor[]): Structure {
  const ids = new Map<Node, number>()
  const constants: Tensor[] = []
  const variables: Variable[] = []
  const leaves: Tensor[] = []
  const lines: string[] = []
  for (const node of topologicalOrder(outputs)) {
    ids.set(node, ids.size)
    const [first] = node.outputs
    const spec = `${first.dtype}[${first.shape}]`
    if (first instanceof Variable) {
      variables.push(first)
      lines.push(`variable ${spec}`)
    } else if (isLargeConstant(node)) {
      constants.push(first)
      lines.push(`constant ${spec}`)
    } else {
      if (node.primitive.name === 'placeholder') leaves.push(first)
      lines.push(
        `${node.primitive.name}(${node.inputs.map(input => `${ids.get(input.node)}.${input.index}`)})${attributeKey(node.attributes)}${spec}`,
      )
    }
  }
  lines.push(outputs.map(output => `${ids.get(output.node)}.${output.index}`).join())
  return { key: lines.join('\n'), constants, variables, leaves }
}

export function isLargeConstant(node: Node): boolean {
  return node.primitive.name === 'constant' && (node.attributes as ConstantAttributes).data.length > INLINE_LIMIT
}
