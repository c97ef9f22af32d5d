import { setTimeout as pause } from 'node:timers/promises'
import type { BenchCase } from './cases/case.ts'
import { type ContestantCommand, ContestantProcess } from './contestant-process.ts'
import type { Prepared } from './conversation.ts'
import { type Mark, marksAgree } from './samples.ts'
import { median } from './statistics.ts'

/** What one contestant did in one case. */
export interface Lap {
  /**
   * Milliseconds of a run: each round's median, of the fastest round, since other work on the machine can slow a round
   * but not speed it up. Absent when it could not run.
   */
  readonly ms?: number
  readonly compileSeconds?: number
  readonly backend?: string
  readonly peakMegabytes?: number
  /** Less than 1 where only that part of the batch was run; `ms` is scaled up to the whole. */
  readonly batchShare?: number
  /** Whether it computed what the first contestant that ran this case computed. */
  readonly agrees?: boolean
  /** Why it did not run. */
  readonly error?: string
}

export interface RaceOptions {
  readonly rounds: number
  /** Seconds that a contestant runs in one round. */
  readonly secondsPerRound: number
}

/** Idle worker threads of the previous contestant spin for some milliseconds; wait until they sleep. */
const settleMs = 60

/** A run longer than this is measured in the first round only. */
const slowMs = 4000

interface Running {
  readonly process: ContestantProcess
  readonly prepared: Prepared
  readonly rounds: number[]
}

/** The contestants of one benchmark run. A process that dies is started again for the next case. */
export class Race {
  private readonly processes = new Map<string, ContestantProcess>()
  private readonly commands: readonly ContestantCommand[]
  private readonly options: RaceOptions

  constructor(commands: readonly ContestantCommand[], options: RaceOptions) {
    this.commands = commands
    this.options = options
  }

  /** Prepares the case with every contestant, then lets them run in turns, round after round. */
  async run(benchCase: BenchCase): Promise<Record<string, Lap>> {
    const running = new Map<string, Running>()
    const laps: Record<string, Lap> = {}
    const drop = (name: string, error: unknown) => {
      running.delete(name)
      this.end(name)
      laps[name] = { error: error instanceof Error ? error.message : String(error) }
    }
    for (const { name } of this.commands) {
      try {
        running.set(name, await this.prepare(name, benchCase))
      } catch (error) {
        drop(name, error)
      }
    }
    for (let round = 0; round < this.options.rounds; round++) {
      for (const [name, { process, rounds }] of running) {
        if (round > 0 && rounds[0] > slowMs) continue
        await pause(settleMs)
        try {
          rounds.push(median((await process.measure(this.options.secondsPerRound, 200)).times))
        } catch (error) {
          drop(name, error)
        }
      }
    }
    const marks = this.referenceMarks(running)
    for (const [name, { process, prepared, rounds }] of running) {
      try {
        const { peakMegabytes } = await process.release()
        const { compileSeconds, backend, batchShare = 1 } = prepared
        const agrees = batchShare === 1 && marks !== undefined ? marksAgree(prepared.marks, marks) : undefined
        laps[name] = {
          ms: Math.min(...rounds) / batchShare,
          compileSeconds,
          backend,
          batchShare,
          peakMegabytes,
          agrees,
        }
      } catch (error) {
        drop(name, error)
      }
    }
    // A training step's peak memory is the whole process's, so each gets fresh ones.
    if (benchCase.suite === 'train') this.stop()
    return laps
  }

  stop(): void {
    for (const name of [...this.processes.keys()]) this.end(name)
  }

  /** A process that has run other cases may be out of memory for this one; a fresh one gets a second chance. */
  private async prepare(name: string, benchCase: BenchCase): Promise<Running> {
    const used = this.processes.has(name)
    try {
      const process = this.start(name)
      return { process, prepared: await process.prepare(benchCase), rounds: [] }
    } catch (error) {
      if (!used) throw error
      this.end(name)
      return this.prepare(name, benchCase)
    }
  }

  /** What the first contestant that ran the whole batch computed. */
  private referenceMarks(running: ReadonlyMap<string, Running>): readonly Mark[] | undefined {
    return [...running.values()].find(({ prepared }) => (prepared.batchShare ?? 1) === 1)?.prepared.marks
  }

  private start(name: string): ContestantProcess {
    const known = this.processes.get(name)
    if (known !== undefined) return known
    const started = new ContestantProcess(this.commands.find(command => command.name === name)!)
    this.processes.set(name, started)
    return started
  }

  private end(name: string): void {
    this.processes.get(name)?.stop()
    this.processes.delete(name)
  }
}

/** The contestants that answer, with what they say of themselves, and those that do not, with the reason. */
export async function rollCall(commands: readonly ContestantCommand[]) {
  const present: { command: ContestantCommand; version: string; backend: string }[] = []
  const absent: { name: string; reason: string }[] = []
  for (const command of commands) {
    const process = new ContestantProcess(command)
    try {
      present.push({ command, ...(await process.describe()) })
    } catch (error) {
      absent.push({ name: command.name, reason: error instanceof Error ? error.message : String(error) })
    } finally {
      process.stop()
    }
  }
  return { present, absent }
}
