// `npm run conformance:onnx [-- --json] [-- <part of a test's name>…]`: ONNX's own node tests, of which every one that
// uses only operators and types the importer claims must pass, through the interpreter and through an exported file.
import { readdirSync } from 'node:fs'
import { operators } from '../../src/core/onnx/import/operators.ts'
import { type NodeTestResult, nodeTestFolder, runNodeTest } from './node-tests.ts'

const args = process.argv.slice(2)
const json = args.includes('--json')
const parts = args.filter(arg => !arg.startsWith('--'))

const root = nodeTestFolder()
if (!root) {
  console.error('The ONNX node tests are not installed: apt-get install libonnx-testdata (or set TENET_ONNX_TESTS).')
  process.exit(2)
}

const names = readdirSync(root)
  .filter(name => parts.length === 0 || parts.some(part => name.includes(part)))
  .sort()
const results: NodeTestResult[] = []
for (const name of names) results.push(await runNodeTest(root, name))

const claimed = results.filter(({ verdict }) => verdict !== 'not claimed')
const passed = claimed.filter(({ verdict }) => verdict === 'passed')
const failed = claimed.filter(({ verdict }) => verdict === 'failed')
const left = results.filter(({ verdict }) => verdict === 'not claimed')
const exercised = new Set(passed.flatMap(result => result.operators))
const keys = [...operators.keys()].sort()

if (json) {
  console.log(
    JSON.stringify(
      {
        passed: passed.length,
        claimed: claimed.length,
        all: results.length,
        operators: keys,
        operatorsWithPassingTests: keys.filter(key => exercised.has(key)),
        failed,
        notClaimed: left,
        bound: passed.filter(({ bound }) => bound?.length).map(({ name, bound }) => ({ name, bound })),
      },
      null,
      2,
    ),
  )
} else {
  const reasons = new Map<string, string[]>()
  for (const { name, reason } of left) {
    const key = reason!.replace(/onnx: .*?: /, '')
    reasons.set(key, [...(reasons.get(key) ?? []), name.replace(/^test_/, '')])
  }
  console.log('Not claimed, by reason:')
  for (const [reason, tests] of [...reasons].sort(([a], [b]) => a.localeCompare(b)))
    console.log(`  ${reason} (${tests.length})\n    ${tests.join(' ')}`)
  for (const { name, reason } of failed) console.log(`FAILED ${name}: ${reason}`)
  console.log(
    `operators claimed: ${keys.length}, of which ${keys.filter(key => exercised.has(key)).length} have passing node tests`,
  )
  console.log(`onnx node tests: ${passed.length} of ${claimed.length} claimed, ${results.length} of all`)
}
process.exit(failed.length ? 1 : 0)
