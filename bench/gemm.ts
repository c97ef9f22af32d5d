import { create, toBinary } from '@bufbuild/protobuf'
import {
  GraphProtoSchema,
  ModelProtoSchema,
  NodeProtoSchema,
  OperatorSetIdProtoSchema,
  TensorProto_DataType,
  TensorProtoSchema,
  TensorShapeProto_DimensionSchema,
  TensorShapeProtoSchema,
  TypeProto_TensorSchema,
  TypeProtoSchema,
  ValueInfoProtoSchema,
} from 'onnx-buf'
import { InferenceSession, Tensor } from 'onnxruntime-node'

const size = 1024

/** Two equal indices, one for each axis of a matrix. */
const indices = (name: string, value: bigint) =>
  create(TensorProtoSchema, { name, dataType: TensorProto_DataType.INT64, dims: [2n], int64Data: [value, value] })

/**
 * An ONNX model of one square float32 matrix product, each side `size` long. It returns the product's first entry only,
 * as copying the whole into JavaScript takes a fifth of the time of computing it.
 */
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
    node: [
      create(NodeProtoSchema, { opType: 'MatMul', input: ['a', 'b'], output: ['c'] }),
      create(NodeProtoSchema, { opType: 'Slice', input: ['c', 'start', 'end'], output: ['corner'] }),
    ],
    initializer: [indices('start', 0n), indices('end', 1n)],
    input: [matrix('a'), matrix('b')],
    output: [create(ValueInfoProtoSchema, { name: 'corner' })],
  })
  const model = create(ModelProtoSchema, {
    irVersion: 9n,
    opsetImport: [create(OperatorSetIdProtoSchema, { version: 17n })],
    graph,
  })
  return toBinary(ModelProtoSchema, model)
}

/**
 * The machine's matrix-product rate in GFLOP/s (2 n^3 operations, n = 1024, float32): the fastest of `runs` runs of
 * ONNX Runtime's plain MatMul.
 */
export async function measureGemmRate(runs = 60): Promise<number> {
  const session = await InferenceSession.create(squareMatMulModel())
  const filled = () => new Tensor('float32', Float32Array.from({ length: size * size }, Math.random), [size, size])
  const feeds = { a: filled(), b: filled() }
  for (let warmUp = 0; warmUp < 20; warmUp++) await session.run(feeds)
  const seconds: number[] = []
  for (let run = 0; run < runs; run++) {
    const start = performance.now()
    await session.run(feeds)
    seconds.push((performance.now() - start) / 1000)
  }
  await session.release()
  return (2 * size ** 3) / Math.min(...seconds) / 1e9
}
