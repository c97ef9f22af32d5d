import { broadcastShapes, normalizeAxis, requireConcrete } from '../shape.ts'
import { asTensor, type Tensor, type TensorLike } from '../tensor.ts'
import { add, mul } from './elementwise.ts'
import { broadcastTo, reshape, squeeze, zeros } from './layout.ts'
import { scan } from './scan.ts'

export interface LinearScanOptions {
  /** Axis of the steps in the common shape of `a` and `b`; default 0. */
  readonly axis?: number
  /** From the last step to the first: h_t = a_t h_{t+1} + b_t. Default false. */
  readonly reverse?: boolean
  /** h before the first step, of the shape without the axis (or one that broadcasts to it); default 0. */
  readonly initial?: TensorLike
}

/**
 * The linear recurrence h_t = a_t * h_{t-1} + b_t (elementwise): decay and input of a state-space model, an exponential
 * average with its own decay at every step.
 *
 * It runs as a loop, which on CPUs is faster than log-depth forms that parallelise over steps, and is as accurate as the
 * recurrence itself; its gradient is a loop of the same kind from the other end (docs/decisions/0005).
 * @param a decay; axes of size 1 are not expanded, so a decay that is the same at all steps costs nothing per step
 * @param b input, broadcast together with `a`
 * @returns h at every step, of the common shape
 * @throws when the shapes do not broadcast. Source: Gu & Dao 2023, "Mamba", section 2
 */
export function linearScan(a: TensorLike, b: TensorLike, options: LinearScanOptions = {}): Tensor {
  const { axis = 0, reverse = false, initial } = options
  const [decay, input] = [asTensor(a), asTensor(b)]
  const shape = broadcastShapes('linearScan', decay.shape, input.shape)
  const along = normalizeAxis('linearScan', axis, shape.length)
  requireConcrete('linearScan', shape, [along])
  const stepShape = shape.filter((_, i) => i !== along)
  const start =
    initial === undefined ? zeros(stepShape, input.dtype) : broadcastTo(asTensor(initial, input.dtype), stepShape)
  const operands = [decay, input].map(t =>
    reshape(t, [...new Array<number>(shape.length - t.rank).fill(1), ...t.shape]),
  )
  const walked = operands.map(t => t.shape[along] === shape[along])
  const step = (carry: Tensor, slices: readonly Tensor[]): Tensor => {
    const rest = [...slices]
    const [decayNow, inputNow] = operands.map((t, i) => (walked[i] ? rest.shift()! : squeeze(t, along)))
    return add(mul(carry, decayNow), inputNow)
  }
  const { outputs } = scan(
    ([carry], slices) => {
      const next = step(carry, slices)
      return { carries: [next], outputs: [next] }
    },
    [start],
    operands.filter((_, i) => walked[i]),
    { axis: along, reverse, length: shape[along] },
  )
  return outputs[0]
}
