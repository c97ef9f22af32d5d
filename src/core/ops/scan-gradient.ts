import { vjp } from '../autodiff.ts'
import { isFloat } from '../dtype.ts'
import { type Node, placeholder, substitute, type Tensor } from '../tensor.ts'
import { uniformValue } from './elementwise.ts'
import { moveAxis, zerosLike } from './layout.ts'
import { reachable } from './scan-body.ts'
import { beforeTranspose, runLoop, type Sequence } from './scan-loop.ts'
import { capturesOf, carriesOf, type ScanAttributes, slicesOf } from './scan-primitive.ts'

/**
 * The backward pass of a loop is a loop from the other end. Its carries are the cotangents of the carries; its body is the
 * vjp of the body, over the carries that each step of the forward loop started from. As that is a loop like any other,
 * it can be differentiated again.
 */
export function scanGradient(
  node: Node<ScanAttributes>,
  cotangents: readonly (Tensor | undefined)[],
): (Tensor | undefined)[] {
  const { attributes } = node
  const { body, carries: count, axes, length, reverse } = attributes
  const given = body.outputs.map((_, i) => i).filter(i => i >= count && cotangents[i] && isFloat(body.outputs[i].dtype))
  const live = liveCarries(node, cotangents, given)
  const carryInputs = live.map(i => body.inputs[i])
  const carries = carryInputs.map(({ shape, dtype }, i) => placeholder(`carry${i}`, shape, dtype))

  const slices: Tensor[] = []
  const sequences: Sequence[] = []
  /** Walks along a tensor, with a placeholder for the slice that stands for `each`. */
  const walk = (tensor: Tensor, axis: number, { shape, dtype }: Tensor): Tensor => {
    const slice = placeholder(`slice${slices.length}`, shape, dtype)
    slices.push(slice)
    sequences.push(beforeTranspose({ tensor, axis }))
    return slice
  }
  const received = given.map(i => walk(cotangents[i]!, 0, body.outputs[i]))
  const sliceInputs = slicesOf(body.inputs, attributes)
  const captureInputs = capturesOf(body.inputs, attributes)
  const from: Tensor[] = [...sliceInputs, ...captureInputs]
  const to: Tensor[] = [
    ...slicesOf(node.inputs, attributes).map((tensor, s) => walk(tensor, axes[s], sliceInputs[s])),
    ...capturesOf(node.inputs, attributes),
  ]
  // Everything that the forward loop has stacked need not be computed again.
  body.outputs.forEach((t, i) => {
    if (i < count || from.includes(t)) return
    from.push(t)
    to.push(walk(node.outputs[i], 0, t))
  })

  const wanted = [...carryInputs, ...[...sliceInputs, ...captureInputs].filter(({ dtype }) => isFloat(dtype))]
  const results = [...live, ...given].map(i => body.outputs[i])
  const pulled = vjp(results, wanted, [...carries, ...received])
  const read = reachable(pulled)
  if (carriesOf(body.inputs, attributes).some(carry => read.has(carry.node) && !from.includes(carry)))
    throw new Error('scan: a simplified loop no longer keeps what its gradient needs; differentiate before simplifying')
  const moved = substitute(pulled, from, to)
  const pullbackOf = new Map(wanted.map((input, i) => [input, uniformValue(pulled[i]) === 0 ? undefined : moved[i]]))
  const sliceResults = sliceInputs.filter(input => pullbackOf.get(input))
  const captureResults = captureInputs.filter(input => pullbackOf.get(input))
  const backward = runLoop({
    initial: live.map(i => cotangents[i] ?? zerosLike(node.outputs[i])),
    sequences,
    length,
    reverse: !reverse,
    carries,
    slices,
    next: moved.slice(0, live.length),
    outputs: sliceResults.map(input => pullbackOf.get(input)!),
    sums: captureResults.map(input => pullbackOf.get(input)!),
  })
  const gradients = new Map<Tensor, Tensor>([
    ...carryInputs.map((input, i): [Tensor, Tensor] => [input, backward.carries[i]]),
    ...sliceResults.map((input, i): [Tensor, Tensor] => [
      input,
      moveAxis(backward.outputs[i], 0, axes[sliceInputs.indexOf(input)]),
    ]),
    ...captureResults.map((input, i): [Tensor, Tensor] => [input, backward.sums[i]]),
  ])
  return body.inputs.map(input => gradients.get(input))
}

/** The carries that a cotangent can reach: through their last values, a stack, or another such carry. */
function liveCarries(
  node: Node<ScanAttributes>,
  cotangents: readonly (Tensor | undefined)[],
  given: readonly number[],
): number[] {
  const { body, carries } = node.attributes
  const reads = body.outputs.map(output => reachable([output]))
  const floats = carriesOf(body.inputs, node.attributes).map(({ dtype }) => isFloat(dtype))
  const live = new Set(floats.map((_, i) => i).filter(i => floats[i] && cotangents[i]))
  for (let before = -1; before !== live.size; ) {
    before = live.size
    for (let i = 0; i < carries; i++)
      if (floats[i] && [...given, ...live].some(output => reads[output].has(body.inputs[i].node))) live.add(i)
  }
  return [...live].sort((a, b) => a - b)
}
