import {
  add,
  cast,
  clip,
  less,
  matmul,
  mul,
  relu,
  reshape,
  scan,
  sigmoid,
  slice,
  split,
  squeeze,
  stack,
  sub,
  swapAxes,
  tanh,
  where,
  zeros,
} from '../../ops/index.ts'
import { formatShape, requireConcrete } from '../../shape.ts'
import { asTensor, constant, type Tensor } from '../../tensor.ts'
import { reverseWithin } from './layout.ts'
import type { NodeReader, OperatorReaders } from './node-reader.ts'

type Activation = (x: Tensor) => Tensor

const activations: Record<string, Activation> = { sigmoid, tanh, relu }

/** Weights of one direction. Gates lie one below the other. */
interface Direction {
  /** [gates * hidden, input] */
  readonly input: Tensor
  /** [gates * hidden, hidden] */
  readonly hidden: Tensor
  /** [gates * hidden] each */
  readonly inputBias: Tensor | undefined
  readonly hiddenBias: Tensor | undefined
  /** [hidden] each: input, output, forget */
  readonly peepholes: readonly Tensor[] | undefined
  readonly activations: readonly Activation[]
}

/** Next states (the first being the output) from the input's share of the gates and the present states. */
type Cell = (fromInput: Tensor, states: readonly Tensor[], weights: Direction) => Tensor[]

interface Layer {
  readonly gates: number
  readonly states: number
  /** Names of the activations of one direction. */
  readonly activations: readonly string[]
  /** Whether the hidden bias stays apart from the input's, as it is scaled by a gate. */
  readonly separateBias: boolean
  readonly cell: Cell
}

const fromHidden = (state: Tensor, { hidden }: Direction): Tensor => matmul(state, hidden, { transposeB: true })

const rnn: Layer = {
  gates: 1,
  states: 1,
  activations: ['tanh'],
  separateBias: false,
  cell: (fromInput, [hidden], weights) => [weights.activations[0](add(fromInput, fromHidden(hidden, weights)))],
}

/** Gates in the order input, output, forget, cell; peepholes let the first three see the memory. */
const lstm = (couplesForget: boolean): Layer => ({
  gates: 4,
  states: 2,
  activations: ['sigmoid', 'tanh', 'tanh'],
  separateBias: false,
  cell: (fromInput, [hidden, memory], weights) => {
    const [gate, squash, shape] = weights.activations
    const [input, output, forget, candidate] = split(add(fromInput, fromHidden(hidden, weights)), 4, -1)
    const seen = (x: Tensor, place: number, state: Tensor): Tensor =>
      weights.peepholes ? add(x, mul(weights.peepholes[place], state)) : x
    const opened = gate(seen(input, 0, memory))
    const kept = couplesForget ? sub(1, opened) : gate(seen(forget, 2, memory))
    const next = add(mul(kept, memory), mul(opened, squash(candidate)))
    return [mul(gate(seen(output, 1, next)), shape(next)), next]
  },
})

/** Gates in the order update, reset, candidate; the reset gate is applied before or after the hidden product. */
const gru = (linearBeforeReset: boolean): Layer => ({
  gates: 3,
  states: 1,
  activations: ['sigmoid', 'tanh'],
  separateBias: true,
  cell: (fromInput, [hidden], weights) => {
    const [gate, squash] = weights.activations
    const size = hidden.shape[hidden.rank - 1]
    const [updateIn, resetIn, candidateIn] = split(fromInput, 3, -1)
    const part = (t: Tensor, first: number, count: number): Tensor => slice(t, 0, first * size, (first + count) * size)
    const bias = weights.hiddenBias
    const withBias = (t: Tensor, first: number, count: number): Tensor => (bias ? add(t, part(bias, first, count)) : t)
    const product = (state: Tensor, first: number, count: number): Tensor =>
      withBias(matmul(state, part(weights.hidden, first, count), { transposeB: true }), first, count)
    const [updateHidden, resetHidden] = split(product(hidden, 0, 2), 2, -1)
    const update = gate(add(updateIn, updateHidden))
    const reset = gate(add(resetIn, resetHidden))
    const fromState = linearBeforeReset ? mul(reset, product(hidden, 2, 1)) : product(mul(reset, hidden), 2, 1)
    const candidate = squash(add(candidateIn, fromState))
    return [add(candidate, mul(update, sub(hidden, candidate)))]
  },
})

function activationsOf(node: NodeReader, layer: Layer, directions: number, direction: number): Activation[] {
  const names = node.strings('activations') ?? []
  const own = layer.activations
  if (names.length && names.length !== directions * own.length)
    throw new Error(`${names.length} activations for ${directions} directions of ${own.length}`)
  const bound = node.carries('clip') ? node.float('clip', 0) : undefined
  return own.map((fallback, i) => {
    const name = (names[direction * own.length + i] ?? fallback).toLowerCase()
    const f = Object.hasOwn(activations, name) ? activations[name] : undefined
    if (!f) throw new Error(`the activation '${name.slice(0, 40)}' is not supported; use Sigmoid, Tanh or Relu`)
    return bound === undefined ? f : x => f(clip(x, -bound, bound))
  })
}

function directionOf(node: NodeReader, layer: Layer, directions: number, direction: number): Direction {
  const own = (i: number): Tensor | undefined => {
    const all = node.optional(i)
    return all && squeeze(slice(all, 0, direction, direction + 1), 0)
  }
  const bias = own(3)
  const [inputBias, hiddenBias] = bias ? split(bias, 2) : []
  const peepholes = layer.states === 2 ? own(7) : undefined
  return {
    input: own(1) ?? node.input(1),
    hidden: own(2) ?? node.input(2),
    inputBias,
    hiddenBias,
    peepholes: peepholes && split(peepholes, 3),
    activations: activationsOf(node, layer, directions, direction),
  }
}

interface Pass {
  /** [time, batch, hidden] */
  readonly output: Tensor
  readonly states: readonly Tensor[]
}

/** One direction over a sequence [time, batch, input]; rows that have ended keep their states and give zeros. */
function pass(
  layer: Layer,
  weights: Direction,
  sequence: Tensor,
  starts: readonly Tensor[],
  lengths: Tensor | undefined,
  backward: boolean,
): Pass {
  const product = matmul(sequence, weights.input, { transposeB: true })
  const joint = layer.separateBias
    ? weights.inputBias
    : weights.inputBias && add(weights.inputBias, weights.hiddenBias!)
  const fromInput = joint ? add(product, joint) : product
  const step = (states: readonly Tensor[], [now]: readonly Tensor[]) => layer.cell(now, states, weights)
  if (!lengths) {
    const { carries, outputs } = scan(
      (states, slices) => {
        const next = step(states, slices)
        return { carries: next, outputs: [next[0]] }
      },
      starts,
      [fromInput],
      { reverse: backward },
    )
    return { output: outputs[0], states: carries }
  }
  const turned = (t: Tensor): Tensor => (backward ? reverseWithin(t, cast(lengths, 'i64'), 1, 0) : t)
  const { carries, outputs } = scan(
    (states, [now, alive]) => {
      const next = step(states, [now])
      return {
        carries: next.map((state, i) => where(alive, state, states[i])),
        outputs: [where(alive, next[0], asTensor(0, now.dtype))],
      }
    },
    starts,
    [turned(fromInput), aliveAt(sequence.shape[0], lengths)],
  )
  return { output: turned(outputs[0]), states: carries }
}

const MAX_STEPS = 2 ** 20

/** [time, batch, 1]: whether a row has not ended yet. */
function aliveAt(time: number, lengths: Tensor): Tensor {
  if (!(time >= 0 && time <= MAX_STEPS)) throw new Error(`${time} steps are too many`)
  const steps = BigInt64Array.from({ length: time }, (_, i) => BigInt(i))
  return less(constant(steps, [time, 1, 1]), reshape(cast(lengths, 'i64'), [1, lengths.size, 1]))
}

function recurrent(node: NodeReader, layer: Layer): (Tensor | undefined)[] {
  const batchFirst = node.flag('layout')
  const given = node.requireRank(0, 3)
  const sequence = batchFirst ? swapAxes(given, 0, 1) : given
  const direction = node.choice('direction', 'forward', ['forward', 'reverse', 'bidirectional'])
  const directions = direction === 'bidirectional' ? 2 : 1
  const hidden = node.requireRank(2, 3).shape[2]
  const weights = node.requireRank(1, 3)
  if (weights.shape[0] !== directions || weights.shape[1] !== layer.gates * hidden)
    throw new Error(
      `W is ${formatShape(weights.shape)}, expected [${directions}, ${layer.gates * hidden}, ${given.shape[2]}]`,
    )
  requireConcrete(node.op, sequence.shape, [0])
  const lengths = node.optional(4)
  const startsAt = (d: number): Tensor[] =>
    Array.from({ length: layer.states }, (_, i) => {
      const all = node.optional(5 + i)
      if (!all) return zeros([sequence.shape[1], hidden], given.dtype)
      return squeeze(slice(all, batchFirst ? 1 : 0, d, d + 1), batchFirst ? 1 : 0)
    })
  const passes = Array.from({ length: directions }, (_, d) =>
    pass(
      layer,
      directionOf(node, layer, directions, d),
      sequence,
      startsAt(d),
      lengths,
      direction === 'reverse' || d === 1,
    ),
  )
  const place = batchFirst ? 1 : 0
  const all = stack(
    passes.map(({ output }) => output),
    1,
  )
  const finals = Array.from({ length: layer.states }, (_, i) =>
    stack(
      passes.map(({ states }) => states[i]),
      place,
    ),
  )
  // [time, directions, batch, hidden], or with the batch first.
  const output = batchFirst ? swapAxes(swapAxes(all, 1, 2), 0, 1) : all
  return [output, ...finals]
}

export const recurrentReaders: OperatorReaders = {
  GRU: node => recurrent(node, gru(node.flag('linear_before_reset'))),
  LSTM: node => recurrent(node, lstm(node.flag('input_forget'))),
  RNN: node => recurrent(node, rnn),
}
