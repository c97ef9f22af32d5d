import type { BenchCase } from './case.ts'
import { constant, weight } from './case.ts'
import { mamba } from './train.ts'

interface ScanShape {
  readonly batch: number
  readonly channels: number
  readonly length: number
  readonly states: number
}

/** Mamba's selective scan with softplus and skip: u and delta [batch, channels, length], B and C [batch, states, length]. */
function selectiveScan({ batch, channels, length, states }: ScanShape, mode: 'forward' | 'both'): BenchCase {
  const sequence = [batch, channels, length]
  return {
    suite: 'core',
    name: `selective-scan-${length}${mode === 'forward' ? '' : '+backward'}`,
    shape: `[${sequence}], ${states} states`,
    op: 'selectiveScan',
    attributes: {},
    inputs: [
      weight('u', sequence, 1),
      { name: 'delta', shape: sequence, low: -5, high: -2, gradient: true },
      { name: 'A', shape: [channels, states], low: -states, high: -1, gradient: true },
      weight('B', [batch, states, length], 1),
      weight('C', [batch, states, length], 1),
      constant('D', [channels], 1),
    ],
    mode,
    flops: 0,
  }
}

/** The selective scan alone, at the lengths of small pictures and of 1,024 tokens, and a training step of a block around two. */
export const scanCases: readonly BenchCase[] = [
  ...[
    { batch: 16, channels: 192, length: 196, states: 16 },
    { batch: 4, channels: 192, length: 1024, states: 16 },
  ].flatMap(shape => (['forward', 'both'] as const).map(mode => selectiveScan(shape, mode))),
  {
    ...mamba({ batch: 4, length: 1024, width: 96, inner: 192, state: 16, kernel: 4, rank: 6 }),
    name: 'mamba-1024',
  },
]
