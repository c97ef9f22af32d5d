import { basename, extname, join } from 'node:path'
import type { ProjectionReport } from '../../tasks/retrieve/index.ts'
import { openEncoder } from '../encoders.ts'
import { asUserError } from '../options.ts'
import { duration, ProgressBar } from '../progress.ts'
import { printTable } from '../table.ts'
import { trainingSession } from '../training-session.ts'

export interface PairFlags {
  readonly pairs: string
  readonly from?: string
  readonly image?: string
  readonly text?: string[]
  readonly group?: string
  readonly head: 'linear' | 'mlp'
  readonly dim?: number
  readonly patience?: number
  readonly validation?: number
  readonly into?: string
  readonly name?: string
  readonly epochs?: number
  readonly batchSize?: number
  readonly learningRate?: number
  readonly seed: number
  readonly resume: boolean
  readonly device?: string
  readonly checkpointSeconds?: number
  readonly json: boolean
}

/** Skipped rows named one by one; of more only the number is told. */
const namedSkips = 10

/** `tenet train retrieve --pairs`: heads over a frozen encoder. */
export async function trainOnPairs(flags: PairFlags): Promise<void> {
  const { encodePairs, readPairs, trainProjection } = await import('../../tasks/retrieve/index.ts')
  const { json, seed, image, text: texts, group } = flags
  const name = flags.name ?? basename(flags.pairs, extname(flags.pairs))
  const folder = flags.into ?? join('runs', `${name}-pairs-${seed}`)
  const session = trainingSession(['loss'], json)
  const bar = new ProgressBar('encoding {bar} {value}/{total}', { silent: json })
  try {
    const pairs = await asUserError(() => readPairs(flags.pairs, { image, texts, group }))
    const base = await asUserError(() => openEncoder(flags.from))
    try {
      const features = await asUserError(() => encodePairs(base, pairs, (done, total) => bar.update(done, total)))
      bar.stop()
      const { skipped } = features
      for (const { id, reason } of skipped.slice(0, namedSkips)) session.say(`skipped ${id}: ${reason}`)
      if (skipped.length > namedSkips) session.say(`skipped ${skipped.length - namedSkips} more; --json lists them all`)
      const options = { ...flags, name, ...session.options }
      const { fit, path, report } = await asUserError(() => trainProjection(base, features, folder, options))
      session.stopBar()
      if (json) console.log(JSON.stringify({ folder, encoder: report && path, report, skipped, ...fit }))
      else if (report) printReport(report, path, fit.seconds)
      else console.log(`interrupted after ${fit.batches} batches; continue with --resume`)
    } finally {
      await base.close()
    }
  } finally {
    bar.stop()
    session.end()
  }
}

function printReport({ pairs, groups, directions, improved }: ProjectionReport, path: string, seconds: number): void {
  console.log(
    `trained in ${duration(seconds)} on ${pairs.train} pairs; measured on ${pairs.validation} pairs of ${groups.validation} groups held out (95 % intervals)`,
  )
  const columns = ['R@1', 'R@5', 'R@10'] as const
  const shown = ({ estimate, low, high }: { estimate: number; low: number; high: number }): string =>
    `${estimate.toFixed(3)} [${low.toFixed(3)}, ${high.toFixed(3)}]`
  printTable(
    ['', '', ...columns],
    directions.flatMap(({ direction, queries, gallery, ...measured }) =>
      (['before', 'after', 'difference'] as const).map((when, i) => [
        i === 0 ? `${direction} (${queries} in ${gallery})` : '',
        when,
        ...columns.map(column => shown(measured[when][column])),
      ]),
    ),
  )
  if (!improved) console.log('nothing that was learnt ranks the held-out pairs better: the encoder is left as it was')
  console.log(`the encoder is ${path}; it needs the one it stands on where that is`)
}
