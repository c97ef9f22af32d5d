import { activationReaders } from './activation.ts'
import { constantReaders } from './constants.ts'
import { controlReaders } from './control.ts'
import { convReaders } from './conv.ts'
import { elementwiseReaders } from './elementwise.ts'
import { indexingReaders } from './indexing.ts'
import { layoutReaders } from './layout.ts'
import { lossReaders } from './loss.ts'
import { matmulReaders } from './matmul.ts'
import type { OperatorReader } from './node-reader.ts'
import { normaliseReaders } from './normalise.ts'
import { optimizerReaders } from './optimizer.ts'
import { poolReaders } from './pool.ts'
import { quantizeReaders } from './quantize.ts'
import { recurrentReaders } from './recurrent.ts'
import { reduceReaders } from './reduce.ts'
import { resampleReaders } from './resample.ts'
import { signalReaders } from './signal.ts'

/** Every operator that is read, by its key (see `operatorKey`). */
export const operators: ReadonlyMap<string, OperatorReader> = new Map(
  [
    activationReaders,
    constantReaders,
    controlReaders,
    convReaders,
    elementwiseReaders,
    indexingReaders,
    layoutReaders,
    lossReaders,
    matmulReaders,
    normaliseReaders,
    optimizerReaders,
    poolReaders,
    quantizeReaders,
    recurrentReaders,
    reduceReaders,
    resampleReaders,
    signalReaders,
  ].flatMap(readers => Object.entries(readers)),
)
