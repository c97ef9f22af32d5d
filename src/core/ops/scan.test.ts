import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { check, expectClose, randomTensor } from '../../../test/check.ts'
import {
  compile,
  concat,
  grad,
  hostTensor,
  interpret,
  matmul,
  Program,
  placeholder,
  scan,
  simplify,
  stack,
  type Tensor,
  tensor,
  Variable,
  zeros,
} from '../index.ts'

/** The same loop written out step by step. */
function unrolled(
  body: Parameters<typeof scan>[0],
  initial: readonly Tensor[],
  sequences: readonly Tensor[],
  { axis = 0, reverse = false } = {},
): { carries: readonly Tensor[]; outputs: Tensor[] } {
  const steps = sequences[0].shape.at(axis)!
  let carries = initial
  const stacks: Tensor[][] = []
  for (let step = 0; step < steps; step++) {
    const place = reverse ? steps - 1 - step : step
    const slices = sequences.map(s => s.slice(axis, place, place + 1).squeeze(axis))
    const result = body(carries, slices)
    carries = result.carries
    ;(result.outputs ?? []).forEach((t, i) => {
      stacks[i] ??= []
      if (reverse) stacks[i].unshift(t)
      else stacks[i].push(t)
    })
  }
  return { carries, outputs: stacks.map(each => stack(each, axis)) }
}

/** Values and gradients of the loop are those of the steps written out. */
async function checkAgainstUnrolled(
  build: (run: typeof unrolled) => (...inputs: Tensor[]) => Tensor[],
  values: Parameters<typeof check>[1],
): Promise<void> {
  const inputs = values.map((v, i) => placeholder(`x${i}`, v.shape))
  const bindings = new Map(inputs.map((input, i) => [input, values[i].data]))
  const results = [scan as unknown as typeof unrolled, unrolled].map(run => {
    const outputs = build(run)(...inputs)
    const loss = outputs
      .map((t, i) =>
        t
          .mul(t)
          .mul(i + 1)
          .sum(),
      )
      .reduce((a, b) => a.add(b))
    return interpret([...outputs, ...grad(loss, inputs)], bindings)
  })
  results[0].forEach((actual, i) => {
    expectClose(actual.data, results[1][i].data, 1e-12, `result ${i}`)
  })
}

const cell =
  (weight: Tensor, bias: Tensor) =>
  ([hidden]: readonly Tensor[], [x]: readonly Tensor[]) => {
    const next = matmul(hidden, weight).add(x).add(bias).tanh()
    return { carries: [next], outputs: [next, next.mul(x)] }
  }

describe('scan', () => {
  it('is the loop written out, along any axis and in both directions, gradients included', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 4 }),
        fc.integer({ min: 1, max: 3 }),
        fc.constantFrom(0, 1, -1, -2),
        fc.boolean(),
        fc.nat(1000),
        async (steps, batch, axis, reverse, seed) => {
          const shape = axis === 0 ? [steps, batch, 3] : axis === -1 ? [batch, 3, steps] : [batch, steps, 3]
          await checkAgainstUnrolled(
            run => (x, weight, bias, start) => {
              const { carries, outputs } = run(cell(weight, bias), [start], [x], { axis, reverse })
              return [...carries, ...outputs]
            },
            [
              randomTensor(shape, seed),
              randomTensor([3, 3], seed + 1),
              randomTensor([3], seed + 2),
              randomTensor([batch, 3], seed + 3),
            ],
          )
        },
      ),
      { numRuns: 12 },
    )
  })
  it.each([
    [0, false],
    [0, true],
    [1, false],
    [1, true],
    [-1, false],
  ])(
    'along axis %d, reversed: %s: the runtime agrees with the interpreter, and both derivatives with differences',
    async (axis, reverse) => {
      const shape = axis === 0 ? [3, 2, 2] : axis === 1 ? [2, 3, 2] : [2, 2, 3]
      await check(
        (x, weight, bias, start) => {
          const { carries, outputs } = scan(cell(weight, bias), [start], [x], { axis, reverse })
          return [...carries, ...outputs]
        },
        [randomTensor(shape, 1), randomTensor([2, 2], 2), randomTensor([2], 3), randomTensor([2, 2], 4)],
        { second: true },
      )
    },
  )
  it('picks wide slices one by one', async () => {
    await check(
      (x, y, start) =>
        scan(([h], [a, b]) => ({ carries: [h.mul(a).add(b)], outputs: [h.mul(b)] }), [start], [x, y], {
          axis: 1,
          reverse: true,
        }).outputs[0],
      [randomTensor([2, 4, 20], 1), randomTensor([2, 4, 20], 2), randomTensor([2, 20], 3)],
      { second: true },
    )
  })
  it('adds up the gradients of everything that the body closes over', async () => {
    const offset = new Variable(new Float32Array([0.5, -0.5]), [2])
    const large = tensor(
      Float32Array.from({ length: 32 }, (_, i) => Math.sin(i)),
      [2, 16],
    )
    await checkAgainstUnrolled(
      run => (x, outer) => {
        const intermediate = outer.exp()
        return [
          ...run(
            ([h], [xt]) => {
              const spread = h.expandDims(1).mul(large).sum(1).mul(0.1)
              return {
                carries: [spread.mul(intermediate).add(xt).add(offset)],
                outputs: [h.add(intermediate.mul(intermediate))],
              }
            },
            [zeros([2])],
            [x],
          ).outputs,
        ]
      },
      [randomTensor([4, 2], 1), randomTensor([2], 2)],
    )
    const loss = (run: typeof unrolled) => {
      const x = tensor([1, 2, 3, 4, 5, 6], [3, 2])
      const { carries } = run(([h], [xt]) => ({ carries: [h.mul(xt).add(offset)] }), [zeros([2])], [x])
      return grad(carries[0].sum(), [offset])[0]
    }
    expect((await loss(scan as unknown as typeof unrolled).value()).numbers()).toEqual(
      interpret([loss(unrolled)])[0].data,
    )
  })
  it('sums the gradients of weights in one product after the loop', () => {
    const x = placeholder('x', [5, 3, 4])
    const weight = placeholder('weight', [4, 4])
    const bias = placeholder('bias', [4])
    const { outputs } = scan(cell(weight, bias), [zeros([3, 4])], [x])
    const [gradient, biasGradient] = simplify(grad(outputs[0].sum(), [weight, bias]))
    expect(gradient.node.primitive.name).toBe('matmul')
    expect(biasGradient.node.primitive.name).toBe('sum')
    // The backward loop carries the cotangent of the hidden state and no accumulator.
    const loops = new Set<number>()
    for (const t of [gradient, biasGradient])
      for (const input of t.node.inputs)
        if (input.node.primitive.name === 'reshape' || input.node.primitive.name === 'scan')
          loops.add((input.node.inputs[0].node.attributes as { carries?: number }).carries ?? 1)
    expect([...loops]).toEqual([1])
  })
  it('nests', async () => {
    await check(
      (x, factor) =>
        scan(
          ([total], [row]) => {
            const inner = scan(
              ([h], [value]) => ({ carries: [h.mul(factor).add(value)], outputs: [h.mul(total)] }),
              [total],
              [row],
            )
            return { carries: inner.carries, outputs: [inner.outputs[0].sum()] }
          },
          [zeros([])],
          [x],
        ).outputs[0],
      [randomTensor([3, 4], 1), hostTensor([0.5], [])],
      { second: true, tolerance: 5e-5 },
    )
  })
  it('carries integers and booleans beside floats', async () => {
    await check(
      x => {
        const { carries, outputs } = scan(
          ([sum, count, any], [value]) => {
            const large = value.greater(1)
            return {
              carries: [sum.add(value.mul(count.cast('f32'))), count.add(2), any.or(large)],
              outputs: [count, large],
            }
          },
          [tensor(0), tensor(1, [], 'i32'), tensor(false)],
          [x],
        )
        return [...carries, ...outputs]
      },
      [hostTensor([0.5, 2, -1, 0.25], [4])],
    )
  })
  it('works without carries, and without sequences', async () => {
    await check(
      x => scan((_, [value]) => ({ carries: [], outputs: [value.exp()] }), [], [x]).outputs[0],
      [randomTensor([3, 2], 1)],
    )
    await check(
      x => scan(([h]) => ({ carries: [h.mul(x)], outputs: [h] }), [x], [], { length: 4 }).outputs[0],
      [randomTensor([2], 1)],
      { second: true },
    )
  })
  it('of no steps gives the initial carries and empty stacks; one step is a step', async () => {
    await check(
      (x, start) => {
        const { carries, outputs } = scan(cell(tensor([[1]]), tensor([0])), [start], [x], { axis: 1 })
        return [...carries, ...outputs]
      },
      [randomTensor([2, 0, 1], 1), randomTensor([2, 1], 2)],
    )
    await check(
      (x, start) => [...scan(cell(tensor([[1]]), tensor([0])), [start], [x], { axis: 1 }).outputs],
      [randomTensor([2, 1, 1], 1), randomTensor([2, 1], 2)],
      { second: true },
    )
  })
  it('differentiates with respect to one result only', async () => {
    const body = ([a, b]: readonly Tensor[], [x]: readonly Tensor[]) => ({
      carries: [a.mul(x), b.add(a)],
      outputs: [a.add(x), b.mul(x)],
    })
    for (const pick of [0, 1, 2, 3])
      await check(
        (x, a, b) => {
          const { carries, outputs } = scan(body, [a, b], [x])
          return [...carries, ...outputs][pick]
        },
        [randomTensor([3, 2], 1), randomTensor([2], 2), randomTensor([2], 3)],
        { second: true },
      )
  })
  it('stops gradients where the body does, and passes carries and slices through unchanged', async () => {
    await check(
      (x, start) => {
        const { carries, outputs } = scan(
          ([h, same], [value]) => ({ carries: [h.stopGradient().mul(value), same], outputs: [h, same, value] }),
          [start, start],
          [x],
        )
        return [...carries, ...outputs]
      },
      [randomTensor([3, 2], 1), randomTensor([2], 2)],
      { gradient: false },
    )
  })
  it('keeps a symbolic batch', async () => {
    const x = placeholder('x', [-1, 3, 2])
    const weight = tensor([1, 2, 3, 4], [2, 2])
    const { outputs } = scan(cell(weight, tensor([0, 0])), [zeros([-1, 2])], [x], { axis: 1 })
    expect(outputs[0].shape).toEqual([-1, 3, 2])
    const program = await Program.compile([x], [outputs[0]])
    const value = randomTensor([4, 3, 2], 1)
    const [actual] = await program.run([value])
    expectClose(actual.numbers(), interpret([outputs[0]], new Map([[x, value.data]]))[0].data, 1e-5, 'outputs')
    expect(() => scan(cell(weight, tensor([0, 0])), [zeros([3, 2])], [x])).toThrow(
      'axis 0 of [N,3,2] is the symbolic batch',
    )
  })
  it('lets a compiled step assign what a loop computed, beside other state', async () => {
    const queue = new Variable(new Float32Array(6), [3, 2])
    const average = new Variable(new Float32Array(2), [2])
    const step = compile((x: Tensor) => {
      const { carries, outputs } = scan(
        ([h], [value]) => ({ carries: [h.mul(0.5).add(value)], outputs: [h] }),
        [average],
        [x],
      )
      average.assign(carries[0])
      queue.assign(concat([queue.slice(0, 1), carries[0].expandDims(0)]))
      return outputs[0].sum()
    })
    const x = hostTensor([1, 2, 3, 4], [2, 2])
    expect((await step(x)).item()).toBe(3)
    expect(Array.from(average.data as Float32Array)).toEqual([3.5, 5])
    expect((await step(x)).item()).toBe(3.5 + 5 + (3.5 + 5) / 2 + 3)
    expect(Array.from(queue.data as Float32Array)).toEqual([0, 0, 3.5, 5, 4.375, 6.25])
  })
  it('merges equal loops and keeps different ones apart', () => {
    const x = placeholder('x', [3, 2])
    const run = (factor: number): Tensor =>
      scan(([h], [value]) => ({ carries: [h.mul(factor).add(value)] }), [zeros([2])], [x]).carries[0]
    const [a, b, c] = simplify([run(2), run(2), run(3)])
    expect(a).toBe(b)
    expect(a).not.toBe(c)
  })
  it('does not keep for the backward pass what it does not need', () => {
    const x = placeholder('x', [3, 2])
    const decay = placeholder('decay', [2])
    const { outputs } = scan(
      ([h], [value]) => ({ carries: [h.mul(decay).add(value)], outputs: [h] }),
      [zeros([2])],
      [x],
    )
    const stacksOf = (t: Tensor): number => t.node.outputs.length
    const [forward] = simplify([outputs[0], ...grad(outputs[0].sum(), [x])])
    expect(stacksOf(forward)).toBe(2)
  })
  it('says what does not fit', () => {
    const x = tensor([1, 2, 3])
    const keep = (carries: readonly Tensor[]) => ({ carries })
    expect(() => scan(keep, [x], [x, tensor([1, 2])])).toThrow(
      'scan: sequence 1 is [2], with 2 slices along axis 0 where 3 are expected',
    )
    expect(() => scan(keep, [x], [x], { axis: 1 })).toThrow('scan: axis 1 is out of range for a tensor of 1 axes')
    expect(() => scan(keep, [x], [])).toThrow('scan: give a length where there is no sequence')
    expect(() => scan(() => ({ carries: [] }), [x], [x])).toThrow(
      'scan: the body returns 0 carries but the loop starts with 1',
    )
    expect(() => scan(([h]) => ({ carries: [h.sum()] }), [x], [x])).toThrow(
      'scan: the body returns carry 0 as f32[], but it starts as f32[3]',
    )
    const state = new Variable(new Float32Array(1), [1], 'f32', 'state')
    const assign = (carries: readonly Tensor[]) => {
      state.assign(state.add(1))
      return { carries }
    }
    expect(() => scan(assign, [x], [x])).toThrow(
      'scan: the body assigns variable state; return the value as a carry and assign it after the loop',
    )
  })
})
