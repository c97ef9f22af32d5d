import { readdirSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { operators } from '../../src/core/onnx/import/operators.ts'
import { type NodeTestResult, nodeTestFolder, runNodeTest } from './node-tests.ts'

const root = nodeTestFolder()

describe.skipIf(!root)("ONNX's own node tests (libonnx-testdata)", () => {
  it('pass wherever the operators and types are claimed, of which there are many', async () => {
    const results: NodeTestResult[] = []
    for (const name of readdirSync(root!)) results.push(await runNodeTest(root!, name))
    expect(results.filter(({ verdict }) => verdict === 'failed')).toEqual([])
    const passed = results.filter(({ verdict }) => verdict === 'passed')
    const exercised = new Set(passed.flatMap(result => result.operators))
    expect(operators.size).toBeGreaterThanOrEqual(120)
    expect([...operators.keys()].filter(key => exercised.has(key)).length).toBeGreaterThanOrEqual(120)
    // What is left out is left out for a stated reason.
    for (const { verdict, reason } of results)
      if (verdict === 'not claimed')
        expect(reason).toMatch(
          /^(operator not claimed|element type|value type|random draw|shape that depends on data|loop whose length depends on data): /,
        )
  })
})
