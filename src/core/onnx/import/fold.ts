import { allocate, type DType, fromNumbers, type HostData, toNumbers } from '../../dtype.ts'
import { interpret } from '../../interpret.ts'
import { formatShape, isSymbolic, sizeOf } from '../../shape.ts'
import { constant, constantData, type Node, type Tensor, topologicalOrder } from '../../tensor.ts'
import { MAX_ELEMENTS } from './tensor-data.ts'

/** Constants of more elements are left to the runtime. */
const FOLD_LIMIT = 2 ** 14
/** Steps that working out one value on the host may take in all: some seconds, whatever a file asks for. */
const WORK_LIMIT = 2 ** 26

/** Primitives that read each input more than a few times. */
const heavy =
  /^(matmul|conv|scan|resize|averagePool|maxPool|topK|segment|cholesky|triangularSolve|qr|svd|eigh|inverse|signedLogDeterminant)/

const INT64_MAX = 2n ** 63n - 1n

/** Numbers as a typed array; what does not fit into 64 bits takes the nearest value that does. */
function toHost(dtype: DType, values: Float64Array): HostData {
  if (dtype !== 'i64') return fromNumbers(dtype, values)
  const out = allocate('i64', values.length) as BigInt64Array
  values.forEach((value, i) => {
    if (Math.abs(value) < 2 ** 63) out[i] = BigInt(Math.trunc(value))
    else out[i] = value > 0 ? INT64_MAX : -INT64_MAX - 1n
  })
  return out
}

const free = new WeakMap<Node, boolean>()

/** Whether nothing given at run time enters a node. Remembered, so that a growing graph is walked once. */
function isFree(node: Node): boolean {
  for (const each of topologicalOrder([node.outputs[0]], known => free.has(known)))
    if (!free.has(each))
      free.set(each, each.primitive.name !== 'placeholder' && each.inputs.every(input => free.get(input.node)))
  return free.get(node)!
}

const numbers = new WeakMap<Tensor, Float64Array | null>()

/** The numbers of a tensor that depends on constants and on the present values of variables only, else undefined. */
export function hostNumbers(t: Tensor): Float64Array | undefined {
  const data = constantData(t)
  if (data) return toNumbers(t.dtype, data)
  const known = numbers.get(t)
  if (known !== undefined) return known ?? undefined
  const possible = !isSymbolic(t.shape) && isFree(t.node) && workOf(topologicalOrder([t])) <= WORK_LIMIT
  const value = possible ? interpret([t])[0].data : null
  numbers.set(t, value)
  return value ?? undefined
}

const sizesOf = (tensors: readonly Tensor[]): number => tensors.reduce((sum, t) => sum + Math.abs(t.size), 0)

function workOf(order: readonly Node[]): number {
  return order.reduce((sum, { primitive, inputs, outputs }) => {
    const [read, made] = [sizesOf(inputs), sizesOf(outputs)]
    return sum + (heavy.test(primitive.name) ? read * made : read + made)
  }, 0)
}

/** Replaces tensors made of constants by their values, so that what is left of shape arithmetic is numbers. */
export function foldConstants(inputs: readonly Tensor[], outputs: readonly Tensor[]): Tensor[] {
  const total = inputs.reduce((sum, t) => sum + sizeOf(t.shape), 0)
  const foldable = total <= FOLD_LIMIT && inputs.every(t => constantData(t) !== undefined)
  return outputs.map(output => {
    if (!foldable || constantData(output) || isSymbolic(output.shape) || output.size > FOLD_LIMIT) return output
    const order = topologicalOrder([output])
    if (workOf(order) > WORK_LIMIT) return output
    if (order.some(node => node.inputs.length === 0 && node.primitive.name !== 'constant')) return output
    return constant(toHost(output.dtype, interpret([output])[0].data), output.shape, output.dtype)
  })
}

/** Throws where a tensor would hold more numbers than any machine that runs it. */
export function requireReasonableSize(t: Tensor): void {
  if (Math.abs(t.size) > MAX_ELEMENTS || t.shape.some(dim => !Number.isSafeInteger(dim)))
    throw new Error(`its output ${formatShape(t.shape)} would have more than 2^31 elements`)
}
