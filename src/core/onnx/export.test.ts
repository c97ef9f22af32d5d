import { describe, expect, it } from 'vitest'
import { expectClose, integers, randomTensor } from '../../../test/check.ts'
import { fromOnnx, runOnnx } from '../../../test/conformance/node-tests.ts'
import { onnxChecker, onnxPython } from '../../../test/onnx-model.ts'
import {
  argMax,
  averagePool,
  batchNorm,
  collectWrites,
  conv,
  convTranspose,
  cumulativeSum,
  embedding,
  exportModel,
  gelu,
  globalAveragePool,
  groupNorm,
  type HostTensor,
  interpret,
  layerNorm,
  matmul,
  maxPool,
  mean,
  oneHot,
  placeholder,
  rearrange,
  resize,
  type Shape,
  scan,
  silu,
  softmax,
  sort,
  type Tensor,
  topK,
  Variable,
  variance,
} from '../index.ts'

const variable = (name: string, shape: Shape, seed: number): Variable => {
  const { data } = randomTensor(shape, seed, -0.5, 0.5)
  return new Variable(data, shape, 'f32', name)
}

function mlp() {
  const w1 = variable('layer1.weight', [8, 16], 1)
  const b1 = variable('layer1.bias', [16], 2)
  const w2 = variable('layer2.weight', [16, 3], 3)
  return ({ x }: Record<string, Tensor>) => ({ logits: gelu(x.matmul(w1).add(b1)).matmul(w2) })
}

/** Self-attention with a residual and a normalisation over the width, for any batch. */
function attention() {
  const qkv = variable('qkv.weight', [8, 24], 4)
  const projection = variable('proj.weight', [8, 8], 5)
  const gain = variable('norm.weight', [8], 6)
  return ({ tokens }: Record<string, Tensor>) => {
    const centred = tokens.sub(mean(tokens, -1, true))
    const normal = centred.mul(variance(tokens, -1, { keep: true }).add(1e-5).rsqrt()).mul(gain)
    const [query, key, value] = matmul(normal, qkv)
      .split(3, -1)
      .map(part => rearrange(part, 'b n (h d) -> b h n d', { h: 2 }))
    const weights = softmax(matmul(query, key, { transposeB: true }).mul(0.5))
    const mixed = rearrange(matmul(weights, value), 'b h n d -> b n (h d)')
    return { out: tokens.add(matmul(mixed, projection)), attention: weights }
  }
}

/** A bias that is broadcast to the batch explicitly, and a reduction over it. */
function broadcasting() {
  const bias = variable('bias', [1, 4], 7)
  return ({ x }: Record<string, Tensor>) => {
    const spread = bias.broadcastTo(x.shape)
    return { y: x.mul(spread), columns: x.mean(0), best: argMax(x), largest: topK(x, 2).values }
  }
}

/** A small residual network with strided, grouped and transposed convolutions, norms and pooling. */
function convolutional() {
  const weights = {
    stem: variable('stem.weight', [8, 3, 3, 3], 21),
    bias: variable('stem.bias', [8], 22),
    grouped: variable('grouped.weight', [8, 2, 3, 3], 23),
    depthwise: variable('depthwise.weight', [8, 1, 3, 3], 24),
    up: variable('up.weight', [8, 4, 2, 2], 25),
    gain: variable('bn.weight', [8], 26),
    shift: variable('bn.bias', [8], 27),
    mean: variable('bn.running_mean', [8], 28),
  }
  return ({ image }: Record<string, Tensor>) => {
    const stem = conv(image, weights.stem, { bias: weights.bias, padding: 1, stride: 2 })
    const { mean: centre, gain, shift } = weights
    const normal = batchNorm(stem, { weight: gain, bias: shift, mean: centre, variance: centre.mul(centre).add(0.5) })
    const mixed = conv(normal.output.relu(), weights.grouped, { padding: 'same', groups: 4 })
    const deep = silu(conv(mixed, weights.depthwise, { padding: 2, dilation: 2, groups: 8 })).add(mixed)
    const pooled = maxPool(deep, { kernel: 3, stride: 2, padding: 1 })
    const grown = resize(convTranspose(pooled, weights.up, { stride: 2 }), { size: [9, 7], mode: 'linear' })
    return {
      map: grown,
      features: globalAveragePool(groupNorm(deep, 2)),
      means: averagePool(pooled, { kernel: 2, stride: 1 }),
      normal: layerNorm(deep, { axes: 3 }),
    }
  }
}

/** A recurrence over time, and indices, sorting and sampling. */
function sequential() {
  const table = variable('embedding.weight', [10, 6], 31)
  const hidden = variable('hidden.weight', [6, 6], 32)
  return ({ ids }: Record<string, Tensor>) => {
    const embedded = embedding(table, ids)
    const start = embedded.at(null, 0).mul(0)
    const { carries, outputs } = scan(
      ([state], [slice]) => {
        const next = state.matmul(hidden).add(slice).tanh()
        return { carries: [next], outputs: [next] }
      },
      [start],
      [embedded],
      { axis: 1 },
    )
    return {
      last: carries[0],
      all: outputs[0],
      sums: cumulativeSum(embedded, 1),
      sorted: sort(embedded),
      hot: oneHot(ids, 10),
    }
  }
}

const models: [string, (inputs: Record<string, Tensor>) => Record<string, Tensor>, Record<string, HostTensor>][] = [
  ['an MLP', mlp(), { x: randomTensor([5, 8], 11) }],
  ['attention', attention(), { tokens: randomTensor([2, 6, 8], 12) }],
  ['a convolutional network', convolutional(), { image: randomTensor([2, 3, 16, 14], 14) }],
  ['a recurrence', sequential(), { ids: integers([1, 2, 3, 9, 0, 4, 5, 5], [2, 4]) }],
  ['broadcasting over the batch', broadcasting(), { x: randomTensor([3, 4], 13) }],
]
const specs = (values: Record<string, HostTensor>) =>
  Object.fromEntries(
    Object.entries(values).map(([name, { shape, dtype }]) => [name, { shape: [-1, ...shape.slice(1)], dtype }]),
  )

describe('exportModel', () => {
  it.each(models)('writes %s with a symbolic batch, giving what the interpreter gives', async (_, f, values) => {
    const { model } = exportModel(f, specs(values))
    const results = await runOnnx(model, new Map(Object.entries(values)))
    const inputs = Object.fromEntries(
      Object.entries(values).map(([name, { shape, dtype }]) => [name, placeholder(name, shape, dtype)]),
    )
    const outputs = Object.entries(f(inputs))
    const bound = new Map(Object.keys(values).map(name => [inputs[name], values[name].data]))
    const reference = interpret(
      outputs.map(([, tensor]) => tensor),
      bound,
    )
    outputs.forEach(([name, { dtype }], i) => {
      const expected = reference[i]
      const actual = fromOnnx(results[name])
      expect(actual.dtype).toBe(dtype)
      expect(actual.shape).toEqual([...expected.shape])
      expectClose(actual.data, expected.data, 2e-5, name)
    })
  })

  it.skipIf(!onnxPython)("passes the ONNX checker of Debian's python3-onnx, inside and beside", () => {
    const exported = models.flatMap(([, f, values]) => [
      exportModel(f, specs(values)),
      exportModel(
        f,
        Object.fromEntries(Object.entries(values).map(([name, { shape, dtype }]) => [name, { shape, dtype }])),
      ),
      exportModel(f, specs(values), { parameters: 'beside', dataLocation: 'weights.bin' }),
    ])
    expect(onnxChecker(exported)).toEqual(exported.map(() => 'ok'))
    // The checker is really there: it refuses a model cut short.
    expect(onnxChecker([{ model: exported[0].model.slice(0, -40) }])[0]).not.toBe('ok')
  })

  it('names parameters after their variables and keeps the large ones beside the model', async () => {
    const weight = variable('block.0.weight', [32, 32], 1)
    const bias = variable('block.0.bias', [32], 2)
    const x = placeholder('x', [-1, 32])
    const outputs = { y: x.matmul(weight).add(bias) }
    const { model, data, dataLocation, parameters } = exportModel(outputs, { x }, { parameters: 'beside' })
    expect(parameters).toEqual(['block.0.weight', 'block.0.bias'])
    expect(dataLocation).toBe('model.onnx.data')
    expect(data).toHaveLength(32 * 32 * 4)
    const inside = exportModel(outputs, { x })
    expect(model.length).toBeLessThan(inside.model.length - 4000)
    const value = randomTensor([3, 32], 3)
    const external = { externalData: [{ path: dataLocation!, data: data! }] }
    const [a, b] = [
      await runOnnx(model, new Map([['x', value]]), external),
      await runOnnx(inside.model, new Map([['x', value]])),
    ]
    expect(a.y.data).toEqual(b.y.data)
  })

  it('does not let its own value names meet those the caller chose', async () => {
    const v1 = variable('v1', [4], 1)
    const { model } = exportModel(({ v0, v2 }) => ({ v3: v0.add(v1).mul(v2).exp() }), {
      v0: { shape: [4] },
      v2: { shape: [4] },
    })
    const [a, b] = [randomTensor([4], 2), randomTensor([4], 3)]
    const results = await runOnnx(
      model,
      new Map([
        ['v0', a],
        ['v2', b],
      ]),
    )
    const expected = Array.from(a.numbers(), (value, i) => Math.exp((value + Number(v1.data[i])) * b.numbers()[i]))
    expectClose(results.v3.data as Float32Array, expected, 1e-6, 'v3')
  })

  it('gives one value under two names, an input as an output, and a constant', async () => {
    const { model } = exportModel(({ x }) => ({ a: x.exp(), b: x.exp(), same: x, count: argMax(x.mul(0)) }), {
      x: { shape: [3] },
    })
    const results = await runOnnx(model, new Map([['x', randomTensor([3], 1)]]))
    expect(results.a.data).toEqual(results.b.data)
    expect(results.same.data).toEqual(randomTensor([3], 1).data)
    expect(results.count.data).toEqual(integers([0], []).data)
  })

  it('refuses what a file cannot hold', () => {
    const x = placeholder('x', [2])
    const twin = [variable('w', [2], 1), variable('w', [2], 2)]
    expect(() => exportModel({ y: x.add(twin[0]).mul(twin[1]) }, { x })).toThrow(/the name 'w' stands for two values/)
    expect(() => exportModel({ x: x.exp() }, { x })).toThrow(/the name 'x' stands for two values/)
    expect(() => exportModel({ y: x.add(placeholder('z', [2])) }, { x })).toThrow(/not among the inputs/)
    expect(() => exportModel({}, { x })).toThrow(/no outputs/)
    expect(() => exportModel({ '': x.exp() }, { x })).toThrow(/empty name/)
    expect(() => exportModel({ y: x.exp() }, { x: { shape: [0.5] } })).toThrow(/sizes are whole numbers/)
    const counter = variable('counter', [2], 3)
    const f = (inputs: Record<string, Tensor>): Tensor => {
      counter.assign(inputs.x)
      return inputs.x
    }
    expect(() => exportModel(f, { x: { shape: [2] } })).toThrow(/assigns the variable counter/)
    expect(() => collectWrites(() => exportModel(f, { x: { shape: [2] } }))).toThrow(/assigns the variable counter/)
  })
})
