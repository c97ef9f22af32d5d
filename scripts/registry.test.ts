import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { registry } from '../src/systems/registry.ts'
import { registryFile, registrySource, systemFolders } from './registry.mjs'

it('lists exactly the folders of systems', () => {
  expect(registry.map(({ id, task }) => ({ task, id }))).toEqual(systemFolders())
  expect(readFileSync(registryFile, 'utf8')).toBe(registrySource())
})

it('finds a folder with an index and leaves out one without', () => {
  const root = mkdtempSync(join(tmpdir(), 'tenet-registry-'))
  try {
    for (const id of ['beta', 'alpha', 'unfinished']) mkdirSync(join(root, 'segment', id), { recursive: true })
    for (const id of ['beta', 'alpha']) writeFileSync(join(root, 'segment', id, 'index.ts'), '')
    const found = systemFolders(root)
    expect(found).toEqual([
      { task: 'segment', id: 'alpha' },
      { task: 'segment', id: 'beta' },
    ])
    expect(registrySource(found)).toContain("import('./segment/beta/index.ts')")
  } finally {
    rmSync(root, { recursive: true })
  }
})
