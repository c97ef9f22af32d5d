import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { z } from 'zod'

/** Where results of claims are recorded in this package. */
export const claimsFolder = fileURLToPath(new URL('../../../claims', import.meta.url))

const seedValue = z.object({
  seed: z.number(),
  value: z.number(),
  seconds: z.number(),
  losses: z.array(z.number()),
  also: z.record(z.string(), z.number()).optional(),
})

const arm = z.object({
  name: z.string(),
  what: z.string(),
  mean: z.number(),
  /** Deviation over the seeds. */
  deviation: z.number(),
  runs: z.array(seedValue),
})

const claimRecord = z.object({
  id: z.string(),
  statement: z.string(),
  metric: z.object({ name: z.string(), unit: z.string().optional(), better: z.enum(['higher', 'lower']) }),
  expected: z.object({ gain: z.number(), everySeed: z.boolean() }),
  /** By the measured difference, never by hand. */
  holds: z.boolean(),
  seeds: z.array(z.number()),
  arms: z.array(arm),
  /** First arm over second, in the metric's direction: positive is better. */
  difference: z.object({
    mean: z.number(),
    /** 95 % Student t interval of the mean over seeds; none of one seed. */
    interval: z.tuple([z.number(), z.number()]).nullable(),
    perSeed: z.array(z.number()),
  }),
  /** What else must hold, and what was measured. */
  conditions: z.array(z.object({ what: z.string(), measured: z.string(), holds: z.boolean() })),
  data: z.string(),
  seconds: z.number(),
  machine: z.object({ cpu: z.string(), cores: z.number(), node: z.string(), threads: z.string().optional() }),
  commit: z.string(),
  /** Hash of the sources that the claim depends on: a record of other sources is out of date. */
  code: z.string(),
})

/** The recorded result of a claim: `claims/<id>.json`. */
export type ClaimRecord = z.infer<typeof claimRecord>

/**
 * Reads the recorded result of a claim.
 * @returns undefined when there is none
 * @throws one line when the file is not a record
 */
export async function readClaim(id: string, folder = claimsFolder): Promise<ClaimRecord | undefined> {
  const path = join(folder, `${id}.json`)
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined
    throw error
  })
  if (text === undefined) return undefined
  try {
    return claimRecord.parse(JSON.parse(text))
  } catch (error) {
    const [issue] = error instanceof z.ZodError ? error.issues : []
    const reason = issue ? `${issue.path.join('.')}: ${issue.message}` : (error as Error).message
    throw new Error(`${path} is not a claim's record (${reason}); delete it and run: tenet claim ${id}`)
  }
}

/** Every recorded result in a folder, by id. */
export async function readClaims(folder = claimsFolder): Promise<ClaimRecord[]> {
  const files = await readdir(folder).catch(() => [])
  const ids = files
    .filter(file => file.endsWith('.json') && !['parity.json', 'sizes.json'].includes(file))
    .map(file => file.slice(0, -5))
  const records = await Promise.all(ids.sort().map(id => readClaim(id, folder)))
  return records.filter(record => record !== undefined)
}
