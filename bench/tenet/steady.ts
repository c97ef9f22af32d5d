import type { BenchCase } from '../cases/case.ts'
import { prepareCore } from './core.ts'
import { prepareTrain } from './train.ts'

/** Resident memory of the process after so many runs. */
export interface Residence {
  readonly runs: number
  readonly megabytes: number
}

const samples = 10

/** Runs a case `runs` times and looks at the resident memory after every tenth of them: it should not grow. */
export async function residence(benchCase: BenchCase, runs: number): Promise<Residence[]> {
  const runnable = await (benchCase.suite === 'core' ? prepareCore : prepareTrain)(benchCase)
  const found: Residence[] = []
  for (let run = 1; run <= runs; run++) {
    await runnable.run()
    if (run % Math.ceil(runs / samples) === 0 || run === runs)
      found.push({ runs: run, megabytes: Math.round(process.memoryUsage.rss() / 2 ** 20) })
  }
  await runnable.release()
  return found
}
