import type { DType, HostData } from './dtype.ts'
import { allocate, dtypeOf, fromNumbers, toNumbers } from './dtype.ts'
import type { Primitive, Spec } from './primitive.ts'
import type { Shape } from './shape.ts'
import { formatShape, sameShape, sizeOf } from './shape.ts'

let nextId = 0

/** One application of a primitive. Immutable; its outputs are tensors. */
export class Node<A extends object = object> {
  readonly id = nextId++
  readonly outputs: readonly Tensor[]

  constructor(
    readonly primitive: Primitive<A>,
    readonly inputs: readonly Tensor[],
    readonly attributes: A,
    specs: readonly Spec[],
    own?: Tensor,
  ) {
    const node = this as unknown as Node
    this.outputs = own ? [own] : specs.map((spec, index) => new Tensor(node, index, spec))
  }
}

/**
 * A symbolic value: one output of a {@link Node}, with its shape and dtype. Nothing is computed when a tensor is made;
 * `await t.value()` compiles and runs what it needs, and `compile` turns a whole function into one program.
 * Operations are both functions (`add(x, y)`) and methods (`x.add(y)`).
 */
export class Tensor {
  readonly node: Node
  readonly index: number
  readonly shape: Shape
  readonly dtype: DType

  constructor(node: Node | undefined, index: number, spec: Spec, leaf?: { primitive: Primitive; attributes: object }) {
    this.shape = spec.shape
    this.dtype = spec.dtype
    this.index = index
    this.node = node ?? new Node(leaf!.primitive, [], leaf!.attributes, [spec], this)
  }

  /** Number of axes. */
  get rank(): number {
    return this.shape.length
  }

  /** Number of elements (negative when the batch is symbolic). */
  get size(): number {
    return sizeOf(this.shape)
  }

  toString(): string {
    return `Tensor(${this.node.primitive.name} ${this.dtype}${formatShape(this.shape)})`
  }
}

/** Numbers nested as deep as a tensor has axes. */
export type NestedNumbers = readonly (number | boolean)[] | readonly NestedNumbers[]

/** A tensor, or something that becomes a constant one. */
export type TensorLike = Tensor | number | boolean | NestedNumbers | HostData

/** Applies a primitive with one output. */
export function apply<A extends object>(primitive: Primitive<A>, inputs: readonly Tensor[], attributes: A): Tensor {
  return applyMany(primitive, inputs, attributes)[0]
}

/** Applies a primitive with any number of outputs. */
export function applyMany<A extends object>(
  primitive: Primitive<A>,
  inputs: readonly Tensor[],
  attributes: A,
): readonly Tensor[] {
  const specs = primitive.shape(inputs, attributes)
  return new Node(primitive, inputs, attributes, Array.isArray(specs) ? specs : [specs as Spec]).outputs
}

export interface ConstantAttributes extends Spec {
  readonly data: HostData
}

function unbound(name: string): never {
  throw new Error(`${name} has no value of its own: it must be given one before it is evaluated`)
}

/** A value known when the graph is built. */
export const constantPrimitive: Primitive<ConstantAttributes> = {
  name: 'constant',
  shape: (_, { shape, dtype }) => ({ shape, dtype }),
  lower: (to, _, { attributes: { data, shape, dtype } }) => to.constant(data, shape, dtype),
  evaluate: (_, { data, dtype }) => toNumbers(dtype, data),
}

/** A value given at run time. */
export const placeholderPrimitive: Primitive<{ readonly name: string }> = {
  name: 'placeholder',
  shape: () => unbound('placeholder'),
  lower: (_to, _inputs, node) => unbound(`placeholder '${node.attributes.name}'`),
  evaluate: (_, { name }) => unbound(`placeholder '${name}'`),
}

/** A value that lives across runs: a parameter, optimiser state, a queue, running statistics. */
export const variablePrimitive: Primitive<{ readonly variable: () => Variable }> = {
  name: 'variable',
  shape: () => unbound('variable'),
  lower: () => unbound('variable'),
  evaluate: (_, { variable }) => toNumbers(variable().dtype, variable().data),
}

/** A named input of a graph that is being traced. A size of -1 marks the symbolic batch. */
export function placeholder(name: string, shape: Shape, dtype: DType = 'f32'): Tensor {
  return new Tensor(
    undefined,
    0,
    { shape, dtype },
    { primitive: placeholderPrimitive as Primitive, attributes: { name } },
  )
}

/**
 * A tensor whose value is kept between runs and can be rewritten by a compiled step ({@link Variable.assign}).
 * Reading it inside a step always gives the value from before the step.
 */
export class Variable extends Tensor {
  /** Path in its module, for error messages and checkpoints. */
  name: string
  #front: HostData
  #back: HostData | undefined
  #device: DeviceCopy | undefined
  #version = 0

  constructor(data: HostData, shape: Shape, dtype: DType = dtypeOf(data), name = 'variable') {
    const self: { variable?: Variable } = {}
    super(
      undefined,
      0,
      { shape, dtype },
      { primitive: variablePrimitive as Primitive, attributes: { variable: () => self.variable } },
    )
    self.variable = this
    if (data.length !== sizeOf(shape))
      throw new Error(`variable ${name}: ${data.length} values do not fill the shape ${formatShape(shape)}`)
    this.name = name
    this.#front = data
  }

  /** The current value on the host. Throws while the newest value is still on an accelerator: `await sync()` first. */
  get data(): HostData {
    if (this.#device?.newer)
      throw new Error(`variable ${this.name} was last written on the device: await sync() before reading data`)
    return this.#front
  }

  /** Counts host-side writes, so that copies elsewhere know when they are stale. */
  get version(): number {
    return this.#version
  }

  /** Replaces the value from the host. The array is kept, not copied. */
  set(data: HostData): void {
    if (data.length !== this.#front.length || data.constructor !== this.#front.constructor)
      throw new Error(
        `variable ${this.name}: expected ${this.#front.length} values of ${this.dtype}, got ${data.length} (${data.constructor.name})`,
      )
    this.#front = data
    this.#device = undefined
    this.#version++
  }

  /** The array that a running step writes the next value into. */
  backBuffer(): HostData {
    this.#back ??= allocate(this.dtype, this.#front.length)
    return this.#back
  }

  /** Makes the back buffer the current value. */
  swap(): void {
    const next = this.backBuffer()
    this.#back = this.#front
    this.#front = next
    this.#version++
  }

  /** The copy kept on an accelerator, managed by the runtime. */
  get device(): DeviceCopy | undefined {
    return this.#device
  }
  set device(copy: DeviceCopy | undefined) {
    this.#device = copy
  }

  /** Brings the newest value to the host. */
  async sync(): Promise<void> {
    if (!this.#device?.newer) return
    this.#front = await this.#device.read()
    this.#device.newer = false
    this.#version++
    this.#device.version = this.#version
  }

  /**
   * Inside a traced step: the value this variable takes when the step has finished.
   * @throws outside a step, when assigned twice in one, or when shape or dtype differ.
   */
  assign(value: Tensor): void {
    if (!writes) throw new Error(`variable ${this.name}: assign() works inside compile(); use set() on the host`)
    if (!sameShape(value.shape, this.shape) || value.dtype !== this.dtype)
      throw new Error(
        `variable ${this.name} is ${this.dtype}${formatShape(this.shape)} and cannot take ${value.dtype}${formatShape(value.shape)}`,
      )
    if (writes.has(this)) throw new Error(`variable ${this.name}: assigned twice in one step`)
    writes.set(this, value)
  }

  /**
   * Like {@link assign}, with the new value made from the current one; several updates in one step follow each other.
   * @param next gives the new value from the one that stands so far
   */
  update(next: (current: Tensor) => Tensor): void {
    const sofar = this.next()
    writes?.delete(this)
    this.assign(next(sofar))
  }

  /** Inside a traced step: the value it will have after what has been assigned so far. */
  next(): Tensor {
    return writes?.get(this) ?? this
  }
}

/** A variable's value on an accelerator. */
export interface DeviceCopy {
  /** True when the device holds a newer value than the host. */
  newer: boolean
  /** Host version this copy was made from or written back to. */
  version: number
  read(): Promise<HostData>
}

let writes: Map<Variable, Tensor> | undefined

/** Runs `build` and collects the variables it assigns. */
export function collectWrites<T>(build: () => T): { result: T; writes: Map<Variable, Tensor> } {
  const outer = writes
  const own = new Map<Variable, Tensor>()
  writes = own
  try {
    return { result: build(), writes: own }
  } finally {
    writes = outer
  }
}

function nestedShape(values: NestedNumbers): number[] {
  const shape: number[] = []
  for (let level: unknown = values; Array.isArray(level); level = level[0]) shape.push(level.length)
  return shape
}

function flattenNested(values: NestedNumbers, shape: Shape, depth: number, out: number[]): void {
  if (values.length !== shape[depth])
    throw new Error(`tensor: ragged nesting: expected ${shape[depth]} entries at depth ${depth}, got ${values.length}`)
  for (const value of values) {
    if (Array.isArray(value) !== depth + 1 < shape.length) throw new Error(`tensor: ragged nesting at depth ${depth}`)
    if (Array.isArray(value)) flattenNested(value as NestedNumbers, shape, depth + 1, out)
    else out.push(Number(value))
  }
}

/**
 * A constant tensor.
 * @param values nested numbers, one number, or a flat typed array (read with `shape`)
 * @param shape sizes; default: the nesting, or `[length]` for a typed array
 * @param dtype default: what the typed array carries, `bool` for booleans, else `f32`
 * @throws when the values do not fill the shape
 */
export function tensor(values: Exclude<TensorLike, Tensor>, shape?: Shape, dtype?: DType): Tensor {
  if (ArrayBuffer.isView(values)) {
    const kind = dtype ?? dtypeOf(values)
    const data =
      kind === dtypeOf(values) || (kind === 'bool' && values instanceof Uint8Array)
        ? values
        : fromNumbers(kind, Array.from(values as Float32Array, Number))
    return constant(data, shape ?? [values.length], kind)
  }
  if (typeof values === 'number' || typeof values === 'boolean') {
    const kind = dtype ?? (typeof values === 'boolean' ? 'bool' : 'f32')
    return constant(fromNumbers(kind, new Array(sizeOf(shape ?? [])).fill(Number(values))), shape ?? [], kind)
  }
  const nesting = nestedShape(values)
  const flat: number[] = []
  flattenNested(values, nesting, 0, flat)
  let first: unknown = values
  while (Array.isArray(first)) first = first[0]
  const kind = dtype ?? (typeof first === 'boolean' ? 'bool' : 'f32')
  return constant(fromNumbers(kind, flat), shape ?? nesting, kind)
}

/** A constant tensor over a typed array, which must not be changed afterwards. */
export function constant(data: HostData, shape: Shape, dtype: DType = dtypeOf(data)): Tensor {
  if (data.length !== sizeOf(shape))
    throw new Error(`tensor: ${data.length} values do not fill the shape ${formatShape(shape)}`)
  return new Tensor(
    undefined,
    0,
    { shape, dtype },
    { primitive: constantPrimitive as Primitive, attributes: { data, shape, dtype } },
  )
}

/** Reads anything tensor-like; plain numbers take `dtype` (that of the tensor they meet). */
export function asTensor(value: TensorLike, dtype?: DType): Tensor {
  if (value instanceof Tensor) return value
  if (ArrayBuffer.isView(value)) return tensor(value)
  return tensor(value, undefined, dtype)
}

/** The host value of a constant or undefined. */
export function constantData(t: Tensor): HostData | undefined {
  return t.node.primitive === (constantPrimitive as Primitive)
    ? (t.node.attributes as ConstantAttributes).data
    : undefined
}

/** The variable behind a tensor, or undefined. */
export const asVariable = (t: Tensor): Variable | undefined => (t instanceof Variable ? t : undefined)

/** All nodes that `outputs` depend on, inputs before users. Iterative, so that deep graphs do not overflow the stack. */
export function topologicalOrder(outputs: readonly Tensor[], stop?: (node: Node) => boolean): Node[] {
  const order: Node[] = []
  const state = new Map<Node, number>()
  const stack: Node[] = []
  for (const output of outputs) {
    if (!state.has(output.node)) stack.push(output.node)
    while (stack.length) {
      const node = stack[stack.length - 1]
      const next = state.get(node) ?? 0
      if (next === -1) {
        stack.pop()
        continue
      }
      if (next < node.inputs.length && !stop?.(node)) {
        state.set(node, next + 1)
        const input = node.inputs[next].node
        if (!state.has(input)) stack.push(input)
        continue
      }
      state.set(node, -1)
      order.push(node)
      stack.pop()
    }
  }
  return order
}

/** The graphs of `outputs` with every use of `from[i]` replaced by `to[i]`. */
export function substitute(outputs: readonly Tensor[], from: readonly Tensor[], to: readonly Tensor[]): Tensor[] {
  const replaced = new Map<Tensor, Tensor>(from.map((t, i) => [t, to[i]]))
  const stops = new Set(to.map(t => t.node))
  for (const node of topologicalOrder(outputs, node => stops.has(node))) {
    if (stops.has(node) || node.outputs.every(t => replaced.has(t))) continue
    const inputs = node.inputs.map(input => replaced.get(input) ?? input)
    if (inputs.every((input, i) => input === node.inputs[i])) continue
    applyMany(node.primitive, inputs, node.attributes).forEach((t, i) => {
      if (!replaced.has(node.outputs[i])) replaced.set(node.outputs[i], t)
    })
  }
  return outputs.map(output => replaced.get(output) ?? output)
}
