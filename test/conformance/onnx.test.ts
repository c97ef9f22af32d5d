import { describe, expect, it } from 'vitest'
import { operators } from '../../src/core/onnx/import/operators.ts'
import { nodeTestFolder, otherTestFolders, runFolder } from './node-tests.ts'

const root = nodeTestFolder()

describe.skipIf(!root)("ONNX's own tests (libonnx-testdata)", () => {
  it('of single nodes pass wherever operators and types are claimed, of which there are many', async () => {
    const results = await runFolder(root!)
    expect(results.filter(({ verdict }) => verdict === 'failed')).toEqual([])
    const passed = results.filter(({ verdict }) => verdict === 'passed')
    const exercised = new Set(passed.flatMap(result => result.operators))
    expect([...operators.keys()].filter(key => exercised.has(key)).length).toBeGreaterThanOrEqual(120)
    // What is left out is left out for a stated reason.
    for (const { verdict, reason } of results)
      if (verdict === 'not claimed')
        expect(reason).toMatch(
          /^(operator not claimed|element type|value type|random draw|shape that depends on data|loop whose length depends on data): /,
        )
  })

  it.each(otherTestFolders(root ?? ''))('of small models pass: %s', async folder => {
    const results = await runFolder(folder)
    expect(results.filter(({ verdict }) => verdict === 'failed')).toEqual([])
    expect(results.filter(({ verdict }) => verdict === 'passed').length).toBeGreaterThan(5)
  })
})
