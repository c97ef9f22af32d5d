import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface, type Interface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { BenchCase } from './cases/case.ts'
import type { Description, Failure, Measured, Prepared, Released, Request } from './conversation.ts'

/** How to start a contestant. */
export interface ContestantCommand {
  readonly name: string
  readonly command: string
  readonly arguments: readonly string[]
  readonly environment: NodeJS.ProcessEnv
}

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url))

/** Set by some machines to keep old BLAS builds correct; the racing peer gets the kernels of the processor it runs on. */
const blasOverrides = ['OPENBLAS_CORETYPE', 'OPENBLAS_L2_SIZE']

/**
 * PyTorch's OpenMP threads and OpenBLAS's own threads spin while they wait, and on two cores they take turns blocking
 * each other: with the default spin counts a ViT step took three times as long. Short spins are PyTorch at its best.
 */
const shortSpins = { GOMP_SPINCOUNT: '1000', OPENBLAS_THREAD_TIMEOUT: '10' }

function torchEnvironment(): NodeJS.ProcessEnv {
  const environment: NodeJS.ProcessEnv = { ...process.env, ...shortSpins }
  for (const name of blasOverrides) delete environment[name]
  return environment
}

function typescript(name: string, path: string): ContestantCommand {
  return { name, command: process.execPath, arguments: ['--import', 'tsx', here(path)], environment: process.env }
}

export const tenet: ContestantCommand = typescript('tenet', './tenet/index.ts')

/** The peers by name. The Python interpreter is `TENET_BENCH_PYTHON`, /usr/bin/python3 where that is not set. */
export const peers: Readonly<Record<string, ContestantCommand>> = {
  torch: {
    name: 'torch',
    command: process.env['TENET_BENCH_PYTHON'] ?? '/usr/bin/python3',
    arguments: [here('./peers/pytorch.py')],
    environment: torchEnvironment(),
  },
  tfjs: typescript('tfjs', './peers/tfjs.ts'),
  jax: typescript('jax', './peers/jax.ts'),
  loops: typescript('loops', './peers/loops.ts'),
}

/** A running contestant. Every request answers or rejects with one sentence; after a rejection by time the process is gone. */
export class ContestantProcess {
  readonly name: string
  private readonly child: ChildProcess
  private readonly lines: Interface
  private readonly answers: AsyncIterator<string>
  private complaint = ''

  constructor({ name, command, arguments: args, environment }: ContestantCommand) {
    this.name = name
    this.child = spawn(command, args, { env: environment, stdio: ['pipe', 'pipe', 'pipe'] })
    this.child.on('error', error => {
      this.complaint = error.message
    })
    this.child.stdin?.on('error', error => {
      this.complaint ||= error.message
    })
    this.child.stderr?.on('data', (text: Buffer) => {
      this.complaint = `${this.complaint}${text}`.slice(-2000)
    })
    this.lines = createInterface({ input: this.child.stdout! })
    this.answers = this.lines[Symbol.asyncIterator]()
  }

  describe(): Promise<Description> {
    return this.ask({ do: 'describe' }, 60)
  }

  prepare(benchCase: BenchCase): Promise<Prepared> {
    return this.ask({ do: 'prepare', case: benchCase }, 240)
  }

  measure(seconds: number, most: number): Promise<Measured> {
    return this.ask({ do: 'measure', seconds, most }, 120)
  }

  release(): Promise<Released> {
    return this.ask({ do: 'release' }, 60)
  }

  stop(): void {
    this.lines.close()
    this.child.kill('SIGKILL')
  }

  private async ask<Answer extends object>(request: Request, limitSeconds: number): Promise<Answer> {
    this.child.stdin?.write(`${JSON.stringify(request)}\n`)
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        this.stop()
        reject(new Error(`${this.name}: no answer to "${request.do}" within ${limitSeconds} s`))
      }, limitSeconds * 1000)
    })
    try {
      const { value, done } = await Promise.race([this.answers.next(), late])
      if (done) throw new Error(`${this.name}: the process ended (${errorLine(this.complaint)})`)
      const answer = JSON.parse(value) as Answer | Failure
      if ('error' in answer) throw new Error(answer.error)
      return answer
    } finally {
      clearTimeout(timer)
    }
  }
}

/** The line of a crash report that names the error, or its last line. */
function errorLine(text: string): string {
  const lines = text.trim().split('\n')
  return lines.find(line => /^\w*Error\b/.test(line)) ?? (lines.at(-1) || 'it said nothing')
}
