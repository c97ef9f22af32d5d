import { constant, type Tensor } from '../../tensor.ts'
import { foldConstants, hostNumbers } from './fold.ts'
import type { Known, Value } from './known.ts'
import type { NodeOutputs, NodeReader, OperatorReader } from './node-reader.ts'

/**
 * Operators that are linear in these inputs, so that `fixed + batch * N` goes through them as two plain evaluations.
 * All other inputs (indices, axes, a condition) must be free of the batch.
 */
const linear: Readonly<Record<string, 'all' | readonly number[]>> = {
  Add: 'all',
  Cast: [0],
  Concat: 'all',
  Expand: [0],
  Flatten: [0],
  Gather: [0],
  GatherElements: [0],
  GatherND: [0],
  Identity: [0],
  Neg: [0],
  ReduceSum: [0],
  Reshape: [0],
  ScatterElements: [0, 2],
  ScatterND: [0, 2],
  Slice: [0],
  Split: [0],
  Squeeze: [0],
  Sub: 'all',
  Sum: 'all',
  Tile: [0],
  Transpose: [0],
  Unsqueeze: [0],
  Where: [1, 2],
}

interface Parts {
  readonly fixed: Tensor
  readonly batch: Tensor
}

const asConstant = (values: readonly number[], like: Tensor): Tensor => {
  const data =
    like.dtype === 'i64'
      ? BigInt64Array.from(values, value => BigInt(Math.trunc(value)))
      : like.dtype === 'i32'
        ? Int32Array.from(values)
        : Float32Array.from(values)
  return constant(data, like.shape, like.dtype)
}

/** Evaluates the node over constants; undefined where that does not come out as numbers. */
function evaluate(read: OperatorReader, node: NodeReader, inputs: readonly (Tensor | undefined)[]): number[][] {
  const made = read(node.over(inputs.map(tensor => tensor && { tensor })))
  return tensorsOf(made).map(output => [...(output && hostNumbers(foldConstants([], [output])[0])!)])
}

const tensorsOf = (outputs: NodeOutputs): Tensor[] =>
  (Array.isArray(outputs) ? outputs : [outputs]).map(output => ('tensor' in output ? output.tensor : output))

/**
 * What a node makes of numbers that depend on the symbolic batch.
 * @returns known outputs, or undefined where this operator leaves the form `fixed + batch * N`
 */
export function propagate(read: OperatorReader, node: NodeReader, outputs: readonly Tensor[]): Known[] | undefined {
  if (outputs.some(({ dtype }) => dtype === 'bool' || dtype === 'u8') && node.op !== 'Equal') return undefined
  if (!node.values.every((value, i) => value === undefined || value.known || node.isKnown(i))) return undefined
  const parts = node.values.map((value, i): Parts | undefined => {
    if (!value) return undefined
    const known = node.known(i)
    return { fixed: asConstant(known.fixed, value.tensor), batch: asConstant(known.batch, value.tensor) }
  })
  const free = (i: number): boolean => !node.values[i]?.known
  const along = linear[node.op]
  if (along) {
    const carries = (i: number): boolean => along === 'all' || along.includes(i)
    if (node.values.some((_, i) => !carries(i) && !free(i))) return undefined
    const fixed = evaluate(
      read,
      node,
      parts.map(part => part?.fixed),
    )
    const batch = evaluate(
      read,
      node,
      parts.map((part, i) => (carries(i) ? part?.batch : part?.fixed)),
    )
    return outputs.map(({ shape }, i) => ({ shape, fixed: fixed[i], batch: batch[i] }))
  }
  if (parts.length < 2 || !parts[0] || !parts[1]) return undefined
  const combine = (a: Tensor, b: Tensor): number[] => evaluate(read, node, [a, b])[0]
  const known = arithmetic(node.op, parts[0], parts[1], combine, free(1))
  return known && [{ shape: outputs[0].shape, ...known }]
}

function arithmetic(
  op: string,
  a: Parts,
  b: Parts,
  combine: (a: Tensor, b: Tensor) => number[],
  divisorIsFree: boolean,
): Omit<Known, 'shape'> | undefined {
  if (op === 'Mul') {
    if (combine(a.batch, b.batch).some(value => value !== 0)) return undefined
    const cross = combine(a.batch, b.fixed)
    return {
      fixed: combine(a.fixed, b.fixed),
      batch: combine(a.fixed, b.batch).map((value, i) => value + cross[i]),
    }
  }
  if (op === 'Div' && divisorIsFree) return divide(a, b)
  if (op === 'Equal') return compare(a, b)
  return undefined
}

/** Division of every entry by one number that divides it exactly. */
function divide(a: Parts, b: Parts): Omit<Known, 'shape'> | undefined {
  const divisors = hostNumbers(b.fixed)!
  const divisor = divisors[0]
  if (divisors.length !== 1 || divisor === 0) return undefined
  const over = (t: Tensor): number[] => [...hostNumbers(t)!].map(value => value / divisor)
  const known = { fixed: over(a.fixed), batch: over(a.batch) }
  return known.fixed.every(Number.isInteger) && known.batch.every(Number.isInteger) ? known : undefined
}

/** Equality that holds for every batch, or for none: a size is never negative, so the batch is no -1. */
function compare(a: Parts, b: Parts): Omit<Known, 'shape'> | undefined {
  const [aFixed, bFixed, aBatch, bBatch] = [a.fixed, b.fixed, a.batch, b.batch].map(t => hostNumbers(t)!)
  const length = Math.max(aFixed.length, bFixed.length)
  const fixed: number[] = []
  for (let k = 0; k < length; k++) {
    const i = aFixed.length === 1 ? 0 : k
    const j = bFixed.length === 1 ? 0 : k
    const slope = aBatch[i] - bBatch[j]
    const gap = bFixed[j] - aFixed[i]
    // slope * N = gap has no solution N >= 1 when the signs differ.
    if (slope !== 0 && gap !== 0 && gap > 0 === slope > 0) return undefined
    fixed.push(Number(slope === 0 && gap === 0))
  }
  return { fixed, batch: fixed.map(() => 0) }
}

/** Known outputs as values: those free of the batch become constants. */
export function knownValues(tensors: readonly Tensor[], known: readonly Known[] | undefined): Value[] {
  return tensors.map((tensor, i): Value => {
    const own = known?.[i]
    if (!own || own.fixed.length !== own.batch.length) return { tensor }
    if (own.batch.some(count => count !== 0)) return { tensor, known: own }
    if (tensor.dtype === 'bool') return { tensor: constant(Uint8Array.from(own.fixed), tensor.shape, 'bool') }
    return { tensor: asConstant(own.fixed, tensor) }
  })
}
