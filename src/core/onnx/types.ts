import type { DType } from '../dtype.ts'

/** TensorProto.DataType codes of the ONNX specification. */
const codes: Record<DType, number> = { f32: 1, u8: 2, i32: 6, i64: 7, bool: 9, f16: 10 }
const dtypes = new Map(Object.entries(codes).map(([dtype, code]) => [code, dtype as DType]))

export const onnxType = (dtype: DType): number => codes[dtype]

/** The dtype of an ONNX element type code, or undefined where Tenet has no such type. */
export const dtypeOfOnnx = (code: number): DType | undefined => dtypes.get(code)
