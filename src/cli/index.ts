import { createRequire } from 'node:module'
import { Command, CommanderError } from 'commander'
import { addClaim } from './commands/claim.ts'
import { addCorpus } from './commands/corpus.ts'
import { addDescribe } from './commands/describe.ts'
import { addDevices } from './commands/devices.ts'
import { addEmbed } from './commands/embed.ts'
import { addEval } from './commands/eval.ts'
import { addExport } from './commands/export.ts'
import { addIndex } from './commands/index-collection.ts'
import { addParity } from './commands/parity.ts'
import { addPredict } from './commands/predict.ts'
import { addSearch } from './commands/search.ts'
import { addServe } from './commands/serve.ts'
import { addSystems } from './commands/systems.ts'
import { addTrain } from './commands/train.ts'
import { UserError } from './user-error.ts'

const { version, description } = createRequire(import.meta.url)('../../package.json') as {
  version: string
  description: string
}

/** Builds the command line: each verb is a few lines over the floors below. */
export function buildProgram(): Command {
  const program = new Command('tenet')
    .description(description)
    .version(version)
    .exitOverride()
    .showHelpAfterError('(add --help for usage)')
  for (const add of [
    addTrain,
    addEval,
    addPredict,
    addEmbed,
    addExport,
    addSystems,
    addClaim,
    addParity,
    addDevices,
    addCorpus,
    addIndex,
    addSearch,
    addDescribe,
    addServe,
  ])
    add(program)
  return program
}

/**
 * Runs one command line.
 * @returns the exit code: 0 done, 1 a check failed, 2 the user's input cannot be used
 */
export async function main(args: readonly string[]): Promise<number> {
  try {
    await buildProgram().parseAsync([...args], { from: 'user' })
    return Number(process.exitCode ?? 0)
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2
    if (error instanceof UserError) {
      console.error(`tenet: ${error.message}`)
      return 2
    }
    throw error
  }
}
