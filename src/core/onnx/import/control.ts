import { arange, at, flip, type Index, moveAxis, reshape, scan, stack, where, zeros } from '../../ops/index.ts'
import { formatShape, normalizeAxis, sameShape } from '../../shape.ts'
import { type Tensor, tensor } from '../../tensor.ts'
import type { Value } from './known.ts'
import type { NodeReader, OperatorReaders } from './node-reader.ts'

/** Loops of more trips become a loop of Tenet where their body allows it; shorter ones are always unrolled. */
const LONG = 16
/** Longer loops, unrolled, would make graphs that no runtime loads in reasonable time. */
const MAX_TRIPS = 10_000
const MAX_SCAN = 2 ** 24

/** A known condition picks its branch; otherwise both are computed and chosen from, which needs equal shapes. */
function branch(node: NodeReader): (Tensor | Value)[] {
  const condition = node.input(0)
  if (condition.size !== 1) throw new Error(`its condition is ${formatShape(condition.shape)}, expected one value`)
  const [then, otherwise] = [node.graph('then_branch'), node.graph('else_branch')]
  if (node.isKnown(0)) return node.context.subgraph(node.number(0) ? then : otherwise, [])
  const taken = node.context.subgraph(then, [])
  const other = node.context.subgraph(otherwise, [])
  if (taken.length !== other.length) throw new Error('its branches differ in their number of outputs')
  const chosen = reshape(condition, [])
  return taken.map(({ tensor: a }, i) => {
    const { tensor: b } = other[i]
    if (sameShape(a.shape, b.shape) && a.dtype === b.dtype) return where(chosen, a, b)
    return node.context.needsValue('the condition between branches of unlike outputs', condition)
  })
}

/** Gives up where `build` cannot be done, so that there is another way to try. */
function attempt<T>(build: () => T): T | undefined {
  try {
    return build()
  } catch {
    return undefined
  }
}

/**
 * A loop as one `scan` over the trip number. Impossible where a trip must know its number, changes the shape of what it
 * carries, or ends the loop.
 */
function rolled(node: NodeReader, trips: number, carried: readonly Value[]): Tensor[] {
  const body = node.graph('body')
  const { carries, outputs } = scan(
    (states, [trip]) => {
      const values = [trip, tensor(true), ...states].map((t): Value => ({ tensor: t }))
      const [condition, ...results] = node.context.subgraph(body, values).map(value => value.tensor)
      if (!knownCondition(node, condition)) throw new Error('the loop ends early')
      return { carries: results.slice(0, states.length), outputs: results.slice(states.length) }
    },
    carried.map(value => value.tensor),
    [arange(trips)],
  )
  return [...carries, ...outputs]
}

/** A loop whose number of trips is known while the graph is built. */
function loop(node: NodeReader): (Tensor | Value)[] {
  const body = node.graph('body')
  const trips = node.has(0) ? node.number(0) : Number.POSITIVE_INFINITY
  let running = node.has(1) ? node.number(1) !== 0 : true
  let carried = node.values.slice(2).map((value, i) => value ?? fail(`input ${i + 2} is missing`))
  if (body.output.length < 1 + carried.length) throw new Error('its body gives too few outputs')
  if (running && trips > LONG && trips <= MAX_SCAN) {
    const results = attempt(() => rolled(node, trips, carried))
    if (results) return results
  }
  const scanned: Tensor[][] = Array.from({ length: body.output.length - 1 - carried.length }, () => [])
  const step = (trip: number): Value[] => {
    const place = { tensor: tensor(trip, [], 'i64') }
    return node.context.subgraph(body, [place, { tensor: tensor(true) }, ...carried])
  }
  let trip = 0
  for (; running && trip < trips; trip++) {
    if (trip >= MAX_TRIPS) throw new Error(`it makes more than ${MAX_TRIPS} trips`)
    const [condition, ...results] = step(trip)
    carried = results.slice(0, carried.length)
    results.slice(carried.length).forEach((value, i) => {
      scanned[i].push(value.tensor)
    })
    const again = condition.tensor
    running = knownCondition(node, again)
  }
  // A loop that never runs still gives empty results, whose other sizes its body knows.
  if (trip === 0 && scanned.length) {
    const results = step(0).slice(1 + carried.length)
    return [...carried, ...results.map(({ tensor: t }) => zeros([0, ...t.shape], t.dtype))]
  }
  return [...carried, ...scanned.map(steps => stack(steps))]
}

function knownCondition(node: NodeReader, condition: Tensor): boolean {
  const check = node.over([{ tensor: condition }])
  if (!check.isKnown(0))
    return node.unsupported(
      'loop whose length depends on data',
      'its condition depends on values that are only known at run time',
    )
  return check.number(0) !== 0
}

function fail(message: string): never {
  throw new Error(message)
}

/** One step after another over an axis of the scanned inputs (operator set 9), or of every item of a batch (8). */
function scanNode(node: NodeReader): Tensor[] {
  if (node.opset >= 9) return scanAxes(node, node.all(), scanAxesOf(node))
  if (node.has(0)) return node.unsupported('operator', 'sequence lengths in Scan of operator set 8 are not supported')
  const inputs = node.values.slice(1).map((_, i) => node.input(i + 1))
  const items = inputs[0]?.shape[0] ?? 0
  const each = Array.from({ length: items }, (_, item) =>
    scanAxes(
      node,
      inputs.map(input => at(input, item)),
      scanAxesOf(node),
    ),
  )
  if (items === 0) throw new Error('its batch is empty or symbolic')
  return each[0].map((_, i) => stack(each.map(results => results[i])))
}

interface ScanAxes {
  readonly count: number
  readonly inputAxes: readonly number[]
  readonly inputBackward: readonly number[]
  readonly outputAxes: readonly number[]
  readonly outputBackward: readonly number[]
}

const scanAxesOf = (node: NodeReader): ScanAxes => ({
  count: node.int('num_scan_inputs', 0),
  inputAxes: node.ints('scan_input_axes', []),
  inputBackward: node.ints(node.opset >= 9 ? 'scan_input_directions' : 'directions', []),
  outputAxes: node.ints('scan_output_axes', []),
  outputBackward: node.ints('scan_output_directions', []),
})

function scanAxes(node: NodeReader, inputs: readonly Tensor[], axes: ScanAxes): Tensor[] {
  const body = node.graph('body')
  const { count } = axes
  if (!(count >= 1 && count <= inputs.length)) throw new Error(`num_scan_inputs is ${count} of ${inputs.length} inputs`)
  const scanned = inputs.slice(-count)
  let state = inputs.slice(0, -count)
  const along = scanned.map((t, i) => normalizeAxis('scan', axes.inputAxes[i] ?? 0, t.rank))
  const steps = scanned[0].shape[along[0]]
  if (scanned.some((t, i) => t.shape[along[i]] !== steps))
    throw new Error(`its inputs ${scanned.map(t => formatShape(t.shape)).join(', ')} differ in the number of steps`)
  if (steps > LONG && steps <= MAX_SCAN) {
    const results = attempt(() => rolledAxes(node, state, scanned, along, axes))
    if (results) return results
  }
  if (!(steps >= 1 && steps <= MAX_TRIPS)) throw new Error(`${steps} steps; 1 to ${MAX_TRIPS} can be unrolled`)
  const outputs: Tensor[][] = Array.from({ length: body.output.length - state.length }, () => [])
  for (let step = 0; step < steps; step++) {
    const slices = scanned.map((t, i) => {
      const place = axes.inputBackward[i] ? steps - 1 - step : step
      return at(t, ...t.shape.map((_, axis): Index => (axis === along[i] ? place : null)))
    })
    const results = node.context.subgraph(
      body,
      [...state, ...slices].map((t): Value => ({ tensor: t })),
    )
    const tensors = results.map(result => result.tensor)
    state = tensors.slice(0, state.length)
    tensors.slice(state.length).forEach((t, i) => {
      if (axes.outputBackward[i]) outputs[i].unshift(t)
      else outputs[i].push(t)
    })
  }
  return [
    ...state,
    ...outputs.map((each, i) => stack(each, normalizeAxis('scan', axes.outputAxes[i] ?? 0, each[0].rank + 1))),
  ]
}

/** The same as one `scan`, the scanned axes brought to the front. */
function rolledAxes(
  node: NodeReader,
  initial: readonly Tensor[],
  scanned: readonly Tensor[],
  along: readonly number[],
  axes: ScanAxes,
): Tensor[] {
  const body = node.graph('body')
  const { carries, outputs } = scan(
    (states, slices) => {
      const values = [...states, ...slices].map((t): Value => ({ tensor: t }))
      const results = node.context.subgraph(body, values).map(value => value.tensor)
      return { carries: results.slice(0, states.length), outputs: results.slice(states.length) }
    },
    initial,
    scanned.map((t, i) => {
      const front = moveAxis(t, along[i], 0)
      return axes.inputBackward[i] ? flip(front, 0) : front
    }),
  )
  return [
    ...carries,
    ...outputs.map((t, i) => {
      const ordered = axes.outputBackward[i] ? flip(t, 0) : t
      return moveAxis(ordered, 0, normalizeAxis('scan', axes.outputAxes[i] ?? 0, t.rank))
    }),
  ]
}

export const controlReaders: OperatorReaders = {
  If: branch,
  Loop: loop,
  Scan: scanNode,
}
