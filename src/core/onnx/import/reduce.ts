import {
  abs,
  argMax,
  argMin,
  cast,
  flip,
  log,
  logSumExp,
  max,
  mean,
  min,
  mul,
  prod,
  sqrt,
  sub,
  sum,
} from '../../ops/index.ts'
import { normalizeAxes, normalizeAxis } from '../../shape.ts'
import type { Tensor } from '../../tensor.ts'
import type { NodeReader, OperatorReader, OperatorReaders } from './node-reader.ts'

type Reduction = (x: Tensor, axes: readonly number[], keep: boolean) => Tensor

/** Axes are an attribute in older sets and an input in newer ones; none mean all, unless the node says otherwise. */
const reduction =
  (f: Reduction): OperatorReader =>
  node => {
    const x = node.input(0)
    const named = node.integersOf('axes', 1) ?? []
    const keep = node.flag('keepdims', true)
    if (named.length === 0 && node.flag('noop_with_empty_axes')) return x
    return f(x, normalizeAxes(node.op, named.length ? named : undefined, x.rank), keep)
  }

/** Bytes and booleans are reduced as i32. */
const extremum =
  (f: Reduction): Reduction =>
  (x, axes, keep) =>
    x.dtype === 'u8' || x.dtype === 'bool' ? cast(f(cast(x, 'i32'), axes, keep), x.dtype) : f(x, axes, keep)

type Arg = (x: Tensor, axis: number, keep: boolean) => Tensor

const position =
  (f: Arg): OperatorReader =>
  (node: NodeReader) => {
    // Few kernels compare bytes or 64-bit integers; f32 holds those that stand in practice.
    const given = node.input(0)
    const x = given.dtype === 'u8' ? cast(given, 'i32') : given
    const axis = normalizeAxis(node.op, node.int('axis', 0), x.rank)
    const keep = node.flag('keepdims', true)
    if (!node.flag('select_last_index')) return f(x, axis, keep)
    return sub(x.shape[axis] - 1, f(flip(x, axis), axis, keep))
  }

export const reduceReaders: OperatorReaders = {
  ArgMax: position(argMax),
  ArgMin: position(argMin),
  ReduceL1: reduction((x, axes, keep) => sum(abs(x), axes, keep)),
  ReduceL2: reduction((x, axes, keep) => sqrt(sum(mul(x, x), axes, keep))),
  ReduceLogSum: reduction((x, axes, keep) => log(sum(x, axes, keep))),
  ReduceLogSumExp: reduction(logSumExp),
  ReduceMax: reduction(extremum(max)),
  ReduceMean: reduction(mean),
  ReduceMin: reduction(extremum(min)),
  ReduceProd: reduction(prod),
  ReduceSum: reduction(sum),
  ReduceSumSquare: reduction((x, axes, keep) => sum(mul(x, x), axes, keep)),
}
