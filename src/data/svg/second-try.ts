import { type ChildProcess, fork } from 'node:child_process'
import type { SecondTryReply, SecondTryRequest } from './second-try-process.ts'

/**
 * Draws with librsvg (by sharp) what resvg trapped on, in a process of its own: what would bring that process down, or
 * keep it busy, ends there.
 */
export class SecondTry {
  readonly #timeoutMs: number
  #process: ChildProcess | undefined
  #last: Promise<unknown> = Promise.resolve()

  /** @param timeoutMs most time for one drawing, once the process has started */
  constructor(timeoutMs: number) {
    this.#timeoutMs = timeoutMs
  }

  /** Draws one document after those asked for before. @returns its pixels, or why there are none */
  draw(svg: string, size: number): Promise<SecondTryReply> {
    const reply = this.#last.then(() => this.#ask({ svg, size }))
    this.#last = reply
    return reply
  }

  close(): void {
    this.#process?.kill('SIGKILL')
    this.#process = undefined
  }

  #start(): ChildProcess {
    const entry = new URL(import.meta.url.replace(/second-try\.(ts|js)$/, 'second-try-process.$1'))
    const execArgv = entry.pathname.endsWith('.ts') ? ['--import', import.meta.resolve('tsx')] : []
    const started = fork(entry, { execArgv, serialization: 'advanced', stdio: ['ignore', 'ignore', 'ignore', 'ipc'] })
    // The process is kept alive only while an answer is awaited.
    started.unref()
    started.channel?.unref()
    return started
  }

  #ask(request: SecondTryRequest): Promise<SecondTryReply> {
    this.#process ??= this.#start()
    const child = this.#process
    child.ref()
    child.channel?.ref()
    return new Promise(resolve => {
      const finish = (reply: SecondTryReply) => {
        clearTimeout(timer)
        child.removeAllListeners()
        child.unref()
        child.channel?.unref()
        resolve(reply)
      }
      const give = (reason: string) => {
        child.kill('SIGKILL')
        this.#process = undefined
        finish({ reason })
      }
      // Starting the process, the first time, takes most of this.
      const timer = setTimeout(() => give('it takes too long to draw'), this.#timeoutMs + 10_000)
      child.once('message', message => finish(message as SecondTryReply))
      child.once('exit', () => give('it cannot be drawn (both ways of drawing fail on it)'))
      child.once('error', error => give(`it cannot be drawn (${error.message})`))
      child.send(request)
    })
  }
}
