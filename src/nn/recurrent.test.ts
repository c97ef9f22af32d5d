import { describe, expect, it } from 'vitest'
import { check, expectClose, randomTensor } from '../../test/check.ts'
import { compile, grad, type HostTensor, interpret, key, stack, type Tensor, tensor, zeros } from '../core/index.ts'
import { withSeed } from './initialise.ts'
import { withMode } from './mode.ts'
import { type Module, namedParameters, namedVariables, nameVariables, parametersOf, withValues } from './module.ts'
import { Gru, GruCell, Lstm, LstmCell, Rnn, RnnCell } from './recurrent.ts'
import { loadStateDict, stateDict } from './state-dict.ts'

const numbers = (t: Tensor): Float64Array => interpret([t])[0].data
const random = (shape: readonly number[], seed: number): Tensor => tensor(randomTensor(shape, seed).data, shape)
const zeroed = <M extends Module>(module: M): M => {
  for (const parameter of parametersOf(module)) parameter.set(new Float32Array(parameter.size))
  return module
}

describe('recurrent networks', () => {
  it('with zero weights and biases give zeros', () => {
    const x = random([4, 2, 3], 1)
    const lstm = zeroed(new Lstm(3, 5, { layers: 2, bidirectional: true })).forward(x)
    for (const t of [lstm.output, lstm.hidden, lstm.memory]) expect(numbers(t).every(v => v === 0)).toBe(true)
    expect(numbers(zeroed(new Gru(3, 5)).forward(x).output).every(v => v === 0)).toBe(true)
    expect(numbers(zeroed(new Rnn(3, 5)).forward(x).output).every(v => v === 0)).toBe(true)
  })

  it('are their cells step by step', async () => {
    const x = random([4, 2, 3], 1)
    const lstm = withSeed(1, () => new Lstm(3, 5))
    const gru = withSeed(2, () => new Gru(3, 5))
    const rnn = withSeed(3, () => new Rnn(3, 5))
    const cells = { lstm: new LstmCell(3, 5), gru: new GruCell(3, 5), rnn: new RnnCell(3, 5) }
    const rename = (name: string): string => name.replace(/_l0$/, '')
    loadStateDict(cells.lstm, await stateDict(lstm), { rename })
    loadStateDict(cells.gru, await stateDict(gru), { rename })
    loadStateDict(cells.rnn, await stateDict(rnn), { rename })
    let lstmState = { hidden: zeros([2, 5]), memory: zeros([2, 5]) }
    let [gruState, rnnState] = [zeros([2, 5]), zeros([2, 5])]
    const steps: Tensor[][] = [[], [], []]
    for (let t = 0; t < 4; t++) {
      lstmState = cells.lstm.forward(x.at(t), lstmState.hidden, lstmState.memory)
      gruState = cells.gru.forward(x.at(t), gruState)
      rnnState = cells.rnn.forward(x.at(t), rnnState)
      ;[lstmState.hidden, gruState, rnnState].forEach((state, i) => {
        steps[i].push(state)
      })
    }
    const whole = lstm.forward(x)
    expectClose(numbers(whole.output), numbers(stack(steps[0])), 1e-12, 'LSTM')
    expectClose(numbers(whole.memory.at(0)), numbers(lstmState.memory), 1e-12, 'memory')
    expectClose(numbers(gru.forward(x).output), numbers(stack(steps[1])), 1e-12, 'GRU')
    expectClose(numbers(rnn.forward(x).output), numbers(stack(steps[2])), 1e-12, 'RNN')
  })

  it.each([
    ['Lstm', new Lstm(2, 3, { layers: 2, bidirectional: true })],
    ['Gru', new Gru(2, 3, { batchFirst: true, bidirectional: true, bias: false })],
    ['Rnn', new Rnn(2, 3, { layers: 2 })],
  ] as const)('%s gives right gradients to its input and to every parameter that its loop reads', async (_, module) => {
    const parameters = [...namedParameters(module)]
    const run = (x: Tensor, ...values: Tensor[]): Tensor =>
      withValues(module, Object.fromEntries(parameters.map(([name], i) => [name, values[i]])), () => {
        const { output, hidden } = module.forward(x)
        return output.sum(-1).mean().add(hidden.sum())
      })
    await check(run, [randomTensor([3, 2, 2], 1), ...parameters.map(([, p], i) => randomTensor(p.shape, i + 2, -1, 1))])
  })

  it('read a batch of sequences in either order of axes', async () => {
    const x = random([4, 2, 3], 1)
    const [first, second] = [
      new Gru(3, 5, { bidirectional: true }),
      new Gru(3, 5, { bidirectional: true, batchFirst: true }),
    ]
    loadStateDict(second, await stateDict(first))
    const [a, b] = [first.forward(x), second.forward(x.swapAxes(0, 1))]
    expectClose(numbers(b.output.swapAxes(0, 1)), numbers(a.output), 1e-12, 'output')
    expectClose(numbers(b.hidden), numbers(a.hidden), 1e-12, 'hidden')
  })

  it('go on from the states they are given', () => {
    const x = random([6, 2, 3], 1)
    const lstm = withSeed(4, () => new Lstm(3, 5, { layers: 2 }))
    const start = lstm.forward(x.slice(0, 0, 2))
    const rest = lstm.forward(x.slice(0, 2), start)
    const whole = lstm.forward(x)
    expectClose(numbers(rest.output), numbers(whole.output.slice(0, 2)), 1e-12, 'output')
    expectClose(numbers(rest.memory), numbers(whole.memory), 1e-12, 'memory')
  })

  it('see the future only in the backward direction', () => {
    const [x, changed] = [random([4, 1, 3], 1), random([4, 1, 3], 1).add(tensor([0, 0, 0, 1]).expandDims([1, 2]))]
    const lstm = withSeed(4, () => new Lstm(3, 2, { bidirectional: true }))
    const difference = numbers(lstm.forward(x).output.sub(lstm.forward(changed).output).abs().at(0, 0))
    expect([...difference.slice(0, 2)]).toEqual([0, 0])
    expect(Math.min(...difference.slice(2))).toBeGreaterThan(0)
  })

  it('drop the outputs between layers while training, and only there', () => {
    const x = random([2, 3, 3], 1)
    const build = (dropout: number): Lstm => withSeed(1, () => new Lstm(3, 4, { layers: 2, dropout }))
    const train = (module: Lstm): number[] =>
      withMode({ training: true, key: key(1) }, () => [...numbers(module.forward(x).output)])
    expect(train(build(0.5))).not.toEqual(train(build(0)))
    expect([...numbers(build(0.5).forward(x).output)]).toEqual(train(build(0)))
  })

  it('learn in a compiled step', async () => {
    const gru = withSeed(1, () => nameVariables(new Gru(1, 8)))
    const weight = [...namedVariables(gru)][0][1]
    const step = compile((x: Tensor) => {
      const loss = gru.forward(x).hidden.mean().sub(0.5).pow(2)
      const parameters = parametersOf(gru)
      grad(loss, parameters).forEach((g, i) => {
        parameters[i].assign(parameters[i].sub(g.mul(2)))
      })
      return loss
    })
    const x = randomTensor([5, 4, 1], 1)
    const before = weight.data.slice()
    const losses: HostTensor[] = []
    for (let i = 0; i < 8; i++) losses.push(await step(x))
    await step.release()
    expect(losses[7].item()).toBeLessThan(losses[0].item() / 4)
    expect(weight.data).not.toEqual(before)
  })

  it('say what does not fit', () => {
    const lstm = new Lstm(3, 5, { layers: 2 })
    expect(() => lstm.forward(random([4, 2, 2], 1))).toThrow('recurrent: expected [length, batch, 3], got [4,2,2]')
    expect(() => lstm.forward(random([4, 2, 3], 1), { hidden: zeros([1, 2, 5]), memory: zeros([2, 2, 5]) })).toThrow(
      'recurrent: initial states must be [2,2,5] (layers * directions, batch, hidden), got [1,2,5]',
    )
    expect(() => new GruCell(3, 5).forward(random([2, 3], 1), random([2, 4], 1))).toThrow(
      'recurrent cell: expected [batch, 3] and states [batch, 5], got [2,3], [2,4]',
    )
  })
})
