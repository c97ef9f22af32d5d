import { formatShape, matmul, type Tensor, tanh } from '../core/index.ts'
import { uniform } from './initialise.ts'
import { Module, type Parameter, parameter } from './module.ts'

/** What a step needs of a layer's weights: those that meet the state. */
export interface HiddenWeights {
  /** [gates * hidden, hidden] */
  readonly hidden: Tensor
  /** [gates * hidden] */
  readonly hiddenBias?: Tensor
}

/**
 * One step of a recurrence: the input's share of the gates [batch, gates * hidden] (its bias added) and the states
 * [batch, hidden] give the next states, the first of which is the output.
 */
export type RecurrentStep = (fromInput: Tensor, states: readonly Tensor[], weights: HiddenWeights) => Tensor[]

const fromHidden = (state: Tensor, { hidden, hiddenBias }: HiddenWeights): Tensor => {
  const product = matmul(state, hidden, { transposeB: true })
  return hiddenBias ? product.add(hiddenBias) : product
}

/** With gates i, f, g, o: c = s(f) c + s(i) tanh(g), h = s(o) tanh(c). Source: Hochreiter & Schmidhuber 1997; Gers et al. 2000 */
export const lstmStep: RecurrentStep = (fromInput, [hidden, memory], weights) => {
  const [input, forget, candidate, output] = fromInput.add(fromHidden(hidden, weights)).split(4, -1)
  const next = forget.sigmoid().mul(memory).add(input.sigmoid().mul(candidate.tanh()))
  return [output.sigmoid().mul(next.tanh()), next]
}

/** h = (1-z) n + z h with n = tanh(x_n + s(r) (U h + b)_n): the reset gate applies after the product and its bias. Source: Cho et al. 2014 */
export const gruStep: RecurrentStep = (fromInput, [hidden], weights) => {
  const [resetX, updateX, newX] = fromInput.split(3, -1)
  const [resetH, updateH, newH] = fromHidden(hidden, weights).split(3, -1)
  const update = updateX.add(updateH).sigmoid()
  const candidate = newX.add(resetX.add(resetH).sigmoid().mul(newH)).tanh()
  return [candidate.add(update.mul(hidden.sub(candidate)))]
}

/** h = activation(x + U h + b). Source: Elman 1990 */
export const rnnStep =
  (activation: (x: Tensor) => Tensor): RecurrentStep =>
  (fromInput, [hidden], weights) => [activation(fromInput.add(fromHidden(hidden, weights)))]

/** PyTorch's start for recurrent weights: uniform in +-1/sqrt(hidden). */
export function recurrentParameter(hiddenSize: number, shape: readonly number[]): Parameter {
  const bound = 1 / Math.sqrt(hiddenSize)
  return parameter(uniform(-bound, bound)(shape), shape)
}

/** One step of a recurrent network on its own; parameters are named as in PyTorch's cells. */
abstract class RecurrentCell extends Module {
  readonly weight_ih: Parameter
  readonly weight_hh: Parameter
  readonly bias_ih?: Parameter
  readonly bias_hh?: Parameter

  constructor(
    readonly inputSize: number,
    readonly hiddenSize: number,
    gates: number,
    bias: boolean,
  ) {
    super()
    const make = (...shape: number[]): Parameter => recurrentParameter(hiddenSize, shape)
    this.weight_ih = make(gates * hiddenSize, inputSize)
    this.weight_hh = make(gates * hiddenSize, hiddenSize)
    if (bias) {
      this.bias_ih = make(gates * hiddenSize)
      this.bias_hh = make(gates * hiddenSize)
    }
  }

  protected step(step: RecurrentStep, x: Tensor, states: readonly Tensor[]): Tensor[] {
    if (x.rank !== 2 || x.shape[1] !== this.inputSize || states.some(t => t.shape[1] !== this.hiddenSize))
      throw new Error(
        `recurrent cell: expected [batch, ${this.inputSize}] and states [batch, ${this.hiddenSize}], got ${[x, ...states].map(t => formatShape(t.shape)).join(', ')}`,
      )
    const product = matmul(x, this.weight_ih, { transposeB: true })
    const fromInput = this.bias_ih ? product.add(this.bias_ih) : product
    return step(fromInput, states, { hidden: this.weight_hh, hiddenBias: this.bias_hh })
  }
}

/** One step of an LSTM; gates in the order input, forget, cell, output. */
export class LstmCell extends RecurrentCell {
  constructor(inputSize: number, hiddenSize: number, { bias = true } = {}) {
    super(inputSize, hiddenSize, 4, bias)
  }

  /**
   * @param x [batch, inputSize]
   * @param hidden [batch, hiddenSize]
   * @param memory [batch, hiddenSize]
   */
  override forward(x: Tensor, hidden: Tensor, memory: Tensor): { hidden: Tensor; memory: Tensor } {
    const [nextHidden, nextMemory] = this.step(lstmStep, x, [hidden, memory])
    return { hidden: nextHidden, memory: nextMemory }
  }
}

/** One step of a GRU; gates in the order reset, update, new. */
export class GruCell extends RecurrentCell {
  constructor(inputSize: number, hiddenSize: number, { bias = true } = {}) {
    super(inputSize, hiddenSize, 3, bias)
  }

  /**
   * @param x [batch, inputSize]
   * @param hidden [batch, hiddenSize]
   */
  override forward(x: Tensor, hidden: Tensor): Tensor {
    return this.step(gruStep, x, [hidden])[0]
  }
}

/** One step of an Elman network. */
export class RnnCell extends RecurrentCell {
  readonly #activation: (x: Tensor) => Tensor

  constructor(
    inputSize: number,
    hiddenSize: number,
    { bias = true, activation = tanh }: { bias?: boolean; activation?: (x: Tensor) => Tensor } = {},
  ) {
    super(inputSize, hiddenSize, 1, bias)
    this.#activation = activation
  }

  /**
   * @param x [batch, inputSize]
   * @param hidden [batch, hiddenSize]
   */
  override forward(x: Tensor, hidden: Tensor): Tensor {
    return this.step(rnnStep(this.#activation), x, [hidden])[0]
  }
}
