import { concat, stack, type Tensor, Variable } from '../../../core/index.ts'
import { Module } from '../../../nn/index.ts'

/**
 * Rotary positions on a square grid: pairs of channels turn by an angle proportional to the row (first half of the channels)
 * or the column (second half), rescaled so that a grid of any side spans the one of the pre-training. Of an odd number
 * of tokens the first is left as it is. The tables are buffers of the official state dict. Source: EVA-02; Vim, vim/rope.py
 */
export class GridRotary extends Module {
  /** [side * side, dim] */
  readonly freqs_cos: Variable
  readonly freqs_sin: Variable

  /** @throws when `dim` is no multiple of 4 */
  constructor(dim: number, side: number, trainedSide: number) {
    super()
    if (dim % 4 !== 0) throw new Error(`rotary: the width must be a multiple of 4, got ${dim}`)
    const half = dim / 2
    const angle = (i: number): number => {
      const [cell, column] = [Math.floor(i / dim), i % dim]
      const place = column < half ? Math.floor(cell / side) : cell % side
      const frequency = 10000 ** ((-2 * Math.floor((column % half) / 2)) / half)
      return (place / side) * trainedSide * frequency
    }
    const shape = [side * side, dim]
    const table = (f: (angle: number) => number): Variable =>
      new Variable(
        Float32Array.from({ length: side * side * dim }, (_, i) => f(angle(i))),
        shape,
      )
    this.freqs_cos = table(Math.cos)
    this.freqs_sin = table(Math.sin)
  }

  /** [batch, tokens, dim] -> the same shape */
  override forward(tokens: Tensor): Tensor {
    if (tokens.shape[1] % 2 === 0) return this.#turn(tokens)
    return concat([tokens.slice(1, 0, 1), this.#turn(tokens.slice(1, 1))], 1)
  }

  #turn(tokens: Tensor): Tensor {
    if (tokens.shape[1] !== this.freqs_cos.shape[0])
      throw new Error(`rotary: ${tokens.shape[1]} tokens do not fill the grid of ${this.freqs_cos.shape[0]}`)
    const [even, odd] = [tokens.slice(-1, 0, undefined, 2), tokens.slice(-1, 1, undefined, 2)]
    const quarterTurn = stack([odd.neg(), even], -1).reshape(tokens.shape)
    return tokens.mul(this.freqs_cos).add(quarterTurn.mul(this.freqs_sin))
  }
}
