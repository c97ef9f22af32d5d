import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'

interface Locked {
  readonly packages: Record<string, { readonly optionalDependencies?: Record<string, string> }>
}

// npm forgets the builds for other platforms when it cannot find them at the moment, and then `npm ci` refuses the file
// everywhere.
it('locks the builds of native packages for every platform, or a fresh clone cannot be installed', () => {
  const { packages } = JSON.parse(readFileSync(new URL('../package-lock.json', import.meta.url), 'utf8')) as Locked
  const names = new Set(Object.keys(packages).map(path => path.slice(path.lastIndexOf('node_modules/') + 13)))
  const wanted = Object.values(packages).flatMap(({ optionalDependencies = {} }) => Object.keys(optionalDependencies))
  expect(wanted.length).toBeGreaterThan(10)
  expect(wanted.filter(name => !names.has(name))).toEqual([])
})
