import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { goldenExists, goldenFolder } from '../../../test/golden.ts'
import { type CaseTable, readGolden } from '../golden.ts'
import { buildingBlockTolerances, compareGolden } from '../parity.ts'
import { activationCases } from './activation.ts'
import { linalgCases } from './linalg.ts'
import { normCases } from './norm.ts'

const parts: [string, CaseTable][] = [
  ['core.activation', activationCases],
  ['core.norm', normCases],
  ['core.linalg', linalgCases],
]

describe.each(parts)('%s', (name, table) => {
  it.skipIf(!goldenExists(name))('every case agrees with PyTorch', async () => {
    const golden = readGolden(readFileSync(join(goldenFolder, `${name}.safetensors`)), name)
    const result = await compareGolden(golden, { reproduce: table, tolerances: buildingBlockTolerances })
    expect(result.errors).toEqual([])
    expect(result.missing).toEqual([])
    expect(result.comparisons.filter(({ ok }) => !ok)).toEqual([])
  })
})
