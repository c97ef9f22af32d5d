import { interpret } from '../interpret.ts'
import type { Primitive, Reference, Spec } from '../primitive.ts'
import { sizeOf } from '../shape.ts'
import { simplify } from '../simplify.ts'
import { applyMany, type Node, type Tensor } from '../tensor.ts'
import { LoopBody, reachable } from './scan-body.ts'
import { scanGradient } from './scan-gradient.ts'
import { lowerScan } from './scan-lowering.ts'

/**
 * Inputs of the node: first values of the carries, sequences, captured tensors. The body's inputs stand for the carries, one
 * slice of each sequence, and the captured tensors. Outputs: the last carries, then one stack (along axis 0) for each
 * further output of the body.
 */
export interface ScanAttributes {
  readonly body: LoopBody
  readonly carries: number
  /** The axis of each sequence that is walked along. */
  readonly axes: readonly number[]
  readonly length: number
  /** From the last slice to the first. Stacks keep the order of the slices. */
  readonly reverse: boolean
}

export const carriesOf = <T>(list: readonly T[], { carries }: ScanAttributes): readonly T[] => list.slice(0, carries)
export const slicesOf = <T>(list: readonly T[], { carries, axes }: ScanAttributes): readonly T[] =>
  list.slice(carries, carries + axes.length)
export const capturesOf = <T>(list: readonly T[], { carries, axes }: ScanAttributes): readonly T[] =>
  list.slice(carries + axes.length)

export const scanPrimitive: Primitive<ScanAttributes> = {
  name: 'scan',
  shape: (inputs, attributes) => {
    const { body, carries, length } = attributes
    return body.outputs.map(
      ({ shape, dtype }, i): Spec =>
        i < carries ? { shape: inputs[i].shape, dtype } : { shape: [length, ...shape], dtype },
    )
  },
  vjp: (node, cotangents) => scanGradient(node, cotangents),
  lower: (to, inputs, node) => lowerScan(to, inputs, node),
  evaluate: (inputs, attributes, specs) => evaluateScan(inputs, attributes, specs),
  prune: (node, used) => pruneScan(node, used),
}

function evaluateScan(
  inputs: readonly Reference[],
  attributes: ScanAttributes,
  specs: readonly Spec[],
): Float64Array[] {
  const { body, carries, length, reverse, axes } = attributes
  const results = specs.map(({ shape }) => new Float64Array(sizeOf(shape)))
  let state = carriesOf(inputs, attributes).map(({ data }) => data)
  const fixed = capturesOf(inputs, attributes)
  for (let step = 0; step < length; step++) {
    const place = reverse ? length - 1 - step : step
    const slices = slicesOf(inputs, attributes).map((sequence, s) => sliceOf(sequence, axes[s], place))
    const values = [...state, ...slices, ...fixed.map(({ data }) => data)]
    const outputs = interpret(body.outputs, new Map(body.inputs.map((input, i) => [input, values[i]])))
    state = outputs.slice(0, carries).map(({ data }) => data)
    outputs.slice(carries).forEach(({ data }, j) => {
      results[carries + j].set(data, place * data.length)
    })
  }
  state.forEach((data, i) => {
    results[i].set(data)
  })
  return results
}

function sliceOf({ data, shape }: Reference, axis: number, place: number): Float64Array {
  const inner = sizeOf(shape.slice(axis + 1))
  const outer = sizeOf(shape.slice(0, axis))
  const slice = new Float64Array(outer * inner)
  for (let o = 0; o < outer; o++) {
    const start = (o * shape[axis] + place) * inner
    slice.set(data.subarray(start, start + inner), o * inner)
  }
  return slice
}

/** Leaves out stacks that nobody reads, then carries and inputs that nothing else depends on. */
function pruneScan(node: Node<ScanAttributes>, used: readonly boolean[]): (Tensor | undefined)[] | undefined {
  const { attributes } = node
  const { body, carries } = attributes
  const stacks = body.outputs.map((_, i) => i).filter(i => i >= carries && used[i])
  const keptCarries = new Set(body.outputs.map((_, i) => i).filter(i => i < carries && used[i]))
  const kept = (): number[] => [...[...keptCarries].sort((a, b) => a - b), ...stacks]
  let needed = reachable(kept().map(i => body.outputs[i]))
  for (let before = -1; before !== keptCarries.size; ) {
    before = keptCarries.size
    for (let i = 0; i < carries; i++) if (needed.has(body.inputs[i].node)) keptCarries.add(i)
    needed = reachable(kept().map(i => body.outputs[i]))
  }
  const outputs = kept()
  const inputs = body.inputs
    .map((_, i) => i)
    .filter(i => (i < carries ? keptCarries.has(i) : needed.has(body.inputs[i].node)))
  if (outputs.length === body.outputs.length && inputs.length === body.inputs.length) return undefined
  const smaller = applyMany(
    scanPrimitive,
    inputs.map(i => node.inputs[i]),
    {
      ...attributes,
      body: new LoopBody(
        inputs.map(i => body.inputs[i]),
        simplify(outputs.map(i => body.outputs[i])),
      ),
      carries: keptCarries.size,
      axes: attributes.axes.filter((_, s) => needed.has(body.inputs[carries + s].node)),
    },
  )
  return node.outputs.map((_, i) => (outputs.includes(i) ? smaller[outputs.indexOf(i)] : undefined))
}
