import { concat, formatShape, matmul, scan, stack, type Tensor, tanh, zeros } from '../core/index.ts'
import { Dropout } from './dropout.ts'
import { Module, type Parameter } from './module.ts'
import {
  gruStep,
  type HiddenWeights,
  lstmStep,
  type RecurrentStep,
  recurrentParameter,
  rnnStep,
} from './recurrent-cells.ts'

export * from './recurrent-cells.ts'

export interface RecurrentOptions {
  /** Layers on top of each other; default 1. */
  readonly layers?: number
  /** A second pass from the end in each layer, its outputs beside the first's; default false. */
  readonly bidirectional?: boolean
  readonly bias?: boolean
  /** Inputs are [batch, length, width] instead of [length, batch, width]; default false. */
  readonly batchFirst?: boolean
  /** Rate of dropout on the outputs of each layer but the last while training; default 0. */
  readonly dropout?: number
}

/** Weights of one direction of one layer. */
interface Direction extends HiddenWeights {
  readonly input: Tensor
  readonly inputBias?: Tensor
}

/** What LSTM, GRU and RNN share: layers, directions and PyTorch's parameter names. */
abstract class Recurrent extends Module {
  readonly #weights = new Map<string, Parameter>()
  readonly #options: Required<RecurrentOptions>
  readonly #dropout: Dropout
  readonly #step: RecurrentStep
  readonly #stateCount: number

  constructor(
    readonly inputSize: number,
    readonly hiddenSize: number,
    { gates, states, step }: { gates: number; states: number; step: RecurrentStep },
    options: RecurrentOptions,
  ) {
    super()
    this.#options = { layers: 1, bidirectional: false, bias: true, batchFirst: false, dropout: 0, ...options }
    this.#dropout = new Dropout(this.#options.dropout)
    this.#step = step
    this.#stateCount = states
    const make = (name: string, ...shape: number[]): void => {
      this.#weights.set(name, recurrentParameter(hiddenSize, shape))
    }
    for (let layer = 0; layer < this.#options.layers; layer++)
      for (const suffix of this.#suffixes(layer)) {
        const width = layer === 0 ? inputSize : hiddenSize * this.#directions
        make(`weight_ih_${suffix}`, gates * hiddenSize, width)
        make(`weight_hh_${suffix}`, gates * hiddenSize, hiddenSize)
        if (this.#options.bias) for (const side of ['ih', 'hh']) make(`bias_${side}_${suffix}`, gates * hiddenSize)
      }
  }

  get #directions(): number {
    return this.#options.bidirectional ? 2 : 1
  }

  /** Endings of the names of a layer's parameters, one a direction. */
  #suffixes(layer: number): string[] {
    return [`l${layer}`, `l${layer}_reverse`].slice(0, this.#directions)
  }

  override children(): Iterable<readonly [string, Parameter]> {
    return this.#weights
  }

  /** Runs all layers. @returns the outputs of the last and the final states, each [layers * directions, batch, hidden] */
  protected run(x: Tensor, initial: readonly Tensor[] | undefined): { output: Tensor; states: Tensor[] } {
    const { layers, batchFirst } = this.#options
    const batch = x.shape[batchFirst ? 0 : 1]
    this.#check(x, batch, initial)
    const starts =
      initial ??
      Array.from({ length: this.#stateCount }, () => zeros([layers * this.#directions, batch, this.hiddenSize]))
    const finals: Tensor[][] = []
    let sequence = x
    for (let layer = 0; layer < layers; layer++) {
      const given = layer === 0 ? sequence : this.#dropout.forward(sequence)
      const outputs = this.#suffixes(layer).map((suffix, direction) => {
        const place = layer * this.#directions + direction
        const start = starts.map(state => state.at(place))
        const { output, states } = this.#direction(given, start, this.#named(suffix), direction === 1)
        finals.push(states)
        return output
      })
      sequence = outputs.length === 1 ? outputs[0] : concat(outputs, -1)
    }
    return { output: sequence, states: starts.map((_, i) => stack(finals.map(states => states[i]))) }
  }

  #check(x: Tensor, batch: number, initial: readonly Tensor[] | undefined): void {
    const order = this.#options.batchFirst ? 'batch, length' : 'length, batch'
    if (x.rank !== 3 || x.shape[2] !== this.inputSize)
      throw new Error(`recurrent: expected [${order}, ${this.inputSize}], got ${formatShape(x.shape)}`)
    const shape = [this.#options.layers * this.#directions, batch, this.hiddenSize]
    for (const state of initial ?? [])
      if (formatShape(state.shape) !== formatShape(shape))
        throw new Error(
          `recurrent: initial states must be ${formatShape(shape)} (layers * directions, batch, hidden), got ${formatShape(state.shape)}`,
        )
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
    const { carries, outputs } = scan(
      (states, [step]) => {
        const next = this.#step(step, states, weights)
        return { carries: next, outputs: [next[0]] }
      },
      start,
      [fromInput],
      { axis: this.#options.batchFirst ? 1 : 0, reverse },
    )
    return { output: outputs[0], states: [...carries] }
  }
}

/** Long short-term memory; gates in the order input, forget, cell, output. Source: Hochreiter & Schmidhuber 1997; PyTorch's LSTM */
export class Lstm extends Recurrent {
  constructor(inputSize: number, hiddenSize: number, options: RecurrentOptions = {}) {
    super(inputSize, hiddenSize, { gates: 4, states: 2, step: lstmStep }, options)
  }

  /**
   * @param x [length, batch, inputSize], or [batch, length, inputSize] with `batchFirst`
   * @param initial hidden and memory, each [layers * directions, batch, hiddenSize]; default zeros
   * @returns output [length, batch, directions * hiddenSize] (or batch first) of the last layer, and the final states
   */
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
  constructor(inputSize: number, hiddenSize: number, options: RecurrentOptions = {}) {
    super(inputSize, hiddenSize, { gates: 3, states: 1, step: gruStep }, options)
  }

  /**
   * @param x [length, batch, inputSize], or [batch, length, inputSize] with `batchFirst`
   * @param hidden [layers * directions, batch, hiddenSize]; default zeros
   * @returns output [length, batch, directions * hiddenSize] (or batch first) of the last layer, and the final states
   */
  override forward(x: Tensor, hidden?: Tensor): { output: Tensor; hidden: Tensor } {
    const { output, states } = this.run(x, hidden && [hidden])
    return { output, hidden: states[0] }
  }
}

/** Elman network: h = tanh(W x + U h + b). Source: Elman 1990; PyTorch's RNN */
export class Rnn extends Recurrent {
  /** @param options.activation default tanh */
  constructor(
    inputSize: number,
    hiddenSize: number,
    { activation = tanh, ...options }: RecurrentOptions & { activation?: (x: Tensor) => Tensor } = {},
  ) {
    super(inputSize, hiddenSize, { gates: 1, states: 1, step: rnnStep(activation) }, options)
  }

  /**
   * @param x [length, batch, inputSize], or [batch, length, inputSize] with `batchFirst`
   * @param hidden [layers * directions, batch, hiddenSize]; default zeros
   * @returns output [length, batch, directions * hiddenSize] (or batch first) of the last layer, and the final states
   */
  override forward(x: Tensor, hidden?: Tensor): { output: Tensor; hidden: Tensor } {
    const { output, states } = this.run(x, hidden && [hidden])
    return { output, hidden: states[0] }
  }
}
