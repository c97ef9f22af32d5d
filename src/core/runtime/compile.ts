import { formatShape } from '../shape.ts'
import { structureOf } from '../simplify.ts'
import {
  collectWrites,
  constantData,
  type NestedNumbers,
  placeholder,
  substitute,
  Tensor,
  type Variable,
} from '../tensor.ts'
import { HostTensor, type HostValue, toHostTensor } from './host-tensor.ts'
import { Program, type ProgramOptions } from './program.ts'

/** Values nested in arrays and records, the leaves being of type T. */
export type Tree<T> = T | readonly Tree<T>[] | { readonly [key: string]: Tree<T> }

/** What a traced function's argument or result looks like from outside: every tensor is a host value. */
export type Outside<T> = T extends Tensor
  ? HostTensor
  : T extends readonly (infer E)[]
    ? Outside<E>[]
    : T extends object
      ? { [K in keyof T]: Outside<T[K]> }
      : T
export type OutsideArgument<T> = T extends Tensor
  ? HostValue
  : T extends readonly (infer E)[]
    ? OutsideArgument<E>[]
    : T extends object
      ? { [K in keyof T]: OutsideArgument<T[K]> }
      : T

const isNested = (value: unknown): value is NestedNumbers => {
  let first = value
  while (Array.isArray(first)) first = first[0]
  return Array.isArray(value) && (typeof first === 'number' || typeof first === 'boolean')
}

const isHostLeaf = (value: unknown): value is HostValue =>
  value instanceof HostTensor ||
  ArrayBuffer.isView(value) ||
  typeof value === 'number' ||
  typeof value === 'boolean' ||
  isNested(value)

/** Replaces every leaf of a tree, in a fixed order (record keys sorted). */
export function mapTree<T, U>(tree: Tree<T>, isLeaf: (value: unknown) => value is T, f: (leaf: T) => U): Tree<U> {
  if (isLeaf(tree)) return f(tree)
  if (Array.isArray(tree)) return tree.map(branch => mapTree(branch as Tree<T>, isLeaf, f))
  if (typeof tree !== 'object' || tree === null) throw new TypeError(`expected a tensor value, got ${typeof tree}`)
  const record = tree as { readonly [key: string]: Tree<T> }
  return Object.fromEntries(
    Object.keys(record)
      .sort()
      .map(key => [key, mapTree(record[key], isLeaf, f)]),
  )
}

const isTensor = (value: unknown): value is Tensor => value instanceof Tensor

interface Compiled {
  readonly program: Program
  readonly result: Tree<Tensor>
}

/** A function compiled once for each signature of its arguments. */
export interface CompiledFunction<A extends unknown[], R> {
  (...args: { [K in keyof A]: OutsideArgument<A[K]> }): Promise<Outside<R>>
  /** The program for these arguments, compiled but not run. */
  program(...args: { [K in keyof A]: OutsideArgument<A[K]> }): Promise<Program>
  /** Frees all compiled programs. */
  release(): Promise<void>
}

/**
 * Compiles a function of tensors: it is traced once for each combination of argument shapes and dtypes, and each trace
 * becomes one {@link Program}. Arguments and results may be nested in arrays and records. Variables that the function
 * assigns take their new values when a call has finished.
 *
 * ```ts
 * const step = compile((x: Tensor) => x.mul(2).sum())
 * ;(await step([1, 2, 3])).item() // 12
 * ```
 */
export function compile<A extends unknown[], R>(
  f: (...args: A) => R,
  options: ProgramOptions = {},
): CompiledFunction<A, R> {
  const programs = new Map<string, Promise<Compiled>>()
  const prepare = (args: unknown[]): { values: HostTensor[]; compiled: Promise<Compiled> } => {
    const values: HostTensor[] = []
    const read = args.map(arg =>
      mapTree(arg as Tree<HostValue>, isHostLeaf, leaf => {
        const value = toHostTensor(leaf)
        values.push(value)
        return value
      }),
    )
    const key = JSON.stringify(
      read.map(arg =>
        mapTree(
          arg,
          (v): v is HostTensor => v instanceof HostTensor,
          v => `${v.dtype}${formatShape(v.shape)}`,
        ),
      ),
    )
    let compiled = programs.get(key)
    if (!compiled) {
      compiled = trace(f, read, options)
      programs.set(key, compiled)
      compiled.catch(() => programs.delete(key))
    }
    return { values, compiled }
  }
  const call = async (...args: unknown[]): Promise<unknown> => {
    const { values, compiled } = prepare(args)
    const { program, result } = await compiled
    const outputs = await program.run(values)
    let next = 0
    return mapTree(result, isTensor, () => outputs[next++])
  }
  return Object.assign(call, {
    program: async (...args: unknown[]) => (await prepare(args).compiled).program,
    release: async () => {
      for (const compiled of programs.values()) await (await compiled).program.release()
      programs.clear()
    },
  }) as unknown as CompiledFunction<A, R>
}

async function trace<A extends unknown[], R>(
  f: (...args: A) => R,
  args: Tree<HostTensor>[],
  options: ProgramOptions,
): Promise<Compiled> {
  const inputs: Tensor[] = []
  const traced = args.map(arg =>
    mapTree(
      arg,
      (v): v is HostTensor => v instanceof HostTensor,
      value => {
        const input = placeholder(`in${inputs.length}`, value.shape, value.dtype)
        inputs.push(input)
        return input
      },
    ),
  )
  const { result, writes } = collectWrites(() => f(...(traced as A)))
  const outputs: Tensor[] = []
  const tree = mapTree((result ?? {}) as Tree<Tensor>, isTensor, output => {
    outputs.push(output)
    return output
  })
  return { program: await Program.compile(inputs, outputs, writes, options), result: tree }
}

const cache = new Map<string, { program: Promise<Program>; inputs: number }>()
const CACHE_LIMIT = 128

/**
 * Computes tensors that depend on constants and variables only. Programs are reused for graphs of equal structure.
 * @returns the values, in order
 */
export async function evaluate(tensors: readonly Tensor[], options: ProgramOptions = {}): Promise<HostTensor[]> {
  const { key, constants, variables, leaves } = structureOf(tensors)
  if (leaves.length)
    throw new Error(`value: ${leaves[0]} is an input that has no value here; compile the function and call it`)
  const full = `${options.device ?? ''}\n${key}`
  let entry = cache.get(full)
  if (!entry) {
    entry = { program: generalise(tensors, constants, variables, options), inputs: constants.length + variables.length }
    cache.set(full, entry)
    entry.program.catch(() => cache.delete(full))
    if (cache.size > CACHE_LIMIT) {
      const [oldest] = cache.keys()
      const { program } = cache.get(oldest)!
      cache.delete(oldest)
      void program.then(p => p.release())
    }
  } else {
    // Least recently used entries stand first.
    cache.delete(full)
    cache.set(full, entry)
  }
  const program = await entry.program
  for (const variable of variables) await variable.sync()
  return program.run([...constants.map(constantValue), ...variables.map(v => new HostTensor(v.data, v.shape, v.dtype))])
}

const constantValue = (t: Tensor): HostTensor => new HostTensor(constantData(t)!, t.shape, t.dtype)

/** The same graph over placeholders, so that the program holds no value of this one. */
function generalise(
  tensors: readonly Tensor[],
  constants: readonly Tensor[],
  variables: readonly Variable[],
  options: ProgramOptions,
): Promise<Program> {
  const leaves = [...constants, ...variables]
  const inputs = leaves.map((leaf, i) => placeholder(`in${i}`, leaf.shape, leaf.dtype))
  const outputs = substitute(tensors, leaves, inputs)
  return Program.compile(inputs, outputs, new Map(), options)
}
