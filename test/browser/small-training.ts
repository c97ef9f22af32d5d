import { compile, grad, type Tensor, tanh, Variable } from '../../src/core/exports.ts'

/** A small network trained on a fixed task: the same code in Node and in the browser. */
export async function smallTraining(steps: number): Promise<{ losses: number[]; weights: number[] }> {
  const start = (count: number, seed: number): Float32Array =>
    Float32Array.from({ length: count }, (_, i) => Math.sin(seed + 1.7 * i))
  const w1 = new Variable(start(2 * 8, 1), [2, 8], 'f32', 'w1')
  const b1 = new Variable(new Float32Array(8), [8], 'f32', 'b1')
  const w2 = new Variable(start(8, 2), [8, 1], 'f32', 'w2')
  const parameters = [w1, b1, w2]
  const step = compile((x: Tensor, y: Tensor) => {
    const loss = tanh(x.matmul(w1).add(b1)).matmul(w2).sub(y).pow(2).mean()
    grad(loss, parameters).forEach((gradient, i) => {
      parameters[i].assign(parameters[i].sub(gradient.mul(0.2)))
    })
    return loss
  })
  const x = [
    [0, 0],
    [0, 1],
    [1, 0],
    [1, 1],
  ]
  const y = [[0], [1], [1], [0]]
  const losses: number[] = []
  for (let i = 0; i < steps; i++) losses.push((await step(x, y)).item())
  return { losses, weights: parameters.flatMap(p => Array.from(p.data as Float32Array)) }
}
