import { linearScan, relu, sigmoid, tanh } from '../../core/index.ts'
import * as nn from '../../nn/index.ts'
import type { CaseTable, GoldenCase, Outputs } from '../golden.ts'
import { withCaseParameters } from './case-parameters.ts'
import { indexingCases } from './indexing-cases.ts'

/** Sizes and options of a recurrent network, read off its parameters. */
function recurrentOptions(c: GoldenCase, batchFirst: boolean) {
  const names = c.names('param')
  return {
    input: c.value('param', 'weight_ih_l0').shape[1],
    hidden: c.value('param', 'weight_hh_l0').shape[1],
    options: {
      layers: names.filter(name => /^weight_ih_l\d+$/.test(name)).length,
      bidirectional: names.some(name => name.endsWith('_reverse')),
      bias: names.some(name => name.startsWith('bias')),
      batchFirst,
    },
  }
}

function lstm(c: GoldenCase, batchFirst: boolean): Outputs {
  const { input, hidden, options } = recurrentOptions(c, batchFirst)
  const module = new nn.Lstm(input, hidden, options)
  const initial = c.has('in', 'h0') ? { hidden: c.in('h0'), memory: c.in('c0') } : undefined
  const [y, hn, cn] = withCaseParameters(c, module, () => {
    const { output, hidden: last, memory } = module.forward(c.in('x'), initial)
    return [output, last, memory]
  })
  return { y, hn, cn }
}

function gruOrRnn(c: GoldenCase, kind: string, batchFirst: boolean): Outputs {
  const { input, hidden, options } = recurrentOptions(c, batchFirst)
  const module =
    kind === 'gru'
      ? new nn.Gru(input, hidden, options)
      : new nn.Rnn(input, hidden, { ...options, activation: kind === 'rnn_relu' ? relu : tanh })
  const [y, hn] = withCaseParameters(c, module, () => {
    const { output, hidden: last } = module.forward(c.in('x'), c.has('in', 'h0') ? c.in('h0') : undefined)
    return [output, last]
  })
  return { y, hn }
}

/** Widths of a cell: those of its inputs. */
const widths = (c: GoldenCase): [input: number, hidden: number] => [c.in('x').shape[1], c.in('h').shape[1]]

function lstmCell(c: GoldenCase): Outputs {
  const cell = new nn.LstmCell(...widths(c))
  const [h, memory] = withCaseParameters(c, cell, () => {
    const next = cell.forward(c.in('x'), c.in('h'), c.in('c'))
    return [next.hidden, next.memory]
  })
  return { h, c: memory }
}

function hiddenCell(c: GoldenCase, kind: string): Outputs {
  const cell = kind === 'gru' ? new nn.GruCell(...widths(c)) : new nn.RnnCell(...widths(c))
  const [h] = withCaseParameters(c, cell, () => [cell.forward(c.in('x'), c.in('h'))])
  return { h }
}

export const rnnCases: CaseTable = {
  cases: [
    [/^lstm(?:_bi)?\d*(_bf)?$/, (c, [, batchFirst]) => lstm(c, batchFirst !== undefined)],
    [/^(gru|rnn_tanh|rnn_relu)(?:_bi)?\d*(_bf)?$/, (c, [, kind, first]) => gruOrRnn(c, kind, first !== undefined)],
    [/^lstm_cell$/, lstmCell],
    [/^(gru|rnn)_cell$/, (c, [, kind]) => hiddenCell(c, kind)],
    [/^conv_causal_scan$/, c => ({ y: linearScan(sigmoid(c.in('a')), c.in('b'), { axis: 1 }) })],
    ...indexingCases.cases,
  ],
}
