import type { DType, HostData } from './dtype.ts'
import type { Shape } from './shape.ts'
import type { Node, Tensor } from './tensor.ts'

/** Shape and element type of a tensor, without its value. */
export interface Spec {
  readonly shape: Shape
  readonly dtype: DType
}

/** A concrete value in the float64 reference world. Integers and booleans are held as numbers too. */
export interface Reference {
  readonly shape: readonly number[]
  readonly dtype: DType
  readonly data: Float64Array
}

export type OnnxAttribute =
  | { readonly int: number }
  | { readonly ints: readonly number[] }
  | { readonly float: number }
  | { readonly floats: readonly number[] }
  | { readonly string: string }
  | { readonly graph: OnnxSubgraph }
  | { readonly tensor: { readonly data: HostData; readonly shape: readonly number[]; readonly dtype: DType } }

/** The body of a control-flow node: traced tensors standing for its inputs, and its outputs. */
export interface OnnxSubgraph {
  readonly inputs: readonly Tensor[]
  readonly outputs: readonly Tensor[]
  /** Leaves of the body that stand for values of the graph around it, with the names of those values. */
  readonly captures?: readonly (readonly [Tensor, string])[]
}

/** What a primitive writes ONNX nodes with. Names returned are ONNX value names. */
export interface Lowering {
  /** Opset of the default domain being written (17, or 18 where a primitive of the graph asks for it). */
  readonly opset: number
  /** False when the file must run on any ONNX runtime: then no contributed operator may be used. */
  readonly contributed: boolean
  /** Which kernels will run the graph, for lowerings whose fastest form differs. */
  readonly device: string
  /** How many channels the kernels that will run the graph keep side by side in their blocked layout; 0: they have none. */
  readonly channelBlock: number
  /** Adds a node with one output. */
  emit(op: string, inputs: readonly string[], attributes?: Record<string, OnnxAttribute>, domain?: string): string
  /** Adds a node with several outputs; an empty string among `wanted` leaves that optional output out. */
  emitMany(
    op: string,
    inputs: readonly string[],
    outputs: number,
    attributes?: Record<string, OnnxAttribute>,
    domain?: string,
  ): string[]
  /** A constant, shared by content. */
  constant(data: HostData, shape: Shape, dtype: DType): string
  /** A float, int or bool scalar constant of `dtype`. */
  scalar(value: number, dtype: DType): string
  /** A 1-D int64 constant. */
  ints(values: readonly number[]): string
  /** A 1-D int64 value holding `shape`, computed at run time where the batch is symbolic. */
  shape(shape: Shape): string
}

/**
 * One operation of the language, with its four faces. A primitive is the only place that knows any of them.
 * @typeParam A the attributes: plain data (numbers, strings, arrays), so that equal nodes can be found.
 */
export interface Primitive<A extends object = object> {
  readonly name: string
  /** Lowest ONNX opset that can hold the lowering; 17 when left out. */
  readonly opset?: number
  /** Output specs, or an error that names the operation and the shapes it was given. */
  shape(inputs: readonly Spec[], attributes: A): Spec | Spec[]
  /**
   * Cotangents of the inputs from those of the outputs (`undefined` where an output has none, or an input gets none),
   * built from primitives so that it can be differentiated again. Left out where no gradient exists.
   */
  vjp?(node: Node<A>, cotangents: readonly (Tensor | undefined)[]): readonly (Tensor | undefined)[]
  /** Writes ONNX nodes; returns the value name of each output. */
  lower(to: Lowering, inputs: readonly string[], node: Node<A>): string | string[]
  /** Plain float64 loops: the meaning of the operation. */
  evaluate(inputs: readonly Reference[], attributes: A, outputs: readonly Spec[]): Float64Array | Float64Array[]
  /** A cheaper tensor of equal value for this node's only output, where there is one. Used by `simplify`. */
  rewrite?(node: Node<A>): Tensor | undefined
  /**
   * For a node with outputs that nobody reads: one node that computes only those `used`, over some of the same inputs.
   * Gives the replacement of each output, `undefined` for an unused one; or `undefined` when nothing can be saved.
   */
  prune?(node: Node<A>, used: readonly boolean[]): readonly (Tensor | undefined)[] | undefined
}
