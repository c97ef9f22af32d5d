import { bernoulli, foldIn, type Tensor } from '../core/index.ts'
import { isTraining, nextDraw } from './mode.ts'
import { Module } from './module.ts'

function checkRate(layer: string, rate: number): void {
  if (!(rate >= 0 && rate < 1)) throw new Error(`${layer}: the rate must be in [0, 1), got ${rate}`)
}

/** Zeros with probability `rate` and scales the rest by 1/(1-rate), by a mask of the given shape. */
function drop(layer: string, x: Tensor, rate: number, maskShape: readonly number[]): Tensor {
  const { key, draw } = nextDraw(layer)
  const kept = bernoulli(foldIn(key, draw), 1 - rate, maskShape)
  return x.mul(kept.cast(x.dtype).mul(1 / (1 - rate)))
}

/** While training, zeros each value with probability `rate` and scales the others by 1/(1-rate). Source: Srivastava et al. 2014 */
export class Dropout extends Module {
  constructor(readonly rate: number) {
    super()
    checkRate('dropout', rate)
  }

  override forward(x: Tensor): Tensor {
    return this.rate === 0 || !isTraining() ? x : drop('dropout', x, this.rate, x.shape)
  }
}

/** While training, zeros whole samples of a residual branch (stochastic depth). Source: Huang et al. 2016 */
export class DropPath extends Module {
  constructor(readonly rate: number) {
    super()
    checkRate('dropPath', rate)
  }

  override forward(x: Tensor): Tensor {
    if (this.rate === 0 || !isTraining()) return x
    return drop('dropPath', x, this.rate, [x.shape[0], ...x.shape.slice(1).map(() => 1)])
  }
}
