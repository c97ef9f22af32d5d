import type { CaseTable, Golden } from '../golden.ts'
import { casesOf } from '../golden.ts'
import { buildingBlockTolerances, type Reproduction } from '../parity.ts'
import { activationCases } from './activation.ts'
import { attentionCases } from './attention.ts'
import { convCases } from './conv.ts'
import { convTransposeCases } from './conv-transpose.ts'
import { linalgCases } from './linalg.ts'
import { lossCases } from './loss.ts'
import { metricsCases } from './metrics.ts'
import { normCases } from './norm.ts'
import { optimCases } from './optim.ts'
import { pointsCases } from './points.ts'
import { poolCases } from './pool.ts'
import { resampleCases } from './resample.ts'
import { rnnCases } from './rnn.ts'

/** Reproductions of the shared building blocks, by the part of their golden's name after `core.`. */
const tables: Readonly<Record<string, CaseTable>> = {
  activation: activationCases,
  attention: attentionCases,
  conv: convCases,
  conv_transpose: convTransposeCases,
  linalg: linalgCases,
  loss: lossCases,
  metrics: metricsCases,
  norm: normCases,
  optim: optimCases,
  points: pointsCases,
  pool: poolCases,
  resample: resampleCases,
  rnn: rnnCases,
}

/**
 * The reproduction of a `core` golden: by its name, or, where the file was renamed, the table that knows most of its cases.
 * @throws when no table knows any
 */
export function coreReproduction(golden: Golden): Reproduction {
  const part = golden.name.replace(/^core\./, '')
  const named = tables[part]
  if (named) return { reproduce: named, tolerances: buildingBlockTolerances }
  const ranked = Object.values(tables)
    .map(table => ({ table, known: casesOf(golden, table).length }))
    .sort((a, b) => b.known - a.known)
  if (!ranked[0]?.known) throw new Error(`${golden.name}: no building block knows the cases of this golden`)
  return { reproduce: ranked[0].table, tolerances: buildingBlockTolerances }
}
