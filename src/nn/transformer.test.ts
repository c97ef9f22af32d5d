import { describe, expect, it } from 'vitest'
import { check, expectClose, randomTensor } from '../../test/check.ts'
import { compile, grad, interpret, key, type Tensor, tensor } from '../core/index.ts'
import { withSeed } from './initialise.ts'
import { withMode } from './mode.ts'
import { namedParameters, namedVariables, nameVariables, parametersOf, tap, withValues } from './module.ts'
import { Block, Mlp, TransformerDecoderLayer, TransformerEncoder, TransformerEncoderLayer } from './transformer.ts'

const numbers = (t: Tensor): Float64Array => interpret([t])[0].data
const random = (shape: readonly number[], seed: number): Tensor => tensor(randomTensor(shape, seed).data, shape)
const x = random([2, 4, 6], 1)
const options = { dim: 6, heads: 2, hidden: 5 }

describe('transformer layers', () => {
  it('moves the outputs of an encoder with its tokens', () => {
    const encoder = withSeed(1, () => new TransformerEncoder(2, { ...options, finalNorm: true }))
    expectClose(numbers(encoder.forward(x.flip(1))), numbers(encoder.forward(x).flip(1)), 1e-12, 'flipped tokens')
  })
  it('normalises after each sum, or before each branch', () => {
    const post = withSeed(1, () => new TransformerEncoderLayer(options)).forward(x)
    expectClose(numbers(post.mean(-1)), new Float64Array(8), 1e-10, 'means after the last norm')
    const layer = withSeed(1, () => new TransformerEncoderLayer({ ...options, preNorm: true }))
    for (const last of [layer.linear2, layer.self_attn.out_proj])
      for (const parameter of parametersOf(last)) parameter.set(new Float32Array(parameter.size))
    expect([...numbers(layer.forward(x))]).toEqual([...numbers(x)])
  })
  it('lets a decoder see its memory, and no later token', () => {
    const decoder = withSeed(1, () => new TransformerDecoderLayer({ ...options, preNorm: true }))
    const memory = random([2, 3, 6], 2)
    const run = (tokens: Tensor, remembered = memory): Tensor => decoder.forward(tokens, remembered, { causal: true })
    // A change of one channel: a norm would take the same change of all out again.
    const later = tensor([0, 0, 1, 0])
      .expandDims([0, 2])
      .mul(tensor([1, 0, 0, 0, 0, 0]))
    const change = (t: Tensor): number[] => [...numbers(t.sub(run(x)).abs().max([0, 2]))].map(v => Number(v > 1e-9))
    expect(change(run(x.add(later)))).toEqual([0, 0, 1, 1])
    expect(change(run(x, memory.add(tensor([0, 1, 0]).expandDims([0, 2]))))).toEqual([1, 1, 1, 1])
  })
  it('gives right gradients to every parameter', async () => {
    const layer = new TransformerDecoderLayer({ dim: 4, heads: 2, hidden: 3, activation: t => t.tanh() })
    const parameters = [...namedParameters(layer)]
    await check(
      (tokens, memory, ...values) =>
        withValues(layer, Object.fromEntries(parameters.map(([name], i) => [name, values[i]])), () =>
          layer.forward(tokens, memory, { causal: true }),
        ),
      [
        randomTensor([2, 3, 4], 1),
        randomTensor([2, 2, 4], 2),
        ...parameters.map(([, { shape }], i) => randomTensor(shape, i + 3, -1, 1)),
      ],
      { tolerance: 5e-5 },
    )
  })
  it('draws new dropout for every branch, and the same for the same key', async () => {
    const layer = withSeed(1, () => nameVariables(new TransformerEncoderLayer({ ...options, dropout: 0.3 })))
    const step = compile((seed: Tensor) => {
      const output = withMode({ training: true, key: seed }, () => layer.forward(x))
      return { output, gradient: grad(output.at(0, 0, 0), [layer.linear1.weight])[0] }
    })
    const first = await step(Int32Array.of(0, 1))
    const again = await step(Int32Array.of(0, 1))
    const other = await step(Int32Array.of(0, 2))
    await step.release()
    expect(again.output.data).toEqual(first.output.data)
    expect(again.gradient.data).toEqual(first.gradient.data)
    expect(other.output.data).not.toEqual(first.output.data)
  })
})

describe('the block of a vision transformer', () => {
  it('has the names of timm', () => {
    const names = [...namedVariables(new Block(6, 2, { qkvBias: false, layerScale: 0.1 }))].map(([name]) => name)
    expect(names.sort()).toEqual(
      [
        ...['norm1.weight', 'norm1.bias', 'norm2.weight', 'norm2.bias'],
        ...['attn.qkv.weight', 'attn.proj.weight', 'attn.proj.bias'],
        ...['mlp.fc1.weight', 'mlp.fc1.bias', 'mlp.fc2.weight', 'mlp.fc2.bias', 'ls1.gamma', 'ls2.gamma'],
      ].sort(),
    )
  })
  it('scales its branches', () => {
    const [small, whole] = [1e-6, undefined].map(layerScale => withSeed(1, () => new Block(6, 2, { layerScale })))
    const change = (block: Block): number => Math.max(...numbers(block.forward(x).sub(x).abs()))
    expect(change(small)).toBeLessThan(1e-5)
    expect(change(whole)).toBeGreaterThan(0.01)
  })
  it('leaves branches out of whole samples while training', () => {
    const block = withSeed(1, () => new Block(6, 2, { dropPath: 0.5 }))
    const many = random([40, 2, 6], 3)
    const same = numbers(
      withMode({ training: true, key: key(2) }, () => block.forward(many))
        .equal(many)
        .cast('i32')
        .min([1, 2]),
    ).reduce((a, b) => a + b)
    // Both branches are left out of about a quarter of the samples.
    expect(same).toBeGreaterThan(3)
    expect(same).toBeLessThan(20)
  })
  it('shows its parts to taps', () => {
    const block = new Block(6, 2)
    const { result, activations } = tap(block, ['attn', 'mlp.fc1'], () => block.forward(x))
    expect(result.shape).toEqual([2, 4, 6])
    expect((activations.attn as Tensor).shape).toEqual([2, 4, 6])
    expect((activations['mlp.fc1'] as Tensor).shape).toEqual([2, 4, 24])
  })
  it('has an mlp of any output width', () => {
    expect(new Mlp(6, 8, { out: 3 }).forward(x).shape).toEqual([2, 4, 3])
  })
})
