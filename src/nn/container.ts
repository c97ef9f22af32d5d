import type { Tensor } from '../core/index.ts'
import { Module } from './module.ts'

type Step = Module | ((x: Tensor) => Tensor)

/** Applies its parts one after another. Parts are modules or plain functions; names are their positions, as in PyTorch. */
export class Sequential extends Module {
  readonly #steps: readonly Step[]

  constructor(...steps: Step[]) {
    super()
    this.#steps = steps
  }

  override *children(): Iterable<readonly [string, Module]> {
    for (const [i, step] of this.#steps.entries()) if (step instanceof Module) yield [String(i), step]
  }

  override forward(x: Tensor): Tensor {
    return this.#steps.reduce(
      (value, step) =>
        step instanceof Module ? ((step.forward as (x: Tensor) => unknown)(value) as Tensor) : step(value),
      x,
    )
  }
}

/** Gives its input back. */
export class Identity extends Module {
  override forward(x: Tensor): Tensor {
    return x
  }
}
