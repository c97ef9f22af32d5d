import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { goldenExists, goldenFolder } from '../../../test/golden.ts'
import { type Golden, readGolden } from '../golden.ts'
import { compareGolden } from '../parity.ts'
import { coreReproduction } from './index.ts'

const read = (name: string): Golden => readGolden(readFileSync(join(goldenFolder, `${name}.safetensors`)), name)

describe.each(['core.attention', 'core.rnn', 'core.loss', 'core.metrics'])('%s', name => {
  it.skipIf(!goldenExists(name))('agrees with PyTorch in every output and gradient', async () => {
    const golden = read(name)
    const result = await compareGolden(golden, coreReproduction(golden))
    expect(result.errors).toEqual([])
    expect(result.missing).toEqual([])
    expect(result.comparisons.filter(({ ok }) => !ok)).toEqual([])
    expect(result.checked).toBeGreaterThan(30)
  })
  it.skipIf(!goldenExists(name))('is recognised by its cases under another name', () => {
    const golden = read(name)
    const renamed = coreReproduction({ ...golden, name: 'somewhere' })
    expect(renamed.reproduce).toBe(coreReproduction(golden).reproduce)
  })
})

describe('a core golden that nothing knows', () => {
  it('is refused by its name', () => {
    const golden: Golden = {
      name: 'core.nothing',
      metadata: { system: 'core', what: '', config: {} },
      tensors: new Map(),
    }
    expect(() => coreReproduction(golden)).toThrow('core.nothing: no building block knows the cases of this golden')
  })
})
