import type { Shape } from '../shape.ts'
import { applyMany, type Node, placeholder, type Tensor, topologicalOrder } from '../tensor.ts'
import { add } from './elementwise.ts'
import { moveAxis, reshape, transpose, zeros } from './layout.ts'
import { matmul } from './matmul.ts'
import { sum } from './reduce.ts'
import { type Closed, close, LoopBody, reachable } from './scan-body.ts'
import { type ScanAttributes, scanPrimitive } from './scan-primitive.ts'

/** A tensor that a loop walks along one of its axes. */
export interface Sequence {
  readonly tensor: Tensor
  readonly axis: number
}

/** A loop whose body has been traced over placeholders; it may still refer to tensors around it. */
export interface Loop {
  readonly initial: readonly Tensor[]
  readonly sequences: readonly Sequence[]
  readonly length: number
  readonly reverse: boolean
  /** Placeholders of the carries, named `carry0`, …, and of one slice of each sequence, named `slice0`, …. */
  readonly carries: readonly Tensor[]
  readonly slices: readonly Tensor[]
  /** What the body makes of them: the next carries, values to be stacked, and values to be added up over all steps. */
  readonly next: readonly Tensor[]
  readonly outputs: readonly Tensor[]
  readonly sums: readonly Tensor[]
}

export interface LoopResult {
  readonly carries: readonly Tensor[]
  /** One stack for each output, its first axis being the steps in the order of the sequences. */
  readonly outputs: readonly Tensor[]
  readonly sums: readonly Tensor[]
}

/** Results worth keeping for the backward pass; all else is computed again there, from the carries and slices. */
const EXPENSIVE = new Set(['matmul', 'conv', 'convTranspose', 'scan', 'solve', 'cholesky'])

/** Builds the node of a loop. */
export function runLoop(loop: Loop): LoopResult {
  const { next, outputs, sums } = loop
  const closed = close([...next, ...outputs, ...sums], [...loop.carries, ...loop.slices])
  const nextCarries = closed.outputs.slice(0, next.length)
  const wanted = closed.outputs.slice(next.length, next.length + outputs.length)
  const stacks = new Stacks(loop)
  const places = wanted.map(t => stacks.add(t))
  const totals = closed.outputs.slice(next.length + outputs.length).map(t => new Total(t, stacks))
  const accumulated = totals.flatMap(total => total.rest ?? [])
  const accumulators = accumulated.map((t, i) => placeholder(`sum${i}`, t.shape, t.dtype))
  saveForBackward(loop.carries, [...nextCarries, ...accumulated], stacks)

  const bodyOutputs = [...nextCarries, ...accumulated.map((t, i) => add(accumulators[i], t)), ...stacks.list]
  const node = buildNode(loop, closed, accumulators, bodyOutputs)
  const first = next.length + accumulators.length
  const stacked = (place: number): Tensor => node.outputs[first + place]
  let accumulator = next.length
  return {
    carries: node.outputs.slice(0, next.length),
    outputs: places.map(stacked),
    sums: totals.map(total => total.value(stacked, total.rest && node.outputs[accumulator++])),
  }
}

function buildNode(
  loop: Loop,
  closed: Closed,
  accumulators: readonly Tensor[],
  outputs: readonly Tensor[],
): Node<ScanAttributes> {
  const read = reachable(outputs)
  const sequences = loop.sequences.filter((_, i) => read.has(loop.slices[i].node))
  const captured = closed.captured.filter((_, i) => read.has(closed.placeholders[i].node))
  const carries = [...loop.carries, ...accumulators]
  const body = new LoopBody(
    [...carries, ...[...loop.slices, ...closed.placeholders].filter(t => read.has(t.node))],
    outputs,
  )
  const inputs = [
    ...loop.initial,
    ...accumulators.map(({ shape, dtype }) => zeros(shape, dtype)),
    ...sequences.map(({ tensor }) => tensor),
    ...captured,
  ]
  const made = applyMany(scanPrimitive, inputs, {
    body,
    carries: carries.length,
    axes: sequences.map(({ axis }) => axis),
    length: loop.length,
    reverse: loop.reverse,
  })
  return made[0].node as unknown as Node<ScanAttributes>
}

/** The values of a body that are stacked over the steps, each only once. */
class Stacks {
  readonly list: Tensor[] = []
  constructor(readonly loop: Loop) {}

  add(t: Tensor): number {
    const known = this.list.indexOf(t)
    return known < 0 ? this.list.push(t) - 1 : known
  }
  has(t: Tensor): boolean {
    return this.list.includes(t) || this.loop.slices.includes(t)
  }
  /** Where the values of `t` in all steps are found after the loop: [steps, ...]. */
  reader(t: Tensor): (stacked: (place: number) => Tensor) => Tensor {
    const slice = this.loop.slices.indexOf(t)
    if (slice >= 0) {
      const { tensor, axis } = this.loop.sequences[slice]
      return () => moveAxis(tensor, axis, 0)
    }
    const place = this.add(t)
    return stacked => stacked(place)
  }
}

/** Each step's incoming carries and the results of products: what the body of the backward loop starts from. */
function saveForBackward(carries: readonly Tensor[], results: readonly Tensor[], stacks: Stacks): void {
  const order = topologicalOrder([...results, ...stacks.list])
  const read = new Set(order)
  for (const carry of carries) if (read.has(carry.node)) stacks.add(carry)
  for (const node of order)
    if (EXPENSIVE.has(node.primitive.name)) for (const output of node.outputs) stacks.add(output)
}

type Late = (stacked: (place: number) => Tensor) => Tensor

/**
 * A value added up over all steps. Where a term is a matrix product, the sum of the products of all steps is one product
 * of the stacked factors: much less work than adding a weight's gradient to an accumulator in every step.
 */
class Total {
  readonly #late: Late[] = []
  /** What is left to be accumulated step by step. */
  readonly rest: Tensor | undefined

  constructor(
    readonly each: Tensor,
    stacks: Stacks,
  ) {
    const varying = reachable([...stacks.loop.carries, ...stacks.loop.slices])
    const depends = (t: Tensor): boolean => topologicalOrder([t]).some(node => varying.has(node))
    const left: Tensor[] = []
    for (const term of termsOf(each)) {
      const late = isMatrixProduct(term) && term.node.inputs.every(depends) ? lateProduct(term, stacks) : undefined
      if (late) this.#late.push(late)
      else left.push(term)
    }
    const kept = left.filter(term => {
      const late = lateSum(term, stacks)
      if (late) this.#late.push(late)
      return !late
    })
    this.rest = kept.length ? kept.reduce((a, b) => add(a, b)) : undefined
  }

  value(stacked: (place: number) => Tensor, accumulated: Tensor | undefined): Tensor {
    const parts = this.#late.map(late => late(stacked))
    return [...parts, ...(accumulated ? [accumulated] : [])].reduce((a, b) => add(a, b))
  }
}

const sameSize = (a: Shape, b: Shape): boolean => a.length === b.length && a.every((dim, i) => dim === b[i])

/** The tensors of the same shape that `t` is a plain sum of. */
function termsOf(t: Tensor): Tensor[] {
  const { primitive, inputs } = t.node
  if (primitive.name !== 'add' || !inputs.every(input => sameSize(input.shape, t.shape))) return [t]
  return inputs.flatMap(termsOf)
}

const isMatrixProduct = (t: Tensor): boolean =>
  t.node.primitive.name === 'matmul' && t.node.inputs.every(input => input.rank === 2)

function lateProduct(term: Tensor, stacks: Stacks): Late {
  const [left, right] = term.node.inputs.map(input => stacks.reader(input))
  const { transposeA, transposeB } = term.node.attributes as { transposeA: boolean; transposeB: boolean }
  // The axis that is summed over takes in the steps.
  const wide = (t: Tensor, summedFirst: boolean): Tensor =>
    summedFirst
      ? reshape(t, [t.shape[0] * t.shape[1], t.shape[2]])
      : reshape(transpose(t, [1, 0, 2]), [t.shape[1], t.shape[0] * t.shape[2]])
  return stacked =>
    matmul(wide(left(stacked), transposeA), wide(right(stacked), !transposeB), { transposeA, transposeB })
}

/** A sum, or a value as it is, of something that is stacked anyway. */
function lateSum(term: Tensor, stacks: Stacks): Late | undefined {
  if (stacks.has(term)) {
    const all = stacks.reader(term)
    return stacked => sum(all(stacked), 0)
  }
  // A sum down to a smaller shape comes with a reshape that drops the axes of size 1.
  const reduction = term.node.primitive.name === 'reshape' ? term.node.inputs[0].node : term.node
  const [x] = reduction.inputs
  if (reduction.primitive.name !== 'sum' || !stacks.has(x)) return undefined
  const { axes } = reduction.attributes as { axes: readonly number[] }
  const all = stacks.reader(x)
  return stacked => reshape(sum(all(stacked), [0, ...axes.map(axis => axis + 1)]), term.shape)
}

/** The same walk over the tensor that `tensor` is a transpose of, where that only moves the axis. */
export function beforeTranspose({ tensor, axis }: Sequence): Sequence {
  if (tensor.node.primitive.name !== 'transpose') return { tensor, axis }
  const { permutation } = tensor.node.attributes as { permutation: readonly number[] }
  const others = permutation.filter((_, i) => i !== axis)
  return others.every((from, i) => i === 0 || from > others[i - 1])
    ? beforeTranspose({ tensor: tensor.node.inputs[0], axis: permutation[axis] })
    : { tensor, axis }
}
