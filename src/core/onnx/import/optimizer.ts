import { add, cast, div, greater, mul, reshape, sqrt, sub, where } from '../../ops/index.ts'
import type { Tensor } from '../../tensor.ts'
import type { NodeReader, OperatorReaders } from './node-reader.ts'

/** One tensor being optimised: its value, gradient and states. */
type Update = (rate: Tensor, step: Tensor, value: Tensor, gradient: Tensor, states: readonly Tensor[]) => Tensor[]

/**
 * Inputs are the rate R, the step count T, then all values, all gradients and each kind of state;
 * outputs all new values, then each kind of state.
 */
function optimize(node: NodeReader, states: number, update: Update): Tensor[] {
  const [rate, step, ...rest] = node.all()
  const count = rest.length / (2 + states)
  if (!Number.isInteger(count) || count < 1) throw new Error(`${rest.length + 2} inputs do not group into tensors`)
  const column = (kind: number, i: number): Tensor => rest[kind * count + i]
  const scalar = (t: Tensor): Tensor => reshape(cast(t, 'f32'), [])
  const results = Array.from({ length: count }, (_, i) =>
    update(
      scalar(rate),
      scalar(step),
      column(0, i),
      column(1, i),
      Array.from({ length: states }, (__, kind) => column(2 + kind, i)),
    ),
  )
  return results[0].flatMap((_, kind) => results.map(result => result[kind]))
}

const regularized = (node: NodeReader, value: Tensor, gradient: Tensor): Tensor =>
  add(mul(value, node.float('norm_coefficient', 0)), gradient)

const EPSILON = 1e-6

/** H' = H + G^2, X' = X - r G / (sqrt(H') + epsilon) with r = R / (1 + T decay) */
const adagrad = (node: NodeReader): Tensor[] =>
  optimize(node, 1, (rate, step, value, gradient, [squares]) => {
    const slowed = div(rate, add(mul(step, node.float('decay_factor', 0)), 1))
    const g = regularized(node, value, gradient)
    const total = add(squares, mul(g, g))
    return [sub(value, div(mul(slowed, g), add(sqrt(total), node.float('epsilon', EPSILON)))), total]
  })

/** V' = alpha V + beta G (beta being 1 at step 0); X' = X - R V', or X - R (G + alpha V') in Nesterov's form */
const momentum = (node: NodeReader): Tensor[] =>
  optimize(node, 1, (rate, step, value, gradient, [velocity]) => {
    const alpha = node.float('alpha', 0)
    const g = regularized(node, value, gradient)
    const gain = where(greater(step, 0), node.float('beta', 0), 1)
    const next = add(mul(velocity, alpha), mul(gain, g))
    const nesterov = node.choice('mode', 'standard', ['standard', 'nesterov']) === 'nesterov'
    return [sub(value, mul(rate, nesterov ? add(g, mul(next, alpha)) : next)), next]
  })

const domain = 'ai.onnx.preview.training'

/**
 * Adam is left out: ONNX's own test of it (`adam_multiple`) was made with an epsilon of 1e-2 that its node does not carry,
 * so no reader can agree with both the operator's definition and its test.
 */
export const optimizerReaders: OperatorReaders = {
  [`${domain}.Adagrad`]: adagrad,
  [`${domain}.Momentum`]: momentum,
}
