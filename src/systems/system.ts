import type { ModelKind, SegmenterKind } from '../tasks/index.ts'
import type { Golden } from './golden.ts'
import type { Reproduction } from './parity.ts'

/** Kinds of jobs: the folders under `src/systems`. */
export type Task =
  | 'classify'
  | 'retrieve'
  | 'pretrain'
  | 'transfer'
  | 'detect'
  | 'segment'
  | 'read'
  | 'sequence'
  | 'video'
  | 'points'
  | 'generate'
  | 'inspect'

/** Where a system was published. */
export interface Paper {
  readonly title: string
  readonly year: number
  /** arXiv number, such as '2401.09417'. */
  readonly arxiv?: string
  readonly venue?: string
}

/** A configuration that the paper reports on. */
export interface PublishedSize {
  readonly name: string
  /** Options of the model that give it. */
  readonly options: Readonly<Record<string, unknown>>
  /** Side of the pictures that {@link flops} are counted at. */
  readonly pictureSize: number
  /** Millions of parameters in the paper, where it gives them. */
  readonly parameters?: number
  /** 10^9 multiply-adds of a forward pass in the paper, where it gives them. */
  readonly flops?: number
}

/** How a system meets its official implementation. */
export interface Official {
  /** `owner/name` of the repository. */
  readonly repository: string
  readonly licence: string
  /** Rebuilds a golden through the same path that loads a user's official checkpoint. @throws when the golden is not of this system */
  reproduction(golden: Golden): Reproduction
}

/** What a claim's arm is told. */
export interface ClaimContext {
  /** A run of seconds, which shows that the experiment works and not who wins. */
  readonly quick: boolean
  readonly signal?: AbortSignal
  /** Says how far this arm is, 0 to 1, and its latest loss. */
  progress(fraction: number, loss?: number): void
}

/** What one arm measured with one seed. */
export interface ArmResult {
  /** The claim's metric on held-out data. */
  readonly value: number
  /** Training losses in order, evenly thinned; the first and last show whether it learned. */
  readonly losses?: readonly number[]
  /** Other measured numbers worth keeping. */
  readonly also?: Readonly<Record<string, number>>
}

/** One side of an experiment. */
export interface ClaimArm {
  readonly name: string
  /** What stands in this arm, for the table: 'two directions, 48 wide'. */
  readonly what: string
}

/** What must hold beside the gain, as measured. */
export interface ClaimCondition {
  /** 'parameters at most 0.8 of the full network' */
  readonly what: string
  /** '0.74' */
  readonly measured: string
  readonly holds: boolean
}

/**
 * An experiment: the system against the same thing without its mechanism, at equal budget. The runner decides by the
 * measured difference of the first two arms whether the claim holds.
 */
export interface Claim {
  /** One sentence with the expected difference. */
  readonly statement: string
  readonly data: string
  readonly metric: { readonly name: string; readonly unit?: string; readonly better: 'higher' | 'lower' }
  /** The system first, its baseline second; further arms are reported. */
  readonly arms: readonly [ClaimArm, ClaimArm, ...ClaimArm[]]
  /** Smallest mean gain of the first arm over the second, in the metric's direction; `everySeed`: each seed must gain (default true). */
  readonly expected: { readonly gain: number; readonly everySeed?: boolean }
  /** Number of seeds, at least three. */
  readonly seeds?: number
  /** Further conditions, worked out from every arm's results in the order of the seeds. */
  readonly conditions?: (results: ReadonlyMap<string, readonly ArmResult[]>) => readonly ClaimCondition[]
  /** Trains and measures one arm with one seed. Both arms see the same data for a seed. */
  run(arm: string, seed: number, context: ClaimContext): Promise<ArmResult>
}

/** A published system: what its folder's `index.ts` exports as `system`. */
export interface System {
  readonly id: string
  /** Its short name: 'Vim'. */
  readonly title: string
  readonly paper: Paper
  readonly task: Task
  /** One or two sentences: what it does and why. */
  readonly summary: string
  /** The mechanism's parts by name: constructors and functions a user can combine. */
  readonly pieces: Readonly<Record<string, unknown>>
  readonly official?: Official
  readonly claim: Claim
  /** A command that a user can run. */
  readonly command: string
  /** What makes it a value of `--model`, where it is a backbone of pictures. */
  readonly model?: ModelKind
  /** Networks that label every pixel, by the name that `tenet train segment --model` knows them by: 'vm-unet'. */
  readonly segmenters?: Readonly<Record<string, SegmenterKind>>
  readonly sizes?: readonly PublishedSize[]
}
