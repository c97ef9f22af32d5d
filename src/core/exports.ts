import './fluent.ts'

export * from './autodiff.ts'
export { allocate, type DType, type HostData, isFloat, isInteger } from './dtype.ts'
export * from './einops.ts'
export * from './interpret.ts'
export * from './linalg/index.ts'
export { countFlops, multiplyAdds } from './multiply-adds.ts'
export {
  type ExportedModel,
  type ExportOptions,
  exportModel,
  type InputSpec,
  type Named,
} from './onnx/export.ts'
export { safeExternalLocation, staysInside } from './onnx/import/external.ts'
export { UnsupportedModel, ValueNeeded } from './onnx/import/failure.ts'
export { type ReadModel, type ReadOptions, readModel } from './onnx/read.ts'
export * from './ops/index.ts'
export type { Lowering, OnnxAttribute, Primitive, Reference, Spec } from './primitive.ts'
export { backend, type DeviceInfo } from './runtime/backend.ts'
export * from './runtime/compile.ts'
export * from './runtime/host-tensor.ts'
export { ModelSession, type ModelValue } from './runtime/model-session.ts'
export { Program, type ProgramOptions } from './runtime/program.ts'
export { formatShape, type Shape, sizeOf } from './shape.ts'
export { simplify } from './simplify.ts'
export {
  apply,
  applyMany,
  asTensor,
  collectWrites,
  constant,
  constantData,
  type NestedNumbers,
  Node,
  placeholder,
  substitute,
  Tensor,
  type TensorLike,
  tensor,
  topologicalOrder,
  Variable,
} from './tensor.ts'
