import type { Command } from 'commander'
import type { ClaimRecord, System } from '../../systems/index.ts'
import { asUserError } from '../options.ts'
import { printTable } from '../table.ts'

/** What is known of a system, as plain data. */
async function factsOf(system: System) {
  const { readClaim, readParity } = await import('../../systems/index.ts')
  const { id, title, task, paper, summary, pieces, official, command, model, segmenters, sizes, claim } = system
  return {
    id,
    title,
    task,
    paper,
    summary,
    pieces: Object.keys(pieces),
    official: official && { repository: official.repository, licence: official.licence },
    command,
    models: [...(model ? [id] : []), ...Object.keys(segmenters ?? {})],
    sizes: sizes ?? [],
    parity: await readParity(id),
    claim: {
      statement: claim.statement,
      data: claim.data,
      metric: claim.metric,
      arms: claim.arms,
      recorded: await readClaim(id),
    },
  }
}

type Facts = Awaited<ReturnType<typeof factsOf>>

const verdict = (recorded: ClaimRecord | undefined): string =>
  recorded ? (recorded.holds ? 'holds' : 'does not hold') : 'not run'

function describe({ claim, parity, ...facts }: Facts): void {
  const { paper } = facts
  console.log(`${facts.title} (${facts.id}), ${facts.task}`)
  console.log(facts.summary)
  const place = [paper.arxiv && `arXiv ${paper.arxiv}`, paper.venue].filter(Boolean).join(', ')
  console.log(`paper: ${paper.title}, ${paper.year}${place ? ` (${place})` : ''}`)
  if (facts.official) console.log(`official code: ${facts.official.repository} (${facts.official.licence})`)
  console.log(`pieces: ${facts.pieces.join(', ')}`)
  if (facts.models.length) console.log(`values of --model: ${facts.models.join(', ')}`)
  console.log(`try: ${facts.command}`)
  for (const { name, pictureSize, parameters, flops } of facts.sizes)
    console.log(
      `${name}: ${[parameters && `${parameters} M parameters`, flops && `${flops} G multiply-adds`].filter(Boolean).join(', ')} at ${pictureSize} px in the paper`,
    )
  for (const { golden, checked, worst, ok } of parity)
    console.log(
      `parity with ${golden}: ${ok ? 'ok' : 'FAILED'}, ${checked} tensors, largest difference ${worst?.absolute.toExponential(1)} (${worst?.relative.toExponential(1)} of the tensor's largest value)`,
    )
  console.log(`claim: ${claim.statement}`)
  const { recorded } = claim
  if (!recorded) console.log(`not run yet; run it with: tenet claim ${facts.id}`)
  else
    console.log(
      `${verdict(recorded)}: ${recorded.arms.map(({ name, mean }) => `${name} ${mean.toPrecision(4)}`).join(', ')}; difference ${recorded.difference.mean.toPrecision(3)} (95 % interval ${recorded.difference.interval?.map(v => v.toPrecision(3)).join(' to ') ?? 'unknown'})`,
    )
}

export function addSystems(program: Command): void {
  const systems = program
    .command('systems')
    .description('list the published systems')
    .option('--json', 'print one JSON document', false)
    .addHelpText('after', '\nExamples:\n  tenet systems\n  tenet systems show vision-mamba')
    .action(async ({ json }: { json: boolean }) => {
      const { loadSystems } = await import('../../systems/index.ts')
      const facts = await Promise.all((await loadSystems()).map(factsOf))
      if (json) console.log(JSON.stringify({ systems: facts }))
      else
        printTable(
          ['id', 'task', 'year', 'paper', 'claim'],
          facts.map(f => [f.id, f.task, String(f.paper.year), f.paper.title, verdict(f.claim.recorded)]),
        )
    })
  systems
    .command('show')
    .description('say what a system is, how it meets its official code, and what its claim measured')
    .argument('<id>', 'a system, as `tenet systems` lists them')
    .option('--json', 'print one JSON document', false)
    .action(async (id: string, _flags: unknown, command: Command) => {
      const { json } = command.optsWithGlobals<{ json: boolean }>()
      const { loadSystem } = await import('../../systems/index.ts')
      const facts = await asUserError(async () => factsOf(await loadSystem(id)))
      if (json) console.log(JSON.stringify(facts))
      else describe(facts)
    })
}
