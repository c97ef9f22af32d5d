import { spawnSync } from 'node:child_process'
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, it } from 'vitest'

const root = fileURLToPath(new URL('..', import.meta.url))

/** A small project that keeps every rule, so that each import of `breaking` is a violation of its own. */
const keeping: Record<string, readonly string[]> = {
  'src/index.ts': ['./core/index.ts', './nn/index.ts'],
  'src/core/index.ts': ['./tensor.ts', './runtime/node.ts'],
  'src/core/index.browser.ts': ['./tensor.ts'],
  'src/core/tensor.ts': [],
  'src/core/runtime/node.ts': ['node:fs', 'onnxruntime-node', '../tensor.ts'],
  'src/core/tensor.test.ts': ['node:fs', 'vitest', '../../test/helper.ts', './tensor.ts'],
  'src/nn/index.ts': ['../core/index.ts'],
  'src/web/index.ts': ['../server/index.ts'],
  'src/server/index.ts': ['../search/index.ts'],
  'src/search/index.ts': ['../systems/registry.ts'],
  'src/systems/registry.ts': ['./retrieve/bt2/index.ts'],
  'src/systems/retrieve/bt2/index.ts': ['./loss.ts'],
  'src/systems/retrieve/bt2/loss.ts': ['../../../nn/index.ts'],
  'src/systems/detect/yolo/index.ts': ['../../retrieve/bt2/index.ts'],
  'test/helper.ts': [],
  'bench/index.ts': [],
}

const breaking: readonly (readonly [rule: string, file: string, imported: string])[] = [
  ['floors-core', 'src/core/upward.ts', '../nn/index.ts'],
  ['floors-core', 'src/core/upward.test.ts', '../nn/index.ts'],
  ['floors-nn', 'src/nn/roof.ts', '../index.ts'],
  ['floors-cli', 'src/cli/beside.ts', '../web/index.ts'],
  ['unknown-floor', 'src/misc/index.ts', '../core/index.ts'],
  ['core-without-node', 'src/core/file.ts', 'node:fs'],
  ['core-without-node-packages', 'src/nn/session.ts', 'onnxruntime-node'],
  ['systems-by-their-entry', 'src/systems/detect/yolo/inside.ts', '../../retrieve/bt2/loss.ts'],
  ['systems-by-their-entry-from-outside', 'src/search/inside.ts', '../systems/retrieve/bt2/loss.ts'],
  ['shipped-without-tests', 'src/core/helped.ts', '../../test/helper.ts'],
  ['shipped-without-bench', 'src/core/timed.test.ts', '../../bench/index.ts'],
  ['shipped-dependencies-declared', 'src/nn/undeclared.ts', 'fast-check'],
]

let project: string

beforeAll(() => {
  project = mkdtempSync(join(tmpdir(), 'tenet-floors-'))
  for (const name of ['package.json', 'tsconfig.json', '.dependency-cruiser.cjs'])
    copyFileSync(join(root, name), join(project, name))
  symlinkSync(join(root, 'node_modules'), join(project, 'node_modules'), 'junction')
  for (const [file, imports] of Object.entries(keeping)) write(file, imports)
})
afterAll(() => rmSync(project, { recursive: true }))

function write(file: string, imports: readonly string[]) {
  mkdirSync(dirname(join(project, file)), { recursive: true })
  writeFileSync(join(project, file), [...imports.map(name => `import '${name}'`), 'export {}'].join('\n'))
}

/** The broken rules as `rule: file -> import`, sorted. */
function violations(): string[] {
  const cruiser = join(root, 'node_modules', 'dependency-cruiser', 'bin', 'dependency-cruise.mjs')
  const { stdout } = spawnSync(
    process.execPath,
    [cruiser, 'src', '--config', '.dependency-cruiser.cjs', '--output-type', 'json'],
    { cwd: project, encoding: 'utf8', maxBuffer: 1 << 28 },
  )
  const found: { rule: { name: string }; from: string; to: string }[] = JSON.parse(stdout).summary.violations
  return found.map(({ rule, from }) => `${rule.name}: ${from}`).sort()
}

it('imports that only go down break no rule', () => {
  expect(violations()).toEqual([])
})

it('every forbidden import breaks the rule that names it, and no other', () => {
  for (const [, file, imported] of breaking) write(file, [imported])
  // The browser entry is caught through any number of steps.
  write('src/core/index.browser.ts', ['./session.ts'])
  write('src/core/session.ts', ['./runtime/node.ts'])
  const expected = breaking.map(([rule, file]) => `${rule}: ${file}`)
  expect(violations()).toEqual([...expected, 'browser-entry-without-node: src/core/index.browser.ts'].sort())
})
