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

async function load() {
  if (await isFresh()) return import(built.href)
  const { register } = await import('tsx/esm/api')
  register()
  return import(source.href)
}

if (existsSync(built) || existsSync(source)) {
  const { main } = await load()
  process.exitCode = await main(process.argv.slice(2))
} else {
  console.error('tenet: the command line (dist/cli/index.js or src/cli/index.ts) is missing from this copy.')
  process.exitCode = 2
}
