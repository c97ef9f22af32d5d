// `npm run conformance:onnx [-- --json] [-- <part of a test's name>…]`: ONNX's own node tests, of which every one that
// uses only operators and types the importer claims must pass, through the interpreter and through an exported file.
import { basename } from 'node:path'
import { operators } from '../../src/core/onnx/import/operators.ts'
import { type NodeTestResult, nodeTestFolder, otherTestFolders, runFolder, runNodeTest } from './node-tests.ts'

const args = process.argv.slice(2)
const json = args.includes('--json')
const parts = args.filter(arg => !arg.startsWith('--'))
const wanted = (name: string): boolean => parts.length === 0 || parts.some(part => name.includes(part))

const root = nodeTestFolder()
if (!root) {
  console.error('The ONNX node tests are not installed: apt-get install libonnx-testdata (or set TENET_ONNX_TESTS).')
  process.exit(2)
}

function count(results: readonly NodeTestResult[]) {
  const of = (verdict: NodeTestResult['verdict']) => results.filter(result => result.verdict === verdict)
  const [passed, failed, notClaimed] = [of('passed'), of('failed'), of('not claimed')]
  return { passed, failed, notClaimed, claimed: passed.length + failed.length, all: results.length }
}

const results = await runFolder(root, wanted)
const node = count(results)
const others: { readonly name: string; readonly counts: ReturnType<typeof count> }[] = []
for (const folder of otherTestFolders(root))
  others.push({ name: basename(folder), counts: count(await runFolder(folder, wanted)) })

// float64 is not claimed; whether the operators are right all the same shows when it is rounded to float32.
const doubles = node.notClaimed.filter(({ reason }) => reason?.includes('type double'))
const narrowed: NodeTestResult[] = []
for (const { name } of doubles) narrowed.push(await runNodeTest(root, name, 'f32'))
const rounded = count(narrowed)

const keys = [...operators.keys()].sort()
const exercised = new Set(node.passed.flatMap(result => result.operators))
const failed = [...node.failed, ...others.flatMap(({ counts }) => counts.failed)]

function printText(): void {
  const reasons = new Map<string, string[]>()
  for (const { name, reason } of node.notClaimed) {
    const key = reason!.replace(/onnx: .*?: /, '')
    reasons.set(key, [...(reasons.get(key) ?? []), name.replace(/^test_/, '')])
  }
  console.log('Not claimed, by reason:')
  for (const [reason, tests] of [...reasons].sort(([a], [b]) => a.localeCompare(b)))
    console.log(`  ${reason} (${tests.length})\n    ${tests.join(' ')}`)
  for (const { name, reason } of failed) console.log(`FAILED ${name}: ${reason}`)
  const tested = keys.filter(key => exercised.has(key)).length
  console.log(`operators claimed: ${keys.length}, of which ${tested} have passing node tests`)
  console.log(`tests in float64, rounded to float32: ${rounded.passed.length} of ${rounded.claimed} pass`)
  for (const { name, counts } of others)
    console.log(`onnx ${name} tests: ${counts.passed.length} of ${counts.claimed} claimed, ${counts.all} of all`)
  console.log(`onnx node tests: ${node.passed.length} of ${node.claimed} claimed, ${node.all} of all`)
}

function printJson(): void {
  const summary = ({ passed, claimed, all }: ReturnType<typeof count>) => ({ passed: passed.length, claimed, all })
  const report = {
    ...summary(node),
    operators: keys,
    operatorsWithPassingTests: keys.filter(key => exercised.has(key)),
    failed,
    notClaimed: node.notClaimed,
    bound: node.passed.filter(({ bound }) => bound?.length).map(({ name, bound }) => ({ name, bound })),
    doubleRoundedToFloat: { ...summary(rounded), failed: rounded.failed },
    others: Object.fromEntries(others.map(({ name, counts }) => [name, summary(counts)])),
  }
  console.log(JSON.stringify(report, null, 2))
}

if (json) printJson()
else printText()
process.exit(failed.length ? 1 : 0)
