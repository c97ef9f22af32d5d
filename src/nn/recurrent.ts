import { concat, flip, matmul, scan, stack, type Tensor, zeros } from '../core/index.ts'
import { uniform } from './initialise.ts'
import { Module, type Parameter, parameter } from './module.ts'

export interface RecurrentOptions {
  /** Layers on top of each other; default 1. */
  readonly layers?: number
  /** A second pass from the end in each layer, its outputs beside the first's; default false. */
  readonly bidirectional?: boolean
  readonly bias?: boolean
  /** Inputs are [batch, length, width] instead of [length, batch, width]; default false. */
  readonly batchFirst?: boolean
}

/** Weights of one direction of one layer. */
interface Direction {
  readonly input: Parameter
  readonly hidden: Parameter
  readonly inputBias?: Parameter
  readonly hiddenBias?: Parameter
}

/** One step of a cell: pre-activations from the input (bias added) and the states -> the next states, the first being the output. */
type Cell = (fromInput: Tensor, states: readonly Tensor[], weights: Direction) => Tensor[]

/** What LSTM, GRU and RNN share: layers, directions and PyTorch's parameter names. */
abstract class Recurrent extends Module {
  readonly #weights = new Map<string, Parameter>()
  readonly #options: Required<RecurrentOptions>

  constructor(
    readonly inputSize: number,
    readonly hiddenSize: number,
    /** Blocks of gates in the weights. */
    readonly gates: number,
    readonly stateCount: number,
    options: RecurrentOptions,
  ) {
    super()
    this.#options = { layers: 1, bidirectional: false, bias: true, batchFirst: false, ...options }
    const bound = 1 / Math.sqrt(hiddenSize)
    const make = (name: string, shape: number[]): void => {
      this.#weights.set(name, parameter(uniform(-bound, bound)(shape), shape))
    }
    const { layers, bidirectional, bias } = this.#options
    for (let layer = 0; layer < layers; layer++)
      for (const suffix of bidirectional ? ['', '_reverse'] : ['']) {
        const width = layer === 0 ? inputSize : hiddenSize * (bidirectional ? 2 : 1)
        make(`weight_ih_l${layer}${suffix}`, [gates * hiddenSize, width])
        make(`weight_hh_l${layer}${suffix}`, [gates * hiddenSize, hiddenSize])
        if (bias) for (const side of ['ih', 'hh']) make(`bias_${side}_l${layer}${suffix}`, [gates * hiddenSize])
      }
  }

  override children(): Iterable<readonly [string, Parameter]> {
    return this.#weights
  }

  protected abstract cell: Cell

  /** Runs all layers. @returns outputs [length, batch, width] (or batch first) and the final states [layers * directions, batch, hidden] each */
  protected run(x: Tensor, initial: readonly Tensor[] | undefined): { output: Tensor; states: Tensor[] } {
    const { layers, bidirectional, batchFirst } = this.#options
    if (x.rank !== 3 || x.shape[2] !== this.inputSize)
      throw new Error(`recurrent: expected [.., .., ${this.inputSize}], got [${x.shape}]`)
    let sequence = batchFirst ? x.swapAxes(0, 1) : x
    const batch = sequence.shape[1]
    const finals: Tensor[][] = Array.from({ length: this.stateCount }, () => [])
    for (let layer = 0; layer < layers; layer++) {
      const directions = (bidirectional ? ['', '_reverse'] : ['']).map((suffix, direction) => {
        const place = layer * (bidirectional ? 2 : 1) + direction
        const start = finals.map((_, i) => (initial ? initial[i].at(place) : zeros([batch, this.hiddenSize])))
        const { output, states } = this.#direction(sequence, start, this.#named(`l${layer}${suffix}`), direction === 1)
        states.forEach((state, i) => {
          finals[i].push(state)
        })
        return output
      })
      sequence = directions.length === 1 ? directions[0] : concat(directions, -1)
    }
    return { output: batchFirst ? sequence.swapAxes(0, 1) : sequence, states: finals.map(list => stack(list)) }
  }

  #named(suffix: string): Direction {
    const get = (name: string): Parameter | undefined => this.#weights.get(`${name}_${suffix}`)
    return {
      input: get('weight_ih')!,
      hidden: get('weight_hh')!,
      inputBias: get('bias_ih'),
      hiddenBias: get('bias_hh'),
    }
  }

  #direction(
    sequence: Tensor,
    start: readonly Tensor[],
    weights: Direction,
    reverse: boolean,
  ): { output: Tensor; states: Tensor[] } {
    // The inputs of all steps go through one product; only the recurrence itself runs step by step.
    const product = matmul(sequence, weights.input, { transposeB: true })
    const fromInput = weights.inputBias ? product.add(weights.inputBias) : product
    const body = (states: readonly Tensor[], [step]: readonly Tensor[]) => {
      const next = this.cell(step, states, weights)
      return { carries: next, outputs: [next[0]] }
    }
    const { carries, outputs } = scan(body, [...start], [reverse ? flip(fromInput, 0) : fromInput])
    return { output: reverse ? flip(outputs[0], 0) : outputs[0], states: [...carries] }
  }
}

const fromHidden = (state: Tensor, { hidden, hiddenBias }: Direction): Tensor => {
  const product = matmul(state, hidden, { transposeB: true })
  return hiddenBias ? product.add(hiddenBias) : product
}

const lstmStep: Cell = (fromInput, [hidden, memory], weights) => {
  const [input, forget, candidate, output] = fromInput.add(fromHidden(hidden, weights)).split(4, -1)
  const next = forget.sigmoid().mul(memory).add(input.sigmoid().mul(candidate.tanh()))
  return [output.sigmoid().mul(next.tanh()), next]
}

/** The reset gate applies after the hidden product and its bias. */
const gruStep: Cell = (fromInput, [hidden], weights) => {
  const [resetX, updateX, newX] = fromInput.split(3, -1)
  const [resetH, updateH, newH] = fromHidden(hidden, weights).split(3, -1)
  const update = updateX.add(updateH).sigmoid()
  const candidate = newX.add(resetX.add(resetH).sigmoid().mul(newH)).tanh()
  return [candidate.add(update.mul(hidden.sub(candidate)))]
}

/** Long short-term memory; gates in the order input, forget, cell, output. Source: Hochreiter & Schmidhuber 1997; PyTorch's LSTM */
export class Lstm extends Recurrent {
  protected override cell: Cell = lstmStep
  constructor(inputSize: number, hiddenSize: number, options: RecurrentOptions = {}) {
    super(inputSize, hiddenSize, 4, 2, options)
  }

  /** @param initial hidden and memory, each [layers * directions, batch, hidden]; default zeros */
  override forward(
    x: Tensor,
    initial?: { readonly hidden: Tensor; readonly memory: Tensor },
  ): { output: Tensor; hidden: Tensor; memory: Tensor } {
    const { output, states } = this.run(x, initial && [initial.hidden, initial.memory])
    return { output, hidden: states[0], memory: states[1] }
  }
}

/** Gated recurrent unit; gates in the order reset, update, new. Source: Cho et al. 2014; PyTorch's GRU */
export class Gru extends Recurrent {
  protected override cell: Cell = gruStep
  constructor(inputSize: number, hiddenSize: number, options: RecurrentOptions = {}) {
    super(inputSize, hiddenSize, 3, 1, options)
  }

  /** @param hidden [layers * directions, batch, hidden]; default zeros */
  override forward(x: Tensor, hidden?: Tensor): { output: Tensor; hidden: Tensor } {
    const { output, states } = this.run(x, hidden && [hidden])
    return { output, hidden: states[0] }
  }
}

/** Elman network: h = tanh(W x + U h + b). Source: Elman 1990; PyTorch's RNN */
export class Rnn extends Recurrent {
  protected override cell: Cell
  constructor(
    inputSize: number,
    hiddenSize: number,
    {
      activation = (t: Tensor) => t.tanh(),
      ...options
    }: RecurrentOptions & { activation?: (t: Tensor) => Tensor } = {},
  ) {
    super(inputSize, hiddenSize, 1, 1, options)
    this.cell = (fromInput, [hidden], weights) => [activation(fromInput.add(fromHidden(hidden, weights)))]
  }

  /** @param hidden [layers * directions, batch, hidden]; default zeros */
  override forward(x: Tensor, hidden?: Tensor): { output: Tensor; hidden: Tensor } {
    const { output, states } = this.run(x, hidden && [hidden])
    return { output, hidden: states[0] }
  }
}

/** One step of a recurrent network on its own; parameters are named as in PyTorch's cells. */
abstract class RecurrentCell extends Module {
  readonly weight_ih: Parameter
  readonly weight_hh: Parameter
  readonly bias_ih: Parameter
  readonly bias_hh: Parameter

  constructor(inputSize: number, hiddenSize: number, gates: number) {
    super()
    const bound = 1 / Math.sqrt(hiddenSize)
    const make = (shape: number[]): Parameter => parameter(uniform(-bound, bound)(shape), shape)
    this.weight_ih = make([gates * hiddenSize, inputSize])
    this.weight_hh = make([gates * hiddenSize, hiddenSize])
    this.bias_ih = make([gates * hiddenSize])
    this.bias_hh = make([gates * hiddenSize])
  }

  protected step(cell: Cell, x: Tensor, states: readonly Tensor[]): Tensor[] {
    const fromInput = matmul(x, this.weight_ih, { transposeB: true }).add(this.bias_ih)
    return cell(fromInput, states, { input: this.weight_ih, hidden: this.weight_hh, hiddenBias: this.bias_hh })
  }
}

/** One step of an {@link Lstm}: x [batch, in], states [batch, hidden]. */
export class LstmCell extends RecurrentCell {
  constructor(inputSize: number, hiddenSize: number) {
    super(inputSize, hiddenSize, 4)
  }
  override forward(x: Tensor, hidden: Tensor, memory: Tensor): { hidden: Tensor; memory: Tensor } {
    const [nextHidden, nextMemory] = this.step(lstmStep, x, [hidden, memory])
    return { hidden: nextHidden, memory: nextMemory }
  }
}

/** One step of a {@link Gru}: x [batch, in], state [batch, hidden]. */
export class GruCell extends RecurrentCell {
  constructor(inputSize: number, hiddenSize: number) {
    super(inputSize, hiddenSize, 3)
  }
  override forward(x: Tensor, hidden: Tensor): Tensor {
    return this.step(gruStep, x, [hidden])[0]
  }
}
