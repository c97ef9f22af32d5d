import { convTranspose } from '../../core/index.ts'
import type { CaseBuilder, CaseTable } from '../golden.ts'

interface Options {
  readonly stride?: number
  readonly padding?: number
  readonly outputPadding?: number
  readonly dilation?: number
}

/** Groups are as many as the kernel's output channels go into those of the golden's output. */
const transposed =
  (options: Options): CaseBuilder =>
  c => {
    const weight = c.param('weight')
    return {
      y: convTranspose(c.in('x'), weight, {
        ...options,
        groups: c.outputShape('y')[1] / weight.shape[1],
        bias: c.has('param', 'bias') ? c.param('bias') : undefined,
      }),
    }
  }

/** Cases of `core.conv_transpose`; what a name does not say is in the golden's notes. */
export const convTransposeCases: CaseTable = {
  cases: [
    [/^s1$/, transposed({ padding: 1 })],
    [/^s2$/, transposed({ stride: 2, padding: 1 })],
    [/^s2op$/, transposed({ stride: 2, padding: 1, outputPadding: 1 })],
    [/^grp$/, transposed({ stride: 2 })],
    [/^dil$/, transposed({ stride: 2, padding: 1, outputPadding: 1, dilation: 2 })],
    [/^k5$/, transposed({ stride: 2, padding: 2, outputPadding: 1 })],
  ],
}
