import { embedding, gather, max, mean, scatterAdd, sum, takeAlongAxis, zeros } from '../../core/index.ts'
import type { CaseTable } from '../golden.ts'

const pooled = { mean, sum, max }

/** The cases of core.rnn that index tensors. */
export const indexingCases: CaseTable = {
  cases: [
    [/^gather$/, c => ({ y: takeAlongAxis(c.in('x'), c.in('idx')) })],
    [/^scatter_add$/, c => ({ y: scatterAdd(zeros(c.outputShape('y')), c.in('idx'), c.in('x')) })],
    [/^index_select$/, c => ({ y: gather(c.in('x'), c.in('idx')) })],
    [/^embedding$/, c => ({ y: embedding(c.param('weight'), c.in('idx')) })],
    [
      /^embedding_pad(\d+)$/,
      (c, [, index]) => ({ y: embedding(c.param('weight'), c.in('idx'), { paddingIndex: Number(index) }) }),
    ],
    [
      /^embedding_bag_(mean|sum|max)$/,
      (c, [, mode]) => ({ y: pooled[mode as keyof typeof pooled](embedding(c.param('weight'), c.in('idx')), -2) }),
    ],
  ],
}
