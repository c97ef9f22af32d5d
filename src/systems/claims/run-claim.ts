import { execFile } from 'node:child_process'
import { readFile, rm } from 'node:fs/promises'
import { availableParallelism, cpus } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { writeAtomic } from '../../train/index.ts'
import type { ArmResult, Claim, System } from '../system.ts'
import { codeVersion } from './code-version.ts'
import { deviationOf, meanOf, pairedDifference } from './difference.ts'
import { claimPlot } from './plot.ts'
import { quickFault } from './quick.ts'
import { type ClaimRecord, claimsFolder, readClaim } from './record.ts'

/** How far a claim is. */
export interface ClaimProgress {
  readonly arm: string
  readonly seed: number
  /** Of this arm and seed, 0 to 1. */
  readonly fraction: number
  readonly loss?: number
  /** Runs finished, and runs in all. */
  readonly done: number
  readonly runs: number
  readonly secondsLeft?: number
}

/** One arm with one seed, finished. */
export interface FinishedRun extends ArmResult {
  readonly arm: string
  readonly seed: number
  readonly seconds: number
}

export interface RunClaimOptions {
  readonly quick?: boolean
  /** Number of seeds; default the claim's own, 3 where it has none, 1 when quick. */
  readonly seeds?: number
  /** Folder of the records. Default this package's `claims`. */
  readonly folder?: string
  /** Use finished runs of an earlier, interrupted call. Default true */
  readonly resume?: boolean
  readonly signal?: AbortSignal
  readonly onProgress?: (progress: ClaimProgress) => void
  /** A run is finished, now or in an earlier call. */
  readonly onRun?: (run: FinishedRun, kept: boolean) => void
}

export interface ClaimOutcome {
  readonly record: ClaimRecord
  /** Whether it was written: quick runs and runs of fewer than three seeds are not. */
  readonly recorded: boolean
  /** What is wrong with a quick run. */
  readonly faults: readonly string[]
}

/** Fewest seeds that a recorded result has. */
const fewestSeeds = 3

/** The recorded result of a system's claim, when it is of the code that would run now. */
export async function unchangedClaim(id: string, folder = claimsFolder): Promise<ClaimRecord | undefined> {
  const record = await readClaim(id, folder).catch(() => undefined)
  return record?.code === (await codeVersion(id)) ? record : undefined
}

/**
 * Runs every arm of a system's claim with every seed, decides by the measured difference whether it holds, and records it
 * with a plot: `claims/<id>.json`, `claims/<id>.svg`. Each finished run is kept at once, so that an interrupted call goes on
 * where it stopped.
 *
 * @throws the signal's reason when interrupted; whatever an arm throws
 */
export async function runClaim(
  { id, claim }: Pick<System, 'id' | 'claim'>,
  options: RunClaimOptions = {},
): Promise<ClaimOutcome> {
  const { quick = false, folder = claimsFolder, resume = true } = options
  const count = options.seeds ?? (quick ? 1 : (claim.seeds ?? fewestSeeds))
  if (!Number.isInteger(count) || count < 1) throw new RangeError(`claim ${id}: ${count} seeds; expected at least 1`)
  const seeds = Array.from({ length: count }, (_, i) => i)
  const code = await codeVersion(id)
  const kept = new KeptRuns(join(folder, '.partial', id), quick ? undefined : code, resume)
  const runs = await runAll(claim, seeds, kept, options)
  const record = await recordOf(id, claim, seeds, runs, code)
  const faults = quick ? runs.map(run => quickFault(run.arm, run)).filter(fault => fault !== undefined) : []
  const recorded = !quick && count >= fewestSeeds
  if (recorded) {
    await writeAtomic(join(folder, `${id}.svg`), claimPlot(record))
    await writeAtomic(join(folder, `${id}.json`), `${JSON.stringify(record, undefined, 2)}\n`)
    await kept.clear()
  }
  return { record, recorded, faults }
}

/** Finished runs on the disk, one file each. */
class KeptRuns {
  readonly #folder: string
  readonly #code: string | undefined
  readonly #resume: boolean

  /** @param code of the runs; undefined keeps nothing */
  constructor(folder: string, code: string | undefined, resume: boolean) {
    this.#folder = folder
    this.#code = code
    this.#resume = resume
  }

  #path(arm: string, seed: number): string {
    return join(this.#folder, `${arm.replace(/[^\w.-]+/g, '-')}-${seed}.json`)
  }

  async find(arm: string, seed: number): Promise<FinishedRun | undefined> {
    if (!this.#resume || this.#code === undefined) return undefined
    const text = await readFile(this.#path(arm, seed), 'utf8').catch(() => undefined)
    if (text === undefined) return undefined
    const { code, run } = JSON.parse(text) as { code: string; run: FinishedRun }
    return code === this.#code ? run : undefined
  }

  async keep(run: FinishedRun): Promise<void> {
    if (this.#code === undefined) return
    await writeAtomic(this.#path(run.arm, run.seed), JSON.stringify({ code: this.#code, run }))
  }

  async clear(): Promise<void> {
    await rm(this.#folder, { recursive: true, force: true })
  }
}

/** Seed by seed, so that what is there after a while compares all arms. */
async function runAll(
  claim: Claim,
  seeds: readonly number[],
  kept: KeptRuns,
  { quick = false, signal, onProgress, onRun }: RunClaimOptions,
): Promise<FinishedRun[]> {
  const runs: FinishedRun[] = []
  const total = seeds.length * claim.arms.length
  const started = performance.now()
  let keptBefore = 0
  for (const seed of seeds)
    for (const { name: arm } of claim.arms) {
      signal?.throwIfAborted()
      const before = await kept.find(arm, seed)
      if (before) {
        runs.push(before)
        keptBefore++
        onRun?.(before, true)
        continue
      }
      const begun = performance.now()
      const progress = (fraction: number, loss?: number): void => {
        const ran = runs.length - keptBefore + fraction
        const left = total - runs.length - fraction
        const secondsLeft = ran > 0 ? (((performance.now() - started) / 1000) * left) / ran : undefined
        onProgress?.({ arm, seed, fraction, loss, done: runs.length, runs: total, secondsLeft })
      }
      const result = await claim.run(arm, seed, { quick, signal, progress })
      if (!Number.isFinite(result.value))
        throw new Error(`claim: arm '${arm}' with seed ${seed} measured ${result.value}`)
      const run = { ...result, arm, seed, seconds: (performance.now() - begun) / 1000 }
      await kept.keep(run)
      runs.push(run)
      onRun?.(run, false)
    }
  return runs
}

async function recordOf(
  id: string,
  claim: Claim,
  seeds: readonly number[],
  runs: readonly FinishedRun[],
  code: string,
): Promise<ClaimRecord> {
  const arms = claim.arms.map(({ name, what }) => {
    const own = runs.filter(({ arm }) => arm === name)
    const values = own.map(({ value }) => value)
    return {
      name,
      what,
      mean: meanOf(values),
      deviation: deviationOf(values),
      runs: own.map(({ seed, value, seconds, losses = [], also }) => ({
        seed,
        value,
        seconds,
        losses: [...losses],
        also,
      })),
    }
  })
  const values = (arm: number): number[] => arms[arm].runs.map(({ value }) => value)
  const difference = pairedDifference(values(0), values(1), claim.metric.better)
  const { gain, everySeed = true } = claim.expected
  const conditions = claim.conditions?.(new Map(arms.map(({ name, runs: own }) => [name, own]))) ?? []
  const holds =
    difference.mean >= gain &&
    (!everySeed || difference.perSeed.every(one => one > 0)) &&
    conditions.every(condition => condition.holds)
  return {
    id,
    statement: claim.statement,
    metric: claim.metric,
    expected: { gain, everySeed },
    holds,
    seeds: [...seeds],
    arms,
    difference: {
      mean: difference.mean,
      // JSON has no infinity: one seed has no interval.
      interval: difference.perSeed.length > 1 ? [...difference.interval] : null,
      perSeed: [...difference.perSeed],
    },
    conditions: conditions.map(condition => ({ ...condition })),
    data: claim.data,
    seconds: runs.reduce((sum, { seconds }) => sum + seconds, 0),
    machine: {
      cpu: cpus()[0]?.model.trim() ?? 'unknown',
      cores: availableParallelism(),
      node: process.version,
      threads: process.env['TENET_THREADS'],
    },
    commit: await commit(),
    code,
  }
}

/** The checkout's commit; `unknown` outside one. */
async function commit(): Promise<string> {
  try {
    const { stdout } = await promisify(execFile)('git', ['rev-parse', 'HEAD'], {
      cwd: claimsFolder.replace(/claims$/, ''),
    })
    return stdout.trim()
  } catch {
    return 'unknown'
  }
}
