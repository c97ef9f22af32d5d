import { cpus, totalmem } from 'node:os'
import type { BenchCase } from './cases/case.ts'
import type { Lap } from './race.ts'

export interface Machine {
  readonly cpu: string
  readonly cores: number
  readonly memoryGigabytes: number
  readonly node: string
  readonly platform: string
}

export interface PeerResult {
  readonly ms?: number
  /** Peer's time over Tenet's: 2 means that Tenet takes half as long. */
  readonly ratio?: number
  readonly backend?: string
  /** Less than 1 where only that part of the batch was run; `ms` is scaled up to the whole. */
  readonly batchShare?: number
  readonly peakMegabytes?: number
  readonly agrees?: boolean
  readonly error?: string
}

export interface CaseResult {
  readonly name: string
  readonly shape: string
  readonly tenetMs?: number
  /** Why Tenet did not run. */
  readonly error?: string
  readonly agrees?: boolean
  readonly compileSeconds?: number
  readonly peakMegabytes?: number
  /** Share of the machine's GEMM rate that Tenet reaches in the case's matrix products and convolutions. */
  readonly gemmShare?: number
  readonly peers: Readonly<Record<string, PeerResult>>
}

export interface Report {
  readonly suite: string
  readonly machine: Machine
  /** The machine's own best: ONNX Runtime's 1024-cubed float32 MatMul, GFLOP/s. */
  readonly gemmGflops: number
  readonly contestants: Readonly<Record<string, { version?: string; backend?: string; absent?: string }>>
  readonly results: readonly CaseResult[]
}

export function describeMachine(): Machine {
  return {
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    memoryGigabytes: Math.round(totalmem() / 2 ** 30),
    node: process.version,
    platform: `${process.platform}-${process.arch}`,
  }
}

/** One case's result from everyone's laps. */
export function caseResult(benchCase: BenchCase, laps: Readonly<Record<string, Lap>>, gemmGflops: number): CaseResult {
  const { tenet, ...others } = laps
  const peers = Object.entries(others).map(([name, { compileSeconds: _, ...lap }]): [string, PeerResult] => {
    const ratio = lap.ms !== undefined && tenet?.ms !== undefined ? lap.ms / tenet.ms : undefined
    return [name, { ...lap, ratio }]
  })
  const rate = tenet?.ms !== undefined && benchCase.flops > 0 ? benchCase.flops / tenet.ms / 1e6 : undefined
  return {
    name: benchCase.name,
    shape: benchCase.shape,
    tenetMs: tenet?.ms,
    error: tenet?.error,
    agrees: tenet?.agrees,
    compileSeconds: tenet?.compileSeconds,
    peakMegabytes: tenet?.peakMegabytes,
    gemmShare: rate === undefined ? undefined : rate / gemmGflops,
    peers: Object.fromEntries(peers),
  }
}

const fixed = (value: number | undefined, digits: number) => (value === undefined ? '-' : value.toFixed(digits))

function peerCells(result: CaseResult, name: string): string[] {
  const peer = result.peers[name]
  if (peer === undefined || peer.ms === undefined) return ['-', '-']
  return [`${fixed(peer.ms, 2)}${peer.agrees === false ? '!' : ''}`, fixed(peer.ratio, 2)]
}

/** The results as an aligned table, then the notes that numbers need: other backends, failures, disagreeing values. */
export function formatTable(report: Report): string {
  const names = Object.keys(report.contestants).filter(name => name !== 'tenet')
  const header = ['case', 'shape', 'tenet ms', ...names.flatMap(name => [`${name} ms`, 'ratio']), 'GEMM %', 'compile s']
  const rows = report.results.map(result => [
    result.name,
    result.shape,
    `${fixed(result.tenetMs, 2)}${result.agrees === false ? '!' : ''}`,
    ...names.flatMap(name => peerCells(result, name)),
    result.gemmShare === undefined ? '-' : (100 * result.gemmShare).toFixed(0),
    fixed(result.compileSeconds, 2),
  ])
  const widths = header.map((title, column) => Math.max(title.length, ...rows.map(row => row[column].length)))
  const line = (cells: string[]) =>
    cells.map((cell, column) => (column < 2 ? cell.padEnd(widths[column]) : cell.padStart(widths[column]))).join('  ')
  return [line(header), line(widths.map(width => '-'.repeat(width))), ...rows.map(line), ...notes(report)].join('\n')
}

function notes(report: Report): string[] {
  const lines = ['', 'ratio: the peer’s time over Tenet’s; a ! marks values that differ from the first contestant’s.']
  for (const [name, { version, backend, absent }] of Object.entries(report.contestants)) {
    lines.push(absent === undefined ? `${name} ${version}: ${backend}` : `${name} is absent: ${absent}`)
  }
  for (const { name, error, peakMegabytes, peers } of report.results) {
    if (error !== undefined) lines.push(`${name}: tenet did not run: ${error}`)
    for (const [peer, lap] of Object.entries(peers)) {
      if (lap.error !== undefined) lines.push(`${name}: ${peer} did not run: ${lap.error}`)
      else if (lap.backend !== undefined) lines.push(`${name}: ${peer} ran on ${lap.backend}`)
      if (lap.batchShare !== undefined && lap.batchShare < 1) {
        lines.push(`${name}: ${peer} ran 1/${1 / lap.batchShare} of the batch; its time is multiplied up`)
      }
    }
    if (report.suite !== 'train') continue
    const memory = Object.entries(peers).map(([peer, lap]) => `${peer} ${fixed(lap.peakMegabytes, 0)}`)
    lines.push(`${name}: peak memory in MB: ${[`tenet ${fixed(peakMegabytes, 0)}`, ...memory].join(', ')}`)
  }
  return lines
}
