import type { Command } from 'commander'
import type { ClaimOutcome, ClaimRecord, System } from '../../systems/index.ts'
import { asUserError, wholeNumber } from '../options.ts'
import { duration, ProgressBar } from '../progress.ts'
import { printTable } from '../table.ts'
import { UserError } from '../user-error.ts'

interface ClaimFlags {
  readonly all: boolean
  readonly quick: boolean
  readonly seeds?: number
  readonly into?: string
  readonly restart: boolean
  readonly json: boolean
}

const number = (value: number): string => (Number.isInteger(value) ? String(value) : value.toPrecision(4))

/** A record as people read it. */
export function printClaim(
  { record, recorded, faults }: Pick<ClaimOutcome, 'record' | 'recorded' | 'faults'>,
  quick = false,
): void {
  const { metric, difference, expected, arms, seeds } = record
  console.log(`${record.id}: ${record.statement}`)
  console.log(`data: ${record.data}`)
  const unit = metric.unit ? ` ${metric.unit}` : ''
  printTable(
    [
      'arm',
      `${metric.name}${metric.unit ? `, ${metric.unit}` : ''} (${metric.better} is better)`,
      ...seeds.map(seed => `seed ${seed}`),
      'time',
    ],
    arms.map(({ name, mean, deviation, runs }) => [
      name,
      `${number(mean)} +- ${number(deviation)}`,
      ...runs.map(({ value }) => number(value)),
      duration(runs.reduce((sum, { seconds }) => sum + seconds, 0)),
    ]),
  )
  if (quick) {
    console.log(faults.length ? faults.join('\n') : 'quick run: losses are finite and fall')
    return
  }
  const interval = difference.interval ? ` (95 % interval ${difference.interval.map(number).join(' to ')})` : ''
  console.log(
    `difference of the first two ${number(difference.mean)}${unit}${interval}; by seed ${difference.perSeed.map(number).join(', ')}`,
  )
  for (const { what, measured, holds } of record.conditions)
    console.log(`${holds ? 'yes' : 'NO'}: ${what} (${measured})`)
  console.log(
    `expected at least ${expected.gain}${unit}${expected.everySeed ? ', and a gain with every seed' : ''}: the claim ${record.holds ? 'holds' : 'does not hold'}${recorded ? '' : '; not recorded, which takes three seeds'}`,
  )
}

async function runOne(system: System, flags: ClaimFlags, signal: AbortSignal): Promise<ClaimOutcome> {
  const { runClaim } = await import('../../systems/index.ts')
  const bar = new ProgressBar(
    '{id} {run}/{runs}: {arm}, seed {seed} {bar} {percentage} % loss {loss}, {left} left in all',
    {
      silent: flags.json,
    },
  )
  try {
    return await runClaim(system, {
      quick: flags.quick,
      seeds: flags.seeds,
      folder: flags.into,
      resume: !flags.restart,
      signal,
      onProgress: ({ arm, seed, fraction, loss, done, runs, secondsLeft }) =>
        bar.update(Math.round(1000 * fraction), 1000, {
          id: system.id,
          run: String(done + 1),
          runs: String(runs),
          arm,
          seed: String(seed),
          loss: loss?.toPrecision(4) ?? '-',
          left: secondsLeft === undefined ? '?' : duration(secondsLeft),
        }),
      onRun: ({ arm, seed, value, seconds }, kept) => {
        if (!flags.json)
          bar.note(
            `${system.id}: ${arm}, seed ${seed}: ${number(value)} ${kept ? '(kept from before)' : `in ${duration(seconds)}`}`,
          )
      },
    })
  } finally {
    bar.stop()
  }
}

export function addClaim(program: Command): void {
  program
    .command('claim')
    .description('rerun the experiments that systems stand by: each against the same thing without its mechanism')
    .argument('[id...]', 'systems, as `tenet systems` lists them')
    .option('--all', 'every system whose recorded result is not of the present code', false)
    .option('--quick', 'runs of seconds, which show that the experiment works, not who wins', false)
    .option('--seeds <n>', 'number of seeds (default: 3, or what the claim says)', wholeNumber(1))
    .option('--into <folder>', 'folder of the results (default: the package’s claims folder)')
    .option('--restart', 'run everything anew instead of going on with an interrupted call', false)
    .option('--json', 'print one JSON document', false)
    .addHelpText('after', '\nExamples:\n  tenet claim vision-mamba --quick\n  tenet claim --all')
    .action(async (ids: string[], flags: ClaimFlags) => {
      if (ids.length === 0 && !flags.all) throw new UserError('name at least one system, or give --all')
      const { loadSystems, unchangedClaim } = await import('../../systems/index.ts')
      const systems = await asUserError(() => loadSystems(flags.all && ids.length === 0 ? undefined : ids))
      const stop = new AbortController()
      const interrupt = (): void =>
        stop.abort(new UserError('interrupted; what is finished is kept, run it again to go on'))
      process.once('SIGINT', interrupt)
      const outcomes: ClaimOutcome[] = []
      const skipped: ClaimRecord[] = []
      try {
        for (const system of systems) {
          const before =
            flags.all && !flags.quick && !flags.restart ? await unchangedClaim(system.id, flags.into) : undefined
          if (before) {
            skipped.push(before)
            if (!flags.json) console.error(`${system.id}: unchanged since its recorded result`)
            continue
          }
          const outcome = await runOne(system, flags, stop.signal)
          outcomes.push(outcome)
          if (!flags.json) printClaim(outcome, flags.quick)
        }
      } finally {
        process.off('SIGINT', interrupt)
      }
      const seconds = [...skipped, ...outcomes.map(({ record }) => record)].reduce(
        (sum, record) => sum + record.seconds,
        0,
      )
      if (flags.json) console.log(JSON.stringify({ claims: outcomes, unchanged: skipped.map(({ id }) => id), seconds }))
      else if (systems.length > 1) console.log(`all together ${duration(seconds)} of running`)
      if (outcomes.some(({ faults }) => faults.length)) process.exitCode = 1
    })
}
