import { constantReaders } from './constants.ts'
import { elementwiseReaders } from './elementwise.ts'
import { layoutReaders } from './layout.ts'
import { matmulReaders } from './matmul.ts'
import type { OperatorReader } from './node-reader.ts'
import { reduceReaders } from './reduce.ts'

/** Every operator that is read, by its key (see `operatorKey`). */
export const operators: ReadonlyMap<string, OperatorReader> = new Map(
  [constantReaders, elementwiseReaders, layoutReaders, matmulReaders, reduceReaders].flatMap(readers =>
    Object.entries(readers),
  ),
)
