import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { goldenExists, goldenFolder } from '../../../../test/golden.ts'
import { readGolden } from '../../golden.ts'
import { compareGolden } from '../../parity.ts'
import { official } from './official.ts'

describe.skipIf(!goldenExists('combiner'))('Combiner against its official implementation', () => {
  it('agrees in every output and gradient', async () => {
    const golden = readGolden(readFileSync(join(goldenFolder, 'combiner.safetensors')), 'combiner')
    const result = await compareGolden(golden, official.reproduction(golden))
    expect(result.errors).toEqual([])
    expect(result.missing).toEqual([])
    expect(result.comparisons.filter(({ ok }) => !ok)).toEqual([])
    expect(result.checked).toBe(28)
  })
})
