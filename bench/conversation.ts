import { createInterface } from 'node:readline'
import type { BenchCase } from './cases/case.ts'
import type { Mark } from './samples.ts'

/**
 * The conversation between the benchmark and one contestant, a process of its own: one JSON request a line on its
 * standard input, one JSON answer a line on its standard output. `peers/pytorch.py` speaks the same.
 */
export type Request =
  | { readonly do: 'describe' }
  | { readonly do: 'prepare'; readonly case: BenchCase }
  /** Run again and again for `seconds`, at most `most` times. */
  | { readonly do: 'measure'; readonly seconds: number; readonly most: number }
  | { readonly do: 'release' }

export interface Description {
  readonly version: string
  readonly backend: string
}

export interface Prepared {
  /** What was computed: each output then each gradient of suite core, the losses of the first steps of suite train. */
  readonly marks: readonly Mark[]
  /** Seconds to compile, where the contestant compiles. */
  readonly compileSeconds?: number
  /** Where this case ran, if not where the description says. */
  readonly backend?: string
  /** The part of the batch that was run, where the whole is out of reach; times then count as if the rest cost as much. */
  readonly batchShare?: number
}

export interface Measured {
  /** Milliseconds of each run. */
  readonly times: readonly number[]
}

export interface Released {
  /** The largest resident memory of the process so far. */
  readonly peakMegabytes: number
}

export interface Failure {
  readonly error: string
}

/** A case that is ready to run. */
export interface Runnable extends Prepared {
  /** Computes the case once and returns when the result is there. */
  run(): void | Promise<void>
  release(): void | Promise<void>
}

/** A contestant written in TypeScript. */
export interface Contestant {
  describe(): Promise<Description>
  /** Builds a case and runs it once. Throws when an operation is missing. */
  prepare(benchCase: BenchCase): Promise<Runnable>
}

async function measure(runnable: Runnable, seconds: number, most: number): Promise<Measured> {
  const times: number[] = []
  const begin = performance.now()
  for (;;) {
    const start = performance.now()
    const pending = runnable.run()
    if (pending !== undefined) await pending
    const end = performance.now()
    times.push(end - start)
    if (end - begin >= seconds * 1000 || times.length >= most) return { times }
  }
}

/** Answers requests on standard input until it ends. */
export async function converse(contestant: Contestant): Promise<void> {
  let runnable: Runnable | undefined

  const answer = async (request: Request): Promise<Description | Prepared | Measured | Released> => {
    if (request.do === 'describe') return contestant.describe()
    if (request.do === 'prepare') {
      runnable = await contestant.prepare(request.case)
      const { run: _, release: __, ...prepared } = runnable
      return prepared
    }
    if (request.do === 'release') {
      await runnable?.release()
      runnable = undefined
      return { peakMegabytes: process.resourceUsage().maxRSS / 1024 }
    }
    if (runnable === undefined) throw new Error('measure: no case is prepared; prepare one first')
    return measure(runnable, request.seconds, request.most)
  }

  for await (const line of createInterface({ input: process.stdin })) {
    let reply: unknown
    try {
      reply = await answer(JSON.parse(line) as Request)
    } catch (error) {
      const failure: Failure = { error: error instanceof Error ? error.message : String(error) }
      reply = failure
    }
    process.stdout.write(`${JSON.stringify(reply)}\n`)
  }
}
