import { rearrange, reduce, repeat } from './einops.ts'
import * as ops from './ops/index.ts'
import { evaluate } from './runtime/compile.ts'
import type { HostTensor } from './runtime/host-tensor.ts'
import type { ProgramOptions } from './runtime/program.ts'
import { Tensor } from './tensor.ts'

/** Drops the leading tensor of a function: what it looks like as a method. */
type Method<F> = F extends (x: never, ...rest: infer R) => infer O ? (...rest: R) => O : never

/** Operations that read well after a tensor. */
export interface FluentMethods {
  neg: Method<typeof ops.neg>
  abs: Method<typeof ops.abs>
  sign: Method<typeof ops.sign>
  exp: Method<typeof ops.exp>
  log: Method<typeof ops.log>
  sqrt: Method<typeof ops.sqrt>
  rsqrt: Method<typeof ops.rsqrt>
  reciprocal: Method<typeof ops.reciprocal>
  sin: Method<typeof ops.sin>
  cos: Method<typeof ops.cos>
  tanh: Method<typeof ops.tanh>
  sigmoid: Method<typeof ops.sigmoid>
  relu: Method<typeof ops.relu>
  gelu: Method<typeof ops.gelu>
  softplus: Method<typeof ops.softplus>
  erf: Method<typeof ops.erf>
  floor: Method<typeof ops.floor>
  ceil: Method<typeof ops.ceil>
  round: Method<typeof ops.round>
  not: Method<typeof ops.not>
  clip: Method<typeof ops.clip>
  cast: Method<typeof ops.cast>
  add: Method<typeof ops.add>
  sub: Method<typeof ops.sub>
  mul: Method<typeof ops.mul>
  div: Method<typeof ops.div>
  pow: Method<typeof ops.pow>
  mod: Method<typeof ops.mod>
  maximum: Method<typeof ops.maximum>
  minimum: Method<typeof ops.minimum>
  equal: Method<typeof ops.equal>
  notEqual: Method<typeof ops.notEqual>
  less: Method<typeof ops.less>
  lessOrEqual: Method<typeof ops.lessOrEqual>
  greater: Method<typeof ops.greater>
  greaterOrEqual: Method<typeof ops.greaterOrEqual>
  and: Method<typeof ops.and>
  or: Method<typeof ops.or>
  xor: Method<typeof ops.xor>
  matmul: Method<typeof ops.matmul>
  sum: Method<typeof ops.sum>
  mean: Method<typeof ops.mean>
  max: Method<typeof ops.max>
  min: Method<typeof ops.min>
  prod: Method<typeof ops.prod>
  variance: Method<typeof ops.variance>
  standardDeviation: Method<typeof ops.standardDeviation>
  logSumExp: Method<typeof ops.logSumExp>
  argMax: Method<typeof ops.argMax>
  argMin: Method<typeof ops.argMin>
  stopGradient: Method<typeof ops.stopGradient>
  reshape: Method<typeof ops.reshape>
  flatten: Method<typeof ops.flatten>
  transpose: Method<typeof ops.transpose>
  swapAxes: Method<typeof ops.swapAxes>
  moveAxis: Method<typeof ops.moveAxis>
  broadcastTo: Method<typeof ops.broadcastTo>
  expandDims: Method<typeof ops.expandDims>
  squeeze: Method<typeof ops.squeeze>
  at: Method<typeof ops.at>
  slice: Method<typeof ops.slice>
  flip: Method<typeof ops.flip>
  roll: Method<typeof ops.roll>
  tile: Method<typeof ops.tile>
  split: Method<typeof ops.split>
  pad: Method<typeof ops.pad>
  rearrange: Method<typeof rearrange>
  reduce: Method<typeof reduce>
  repeat: Method<typeof repeat>
}

/** Their implementations. */
const methods: { [K in keyof FluentMethods]: (x: never, ...rest: never[]) => unknown } = {
  neg: ops.neg,
  abs: ops.abs,
  sign: ops.sign,
  exp: ops.exp,
  log: ops.log,
  sqrt: ops.sqrt,
  rsqrt: ops.rsqrt,
  reciprocal: ops.reciprocal,
  sin: ops.sin,
  cos: ops.cos,
  tanh: ops.tanh,
  sigmoid: ops.sigmoid,
  relu: ops.relu,
  gelu: ops.gelu,
  softplus: ops.softplus,
  erf: ops.erf,
  floor: ops.floor,
  ceil: ops.ceil,
  round: ops.round,
  not: ops.not,
  clip: ops.clip,
  cast: ops.cast,
  add: ops.add,
  sub: ops.sub,
  mul: ops.mul,
  div: ops.div,
  pow: ops.pow,
  mod: ops.mod,
  maximum: ops.maximum,
  minimum: ops.minimum,
  equal: ops.equal,
  notEqual: ops.notEqual,
  less: ops.less,
  lessOrEqual: ops.lessOrEqual,
  greater: ops.greater,
  greaterOrEqual: ops.greaterOrEqual,
  and: ops.and,
  or: ops.or,
  xor: ops.xor,
  matmul: ops.matmul,
  sum: ops.sum,
  mean: ops.mean,
  max: ops.max,
  min: ops.min,
  prod: ops.prod,
  variance: ops.variance,
  standardDeviation: ops.standardDeviation,
  logSumExp: ops.logSumExp,
  argMax: ops.argMax,
  argMin: ops.argMin,
  stopGradient: ops.stopGradient,
  reshape: ops.reshape,
  flatten: ops.flatten,
  transpose: ops.transpose,
  swapAxes: ops.swapAxes,
  moveAxis: ops.moveAxis,
  broadcastTo: ops.broadcastTo,
  expandDims: ops.expandDims,
  squeeze: ops.squeeze,
  at: ops.at,
  slice: ops.slice,
  flip: ops.flip,
  roll: ops.roll,
  tile: ops.tile,
  split: ops.split,
  pad: ops.pad,
  rearrange,
  reduce,
  repeat,
}

declare module './tensor.ts' {
  interface Tensor extends FluentMethods {
    /** Compiles and runs just what this tensor needs, and returns its value. */
    value(options?: ProgramOptions): Promise<HostTensor>
  }
}

for (const [name, method] of Object.entries(methods))
  Object.defineProperty(Tensor.prototype, name, {
    value(this: Tensor, ...rest: unknown[]) {
      return (method as (x: Tensor, ...rest: unknown[]) => unknown)(this, ...rest)
    },
  })

Object.defineProperty(Tensor.prototype, 'value', {
  async value(this: Tensor, options?: ProgramOptions): Promise<HostTensor> {
    const [result] = await evaluate([this], options)
    return result
  },
})
