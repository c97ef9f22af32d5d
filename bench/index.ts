import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { Command, InvalidArgumentError } from 'commander'
import type { BenchCase } from './cases/case.ts'
import { coreCases } from './cases/core.ts'
import { scanCases } from './cases/scan.ts'
import { trainCases } from './cases/train.ts'
import { type ContestantCommand, peers, tenet } from './contestant-process.ts'
import { measureGemmRate } from './gemm.ts'
import { Race, rollCall } from './race.ts'
import { type CaseResult, caseResult, describeMachine, formatTable, type Report } from './report.ts'

const suites: Readonly<Record<string, readonly BenchCase[]>> = {
  core: coreCases,
  scan: scanCases,
  train: trainCases,
}

/** Who races where `--peers` does not say it. */
const usualPeers: Readonly<Record<string, readonly string[]>> = {
  core: ['torch', 'tfjs', 'jax'],
  scan: ['torch', 'loops'],
  train: ['torch', 'tfjs', 'jax'],
  search: ['torch', 'tfjs', 'jax'],
}

interface Options {
  readonly json?: boolean
  readonly filter?: RegExp
  readonly peers?: readonly string[]
  readonly profile?: boolean
  readonly steady?: number
  readonly rounds: number
  readonly seconds: number
  readonly rows: number
  readonly recall: number
  readonly collection: string
}

function pattern(text: string): RegExp {
  try {
    return new RegExp(text)
  } catch (error) {
    throw new InvalidArgumentError((error as Error).message)
  }
}

function peerNames(text: string): string[] {
  const names = text.split(',').filter(name => name !== '' && name !== 'none')
  const unknown = names.find(name => !(name in peers))
  if (unknown !== undefined) {
    throw new InvalidArgumentError(`no peer is named ${unknown}; choose from ${Object.keys(peers).join(', ')} or none`)
  }
  return names
}

function positive(text: string): number {
  const value = Number(text)
  if (!(value > 0)) throw new InvalidArgumentError(`${text} is not a positive number`)
  return value
}

/** The JavaScript peers are heavy and no part of Tenet, so they have a package of their own, installed when first needed. */
function installJavaScriptPeers(): void {
  const folder = fileURLToPath(new URL('.', import.meta.url))
  if (existsSync(`${folder}node_modules/.package-lock.json`)) return
  process.stderr.write('installing the JavaScript peers into bench/node_modules\n')
  try {
    execFileSync('npm', ['ci', '--no-audit', '--no-fund'], { cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] })
  } catch {
    process.stderr.write('they could not be installed; continuing without them\n')
  }
}

const chosenCases = (suite: string, filter?: RegExp): BenchCase[] =>
  suites[suite].filter(({ name }) => filter?.test(name) ?? true)

/** PyTorch comes first, where it is present, so that everyone's values are compared with its. */
async function bench(suite: string, options: Options): Promise<Report> {
  const racing = options.peers ?? usualPeers[suite]
  if (racing.some(name => name === 'tfjs' || name === 'jax')) installJavaScriptPeers()
  const commands: ContestantCommand[] = [...racing.map(name => peers[name]), tenet]
  const { present, absent } = await rollCall(commands)
  for (const { name, reason } of absent) process.stderr.write(`${name} is absent: ${reason}\n`)
  const gemmGflops = await measureGemmRate()
  process.stderr.write(`this machine's matrix products: ${gemmGflops.toFixed(0)} GFLOP/s\n`)

  const cases = chosenCases(suite, options.filter)
  const race = new Race(
    present.map(({ command }) => command),
    { rounds: options.rounds, secondsPerRound: options.seconds },
  )
  const results: CaseResult[] = []
  for (const [index, benchCase] of cases.entries()) {
    process.stderr.write(`[${index + 1}/${cases.length}] ${benchCase.name} ${benchCase.shape}\n`)
    results.push(caseResult(benchCase, await race.run(benchCase), gemmGflops))
  }
  race.stop()
  const contestants = Object.fromEntries([
    ...present.map(({ command, version, backend }) => [command.name, { version, backend }] as const),
    ...absent.map(({ name, reason }) => [name, { absent: reason }] as const),
  ])
  return { suite, machine: describeMachine(), gemmGflops, contestants, results }
}

async function profileCases(suite: string, { filter, json }: Options): Promise<void> {
  const { formatProfile, profile } = await import('./tenet/profile.ts')
  for (const benchCase of chosenCases(suite, filter)) {
    const times = await profile(benchCase)
    const text = json ? JSON.stringify({ name: benchCase.name, nodes: times }) : formatProfile(times)
    process.stdout.write(json ? `${text}\n` : `${benchCase.name} ${benchCase.shape}\n${text}\n`)
  }
}

async function steadyCases(suite: string, runs: number, { filter, json }: Options): Promise<void> {
  const { residence } = await import('./tenet/steady.ts')
  for (const { name, ...benchCase } of chosenCases(suite, filter)) {
    const found = await residence({ name, ...benchCase }, runs)
    const text = found.map(({ runs: run, megabytes }) => `${run}: ${megabytes} MB`).join(', ')
    process.stdout.write(json ? `${JSON.stringify({ name, residence: found })}\n` : `${name} after runs ${text}\n`)
  }
}

async function searchCases({
  json,
  rows,
  recall,
  collection,
  peers: names = usualPeers['search'],
}: Options): Promise<void> {
  if (names.length) installJavaScriptPeers()
  const { formatSearchReport, searchBench } = await import('./search/index.ts')
  const report = await searchBench({ rows, recall, collection, peers: names.length > 0 })
  process.stdout.write(`${json ? JSON.stringify(report, undefined, 2) : formatSearchReport(report)}\n`)
}

async function backboneCases({ json, filter, rounds, seconds }: Options): Promise<void> {
  const { backboneBench, formatBackbones } = await import('./backbones/index.ts')
  const report = await backboneBench({ filter, rounds, seconds })
  process.stdout.write(`${json ? JSON.stringify(report, undefined, 2) : formatBackbones(report)}\n`)
}

const program = new Command('bench')
  .description('Race Tenet against PyTorch, TensorFlow.js and jax-js on the same numbers in the same run.')
  .argument('<suite>', [...Object.keys(suites), 'backbones', 'search'].join(', '))
  .option('--json', 'print one JSON document instead of a table')
  .option('--filter <regex>', 'only the cases whose name matches', pattern)
  .option('--peers <names>', `comma-separated out of ${Object.keys(peers).join(', ')}; or none`, peerNames)
  .option('--rounds <count>', 'rounds of turns', positive, 5)
  .option('--seconds <time>', 'seconds of each turn', positive, 0.4)
  .option('--profile', 'show where Tenet spends its time, by ONNX node, instead of racing')
  .option('--steady <runs>', "run Tenet's side so often and show resident memory on the way", positive)
  .option('--rows <count>', 'search: synthetic vectors', positive, 95_000)
  .option('--recall <share>', 'search: recall@10 that all must reach', positive, 0.99)
  .option('--collection <folder>', "search: also the pictures' vectors of this collection, if it is there", 'icons')
  .addHelpText(
    'after',
    '\nExamples:\n  npm run bench -- core\n  npm run bench -- train --filter vit --peers torch --json',
  )
  .action(async (suite: string, options: Options) => {
    if (suite === 'search') return searchCases(options)
    if (suite === 'backbones') return backboneCases(options)
    if (!(suite in suites))
      program.error(`no suite is named ${suite}; choose from ${Object.keys(suites).join(', ')}, backbones, search`, {
        exitCode: 2,
      })
    if (options.steady) return steadyCases(suite, options.steady, options)
    if (options.profile) return profileCases(suite, options)
    const report = await bench(suite, options)
    process.stdout.write(`${options.json ? JSON.stringify(report, undefined, 2) : formatTable(report)}\n`)
  })

await program.parseAsync()
