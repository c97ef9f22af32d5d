// Uses the built package as a user does: by its name, through its exports. What the build dropped shows here.
import { compile, grad, tensor } from 'tenet'
import { Linear } from 'tenet/nn'

const x = tensor([[1, 2, 3]])
const [slope] = grad(x.pow(3).sum(), [x])
const layer = new Linear(3, 2)
const { output } = await compile(input => ({ output: layer.forward(input) }))([[1, 2, 3]])
const slopes = Array.from((await slope.value()).numbers())
if (slopes.join() !== '3,12,27' || output.shape.join() !== '1,2') {
  console.error(`the build computes ${slopes} and a shape of ${output.shape}; expected 3,12,27 and 1,2`)
  process.exit(1)
}
console.log('the built package works')
