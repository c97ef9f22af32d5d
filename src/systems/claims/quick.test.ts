import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { loadSystem } from '../load.ts'
import { registry } from '../registry.ts'
import { runClaim } from './run-claim.ts'

const folder = mkdtempSync(join(tmpdir(), 'tenet-quick-'))
afterAll(() => rmSync(folder, { recursive: true }))

it.each(registry.map(({ id }) => id))('the experiment of %s works: quick runs end, and their losses fall', async id => {
  const system = await loadSystem(id)
  expect(system.id).toBe(id)
  const { record, faults } = await runClaim(system, { quick: true, folder })
  expect(faults).toEqual([])
  expect(record.arms.map(({ name }) => name)).toEqual(system.claim.arms.map(({ name }) => name))
})
