import type { Tensor } from '../core/index.ts'

/** How layers behave that differ between training and use. */
export interface Mode {
  /** Dropout drops, batch norm uses and records batch statistics. */
  readonly training: boolean
  /** Random key (i32 [2]) of this step; needed by layers that draw numbers while training. */
  readonly key?: Tensor
}

let current: Mode = { training: false }
let draws = 0

/** Builds part of a graph in another mode: `withMode({ training: true, key }, () => model.forward(x))`. */
export function withMode<T>(mode: Mode, build: () => T): T {
  const outer = current
  const outerDraws = draws
  current = mode
  draws = 0
  try {
    return build()
  } finally {
    current = outer
    draws = outerDraws
  }
}

export const isTraining = (): boolean => current.training

/**
 * The key of the step and the number of draws made from it so far, for a layer that needs fresh random numbers.
 * @throws when the mode has no key
 */
export function nextDraw(layer: string): { key: Tensor; draw: number } {
  if (!current.key) throw new Error(`${layer}: draws random numbers while training; give withMode a key`)
  return { key: current.key, draw: draws++ }
}
