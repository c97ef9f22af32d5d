import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { check, expectClose, randomTensor } from '../../test/check.ts'
import { einsum, rearrange, reduce, repeat } from './einops.ts'
import { grad, interpret, Program, placeholder, simplify, sum, type Tensor, tensor, topologicalOrder } from './index.ts'
import { forEachOffset, sizeOf, stridesOf } from './shape.ts'

const values = (t: Tensor): number[] => [...interpret([t])[0].data]
const counting = (shape: number[]): Tensor =>
  tensor(
    Float32Array.from({ length: sizeOf(shape) }, (_, i) => i),
    shape,
  )

describe('rearrange', () => {
  it('splits, merges and orders axes, and differentiates', async () => {
    const x = randomTensor([2, 3, 8])
    await check(t => rearrange(t, 'b n (h d) -> b h n d', { h: 2 }), [x], { second: true })
    await check(t => rearrange(t, 'b n (h d) -> (d b) (n h)', { d: 2 }), [x])
    await check(t => rearrange(t, 'b ... -> ... b'), [x])
    await check(t => rearrange(t, 'b n d -> b 1 n () d'), [x])
  })
  it('is the index map that its pattern spells out', () => {
    const y = rearrange(counting([2, 6]), 'a (b c) -> c b a', { b: 2 })
    expect(y.shape).toEqual([3, 2, 2])
    const expected: number[] = []
    for (let c = 0; c < 3; c++) for (let b = 0; b < 2; b++) for (let a = 0; a < 2; a++) expected.push(a * 6 + b * 3 + c)
    expect(values(y)).toEqual(expected)
  })
  it('undoes its mirror image', () => {
    fc.assert(
      fc.property(
        fc.tuple(...[1, 2, 3].map(() => fc.integer({ min: 1, max: 3 }))),
        fc.shuffledSubarray(['a', 'b', 'c'], { minLength: 3 }),
        ([a, b, c], order) => {
          const x = counting([a, b, c])
          const moved = rearrange(x, `a b c -> ${order.join(' ')}`)
          expect(values(rearrange(moved, `${order.join(' ')} -> a b c`))).toEqual(values(x))
          const merged = rearrange(x, `a b c -> (${order.join(' ')})`)
          expect(values(rearrange(merged, `(${order.join(' ')}) -> a b c`, { a, b, c }))).toEqual(values(x))
        },
      ),
    )
  })
  it('keeps the symbolic batch, also merged into other axes', async () => {
    const x = placeholder('x', [-1, 4, 6])
    const y = rearrange(x, 'b n (h d) -> (b h) n d', { h: 2 })
    expect(y.shape).toEqual([-2, 4, 3])
    expect(rearrange(y, '(b h) n d -> b n (h d)', { h: 2 }).shape).toEqual([-1, 4, 6])
    const program = await Program.compile([x], [y])
    const [result] = await program.run([randomTensor([3, 4, 6])])
    expect(result.shape).toEqual([6, 4, 3])
  })
  it('accepts empty axes', async () => {
    await check(t => rearrange(t, 'a b -> b a'), [randomTensor([0, 3])])
  })
  it('costs nothing where nothing moves', () => {
    const [simple] = simplify([rearrange(placeholder('x', [2, 3]), 'a b -> a 1 b')])
    expect(topologicalOrder([simple]).map(node => node.primitive.name)).toEqual(['placeholder', 'reshape'])
  })
  it.each([
    ['a b', "expected exactly one '->'"],
    ['a b -> a', "'b' is missing on the right; use reduce to sum it away"],
    ['a b -> a b c', "'c' stands on the right only"],
    ['a a -> a', "axis 'a' stands twice on one side"],
    ['a (b (c)) -> a b c', 'groups cannot be nested'],
    ['a b) -> a b', "')' without '('"],
    ['(a b -> a b', "'(' without ')'"],
    ['a b c -> a b c', 'the left side names 3 axes, the tensor has 2'],
    ['a (b c) -> a b c', "sizes of 'b' and 'c' are needed: pass all but one"],
    ['a ... -> a', 'is missing on the right; use reduce to sum it away'],
    ['a b -> a ... b', "'...' stands on the right only"],
    ['(a ...) b -> a ... b', "'...' cannot stand in a group on the left"],
    ['a 2b -> 2b a', "'2b' is not an axis name"],
  ])("refuses '%s', showing it: %s", (pattern, problem) => {
    expect(() => rearrange(counting([2, 6]), pattern)).toThrow(problem)
    expect(() => rearrange(counting([2, 6]), pattern)).toThrow(`'${pattern}'`)
  })
  it('refuses sizes that do not fit, showing pattern and shape', () => {
    expect(() => rearrange(counting([2, 6]), 'a (b c) -> a b c', { b: 4 })).toThrow(
      "rearrange 'a (b c) -> a b c' on [2,6]: axis 1 of size 6 does not divide by 4",
    )
    expect(() => rearrange(counting([2, 6]), 'a b -> b a', { a: 3 })).toThrow(
      'axis 0 has size 2, but the pattern makes it 3',
    )
    expect(() => rearrange(counting([2, 6]), 'a 1 -> a')).toThrow('axis 1 has size 6, but the pattern makes it 1')
  })
})

describe('reduce', () => {
  it.each(['sum', 'mean', 'max', 'min', 'prod'] as const)(
    'takes the %s over missing axes and differentiates',
    async how => {
      await check(t => reduce(t, 'b c (h k) -> b h c', how, { k: 2 }), [randomTensor([2, 3, 4])], { second: true })
      await check(t => reduce(t, '... c -> ...', how), [randomTensor([2, 3, 4])])
      await check(t => reduce(t, 'a b ->', how), [randomTensor([2, 3])])
      await check(t => reduce(t, 'a b -> b a', how), [randomTensor([2, 3])])
    },
  )
  it('pools as its pattern says', () => {
    expect(values(reduce(counting([4]), '(a 1 b) -> a', 'sum', { b: 2 }))).toEqual([1, 5])
    expect(reduce(placeholder('x', [-1, 3, 4, 4]), 'b c h w -> b c', 'mean').shape).toEqual([-1, 3])
  })
  it('refuses axes that appear from nowhere', () => {
    expect(() => reduce(counting([2]), 'a -> a b', 'sum', { b: 2 })).toThrow("'b' stands on the right only")
  })
})

describe('repeat', () => {
  it('copies along new axes wherever they stand, and differentiates', async () => {
    await check(t => repeat(t, 'h w -> h (w r)', { r: 3 }), [randomTensor([2, 3])], { second: true })
    await check(t => repeat(t, 'h w -> (r h) w', { r: 2 }), [randomTensor([2, 3])])
    await check(t => repeat(t, '... -> ... r', { r: 2 }), [randomTensor([2, 3])])
    expect(values(repeat([1, 2], 'a -> (a r)', { r: 2 }))).toEqual([1, 1, 2, 2])
    expect(values(repeat([1, 2], 'a -> (r a)', { r: 2 }))).toEqual([1, 2, 1, 2])
    expect(repeat(placeholder('x', [-1, 2]), 'b c -> b (c r)', { r: 3 }).shape).toEqual([-1, 6])
  })
  it('needs the size of what is new, and every axis of the left', () => {
    expect(() => repeat([1, 2], 'a -> a r')).toThrow("size of the new axis 'r' is needed")
    expect(() => repeat([[1, 2]], 'a b -> a')).toThrow("'b' is missing on the right")
  })
})

/** A sum of products by its definition. Sizes of 1 broadcast. */
function slowEinsum(
  terms: string[],
  output: string,
  operands: readonly { shape: readonly number[]; data: ArrayLike<number> }[],
) {
  const sizes = new Map<string, number>()
  terms.forEach((term, i) => {
    ;[...term].forEach((name, axis) => {
      sizes.set(name, Math.max(sizes.get(name) ?? 1, operands[i].shape[axis]))
    })
  })
  const names = [...sizes.keys()]
  const strideOf = (labels: string, shape: readonly number[]): number[] => {
    const strides = stridesOf(shape)
    return names.map(name =>
      [...labels].reduce(
        (total, label, axis) => (label === name && shape[axis] !== 1 ? total + strides[axis] : total),
        0,
      ),
    )
  }
  const shape = [...output].map(name => sizes.get(name)!)
  const result = new Array<number>(sizeOf(shape)).fill(0)
  const strides = [...terms.map((term, i) => strideOf(term, operands[i].shape)), strideOf(output, shape)]
  forEachOffset([...sizes.values()], strides, offsets => {
    let product = 1
    operands.forEach(({ data }, i) => {
      product *= data[offsets[i]]
    })
    result[offsets[operands.length]] += product
  })
  return { shape, data: result }
}

describe('einsum', () => {
  it.each([
    'ij,jk->ik',
    'bid,bjd->bij',
    'bij,bjd->bid',
    'i,j->ij',
    'i,i->',
    'ij->ji',
    'ij->i',
    'ij->',
    'ii->i',
    'iij->j',
    'iii->i',
    'ij,kj,il->kl',
    'ni,kij,nj->nk',
    'abc,abc->b',
    'ab,cd->dbca',
    'ij,jk->k',
    'ij,ij->ij',
    'abc,c->ab',
    'ii,ij->j',
    'a,b,c->cab',
  ])('%s is its definition and differentiates', async equation => {
    const [left, output] = equation.split('->')
    const terms = left.split(',')
    const sizes: Record<string, number> = { a: 2, b: 3, c: 2, d: 4, i: 3, j: 2, k: 4, l: 2, n: 3 }
    const operands = terms.map((term, i) =>
      randomTensor(
        [...term].map(name => sizes[name]),
        i + 1,
      ),
    )
    const made = einsum(equation, ...operands.map(({ data, shape }) => tensor(data, shape)))
    const expected = slowEinsum(
      terms,
      output,
      operands.map(({ shape, data }) => ({ shape, data: data as Float32Array })),
    )
    expect(made.shape).toEqual(expected.shape)
    expectClose(values(made), expected.data, 1e-12, equation)
    await check((...inputs) => einsum(equation, ...inputs), operands, { second: true })
  })
  it('agrees with its definition for random equations, with axes of size 1 that broadcast', () => {
    const letters = ['a', 'b', 'c', 'd']
    const term = fc.subarray(letters).chain(names => fc.shuffledSubarray(names, { minLength: names.length }))
    fc.assert(
      fc.property(
        fc.array(term, { minLength: 1, maxLength: 3 }),
        fc.array(fc.boolean(), { minLength: 12, maxLength: 12 }),
        fc.nat(),
        (terms, ones, pick) => {
          const sizes: Record<string, number> = { a: 2, b: 3, c: 4, d: 2 }
          const operands = terms.map((names, i) =>
            randomTensor(
              names.map((name, axis) => (ones[(i * 4 + axis) % 12] ? 1 : sizes[name])),
              i + 1,
            ),
          )
          const used = [...new Set(terms.flat())]
          const output = used.filter((_, i) => (pick >> i) & 1).reverse()
          const equation = `${terms.map(names => names.join('')).join(',')}->${output.join('')}`
          const made = einsum(equation, ...operands.map(({ data, shape }) => tensor(data, shape)))
          const expected = slowEinsum(
            terms.map(names => names.join('')),
            output.join(''),
            operands.map(({ shape, data }) => ({ shape, data: data as Float32Array })),
          )
          expect(made.shape, equation).toEqual(expected.shape)
          expectClose(values(made), expected.data, 1e-12, equation)
        },
      ),
      { numRuns: 200 },
    )
  })
  it('reads names of several letters and leading axes that broadcast', async () => {
    const [q, k] = [randomTensor([2, 3, 4]), randomTensor([2, 5, 4], 2)]
    await check((a, b) => einsum('batch query dim, batch key dim -> batch query key', a, b), [q, k], { second: true })
    await check(
      (a, b) => einsum('... i d, ... j d -> ... i j', a, b),
      [randomTensor([2, 1, 3, 4]), randomTensor([3, 2, 4], 2)],
    )
    await check((a, b) => einsum('...i,...i->...', a, b), [randomTensor([2, 3]), randomTensor([3], 2)])
    await check((a, b) => einsum('...ij,jk->...ik', a, b), [randomTensor([2, 2, 3]), randomTensor([3, 2], 2)])
  })
  it('keeps the symbolic batch and accepts empty axes', async () => {
    const x = placeholder('x', [-1, 3, 4])
    const y = einsum('bij,bkj->bik', x, x)
    expect(y.shape).toEqual([-1, 3, 3])
    const [gradient] = grad(sum(y), [x])
    const program = await Program.compile([x], [y, gradient])
    const results = await program.run([randomTensor([2, 3, 4])])
    expect(results.map(({ shape }) => shape)).toEqual([
      [2, 3, 3],
      [2, 3, 4],
    ])
    await check((a, b) => einsum('ij,jk->ik', a, b), [randomTensor([2, 0]), randomTensor([0, 3])])
  })
  it('becomes a matrix product', () => {
    const y = einsum('b i d, b j d -> b i j', placeholder('q', [2, 3, 4]), placeholder('k', [2, 5, 4]))
    const names = topologicalOrder(simplify([y])).map(node => node.primitive.name)
    expect(names).toEqual(['placeholder', 'placeholder', 'matmul'])
  })
  it.each([
    [
      'ij,jk',
      [
        [2, 3],
        [3, 4],
      ],
      "expected exactly one '->'",
    ],
    ['ij,jk->ik', [[2, 3]], '2 terms for 1 operands'],
    [
      'ij,jk->ik',
      [
        [2, 3],
        [4, 4],
      ],
      "axis 'j' has sizes 3 and 4",
    ],
    ['ij->ik', [[2, 3]], "no operand has the axis 'k'"],
    ['ij->ii', [[2, 3]], 'an output axis stands twice'],
    ['ijk->i', [[2, 3]], 'a term names 3 axes'],
    ['ii->i', [[2, 3]], "axis 'i' has sizes 2 and 3"],
  ])('refuses %s of %j: %s', (equation, operandShapes, problem) => {
    const operands = operandShapes.map(shape => counting(shape))
    expect(() => einsum(equation, ...operands)).toThrow(problem)
    expect(() => einsum(equation, ...operands)).toThrow(`'${equation}'`)
  })
})
