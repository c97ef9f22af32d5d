import type { OnnxSubgraph } from '../primitive.ts'
import { INLINE_LIMIT, simplify, structureOf } from '../simplify.ts'
import { applyMany, constantData, type Node, placeholder, type Tensor, topologicalOrder } from '../tensor.ts'

/**
 * A traced loop body: a graph over placeholders and nothing else. The placeholders' names tell their places, so that
 * bodies of equal structure have equal keys and programs made for one serve the other.
 */
export class LoopBody implements OnnxSubgraph {
  readonly #structureKey: () => string
  #key: string | undefined

  constructor(
    readonly inputs: readonly Tensor[],
    readonly outputs: readonly Tensor[],
  ) {
    this.#structureKey = () => structureOf(outputs).key
  }

  /** Equal for bodies that compute the same; read by `attributeKey`. */
  get structureKey(): string {
    this.#key ??= this.#structureKey()
    return this.#key
  }
}

/** A graph that no longer refers to anything outside itself. */
export interface Closed {
  readonly outputs: readonly Tensor[]
  /** What it read of the graph around it, and the placeholders that now stand for these tensors. */
  readonly captured: readonly Tensor[]
  readonly placeholders: readonly Tensor[]
}

/** Constants that may stay inside a body: few numbers, possibly spread over a shape. */
function isInline(t: Tensor): boolean {
  if (t.node.primitive.name === 'broadcastTo') return isInline(t.node.inputs[0])
  const data = constantData(t)
  return data !== undefined && data.length <= INLINE_LIMIT
}

/**
 * Separates a body from the graph around it. Whatever does not depend on `own` is the same in every step: it is computed
 * once, outside, and handed in through a placeholder. That goes for parameters and variables as for any tensor made of them.
 * @param own placeholders of the body, made before anything that depends on them
 */
export function close(outputs: readonly Tensor[], own: readonly Tensor[]): Closed {
  const roots = new Set(own.map(t => t.node))
  // A node older than the placeholders cannot depend on them, so the graph around the body need not be walked.
  const first = Math.min(...own.map(t => t.node.id))
  const varying = new Set<Node>()
  const order = topologicalOrder(outputs, node => node.id < first)
  for (const node of order) if (roots.has(node) || node.inputs.some(input => varying.has(input.node))) varying.add(node)

  const replaced = new Map<Tensor, Tensor>()
  const captured: Tensor[] = []
  const placeholders: Tensor[] = []
  const inside = (t: Tensor): Tensor => {
    const known = replaced.get(t)
    if (known) return known
    if (varying.has(t.node) || isInline(t)) return t
    const standIn = placeholder(`capture${captured.length}`, t.shape, t.dtype)
    captured.push(t)
    placeholders.push(standIn)
    replaced.set(t, standIn)
    return standIn
  }
  for (const node of order) {
    if (!varying.has(node) || node.inputs.length === 0) continue
    const inputs = node.inputs.map(inside)
    if (inputs.every((input, i) => input === node.inputs[i])) continue
    applyMany(node.primitive, inputs, node.attributes).forEach((t, i) => {
      replaced.set(node.outputs[i], t)
    })
  }
  return { outputs: simplify(outputs.map(inside), { prune: false }), captured, placeholders }
}

/** The leaves and nodes that `outputs` depend on. */
export const reachable = (outputs: readonly Tensor[]): Set<Node> => new Set(topologicalOrder(outputs))
