import { grad, HostTensor, isFloat, mul, Program, placeholder, sum, Tensor, zerosLike } from '../core/index.ts'
import { type CaseTable, casesOf, type Golden, GoldenCase, Leaves, type Outputs } from './golden.ts'

/** How one tensor of a golden compares. */
export interface Comparison {
  readonly name: string
  readonly kind: 'output' | 'gradient'
  readonly absolute: number
  readonly relative: number
  readonly ok: boolean
}

/** Result of comparing one golden file. */
export interface ParityResult {
  readonly file: string
  readonly system: string
  readonly ok: boolean
  /** Number of tensors compared. */
  readonly checked: number
  readonly worst: { readonly name: string; readonly absolute: number; readonly relative: number } | null
  /** Tensors of the golden that nothing was compared with. */
  readonly missing: readonly string[]
  readonly comparisons: readonly Comparison[]
  /** One line for each case that could not be built. */
  readonly errors: readonly string[]
}

/** |a-b| may be `absolute + relative |b|`; or, `ofLargest`, a share of the tensor's largest value with a floor. */
export type Tolerance =
  | { readonly absolute: number; readonly relative: number }
  | { readonly ofLargest: number; readonly floor: number }

export interface Tolerances {
  readonly output: Tolerance
  readonly gradient: Tolerance
}

/** The golden fixtures' general rule. */
export const generalTolerances: Tolerances = {
  output: { absolute: 1e-4, relative: 1e-3 },
  gradient: { absolute: 1e-3, relative: 5e-3 },
}

/** The stricter rule of the shared building blocks. */
export const buildingBlockTolerances: Tolerances = {
  output: { ofLargest: 1e-4, floor: 1e-5 },
  gradient: { ofLargest: 1e-4, floor: 1e-5 },
}

/** Rebuilds a system's outputs from a golden's inputs and official state dict. */
export type Reproduce = (c: GoldenCase) => Outputs | Promise<Outputs>

/** How a golden is reproduced: as a whole, or case by case. */
export interface Reproduction {
  readonly reproduce: Reproduce | CaseTable
  readonly tolerances?: Tolerances
}

/** Computes and compares everything a golden holds: outputs, and gradients by autodiff of what the reproduction built. */
export async function compareGolden(
  golden: Golden,
  { reproduce, tolerances = generalTolerances }: Reproduction,
): Promise<ParityResult> {
  const comparisons: Comparison[] = []
  const errors: string[] = []
  const covered = new Set<string>()
  const parts =
    typeof reproduce === 'function' ? [{ name: '', prefix: '', build: reproduce }] : splitCases(golden, reproduce)
  for (const { name, prefix, build } of parts) {
    try {
      const leaves = new Leaves(golden)
      const outputs = await build(new GoldenCase(leaves, name, prefix))
      for (const comparison of await comparePart(golden, leaves, prefix, outputs, tolerances)) {
        covered.add(comparison.key)
        comparisons.push(comparison)
      }
    } catch (error) {
      errors.push(`${name || golden.name}: ${error instanceof Error ? error.message : String(error)}`)
    }
  }
  const expected = [...golden.tensors.keys()].filter(key => /^(out|gin|gparam)\./.test(key))
  const missing = expected.filter(key => !covered.has(key))
  const worst = comparisons.reduce<Comparison | undefined>((a, b) => (!a || badness(b) > badness(a) ? b : a), undefined)
  return {
    file: golden.name,
    system: golden.metadata.system,
    ok: comparisons.length > 0 && missing.length === 0 && errors.length === 0 && comparisons.every(({ ok }) => ok),
    checked: comparisons.length,
    worst: worst ? { name: worst.name, absolute: worst.absolute, relative: worst.relative } : null,
    missing,
    comparisons,
    errors,
  }
}

/** A failing comparison is worse than any passing one. */
const badness = ({ ok, relative }: Comparison): number => (ok ? 0 : 1e9) + (Number.isNaN(relative) ? 1e9 : relative)

function splitCases(golden: Golden, table: CaseTable): { name: string; prefix: string; build: Reproduce }[] {
  return casesOf(golden, table).map(({ name, build, match }) => ({
    name,
    prefix: `${name}.`,
    build: c => build(c, match),
  }))
}

interface Keyed extends Comparison {
  readonly key: string
}

async function comparePart(
  golden: Golden,
  leaves: Leaves,
  prefix: string,
  outputs: Outputs,
  tolerances: Tolerances,
): Promise<Keyed[]> {
  const keyOf = (name: string): string => `out.${name === '' ? prefix.slice(0, -1) : prefix + name}`
  const traced = Object.entries(outputs).filter((entry): entry is [string, Tensor] => entry[1] instanceof Tensor)
  const inputs = new Map(leaves.made)
  const terms: Tensor[] = []
  for (const [name, output] of traced) {
    const cotangentKey = keyOf(name).replace(/^out\./, 'cot.')
    const cotangent = golden.tensors.get(cotangentKey)
    if (!isFloat(output.dtype)) continue
    if (cotangent) {
      const leaf = placeholder(cotangentKey, cotangent.shape, cotangent.dtype)
      inputs.set(cotangentKey, leaf)
      terms.push(sum(mul(output.reshape(cotangent.shape), leaf)))
    } else if (output.size === 1) terms.push(sum(output))
  }
  const wanted = [...golden.tensors.keys()].filter(
    key => key.startsWith(`gin.${prefix}`) || key.startsWith(`gparam.${prefix}`),
  )
  const sources = wanted.map(key => leaves.bound.get(key.slice(1)) ?? leaves.made.get(key.slice(1)))
  const present = wanted.filter((_, i) => sources[i])
  const known = sources.filter(source => source !== undefined)
  const gradients = terms.length
    ? grad(
        terms.reduce((a, b) => a.add(b)),
        known,
      )
    : known.map(zerosLike)
  const values = await run(golden, inputs, [...traced.map(([, t]) => t), ...gradients])
  const results: Keyed[] = []
  const add = (key: string, kind: Comparison['kind'], value: HostTensor): void => {
    const expected = golden.tensors.get(key)
    if (expected) results.push({ key, ...compare(key, kind, value, expected, tolerances[kind]) })
  }
  traced.forEach(([name], i) => {
    add(keyOf(name), 'output', values[i])
  })
  for (const [name, value] of Object.entries(outputs))
    if (value instanceof HostTensor) add(keyOf(name), 'output', value)
  present.forEach((key, i) => {
    add(key, 'gradient', values[traced.length + i])
  })
  return results
}

async function run(
  golden: Golden,
  inputs: ReadonlyMap<string, Tensor>,
  outputs: readonly Tensor[],
): Promise<HostTensor[]> {
  if (outputs.length === 0) return []
  const program = await Program.compile([...inputs.values()], outputs)
  try {
    return await program.run([...inputs.keys()].map(key => golden.tensors.get(key)!))
  } finally {
    await program.release()
  }
}

/** Compares values elementwise; integers and booleans must be equal. A scalar may be stored as [1] or as []. */
export function compare(
  name: string,
  kind: Comparison['kind'],
  actual: HostTensor,
  expected: HostTensor,
  tolerance: Tolerance,
): Comparison {
  const a = actual.numbers()
  const b = expected.numbers()
  if (a.length !== b.length || !sameUpToOnes(actual.shape, expected.shape))
    return {
      name: `${name} ([${actual.shape}] instead of [${expected.shape}])`,
      kind,
      absolute: Number.NaN,
      relative: Number.NaN,
      ok: false,
    }
  const largest = b.reduce((most, value) => (Number.isFinite(value) ? Math.max(most, Math.abs(value)) : most), 0)
  const exact = !isFloat(expected.dtype)
  let absolute = 0
  let ok = true
  for (let i = 0; i < b.length; i++) {
    if (a[i] === b[i] || (Number.isNaN(a[i]) && Number.isNaN(b[i]))) continue
    const error = Math.abs(a[i] - b[i])
    const allowed = exact
      ? 0
      : 'ofLargest' in tolerance
        ? Math.max(tolerance.ofLargest * largest, tolerance.floor)
        : tolerance.absolute + tolerance.relative * Math.abs(b[i])
    if (!(error <= allowed)) ok = false
    absolute = Number.isNaN(error) ? Number.POSITIVE_INFINITY : Math.max(absolute, error)
  }
  return { name, kind, absolute, relative: absolute === 0 ? 0 : absolute / Math.max(largest, 1e-12), ok }
}

const withoutOnes = (shape: readonly number[]): string => shape.filter(dim => dim !== 1).join()
const sameUpToOnes = (a: readonly number[], b: readonly number[]): boolean => withoutOnes(a) === withoutOnes(b)
