import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

const script = fileURLToPath(new URL('./summarise-tests.mjs', import.meta.url))
let folder: string

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'tenet-summary-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

interface FileResult {
  readonly status: 'passed' | 'failed'
  readonly tests: readonly ('passed' | 'failed' | 'pending')[]
}

/** The last line and the exit status of the summary of a report that holds these files. */
function summarise(files: readonly FileResult[] | string, runnerStatus: number, failedSteps: readonly string[] = []) {
  const path = join(folder, 'report.json')
  const report = (results: readonly FileResult[]) => ({
    testResults: results.map(({ status, tests }, file) => ({
      name: `file-${file}.test.ts`,
      status,
      message: '',
      assertionResults: tests.map((result, test) => ({ status: result, fullName: `test ${test}` })),
    })),
  })
  writeFileSync(path, typeof files === 'string' ? files : JSON.stringify(report(files)))
  const { stdout, status } = spawnSync(process.execPath, [script, path, String(runnerStatus), ...failedSteps], {
    encoding: 'utf8',
  })
  return { lastLine: stdout.trimEnd().split('\n').at(-1), status }
}

describe('the closing line of CI', () => {
  it('counts tests over all files', () => {
    const files: FileResult[] = [
      { status: 'passed', tests: ['passed', 'passed'] },
      { status: 'passed', tests: ['passed'] },
    ]
    expect(summarise(files, 0)).toEqual({ lastLine: '3 passed, 0 failed', status: 0 })
  })

  it('names skipped tests only when there are some', () => {
    expect(summarise([{ status: 'passed', tests: ['passed', 'pending'] }], 0)).toEqual({
      lastLine: '1 passed, 0 failed, 1 skipped',
      status: 0,
    })
  })

  it('counts every failed test once, whatever the status of its file', () => {
    expect(summarise([{ status: 'failed', tests: ['passed', 'failed', 'failed'] }], 1)).toEqual({
      lastLine: '1 passed, 2 failed',
      status: 1,
    })
  })

  it('counts a file that broke before its first test', () => {
    const files: FileResult[] = [
      { status: 'passed', tests: ['passed'] },
      { status: 'failed', tests: [] },
    ]
    expect(summarise(files, 1)).toEqual({ lastLine: '1 passed, 1 failed', status: 1 })
  })

  it('counts each failed step beside the tests', () => {
    expect(summarise([{ status: 'passed', tests: ['passed'] }], 0, ['lint', 'typecheck'])).toEqual({
      lastLine: '1 passed, 2 failed',
      status: 1,
    })
  })

  it('never reports success when the runner died, wrote half a report or ran nothing', () => {
    expect(summarise([{ status: 'passed', tests: ['passed'] }], 139)).toEqual({
      lastLine: '1 passed, 1 failed',
      status: 1,
    })
    expect(summarise('{"testResults": [', 1)).toEqual({ lastLine: '0 passed, 1 failed', status: 1 })
    expect(summarise('', 124)).toEqual({ lastLine: '0 passed, 1 failed', status: 1 })
    expect(summarise([], 0)).toEqual({ lastLine: '0 passed, 1 failed', status: 1 })
  })
})
