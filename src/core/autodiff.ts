import { isFloat } from './dtype.ts'
import { add, and, isNan, mul, not } from './ops/elementwise.ts'
import { at, full, type Index, zeros, zerosLike } from './ops/layout.ts'
import { stopGradient, sum } from './ops/reduce.ts'
import type { Primitive, Spec } from './primitive.ts'
import { formatShape, sameShape } from './shape.ts'
import { apply, applyMany, type Node, substitute, type Tensor, topologicalOrder } from './tensor.ts'

/** Nodes on a path from any of `sources` to any of `outputs`. */
function dependents(order: readonly Node[], sources: readonly Tensor[]): Set<Node> {
  const roots = new Set(sources.map(t => t.node))
  const found = new Set<Node>()
  for (const node of order) if (roots.has(node) || node.inputs.some(input => found.has(input.node))) found.add(node)
  return found
}

/**
 * Vector-Jacobian product: the cotangents of `inputs` given those of `outputs`, as tensors of the same graph.
 * `inputs` may be leaves or any intermediate tensors; the result can be differentiated again.
 * @param cotangents one for each output, of its shape; `undefined` counts as zero
 * @returns one for each input; zeros where the outputs do not depend on it
 * @throws when a primitive on the way has no gradient, naming it
 */
export function vjp(
  outputs: readonly Tensor[],
  inputs: readonly Tensor[],
  cotangents: readonly (Tensor | undefined)[],
): Tensor[] {
  const order = topologicalOrder(outputs)
  const active = dependents(order, inputs)
  const sources = new Set(inputs)
  const found = new Map<Tensor, Tensor>()
  const accumulate = (t: Tensor, cotangent: Tensor): void => {
    const before = found.get(t)
    found.set(t, before ? add(before, cotangent) : cotangent)
  }
  outputs.forEach((output, i) => {
    const cotangent = cotangents[i]
    if (!cotangent) return
    if (!sameShape(cotangent.shape, output.shape))
      throw new Error(
        `vjp: the cotangent is ${formatShape(cotangent.shape)} but the output is ${formatShape(output.shape)}`,
      )
    accumulate(output, cotangent)
  })
  for (let i = order.length - 1; i >= 0; i--) {
    const node = order[i]
    if (!active.has(node) || node.inputs.length === 0) continue
    const received = node.outputs.map(output => found.get(output))
    if (received.every(cotangent => cotangent === undefined)) continue
    if (!node.inputs.some(input => active.has(input.node) && isFloat(input.dtype))) continue
    propagate(node, received, active, accumulate)
    // What is not asked for can be forgotten: only `inputs` keep their cotangents.
    for (const output of node.outputs) if (!sources.has(output)) found.delete(output)
  }
  return inputs.map(input => found.get(input) ?? zerosLike(input))
}

function propagate(
  node: Node,
  received: (Tensor | undefined)[],
  active: Set<Node>,
  accumulate: (t: Tensor, cotangent: Tensor) => void,
): void {
  // A primitive without a gradient rule is constant almost everywhere (sign, floor, comparisons, stopGradient).
  if (!node.primitive.vjp) return
  const given = node.primitive.vjp(node, received)
  node.inputs.forEach((input, i) => {
    const cotangent = given[i]
    if (!cotangent || !active.has(input.node) || !isFloat(input.dtype)) return
    if (!sameShape(cotangent.shape, input.shape))
      throw new Error(
        `${node.primitive.name}: its gradient rule gave ${formatShape(cotangent.shape)} for an input of ${formatShape(input.shape)}`,
      )
    accumulate(input, cotangent)
  })
}

/**
 * Gradients of a scalar with respect to tensors it depends on (parameters, inputs or intermediates).
 * @param loss one element
 * @returns d loss / d input for each input, of the input's shape; zeros where the loss does not depend on it
 * @throws when `loss` has more than one element
 */
export function grad(loss: Tensor, inputs: readonly Tensor[]): Tensor[] {
  if (loss.size !== 1)
    throw new Error(`grad: the loss must have one element, got ${formatShape(loss.shape)}; sum or average it first`)
  if (!isFloat(loss.dtype)) throw new Error(`grad: the loss must be a float, got ${loss.dtype}`)
  return vjp([loss], inputs, [full(loss.shape, 1, loss.dtype)])
}

/**
 * Turns a function with a scalar result into one that also gives the gradients of its first `count` arguments.
 * @param count how many leading arguments to differentiate; default: all
 */
export function valueAndGrad<A extends readonly Tensor[]>(f: (...args: A) => Tensor, count?: number) {
  return (...args: A): { value: Tensor; gradients: Tensor[] } => {
    const value = f(...args)
    return { value, gradients: grad(value, args.slice(0, count ?? args.length)) }
  }
}

/**
 * Jacobian-vector product: the change of `f` at `primals` along `tangents`, by transposing the vjp twice
 * (a vjp is linear in its cotangent, so its own vjp with respect to that cotangent is the jvp).
 */
export function jvp(
  f: (...args: Tensor[]) => Tensor,
  primals: readonly Tensor[],
  tangents: readonly Tensor[],
): { value: Tensor; tangent: Tensor } {
  if (primals.length !== tangents.length)
    throw new Error(`jvp: ${primals.length} primals but ${tangents.length} tangents`)
  const value = f(...primals)
  const seed = zeros(value.shape, value.dtype)
  // A node of its own, so that the vjp below is taken with respect to this cotangent and nothing else.
  const cotangent = apply(seedPrimitive, [seed], {})
  const pulled = vjp([value], primals, [cotangent])
  return { value, tangent: vjp(pulled, [cotangent], tangents)[0] }
}

const passThrough = (name: string): Primitive => ({
  name,
  shape: ([x]) => ({ shape: x.shape, dtype: x.dtype }),
  vjp: (_, [ct]) => [ct],
  lower: (_, [x]) => x,
  evaluate: ([x]) => x.data.slice(),
})

const seedPrimitive = passThrough('cotangentSeed')

interface CustomAttributes {
  readonly outputs: number
  readonly rule: (
    cotangents: readonly Tensor[],
    inputs: readonly Tensor[],
    outputs: readonly Tensor[],
  ) => readonly (Tensor | undefined)[]
}

/** Inputs: the outputs computed by the forward function, then its arguments. Values pass through; cotangents follow `rule`. */
const customGradientPrimitive: Primitive<CustomAttributes> = {
  name: 'customGradient',
  shape: (inputs, { outputs }) => inputs.slice(0, outputs).map(({ shape, dtype }): Spec => ({ shape, dtype })),
  vjp: (node, cotangents) => {
    const { outputs, rule } = node.attributes
    const filled = cotangents.map((ct, i) => ct ?? zerosLike(node.outputs[i]))
    const given = rule(filled, node.inputs.slice(outputs), node.outputs)
    return [...new Array<undefined>(outputs).fill(undefined), ...given]
  },
  lower: (_, inputs, node) => inputs.slice(0, node.attributes.outputs) as string[],
  evaluate: (inputs, { outputs }) => inputs.slice(0, outputs).map(input => input.data.slice()),
}

/**
 * A function with a gradient of one's own.
 * @param forward computes the output
 * @param rule cotangents of the arguments from that of the output, the arguments and the output; built of tensors, so that
 * it can be differentiated again
 */
export function customGradient(
  forward: (...args: Tensor[]) => Tensor,
  rule: (cotangent: Tensor, args: readonly Tensor[], output: Tensor) => readonly (Tensor | undefined)[],
): (...args: Tensor[]) => Tensor {
  const many = customGradients(
    (...args) => [forward(...args)],
    ([cotangent], args, [output]) => rule(cotangent, args, output),
  )
  return (...args) => many(...args)[0]
}

/**
 * {@link customGradient} for a function with several outputs.
 * @param rule cotangents of the arguments from those of the outputs (zeros where an output has none), the arguments and the
 * outputs
 */
export function customGradients(
  forward: (...args: Tensor[]) => readonly Tensor[],
  rule: CustomAttributes['rule'],
): (...args: Tensor[]) => readonly Tensor[] {
  return (...args) => {
    const computed = forward(...args)
    // The rule is the same object in every call, so that equal calls count as equal.
    return applyMany(customGradientPrimitive, [...computed, ...args], { outputs: computed.length, rule })
  }
}

/**
 * The value of `hard` with the gradient of `soft`: the straight-through estimator (Bengio et al. 2013).
 * @throws when the shapes differ
 */
export function straightThrough(hard: Tensor, soft: Tensor): Tensor {
  if (!sameShape(hard.shape, soft.shape))
    throw new Error(`straightThrough: ${formatShape(hard.shape)} and ${formatShape(soft.shape)} differ`)
  return customGradient(
    () => stopGradient(hard),
    ct => [ct],
  )(soft)
}

/** x with its gradient multiplied by `factor` on the way back: -1 is gradient reversal (Ganin & Lempitsky 2015). */
export function scaleGradient(x: Tensor, factor: number): Tensor {
  return customGradient(
    input => input,
    ct => [mul(ct, factor)],
  )(x)
}

/** Equal to its first input, but only once the second has been computed. Keeps recomputation from being merged with the original. */
const afterPrimitive: Primitive = {
  name: 'after',
  shape: ([x]) => ({ shape: x.shape, dtype: x.dtype }),
  vjp: (_, [ct]) => [ct],
  lower: (to, [x, signal], node) => {
    const { dtype } = node.inputs[0]
    return to.emit('Where', [signal, to.scalar(0, dtype), x])
  },
  evaluate: ([x]) => x.data.slice(),
}

/** A bool scalar that is always false and cannot be computed before `t`. */
function falseAfter(t: Tensor): Tensor {
  // One element serves, except along the symbolic batch, which has no known element.
  const probe = isNan(sum(at(t, ...t.shape.map((dim): Index => (dim < 0 ? null : [0, 1])))))
  return and(probe, not(probe))
}

/**
 * Calls `f` without keeping its intermediate values for the backward pass: they are computed again when it gets there
 * (Chen et al. 2016). Costs one more forward pass of `f`, saves its activations.
 * Parameters that `f` closes over get their gradients too, when they are listed in `parameters`.
 */
export function checkpoint(
  f: (...args: Tensor[]) => Tensor,
  parameters: readonly Tensor[] = [],
): (...args: Tensor[]) => Tensor {
  return (...args) => {
    const output = f(...args)
    const rule: CustomAttributes['rule'] = ([cotangent], inputs) => {
      const signal = falseAfter(cotangent)
      const again = inputs.map(input => (isFloat(input.dtype) ? apply(afterPrimitive, [input, signal], {}) : input))
      const fresh = again.slice(0, args.length)
      // Parameters are closed over, so the recomputation is rewritten to read the delayed ones. It stops at the arguments:
      // what they were computed from, perhaps with the same parameters, stays as it is.
      const [recomputed] = substitute([f(...fresh)], [...fresh, ...parameters], again)
      return vjp([recomputed], again, [cotangent])
    }
    return applyMany(customGradientPrimitive, [output, ...args, ...parameters], { outputs: 1, rule })[0]
  }
}
