import { provideModels, provideSegmenters } from '../tasks/index.ts'
import { systemModels, systemSegmenters } from './models.ts'

/** Whoever can see the systems can also train and load their models by name. */
provideModels(systemModels)
provideSegmenters(systemSegmenters)

export { codeVersion } from './claims/code-version.ts'
export { type Difference, pairedDifference } from './claims/difference.ts'
export { claimPlot } from './claims/plot.ts'
export { quickFault } from './claims/quick.ts'
export { type ClaimRecord, claimsFolder, readClaim, readClaims } from './claims/record.ts'
export {
  type ClaimOutcome,
  type ClaimProgress,
  type FinishedRun,
  type RunClaimOptions,
  runClaim,
  unchangedClaim,
} from './claims/run-claim.ts'
export { type Golden, GoldenCase, type GoldenMetadata, readGolden } from './golden.ts'
export { loadSystem, loadSystems } from './load.ts'
export {
  buildingBlockTolerances,
  type Comparison,
  compareGolden,
  generalTolerances,
  type ParityResult,
  type Reproduction,
  type Tolerance,
  type Tolerances,
} from './parity.ts'
export { type ParityRecord, parityFile, readParity } from './parity-record.ts'
export { type RegistryEntry, registry } from './registry.ts'
export { reproductionOf } from './reproduction.ts'
export { countSize, readSizes, type SizeRecord, sizesFile } from './size-record.ts'
export type {
  ArmResult,
  Claim,
  ClaimArm,
  ClaimCondition,
  ClaimContext,
  Official,
  Paper,
  PublishedSize,
  System,
  Task,
} from './system.ts'
