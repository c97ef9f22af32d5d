// Prints what failed and, last, `N passed, N failed`; exits 1 unless something passed and nothing failed.
// Usage: node scripts/summarise-tests.mjs <vitest json report> <exit status of vitest> [name of a failed step …]
import { readFileSync } from 'node:fs'

const [reportPath, runnerStatus, ...failedSteps] = process.argv.slice(2)

function readReport() {
  try {
    return JSON.parse(readFileSync(reportPath, 'utf8'))
  } catch {
    return undefined
  }
}

/** Counts of a report; a test file that broke before its first test counts as one failure, as it hides all its tests. */
function count(report) {
  const counts = { passed: 0, failed: 0, skipped: 0 }
  const problems = []
  for (const { name, status, assertionResults, message } of report.testResults) {
    for (const test of assertionResults) {
      if (test.status === 'passed') counts.passed++
      else if (test.status === 'failed') {
        counts.failed++
        problems.push(`${name}: ${test.fullName}`)
      } else counts.skipped++
    }
    if (status === 'failed' && !assertionResults.some(test => test.status === 'failed')) {
      counts.failed++
      problems.push(`${name}: ${message?.split('\n')[0] || 'failed outside its tests'}`)
    }
  }
  return { counts, problems }
}

const report = readReport()
const { counts, problems } = report
  ? count(report)
  : { counts: { passed: 0, failed: 1, skipped: 0 }, problems: ['the test runner ended without a report'] }

// Errors outside every test, such as a worker that died, show only in the exit status.
if (Number(runnerStatus) !== 0 && counts.failed === 0) {
  counts.failed++
  problems.push(`the test runner exited with ${runnerStatus} although no test failed`)
}
if (counts.passed === 0 && counts.failed === 0) {
  counts.failed++
  problems.push('no test ran')
}
for (const step of failedSteps) {
  counts.failed++
  problems.push(`${step} failed`)
}

console.log()
for (const problem of problems) console.log(`FAILED ${problem}`)
const skipped = counts.skipped > 0 ? `, ${counts.skipped} skipped` : ''
console.log(`${counts.passed} passed, ${counts.failed} failed${skipped}`)
process.exitCode = counts.failed > 0 ? 1 : 0
