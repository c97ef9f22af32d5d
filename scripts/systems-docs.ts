import {
  type ClaimRecord,
  loadSystems,
  type ParityRecord,
  readClaim,
  readParity,
  readSizes,
  registry,
  type SizeRecord,
  type System,
} from '../src/systems/index.ts'

/** A system and everything that is recorded of it. */
export interface Documented {
  readonly system: System
  readonly claim: ClaimRecord | undefined
  readonly parity: readonly ParityRecord[]
  readonly sizes: readonly SizeRecord[]
}

export async function documented(): Promise<Documented[]> {
  return Promise.all(
    (await loadSystems()).map(async system => ({
      system,
      claim: await readClaim(system.id),
      parity: await readParity(system.id),
      sizes: await readSizes(system.id),
    })),
  )
}

const number = (value: number, digits = 3): string => String(Number(value.toPrecision(digits)))
const millions = (value: number): string => `${number(value / 1e6)} M`
const billions = (value: number): string => `${number(value / 1e9)} G`
const unitOf = ({ metric }: ClaimRecord): string => (metric.unit ? ` ${metric.unit}` : '')

function parityCell(parity: readonly ParityRecord[]): string {
  if (parity.length === 0) return 'not recorded'
  const worst = Math.max(...parity.map(one => one.worst?.relative ?? Number.POSITIVE_INFINITY))
  return parity.every(({ ok }) => ok) ? `within ${worst.toExponential(0)}` : 'differs'
}

function claimCell(claim: ClaimRecord | undefined): string {
  if (!claim) return 'not run'
  const { mean, interval } = claim.difference
  const range = interval ? ` (${interval.map(value => number(value)).join(' to ')})` : ''
  return `${claim.holds ? 'holds' : '**does not hold**'}: ${mean >= 0 ? '+' : ''}${number(mean)}${unitOf(claim)}${range}`
}

/** The table of systems, as it stands in the README. */
export function systemsTable(all: readonly Documented[]): string {
  const rows = all.map(({ system, claim, parity, sizes }) => {
    const [smallest] = [...sizes].sort((a, b) => a.parameters - b.parameters)
    const size = smallest
      ? `${smallest.name}: ${millions(smallest.parameters)}, ${billions(smallest.multiplyAdds)}`
      : ''
    const link = `[${system.title}](docs/systems/${system.id}.md)`
    return `| ${link} | \`${system.id}\` | ${system.task} | ${size} | ${parityCell(parity)} | ${claimCell(claim)} |`
  })
  return [
    '| system | id | task | parameters, multiply-adds | official code | claim: gain over its baseline |',
    '|---|---|---|---|---|---|',
    ...rows,
  ].join('\n')
}

export const markers = ['<!-- systems: npm run docs:systems -->', '<!-- /systems -->'] as const

/** The README with the table between its markers. @throws when the markers are missing */
export function withTable(readme: string, table: string): string {
  const [start, end] = markers.map(marker => readme.indexOf(marker))
  if (start < 0 || end < start) throw new Error(`README.md has no ${markers.join(' … ')} for the table of systems`)
  return `${readme.slice(0, start + markers[0].length)}\n${table}\n${readme.slice(end)}`
}

/** A picture shown in a page, if there is one. */
export interface PagePictures {
  readonly figure: boolean
}

/** Five lines that use a system's model from the library. */
function usage({ id, model, segmenters, pieces }: System): string {
  const lines = [
    "import { compile, hostTensor, type Tensor } from 'tenet'",
    "import { loadSystem } from 'tenet/systems'",
    '',
  ]
  const build = (of: string): string[] => [
    ...lines,
    `const { ${of} } = await loadSystem('${id}')`,
    'const format = { channels: 3, size: [64, 64] as const, classes: 10 }',
  ]
  if (model)
    return [
      ...build('model'),
      'const network = model!.build(format, model!.defaults(format))',
      'const scores = compile((images: Tensor) => network.forward(images))',
      'await scores(hostTensor(pixels, [count, 3, 64, 64])) // [count, 10]',
    ].join('\n')
  const [name] = Object.keys(segmenters ?? {})
  if (name)
    return [
      ...build('segmenters'),
      `const kind = segmenters!['${name}']`,
      'const network = kind.build(format, kind.defaults(format))',
      'const scores = compile((images: Tensor) => network.forward(images))',
      'await scores(hostTensor(pixels, [count, 3, 64, 64])) // [count, 10, 64, 64]',
    ].join('\n')
  return [
    ...lines.slice(1),
    `const { pieces } = await loadSystem('${id}')`,
    `// ${Object.keys(pieces).join(', ')}`,
  ].join('\n')
}

function sizesSection({ system, sizes }: Documented): string[] {
  if (!system.sizes?.length) return []
  const rows = system.sizes.map(published => {
    const counted = sizes.find(({ name }) => name === published.name)
    const paper = [published.parameters && `${published.parameters} M`, published.flops && `${published.flops} G`]
    const here = counted
      ? `${millions(counted.parameters)} | ${billions(counted.multiplyAdds)}`
      : 'not counted | not counted'
    return `| ${published.name} | ${published.pictureSize} px | ${here} | ${paper.map(value => value || '–').join(' | ')} |`
  })
  return [
    '## Sizes',
    'Counted here, of the same constructor with the options of the paper; multiply-adds of one picture, without elementwise work.',
    '',
    '| size | picture | parameters | multiply-adds | parameters in the paper | multiply-adds in the paper |',
    '|---|---|---|---|---|---|',
    ...rows,
    '',
  ]
}

function paritySection({ system, parity }: Documented): string[] {
  const { official } = system
  if (!official) return []
  const rows = parity.map(
    ({ golden, checked, worst, ok }) =>
      `| ${golden} | ${checked} | ${worst ? `${worst.absolute.toExponential(1)} | ${worst.relative.toExponential(1)}` : '– | –'} | ${ok ? 'yes' : 'no'} |`,
  )
  return [
    '## Official code',
    `[${official.repository}](https://github.com/${official.repository}) (${official.licence}). Its checkpoints load under their own names.`,
    '',
    ...(rows.length
      ? [
          '| reference | tensors compared | largest difference | of the tensor’s largest value | within tolerance |',
          '|---|---|---|---|---|',
          ...rows,
        ]
      : ['Not compared yet.']),
    '',
  ]
}

function claimSection({ system: { id, claim }, claim: record }: Documented): string[] {
  const lines = ['## Claim', claim.statement, '', `Data: ${claim.data}.`, '']
  if (!record) return [...lines, `Not run yet: \`tenet claim ${id}\`.`, '']
  const unit = unitOf(record)
  const { difference, expected } = record
  const interval = difference.interval
    ? ` (95 % interval ${difference.interval.map(value => number(value)).join(' to ')})`
    : ''
  return [
    ...lines,
    `![every seed of every arm](../../claims/${id}.svg)`,
    '',
    `| arm | what it is | ${record.metric.name}${unit} | seeds |`,
    '|---|---|---|---|',
    ...record.arms.map(
      ({ name, what, mean, deviation, runs }) =>
        `| ${name} | ${what} | ${number(mean, 4)} ± ${number(deviation, 2)} | ${runs.map(({ value }) => number(value, 4)).join(', ')} |`,
    ),
    '',
    `Difference of the first two: **${number(difference.mean)}${unit}**${interval}; expected at least ${expected.gain}${unit}${expected.everySeed ? ' and a gain with every seed' : ''}. The claim **${record.holds ? 'holds' : 'does not hold'}**.`,
    '',
    ...record.conditions.map(({ what, measured, holds }) => `- ${holds ? 'yes' : 'no'}: ${what} (${measured})`),
    ...(record.conditions.length ? [''] : []),
    `Took ${Math.round(record.seconds)} s on ${record.machine.cores} cores (${record.machine.cpu}). Rerun it: \`tenet claim ${id}\`.`,
    '',
  ]
}

/** A system's page. */
export function systemPage(one: Documented, { figure }: PagePictures): string {
  const { system } = one
  const { paper } = system
  const place = [paper.arxiv && `[arXiv ${paper.arxiv}](https://arxiv.org/abs/${paper.arxiv})`, paper.venue].filter(
    Boolean,
  )
  return [
    '<!-- Written by npm run docs:systems. -->',
    `# ${system.title}`,
    `${paper.title}, ${paper.year}${place.length ? `: ${place.join(', ')}` : ''}. Task: ${system.task}.`,
    '',
    system.summary,
    '',
    ...(figure
      ? [
          `![a scene, and what the output at its centre depends on](${system.id}.png)`,
          '',
          'Left: a scene. Right: how much the network’s output at the centre of the picture (of the whole picture, where it has one output only) changes with each pixel, before any training: the size of the gradient, mean over scenes and weights, coloured by rank.',
          '',
        ]
      : []),
    '## Use',
    '```',
    system.command,
    '```',
    '```ts',
    usage(system),
    '```',
    `Pieces: ${Object.keys(system.pieces)
      .map(name => `\`${name}\``)
      .join(', ')}.`,
    '',
    ...sizesSection(one),
    ...paritySection(one),
    ...claimSection(one),
  ].join('\n')
}

/** Ids of the systems in the order of the registry. */
export const systemIds = (): string[] => registry.map(({ id }) => id)
