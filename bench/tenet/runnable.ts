import type { Program } from '../../src/core/index.ts'
import type { Runnable } from '../conversation.ts'

/** A case that Tenet has compiled. */
export interface TenetRunnable extends Runnable {
  readonly program: Program
}
