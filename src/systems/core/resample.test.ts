import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { goldenExists, goldenFolder } from '../../../test/golden.ts'
import { readGolden } from '../golden.ts'
import { buildingBlockTolerances, compareGolden } from '../parity.ts'
import { resampleCases } from './resample.ts'

describe('core.resample', () => {
  it.skipIf(!goldenExists('core.resample'))('every case agrees with PyTorch', async () => {
    const golden = readGolden(readFileSync(join(goldenFolder, 'core.resample.safetensors')), 'core.resample')
    const result = await compareGolden(golden, { reproduce: resampleCases, tolerances: buildingBlockTolerances })
    expect(result.errors).toEqual([])
    expect(result.missing).toEqual([])
    expect(result.comparisons.filter(({ ok }) => !ok)).toEqual([])
  })
})
