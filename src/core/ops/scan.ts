import { formatShape, normalizeAxis, requireConcrete, sameShape } from '../shape.ts'
import { asTensor, collectWrites, placeholder, type Tensor, type TensorLike } from '../tensor.ts'
import { moveAxis, zeros } from './layout.ts'
import { beforeTranspose, runLoop } from './scan-loop.ts'

export interface ScanOptions {
  /** Axis of the sequences that is walked along, and of the outputs along which they are stacked; default 0. */
  readonly axis?: number
  /** From the last slice to the first; outputs keep the order of the slices. Default false. */
  readonly reverse?: boolean
  /** Number of steps, needed where there is no sequence. */
  readonly length?: number
}

/** What a loop's body makes of the carries and the slices of one step. */
export interface ScanStep {
  /** As many as there are initial carries, of their shapes and dtypes. */
  readonly carries: readonly Tensor[]
  /** Values that are stacked over the steps; default none. */
  readonly outputs?: readonly Tensor[]
}

/**
 * A loop over the slices of sequences: carries(t), outputs(t) = body(carries(t-1), slices(t)).
 *
 * The body is traced once. It may use any tensor around it (parameters, variables, inputs, intermediate results); these get
 * their gradients, summed over the steps, like the initial carries and the sequences do. The backward pass keeps the
 * carries of each step and the results of its matrix products and convolutions, and computes the rest again: memory grows linearly
 * with the number of steps. Gradients can be differentiated again.
 *
 * ```ts
 * const { outputs: [total] } = scan(([sum], [x]) => ({ carries: [sum.add(x)], outputs: [sum.add(x)] }), [zeros([3])], [sequence])
 * ```
 * @param initial carries before the first step
 * @param sequences all of the same size along `axis`
 * @returns the carries after the last step, and the stacked outputs
 * @throws when sizes disagree, the body changes a carry's shape or dtype, or assigns a variable
 */
export function scan(
  body: (carries: readonly Tensor[], slices: readonly Tensor[]) => ScanStep,
  initial: readonly TensorLike[],
  sequences: readonly TensorLike[],
  { axis = 0, reverse = false, length }: ScanOptions = {},
): { carries: readonly Tensor[]; outputs: readonly Tensor[] } {
  const starts = initial.map(t => asTensor(t))
  const walks = sequences.map(sequence => {
    const tensor = asTensor(sequence)
    return { tensor, axis: normalizeAxis('scan', axis, tensor.rank) }
  })
  const steps = stepsOf(walks, length)
  const carries = starts.map(({ shape, dtype }, i) => placeholder(`carry${i}`, shape, dtype))
  const slices = walks.map(({ tensor: { shape, dtype }, axis: along }, i) =>
    placeholder(
      `slice${i}`,
      shape.filter((_, a) => a !== along),
      dtype,
    ),
  )
  const step = trace(() => body(carries, slices))
  checkCarries(starts, step.carries)
  const outputs = step.outputs ?? []
  const place = (each: Tensor): number => normalizeAxis('scan: output', axis, each.rank + 1)
  if (steps === 0)
    return {
      carries: starts,
      outputs: outputs.map(each => zeros(each.shape.toSpliced(place(each), 0, 0), each.dtype)),
    }
  const result = runLoop({
    initial: starts,
    sequences: walks.map(beforeTranspose),
    length: steps,
    reverse,
    carries,
    slices,
    next: step.carries,
    outputs,
    sums: [],
  })
  return { carries: result.carries, outputs: result.outputs.map((t, i) => moveAxis(t, 0, place(outputs[i]))) }
}

function stepsOf(walks: readonly { tensor: Tensor; axis: number }[], length: number | undefined): number {
  const sizes = walks.map(({ tensor: { shape }, axis }) => {
    requireConcrete('scan', shape, [axis])
    return shape[axis]
  })
  const steps = length ?? sizes[0]
  if (steps === undefined) throw new Error('scan: give a length where there is no sequence')
  const other = sizes.findIndex(size => size !== steps)
  if (other >= 0)
    throw new Error(
      `scan: sequence ${other} is ${formatShape(walks[other].tensor.shape)}, with ${sizes[other]} slices along axis ${walks[other].axis} where ${steps} are expected`,
    )
  return steps
}

function trace(body: () => ScanStep): ScanStep {
  const { result, writes } = collectWrites(body)
  const [written] = writes.keys()
  if (written)
    throw new Error(
      `scan: the body assigns variable ${written.name}; return the value as a carry and assign it after the loop`,
    )
  return result
}

function checkCarries(starts: readonly Tensor[], next: readonly Tensor[]): void {
  if (next.length !== starts.length)
    throw new Error(`scan: the body returns ${next.length} carries but the loop starts with ${starts.length}`)
  next.forEach((t, i) => {
    if (t.dtype !== starts[i].dtype || !sameShape(t.shape, starts[i].shape))
      throw new Error(
        `scan: the body returns carry ${i} as ${t.dtype}${formatShape(t.shape)}, but it starts as ${starts[i].dtype}${formatShape(starts[i].shape)}`,
      )
  })
}
