import pLimit from 'p-limit'
import { Refusal } from './refusal.ts'

export interface QueueSize {
  readonly running: number
  readonly waiting: number
}

/** Runs a bounded number of jobs at a time, lets a bounded number wait, and refuses the rest. */
export class WorkQueue {
  readonly #limit: ReturnType<typeof pLimit>
  readonly #mostWaiting: number

  constructor(concurrent: number, mostWaiting: number) {
    this.#limit = pLimit(concurrent)
    this.#mostWaiting = mostWaiting
  }

  size(): QueueSize {
    return { running: this.#limit.activeCount, waiting: this.#limit.pendingCount }
  }

  /**
   * @param abandoned asked when the job's turn comes: nobody is waiting for a search whose page has moved on
   * @throws Refusal 429 when too many wait already, 499 when it was abandoned
   */
  run<T>(job: () => Promise<T>, abandoned: () => boolean = () => false): Promise<T> {
    if (this.#limit.pendingCount >= this.#mostWaiting)
      return Promise.reject(
        new Refusal(429, `${this.#mostWaiting} searches are waiting already; try again in a second.`),
      )
    return this.#limit(() => {
      if (abandoned()) throw new Refusal(499, 'the client closed the request before its turn came.')
      return job()
    })
  }
}
