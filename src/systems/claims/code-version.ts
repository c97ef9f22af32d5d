import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { BuildOptions, BuildResult } from 'esbuild'
import { registry } from '../registry.ts'

const root = fileURLToPath(new URL('../../..', import.meta.url))

/** The bundler, which only a checkout has; by a name that is not looked for where there are no sources. */
async function bundler(): Promise<{ build(options: BuildOptions): Promise<BuildResult> }> {
  const name = 'esbuild'
  return import(name)
}

/**
 * Names the code that a system's claim runs: the hash of everything its `claim.ts` reaches, as one bundle without what is
 * not used, without comments and layout. In an installed package, the package's version.
 */
export async function codeVersion(id: string): Promise<string> {
  const entry = registry.find(one => one.id === id)
  const folder = entry && join(root, 'src', 'systems', entry.task, id)
  if (!folder || !existsSync(folder)) {
    const { version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as { version: string }
    return `tenet@${version}`
  }
  const file = ['claim.ts', 'index.ts'].map(name => join(folder, name)).find(existsSync)!
  return bundleHash(file)
}

/** Hash of what a source file and all that it imports come to. */
export async function bundleHash(file: string): Promise<string> {
  const { build } = await bundler()
  const { outputFiles } = await build({
    entryPoints: [file],
    absWorkingDir: root,
    bundle: true,
    write: false,
    format: 'esm',
    platform: 'node',
    packages: 'external',
    treeShaking: true,
    minify: true,
    legalComments: 'none',
    logLevel: 'silent',
  })
  return createHash('sha256').update(outputFiles![0].contents).digest('hex').slice(0, 16)
}
