import { describe, expect, it } from 'vitest'
import { compile, grad, HostTensor, hostTensor, interpret, type Tensor, tensor, Variable } from '../core/index.ts'
import { withSeed } from './initialise.ts'
import { Linear } from './linear.ts'
import {
  intercept,
  Module,
  namedModules,
  namedParameters,
  namedVariables,
  nameVariables,
  parameter,
  parameterCount,
  tap,
  withValues,
} from './module.ts'
import { loadStateDict, stateDict } from './state-dict.ts'

class Inner extends Module {
  readonly fc = new Linear(3, 3)
  readonly scale = parameter(new Float32Array([2]), [1])
  override forward(x: Tensor): Tensor {
    return this.fc.forward(x).mul(this.scale)
  }
}

class Outer extends Module {
  readonly blocks = [new Inner(), new Inner()]
  readonly heads = { left: new Linear(3, 2), right: new Linear(3, 1) }
  readonly steps = new Variable(new Float32Array(1), [1])
  override forward(x: Tensor): Tensor {
    const hidden = this.blocks.reduce((t, block) => block.forward(t), x)
    this.steps.update(before => before.add(1))
    return this.heads.left.forward(hidden)
  }
}

const x = tensor([[1, 2, 3]])
const model = (): Outer => withSeed(3, () => nameVariables(new Outer()))
/** Builds outside a compiled step, where nothing may be assigned. */
const trace = <T>(build: () => T): Promise<void> => compile(() => (build(), tensor(0)))().then(() => undefined)

describe('the tree of a module', () => {
  it('names parameters, buffers and parts by their fields, lists by index and records by key', () => {
    expect([...namedVariables(model())].map(([path]) => path)).toEqual([
      'steps',
      'blocks.0.scale',
      'blocks.0.fc.weight',
      'blocks.0.fc.bias',
      'blocks.1.scale',
      'blocks.1.fc.weight',
      'blocks.1.fc.bias',
      'heads.left.weight',
      'heads.left.bias',
      'heads.right.weight',
      'heads.right.bias',
    ])
    expect([...namedModules(model())].map(([path]) => path)).toContain('blocks.1.fc')
  })
  it('tells parameters from buffers and counts values', () => {
    expect(namedParameters(model()).has('steps')).toBe(false)
    expect(parameterCount(model())).toBe(2 * (9 + 3 + 1) + 8 + 4)
  })
  it('gives a shared parameter once', () => {
    class Tied extends Module {
      readonly a = new Linear(2, 2)
      readonly b = this.a
      override forward(t: Tensor): Tensor {
        return this.b.forward(this.a.forward(t))
      }
    }
    expect(namedParameters(new Tied()).size).toBe(2)
  })
  it('draws the same weights from the same seed', () => {
    const weights = (seed: number): Float32Array => withSeed(seed, () => new Linear(4, 4)).weight.data as Float32Array
    expect(weights(5)).toEqual(weights(5))
    expect(weights(5)).not.toEqual(weights(6))
  })
})

describe('looking into a model', () => {
  it('taps activations by path', async () => {
    const net = model()
    await trace(() => {
      const { result, activations } = tap(net, ['blocks.0', 'blocks.1.fc'], () => net.forward(x))
      expect((result as Tensor).shape).toEqual([1, 2])
      expect((activations['blocks.0'] as Tensor).shape).toEqual([1, 3])
      expect(Object.keys(activations)).toEqual(['blocks.0', 'blocks.1.fc'])
    })
  })
  it('edits an activation, and gradients flow through the edit', async () => {
    const net = model()
    const steer = new Variable(new Float32Array(3), [3], 'f32', 'steer')
    await trace(() => {
      const plain = net.forward(x)
      const steered = intercept(net, { 'blocks.1': output => (output as Tensor).add(steer) }, () => net.forward(x))
      const [g] = grad(steered.sum(), [steer])
      const weight = net.heads.left.weight.data as Float32Array
      expect(interpret([steered.sub(plain)])[0].data.every(v => Math.abs(v) < 1e-6)).toBe(true)
      expect(Array.from(interpret([g])[0].data)).toEqual([0, 1, 2].map(i => weight[i] + weight[3 + i]))
    })
  })
  it('says which paths there are when one is wrong', () => {
    expect(() => intercept(model(), { 'blocks.7': () => undefined }, () => 0)).toThrow(
      "intercept: no module at 'blocks.7'; there are: blocks.0, blocks.0.fc",
    )
  })
  it('runs with other parameter values, which may be expressions', async () => {
    const net = model()
    const factor = new Variable(new Float32Array([3]), [1], 'f32', 'factor')
    await trace(() => {
      const weight = net.heads.left.weight
      const changed = withValues(net, { 'heads.left.weight': weight.mul(factor) }, () => net.forward(x))
      const [g] = grad(changed.sum(), [factor])
      const hidden = net.blocks.reduce((t, b) => b.forward(t), x)
      const expected = interpret([hidden.matmul(weight.transpose()).sum()])[0].data[0]
      expect(interpret([g])[0].data[0]).toBeCloseTo(expected, 5)
    })
  })
  it('refuses a value of another shape, naming the parameter', async () => {
    const net = model()
    await expect(
      trace(() => withValues(net, { 'heads.left.bias': tensor([1, 2, 3]) }, () => net.forward(x))),
    ).rejects.toThrow("withValues: 'heads.left.bias' is [2], the value given is [3]")
  })
})

describe('state', () => {
  it('several updates in one step follow each other', async () => {
    const net = model()
    const twice = compile(() => {
      net.forward(x)
      return net.forward(x)
    })
    await twice()
    expect(net.steps.data[0]).toBe(2)
  })
  it('goes out and back in by name', async () => {
    const state = await stateDict(model())
    const other = withSeed(9, () => nameVariables(new Outer()))
    loadStateDict(other, state)
    expect((await stateDict(other)).get('blocks.1.fc.weight')!.data).toEqual(state.get('blocks.1.fc.weight')!.data)
  })
  it('lists what is missing, unknown and mis-shaped in one message, and changes nothing', async () => {
    const net = model()
    const before = (net.heads.right.bias!.data as Float32Array).slice()
    const state = await stateDict(net)
    state.delete('blocks.0.scale')
    state.set('fc.weight', hostTensor([1], [1]))
    state.set('heads.left.bias', hostTensor([1, 2, 3], [3]))
    state.set('heads.right.bias', new HostTensor(new Float32Array([77]), [1]))
    expect(() => loadStateDict(net, state)).toThrow(
      'state dict does not fit the model: 1 of another shape (heads.left.bias is f32[3], the model has f32[2]); 1 missing (blocks.0.scale); 1 unknown (fc.weight)',
    )
    expect(net.heads.right.bias!.data).toEqual(before)
  })
  it('renames keys and leaves some out', async () => {
    const net = model()
    const state = new Map([...(await stateDict(net))].map(([key, value]) => [`module.${key}`, value]))
    expect(loadStateDict(net, state, { rename: key => key.replace(/^module\./, '') })).toEqual({
      missing: [],
      extra: [],
    })
  })
})
