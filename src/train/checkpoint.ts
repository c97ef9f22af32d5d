import { readFile } from 'node:fs/promises'
import { formatShape, HostTensor, type Variable } from '../core/index.ts'
import { readSafetensors, writeSafetensors } from '../core/safetensors.ts'
import { writeAtomic } from './atomic.ts'

/** Variables by name, and anything else that must survive, as JSON. */
export interface Checkpoint {
  readonly tensors: ReadonlyMap<string, HostTensor>
  readonly state: Readonly<Record<string, unknown>>
}

/** Copies variables' values from wherever they are. */
export async function snapshot(variables: ReadonlyMap<string, Variable>): Promise<Map<string, HostTensor>> {
  const values = new Map<string, HostTensor>()
  for (const [name, variable] of variables) {
    await variable.sync()
    values.set(name, new HostTensor(variable.data, variable.shape, variable.dtype))
  }
  return values
}

/** Saves a checkpoint as one safetensors file, atomically. */
export async function saveCheckpoint(path: string, { tensors, state }: Checkpoint): Promise<void> {
  await writeAtomic(path, writeSafetensors(tensors, { tenet: JSON.stringify(state) }))
}

/** Reads a checkpoint. @throws one line when the file is missing, damaged or not one of Tenet's */
export async function readCheckpoint(path: string): Promise<Checkpoint> {
  let bytes: Uint8Array
  try {
    bytes = await readFile(path)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    throw new Error(
      code === 'ENOENT' ? `there is no checkpoint at ${path}` : `cannot read ${path}: ${(error as Error).message}`,
    )
  }
  return parseCheckpoint(bytes, path)
}

/** A checkpoint from its file's bytes. @throws one line when they are damaged or not one of Tenet's */
export function parseCheckpoint(bytes: Uint8Array, path: string): Checkpoint {
  const { tensors, metadata } = readSafetensors(bytes, path)
  if (metadata.tenet === undefined)
    throw new Error(`${path}: a safetensors file, but not a checkpoint written by Tenet`)
  try {
    return { tensors, state: JSON.parse(metadata.tenet) as Record<string, unknown> }
  } catch {
    throw new Error(`${path}: the checkpoint's state is not JSON`)
  }
}

/** Puts saved values back. Nothing changes unless every variable is there and fits. @throws one line listing what does not */
export function restore(
  variables: ReadonlyMap<string, Variable>,
  saved: ReadonlyMap<string, HostTensor>,
  path: string,
): void {
  const problems = [...variables].flatMap(([name, variable]) => {
    const value = saved.get(name)
    if (!value) return [`${name} is missing`]
    if (value.dtype !== variable.dtype || formatShape(value.shape) !== formatShape(variable.shape))
      return [
        `${name} is ${value.dtype}${formatShape(value.shape)}, expected ${variable.dtype}${formatShape(variable.shape)}`,
      ]
    return []
  })
  if (problems.length)
    throw new Error(
      `${path} is of another model: ${problems.slice(0, 4).join('; ')}${problems.length > 4 ? ` and ${problems.length - 4} more` : ''}`,
    )
  for (const [name, variable] of variables) variable.set(saved.get(name)!.data.slice())
}
