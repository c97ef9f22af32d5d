import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { check, expectClose, randomTensor, shapes } from '../../test/check.ts'
import {
  checkpoint,
  customGradient,
  customGradients,
  grad,
  jvp,
  scaleGradient,
  straightThrough,
  valueAndGrad,
  vjp,
} from './autodiff.ts'
import {
  add,
  exp,
  interpret,
  matmul,
  mul,
  Program,
  placeholder,
  relu,
  round,
  sign,
  simplify,
  sin,
  sum,
  type Tensor,
  tanh,
  tensor,
  topologicalOrder,
} from './index.ts'

const at = (outputs: readonly Tensor[], inputs: readonly Tensor[], values: readonly ArrayLike<number>[]) =>
  interpret(outputs, new Map(inputs.map((input, i) => [input, values[i]]))).map(({ data }) => [...data])

describe('grad', () => {
  const x = placeholder('x', [2])
  const y = placeholder('y', [2])

  it('differentiates with respect to leaves and intermediate tensors alike', () => {
    const middle = mul(x, y)
    const loss = sum(mul(middle, middle))
    const [dx, dmiddle, dy] = grad(loss, [x, middle, y])
    expect(
      at(
        [dx, dmiddle, dy],
        [x, y],
        [
          [1, 2],
          [3, 4],
        ],
      ),
    ).toEqual([
      [18, 64],
      [6, 16],
      [6, 32],
    ])
  })
  it('gives the whole gradient of an intermediate tensor, and still what lies behind it', () => {
    const first = exp(x)
    const second = mul(first, 2)
    const [dfirst, dsecond, dx] = grad(sum(add(mul(first, first), second)), [first, second, x])
    const [[df], [ds], [d]] = at([dfirst, dsecond, dx], [x], [[0, 0]])
    expect([df, ds, d]).toEqual([4, 1, 4])
  })
  it('gives the loss itself gradient 1', () => {
    const loss = sum(x)
    expect(at(grad(loss, [loss]), [x], [[5, 6]])).toEqual([[1]])
  })
  it('gives zeros of the right shape where nothing depends on an input', () => {
    const [dy] = grad(sum(x), [y])
    expect(dy.shape).toEqual([2])
    expect(at([dy], [x], [[1, 2]])).toEqual([[0, 0]])
  })
  it('adds up the uses of one tensor', () => {
    const [dx] = grad(sum(add(mul(x, x), add(x, x))), [x])
    expect(at([dx], [x], [[3, 4]])).toEqual([[8, 10]])
  })
  it('can be repeated: third derivatives of x^5', () => {
    const fifth = (t: Tensor): Tensor => mul(mul(mul(t, t), mul(t, t)), t)
    let derivative = sum(fifth(x))
    for (let order = 0; order < 3; order++) derivative = sum(grad(derivative, [x])[0])
    expect(at([derivative], [x], [[1, 2]])[0][0]).toBeCloseTo(60 * (1 + 4))
  })
  it('lets no gradient through constants almost everywhere', () => {
    expect(at(grad(sum(add(sign(x), round(x))), [x]), [x], [[0.4, 3.2]])).toEqual([[0, 0]])
  })
  it('passes integers by', () => {
    const index = placeholder('index', [2], 'i64')
    const [dx, dindex] = grad(sum(mul(x, index.cast('f32'))), [x, index])
    expect(
      at(
        [dx, dindex],
        [x, index],
        [
          [1, 2],
          [3, 4],
        ],
      ),
    ).toEqual([
      [3, 4],
      [0, 0],
    ])
  })
  it('keeps the symbolic batch', () => {
    const batch = placeholder('batch', [-1, 3])
    const weight = placeholder('weight', [3, 2])
    const loss = sum(tanh(matmul(batch, weight)))
    const gradients = grad(loss, [batch, weight])
    expect(gradients.map(({ shape }) => shape)).toEqual([
      [-1, 3],
      [3, 2],
    ])
    const values = [randomTensor([4, 3]).data, randomTensor([3, 2], 2).data]
    const fixed = placeholder('fixed', [4, 3])
    const concrete = grad(sum(tanh(matmul(fixed, weight))), [fixed, weight])
    expect(at(gradients, [batch, weight], values as Float32Array[])).toEqual(
      at(concrete, [fixed, weight], values as Float32Array[]),
    )
  })
  it('runs through 20,000 nodes in a row without overflowing the stack', () => {
    let deep: Tensor = x
    for (let i = 0; i < 20_000; i++) deep = i % 2 ? add(deep, y) : sin(deep)
    const gradients = grad(sum(deep), [x, y])
    expect(topologicalOrder(gradients).length).toBeGreaterThan(20_000)
    expect(simplify(gradients)).toHaveLength(2)
    const [dx] = at(
      gradients,
      [x, y],
      [
        [0.1, 0.2],
        [0.3, 0.4],
      ],
    )
    expect(dx.every(Number.isFinite)).toBe(true)
  })
  it('visits a lattice of shared nodes once', () => {
    let shared: Tensor = mul(x, 0.5)
    for (let i = 0; i < 60; i++) shared = mul(add(shared, shared), 0.5)
    expect(at(grad(sum(shared), [x]), [x], [[1, 1]])).toEqual([[0.5, 0.5]])
  })
  it('refuses losses of several elements or of integers, naming the shape', () => {
    expect(() => grad(x, [x])).toThrow('grad: the loss must have one element, got [2]; sum or average it first')
    expect(() => grad(placeholder('i', [], 'i64'), [x])).toThrow('grad: the loss must be a float, got i64')
  })
})

describe('vjp', () => {
  const x = placeholder('x', [3])
  it('sums over several outputs, and takes a missing cotangent as zero', () => {
    const outputs = [mul(x, 2), mul(x, 3), mul(x, 100)]
    const ones = tensor([1, 1, 1])
    expect(at(vjp(outputs, [x], [ones, ones, undefined]), [x], [[1, 2, 3]])).toEqual([[5, 5, 5]])
  })
  it('refuses a cotangent of another shape', () => {
    expect(() => vjp([x], [x], [tensor([1, 1])])).toThrow('vjp: the cotangent is [2] but the output is [3]')
  })
  it('agrees with differences for random graphs', async () => {
    const steps: ((a: Tensor, b: Tensor) => Tensor)[] = [
      add,
      mul,
      (a, b) => tanh(add(a, b)),
      (a, b) => mul(sin(a), b),
      a => mul(a, 0.5),
    ]
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.nat(steps.length - 1), fc.nat(9), fc.nat(9)), { minLength: 1, maxLength: 8 }),
        async program => {
          await check(
            (a, b) => {
              const made = [a, b]
              for (const [op, i, j] of program) made.push(steps[op](made[i % made.length], made[j % made.length]))
              return made[made.length - 1]
            },
            [randomTensor([2, 2], 1, -1, 1), randomTensor([2, 2], 2, -1, 1)],
            { second: true },
          )
        },
      ),
      { numRuns: 8 },
    )
  })
})

describe('valueAndGrad', () => {
  it('gives both, for all arguments or the first few', () => {
    const f = (a: Tensor, b: Tensor): Tensor => sum(mul(a, b))
    const [a, b] = [placeholder('a', [2]), placeholder('b', [2])]
    const all = valueAndGrad(f)(a, b)
    expect(
      at(
        [all.value, ...all.gradients],
        [a, b],
        [
          [1, 2],
          [3, 4],
        ],
      ),
    ).toEqual([[11], [3, 4], [1, 2]])
    expect(valueAndGrad(f, 1)(a, b).gradients).toHaveLength(1)
  })
})

describe('jvp', () => {
  it('agrees with central differences', () => {
    fc.assert(
      fc.property(shapes(2, 3, 1), fc.nat(1000), (shape, seed) => {
        const f = (a: Tensor, b: Tensor): Tensor => tanh(mul(sin(a), exp(mul(b, 0.3))))
        const [a, b, da, db] = [0, 1, 2, 3].map(i => placeholder(`t${i}`, shape))
        const points = [0, 1, 2, 3].map(i => randomTensor(shape, seed + i).numbers())
        const { value, tangent } = jvp(f, [a, b], [da, db])
        const [exact] = at([tangent], [a, b, da, db], points)
        const moved = (step: number): number[] =>
          at(
            [value],
            [a, b],
            [0, 1].map(i => points[i].map((p, k) => p + step * points[i + 2][k])),
          )[0]
        const [ahead, behind] = [moved(1e-5), moved(-1e-5)]
        expectClose(
          exact,
          ahead.map((p, k) => (p - behind[k]) / 2e-5),
          1e-6,
          'tangent',
        )
      }),
      { numRuns: 10 },
    )
  })
  it('is linear in its tangents and itself differentiable', async () => {
    await check((a, da) => jvp(x => mul(x, mul(x, x)), [a], [da]).tangent, [randomTensor([3]), randomTensor([3], 2)], {
      second: true,
    })
  })
  it('gives zero where the function does not depend on its argument', () => {
    const a = placeholder('a', [2])
    const { tangent } = jvp(() => tensor([1, 2, 3]), [a], [tensor([1, 1])])
    expect(at([tangent], [a], [[1, 2]])).toEqual([[0, 0, 0]])
  })
  it('refuses tangents that do not pair up', () => {
    expect(() => jvp(x => x, [tensor([1])], [])).toThrow('jvp: 1 primals but 0 tangents')
  })
})

describe('customGradient', () => {
  const double = customGradient(
    x => mul(x, 2),
    (ct, [x]) => [mul(ct, mul(x, 10))],
  )
  it('keeps the value and replaces the gradient, also inside other functions', () => {
    const x = placeholder('x', [2])
    const y = double(x)
    const [dx] = grad(sum(mul(y, y)), [x])
    expect(at([y, dx], [x], [[1, 2]])).toEqual([
      [2, 4],
      [4 * 10, 8 * 20],
    ])
  })
  it('differentiates its rule in turn', () => {
    const x = placeholder('x', [1])
    const [first] = grad(sum(double(x)), [x])
    expect(at(grad(sum(first), [x]), [x], [[7]])).toEqual([[10]])
  })
  it('serves functions of several arguments and outputs, filling in zeros for what nobody used', () => {
    const both = customGradients(
      (a, b) => [add(a, b), mul(a, b)],
      ([sumCotangent, productCotangent], [a, b]) => [
        add(mul(sumCotangent, 100), mul(productCotangent, b)),
        mul(productCotangent, a),
      ],
    )
    const [a, b] = [placeholder('a', [1]), placeholder('b', [1])]
    const [total, product] = both(a, b)
    expect(at(grad(sum(total), [a, b]), [a, b], [[2], [3]])).toEqual([[100], [0]])
    expect(at(grad(sum(product), [a, b]), [a, b], [[2], [3]])).toEqual([[3], [2]])
  })
  it('lets equal calls be computed once', () => {
    const x = placeholder('x', [2])
    const [a, b] = simplify([double(x), double(x)])
    expect(a).toBe(b)
  })
  it('refuses a rule that gives the wrong shape', () => {
    const wrong = customGradient(
      x => sum(x),
      ct => [ct],
    )
    const x = placeholder('x', [2])
    expect(() => grad(wrong(x), [x])).toThrow('customGradient: its gradient rule gave [] for an input of [2]')
  })
})

describe('straightThrough and scaleGradient', () => {
  it('take the value of one and the gradient of the other', () => {
    const x = placeholder('x', [2])
    const y = straightThrough(round(x), mul(x, 3))
    expect(at([y, ...grad(sum(y), [x])], [x], [[0.4, 1.7]])).toEqual([
      [0, 2],
      [3, 3],
    ])
    expect(() => straightThrough(x, tensor([1]))).toThrow('straightThrough: [2] and [1] differ')
  })
  it('reverse gradients without touching values', () => {
    const x = placeholder('x', [2])
    const y = scaleGradient(x, -1)
    expect(at([y, ...grad(sum(mul(y, y)), [x])], [x], [[1, 2]])).toEqual([
      [1, 2],
      [-2, -4],
    ])
  })
})

describe('checkpoint', () => {
  const layer = (x: Tensor, w: Tensor): Tensor => relu(matmul(tanh(matmul(x, w)), w))
  const inputs = [placeholder('x', [3, 4]), placeholder('w', [4, 4])] as const
  const values = [randomTensor([3, 4], 1), randomTensor([4, 4], 2)]
  const [x, w] = inputs

  it('gives the gradients of the plain function, for arguments and for closed-over parameters', () => {
    const plain = grad(sum(layer(layer(x, w), w)), inputs)
    const block = checkpoint(t => layer(t, w), [w])
    const saved = grad(sum(block(block(x))), inputs)
    const data = values.map(value => value.numbers())
    at(saved, inputs, data).forEach((gradient, i) => {
      expectClose(gradient, at(plain, inputs, data)[i], 1e-12, `gradient ${i}`)
    })
  })
  it('keeps the gradient of what an argument was computed from, when that is the same parameter', () => {
    const block = checkpoint(t => mul(t, w), [w])
    const before = mul(w, x.slice(0, 0, 1))
    const plain = grad(sum(mul(before, w)), inputs)
    const saved = grad(sum(block(before)), inputs)
    const data = values.map(value => value.numbers())
    expect(at(saved, inputs, data)).toEqual(at(plain, inputs, data))
  })
  it('differentiates twice', () => {
    const cube = (t: Tensor): Tensor => mul(t, mul(t, t))
    const twice = (f: (t: Tensor) => Tensor): Tensor => sum(grad(sum(grad(sum(f(x)), [x])[0]), [x])[0])
    const data = values.map(value => value.numbers())
    expectClose(at([twice(checkpoint(cube))], inputs, data)[0], at([twice(cube)], inputs, data)[0], 1e-12, 'second')
  })
  it('really computes its function again, once the gradient has come back to it', async () => {
    const count = (outputs: readonly Tensor[]): number =>
      topologicalOrder(simplify(outputs)).filter(node => node.primitive.name === 'tanh').length
    const block = (t: Tensor): Tensor => layer(t, w)
    expect(count([sum(block(x)), ...grad(sum(block(x)), inputs)])).toBe(1)
    const recomputed = checkpoint(block, [w])
    const loss = sum(recomputed(x))
    const gradients = grad(loss, inputs)
    expect(count([loss, ...gradients])).toBe(2)
    const program = await Program.compile(inputs, [loss, ...gradients])
    const actual = await program.run(values)
    const expected = at(
      [loss, ...gradients],
      inputs,
      values.map(value => value.numbers()),
    )
    actual.forEach((result, i) => {
      expectClose(result.numbers(), expected[i], 1e-5, `output ${i}`)
    })
  })
  it('keeps the symbolic batch', async () => {
    const batch = placeholder('batch', [-1, 4])
    const recomputed = checkpoint(t => layer(t, w), [w])
    const gradients = grad(sum(recomputed(batch)), [batch, w])
    const program = await Program.compile([batch, w], gradients)
    const actual = await program.run(values)
    const expected = at(
      gradients,
      [batch, w],
      values.map(value => value.numbers()),
    )
    actual.forEach((result, i) => {
      expectClose(result.numbers(), expected[i], 1e-5, `gradient ${i}`)
    })
  })
  it('also saves nothing of integers, and accepts scalars', () => {
    const index = placeholder('index', [2], 'i64')
    const s = placeholder('s', [])
    const block = checkpoint((t, i) => mul(exp(t), i.cast('f32')))
    const [ds] = grad(sum(block(s, index)), [s])
    expect(at([ds], [s, index], [[0], [3, 4]])).toEqual([[7]])
  })
})
