import { create, toBinary } from '@bufbuild/protobuf'
import {
  GraphProtoSchema,
  ModelProtoSchema,
  NodeProtoSchema,
  OperatorSetIdProtoSchema,
  TensorProto_DataType,
  TensorShapeProto_DimensionSchema,
  TensorShapeProtoSchema,
  TypeProto_TensorSchema,
  TypeProtoSchema,
  ValueInfoProtoSchema,
} from 'onnx-buf'
import { InferenceSession, Tensor } from 'onnxruntime-node'
import { median } from './statistics.ts'

const size = 1024

/** An ONNX model of one square float32 matrix product, `c = a b`, each side `size` long. */
function squareMatMulModel(): Uint8Array {
  const floatMatrix = create(TypeProtoSchema, {
    value: {
      case: 'tensorType',
      value: create(TypeProto_TensorSchema, {
        elemType: TensorProto_DataType.FLOAT,
        shape: create(TensorShapeProtoSchema, {
          dim: [size, size].map(length =>
            create(TensorShapeProto_DimensionSchema, { value: { case: 'dimValue', value: BigInt(length) } }),
          ),
        }),
      }),
    },
  })
  const matrix = (name: string) => create(ValueInfoProtoSchema, { name, type: floatMatrix })
  const graph = create(GraphProtoSchema, {
    name: 'gemm',
    node: [create(NodeProtoSchema, { opType: 'MatMul', input: ['a', 'b'], output: ['c'] })],
    input: [matrix('a'), matrix('b')],
    output: [matrix('c')],
  })
  const model = create(ModelProtoSchema, {
    irVersion: 9n,
    opsetImport: [create(OperatorSetIdProtoSchema, { version: 17n })],
    graph,
  })
  return toBinary(ModelProtoSchema, model)
}

/**
 * The machine's matrix-product rate in GFLOP/s (2 n^3 operations, n = 1024, float32): the median over `runs` runs of
 * ONNX Runtime's plain MatMul, written into an output allocated once.
 */
export async function measureGemmRate(runs = 60): Promise<number> {
  const session = await InferenceSession.create(squareMatMulModel())
  const filled = () => new Tensor('float32', Float32Array.from({ length: size * size }, Math.random), [size, size])
  const feeds = { a: filled(), b: filled() }
  const fetches = { c: new Tensor('float32', new Float32Array(size * size), [size, size]) }
  for (let warmUp = 0; warmUp < 20; warmUp++) await session.run(feeds, fetches)
  const seconds: number[] = []
  for (let run = 0; run < runs; run++) {
    const start = performance.now()
    await session.run(feeds, fetches)
    seconds.push((performance.now() - start) / 1000)
  }
  await session.release()
  return (2 * size ** 3) / median(seconds) / 1e9
}
