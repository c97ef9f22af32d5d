import {
  adaptiveAveragePool,
  adaptiveMaxPool,
  averagePool,
  generalizedMeanPool,
  lpPool,
  maxPool,
  type Tensor,
} from '../../core/index.ts'
import type { CaseBuilder, CaseTable } from '../golden.ts'

const pooling =
  (pool: (x: Tensor, named: Readonly<Record<string, string | undefined>>) => Tensor): CaseBuilder =>
  (c, match) => ({ y: pool(c.in('x'), match.groups ?? {}) })

/** Reads `k3s2p1`, the stride being the kernel's size and the padding 0 where they are left out. */
const windowOf = ({ kernel, stride = kernel, padding = '0' }: Readonly<Record<string, string | undefined>>) => ({
  kernel: Number(kernel),
  stride: Number(stride),
  padding: Number(padding),
})

/** Cases of `core.pool`; what a name does not say is in the golden's notes. */
export const poolCases: CaseTable = {
  cases: [
    [
      /^max_k(?<kernel>\d+)(?:s(?<stride>\d+))?(?:p(?<padding>\d+))?(?<ceil>_ceil)?$/,
      pooling((x, named) => maxPool(x, { ...windowOf(named), ceil: named.ceil !== undefined })),
    ],
    [/^max_ceil$/, pooling(x => maxPool(x, { kernel: 3, stride: 2, ceil: true }))],
    [/^max_dil$/, pooling(x => maxPool(x, { kernel: 2, stride: 1, dilation: 2 }))],
    [
      /^avg_k(?<kernel>\d+)(?:s(?<stride>\d+))?(?:p(?<padding>\d+))?(?<ceil>_ceil)?(?<uncounted>_nopadcount)?$/,
      pooling((x, named) =>
        averagePool(x, {
          ...windowOf(named),
          ceil: named.ceil !== undefined,
          countPadding: named.uncounted === undefined,
        }),
      ),
    ],
    [/^avg_ceil$/, pooling(x => averagePool(x, { kernel: 2, stride: 2, ceil: true }))],
    [
      /^adaptive_avg_(?<sizes>\d+(?:x\d+)*)$/,
      pooling((x, { sizes }) => adaptiveAveragePool(x, sizes!.split('x').map(Number))),
    ],
    [
      /^adaptive_max_(?<sizes>\d+(?:x\d+)*)$/,
      pooling((x, { sizes }) => adaptiveMaxPool(x, sizes!.split('x').map(Number))),
    ],
    [/^lp(?<p>\d+(?:\.\d+)?)$/, pooling((x, { p }) => lpPool(x, Number(p), { kernel: 2 }))],
    [/^gem_p(?<p>\d+)$/, c => ({ y: generalizedMeanPool(c.in('x'), c.param('p'), { epsilon: 1e-6, keep: true }) })],
  ],
}
