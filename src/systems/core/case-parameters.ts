import type { Tensor } from '../../core/index.ts'
import { type Module, withValues } from '../../nn/index.ts'
import type { GoldenCase } from '../golden.ts'

/** Runs `build` with the parameters of a case in place of the module's own. */
export function withCaseParameters(c: GoldenCase, module: Module, build: () => readonly Tensor[]): Tensor[] {
  return withValues(module, Object.fromEntries(c.names('param').map(name => [name, c.param(name)])), build)
}
