#!/usr/bin/env node
// Runs the built command line. In a checkout whose sources are newer than the build, runs the sources instead, so that
// an edit takes effect without a build step.
import { existsSync } from 'node:fs'

const built = new URL('../dist/cli/index.js', import.meta.url)
const source = new URL('../src/cli/index.ts', import.meta.url)

async function isFresh() {
  if (!existsSync(built)) return false
  // The published package holds no sources, so its build cannot be out of date.
  if (!existsSync(source)) return true
  const { buildIsFresh } = await import('../scripts/build-stamp.mjs')
  return buildIsFresh()
}

if (await isFresh()) {
  await import(built.href)
} else if (existsSync(source)) {
  const { register } = await import('tsx/esm/api')
  register()
  await import(source.href)
} else {
  console.error('tenet: the command line (dist/cli/index.js or src/cli/index.ts) is missing from this copy.')
  process.exitCode = 2
}
