import { readFile } from 'node:fs/promises'
import { basename } from 'node:path'
import type { Command } from 'commander'
import type { Golden, ParityResult } from '../../systems/index.ts'
import { asUserError } from '../options.ts'
import { printTable } from '../table.ts'
import { UserError } from '../user-error.ts'

async function load(file: string): Promise<Golden> {
  let bytes: Uint8Array
  try {
    bytes = await readFile(file)
  } catch (error) {
    throw new UserError(`cannot read ${file}: ${(error as NodeJS.ErrnoException).code ?? error}`)
  }
  try {
    const { readGolden } = await import('../../systems/index.ts')
    return readGolden(bytes, basename(file).replace(/\.safetensors$/, ''))
  } catch (error) {
    throw new UserError((error as Error).message)
  }
}

/** A file that cannot be compared is a failure of its own, and the others are still compared. */
async function compareFile(file: string): Promise<ParityResult> {
  try {
    const { compareGolden, reproductionOf } = await import('../../systems/index.ts')
    const golden = await load(file)
    const reproduction = await asUserError(() => reproductionOf(golden))
    return await compareGolden(golden, reproduction)
  } catch (error) {
    if (!(error instanceof UserError)) throw error
    return {
      file: basename(file),
      system: '',
      ok: false,
      checked: 0,
      worst: null,
      missing: [],
      comparisons: [],
      errors: [error.message],
    }
  }
}

const exponent = (value: number): string => (value === 0 ? '0' : value.toExponential(1))

function report(results: readonly ParityResult[], verbose: boolean): void {
  printTable(
    ['golden', 'system', 'compared', 'worst absolute', 'worst relative', 'where', 'result'],
    results.map(r => [
      r.file,
      r.system,
      String(r.checked),
      r.worst ? exponent(r.worst.absolute) : '',
      r.worst ? exponent(r.worst.relative) : '',
      r.worst?.name ?? '',
      r.ok ? 'ok' : 'FAILED',
    ]),
  )
  for (const r of results) {
    for (const error of r.errors) console.log(`${r.file}: ${error}`)
    if (r.missing.length) console.log(`${r.file}: nothing compared with ${r.missing.join(', ')}`)
    for (const c of r.comparisons)
      if (!c.ok || verbose)
        console.log(
          `${r.file}: ${c.ok ? 'ok' : 'FAILED'} ${c.name} absolute ${exponent(c.absolute)} relative ${exponent(c.relative)}`,
        )
  }
}

export function addParity(program: Command): void {
  program
    .command('parity')
    .description('compare systems with reference outputs and gradients of their official implementations')
    .argument('<golden...>', 'golden files (.safetensors)')
    .option('--json', 'print one JSON document')
    .option('--verbose', 'show every tensor compared')
    .addHelpText('after', '\nExample:\n  tenet parity ../shared/golden/core.conv.safetensors')
    .action(async (files: string[], { json = false, verbose = false }: { json?: boolean; verbose?: boolean }) => {
      const results: ParityResult[] = []
      for (const file of files) results.push(await compareFile(file))
      if (json) {
        const shown = results.map(({ comparisons: _, ...rest }) => rest)
        console.log(JSON.stringify({ results: shown }))
      } else report(results, verbose)
      // A file that cannot be used is the user's input, a difference is a failed check.
      if (results.some(({ checked, errors }) => checked === 0 && errors.length > 0)) process.exitCode = 2
      if (results.some(({ ok, checked }) => !ok && checked > 0)) process.exitCode = 1
    })
}
