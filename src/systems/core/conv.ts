import { conv } from '../../core/index.ts'
import type { CaseBuilder, CaseTable, GoldenCase } from '../golden.ts'

interface Options {
  readonly stride?: number | readonly number[]
  readonly padding?: number | readonly number[]
  readonly dilation?: number
}

/** Groups are as many as the kernel's channels go into the input's. */
const convolution =
  (options: Options | ((c: GoldenCase, match: RegExpMatchArray) => Options)): CaseBuilder =>
  (c, match) => {
    const x = c.in('x')
    const weight = c.param('weight')
    return {
      y: conv(x, weight, {
        ...(typeof options === 'function' ? options(c, match) : options),
        groups: x.shape[1] / weight.shape[1],
        bias: c.has('param', 'bias') ? c.param('bias') : undefined,
      }),
    }
  }

/** Cases of `core.conv`; what a name does not say is in the golden's notes. */
export const convCases: CaseTable = {
  cases: [
    [/^plain$/, convolution({ padding: 1 })],
    [/^stride$/, convolution({ stride: 2, padding: 1 })],
    [
      /^k(?<kernel>\d+)s(?<stride>\d+)p(?<padding>\d+)$/,
      convolution((_, { groups }) => ({ stride: Number(groups!.stride), padding: Number(groups!.padding) })),
    ],
    [/^dil$/, convolution({ padding: 2, dilation: 2 })],
    [/^grp$/, convolution({ padding: 1 })],
    [/^dw$/, convolution({ stride: 2, padding: 1 })],
    [/^k1$/, convolution({})],
    [/^asym$/, convolution({ stride: [2, 1], padding: [1, 2] })],
    [/^dilgrp$/, convolution({ stride: 2, padding: 2, dilation: 2 })],
    [/^conv1d$/, convolution({ stride: 2, padding: 2 })],
    [/^conv3d$/, convolution({ stride: [1, 2, 2], padding: 1 })],
  ],
}
