import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { beforeAll, expect, it } from 'vitest'
import { type Documented, documented, systemPage, systemsTable, withTable } from './systems-docs.ts'

const path = (name: string): string => fileURLToPath(new URL(`../${name}`, import.meta.url))

let systems: Documented[]
beforeAll(async () => {
  systems = await documented()
})

it('the README’s table is that of the registry and the recorded claims: npm run docs:systems', () => {
  const readme = readFileSync(path('README.md'), 'utf8')
  expect(readme).toBe(withTable(readme, systemsTable(systems)))
})

it('every system has a page, up to date: npm run docs:systems', () => {
  for (const one of systems) {
    const figure = existsSync(path(`docs/systems/${one.system.id}.png`))
    expect(readFileSync(path(`docs/systems/${one.system.id}.md`), 'utf8')).toBe(systemPage(one, { figure }))
  }
})

it('a README without markers is refused', () => {
  expect(() => withTable('# Tenet', '|')).toThrow('README.md has no <!-- systems')
})
