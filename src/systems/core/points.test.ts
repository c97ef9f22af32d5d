import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { goldenExists, goldenFolder } from '../../../test/golden.ts'
import { casesOf, readGolden } from '../golden.ts'
import { buildingBlockTolerances, compareGolden } from '../parity.ts'
import { indexingCases } from './indexing-cases.ts'
import { pointsCases } from './points.ts'

const read = (name: string) => readGolden(readFileSync(join(goldenFolder, `${name}.safetensors`)), name)

describe.skipIf(!goldenExists('core.points'))('core.points', () => {
  it('every case agrees with PyTorch', async () => {
    const result = await compareGolden(read('core.points'), {
      reproduce: pointsCases,
      tolerances: buildingBlockTolerances,
    })
    expect(result.errors).toEqual([])
    expect(result.missing).toEqual([])
    expect(result.comparisons.filter(({ ok }) => !ok)).toEqual([])
  })
})

describe.skipIf(!goldenExists('core.rnn'))('the indexing cases of core.rnn', () => {
  it('agree with PyTorch', async () => {
    const golden = read('core.rnn')
    const result = await compareGolden(golden, { reproduce: indexingCases, tolerances: buildingBlockTolerances })
    expect(casesOf(golden, indexingCases).map(({ name }) => name)).toEqual(
      expect.arrayContaining(['gather', 'scatter_add', 'index_select', 'embedding_pad2', 'embedding_bag_mean']),
    )
    expect(result.errors).toEqual([])
    expect(result.comparisons.filter(({ ok }) => !ok)).toEqual([])
    expect(result.missing.filter(name => /\.(gather|scatter_add|index_select|embedding\w*)\./.test(name))).toEqual([])
  })
})
