import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { check, expectClose, randomTensor } from '../../../test/check.ts'
import { add, grad, type HostTensor, interpret, mul, placeholder, sum, type Tensor, tensor } from '../index.ts'
import { matmul } from '../ops/matmul.ts'
import { eigh, nuclearNorm, qr, singularValues, svd } from './decomposition.ts'
import { determinant, inverse, slogDeterminant, solve } from './elimination.ts'
import { diagonal, eye, lowerTriangle, trace, transposed, upperTriangle } from './matrices.ts'
import { cholesky, triangularSolve } from './triangular.ts'

const values = (t: Tensor): Float64Array => interpret([t])[0].data
const given = (x: HostTensor): Tensor => tensor(x.data, x.shape)
const sizes = fc.integer({ min: 1, max: 5 })
const seeds = fc.nat(1000)
const symmetric = (x: Tensor): Tensor => mul(add(x, transposed(x)), 0.5)
/** A A^T + I: positive definite. */
const definite = (x: Tensor): Tensor => add(matmul(x, x, { transposeB: true }), eye(x.shape[x.rank - 1]))
const flatEye = (n: number): number[] => Array.from({ length: n * n }, (_, k) => Number(k % n === Math.floor(k / n)))

describe('triangles and diagonals', () => {
  it('take their entries and differentiate', async () => {
    await check(x => [lowerTriangle(x), upperTriangle(x, 1), diagonal(x), trace(x)], [randomTensor([2, 3, 3])])
    expect([
      ...values(
        lowerTriangle(
          [
            [1, 2, 3],
            [4, 5, 6],
          ],
          1,
        ),
      ),
    ]).toEqual([1, 2, 0, 4, 5, 6])
    expect([
      ...values(
        upperTriangle(
          [
            [1, 2],
            [3, 4],
          ],
          1,
        ),
      ),
    ]).toEqual([0, 2, 0, 0])
    expect([
      ...values(
        trace([
          [1, 2],
          [3, 4],
        ]),
      ),
    ]).toEqual([5])
  })
  it('refuse vectors and what is not square', () => {
    expect(() => lowerTriangle([1, 2])).toThrow('lowerTriangle: expected a matrix, got [2]')
    expect(() => trace([[1, 2]])).toThrow('diagonal: expected square matrices [..., n, n], got [1,2]')
  })
})

describe('triangularSolve', () => {
  it('solves with either triangle, also transposed; both derivatives agree with differences', async () => {
    await fc.assert(
      fc.asyncProperty(sizes, fc.boolean(), fc.boolean(), seeds, async (n, upper, transpose, seed) => {
        // A strong diagonal keeps the systems well conditioned.
        await check(
          (a, b) => triangularSolve(add(a, mul(eye(n), 3)), b, { upper, transpose }),
          [randomTensor([2, n, n], seed), randomTensor([2, n, 2], seed + 1)],
          { second: n < 4 },
        )
      }),
      { numRuns: 6 },
    )
  })
  it('broadcasts one matrix over many right-hand sides', async () => {
    await check(
      (a, b) => triangularSolve(add(a, mul(eye(3), 3)), b),
      [randomTensor([3, 3]), randomTensor([2, 3, 1], 2)],
    )
  })
  it('undoes the product with its triangle', () => {
    const a = add(given(randomTensor([4, 4], 3)), mul(eye(4), 3))
    const x = given(randomTensor([4, 2], 4))
    expectClose(values(triangularSolve(a, matmul(lowerTriangle(a), x))), values(x), 1e-6, 'x')
  })
  it('names the shapes that do not fit', () => {
    expect(() => triangularSolve(eye(3), [[1], [2]])).toThrow(
      'triangularSolve: matrices [3,3] need a right-hand side [..., 3, k], got [2,1]',
    )
  })
})

describe('cholesky', () => {
  it('gives a lower triangle whose square is the matrix; both derivatives agree with differences', async () => {
    await fc.assert(
      fc.asyncProperty(sizes, seeds, async (n, seed) => {
        await check(x => cholesky(definite(x)), [randomTensor([2, n, n], seed)], { second: n < 4 })
        const a = definite(given(randomTensor([n, n], seed)))
        const factor = cholesky(a)
        expectClose(values(matmul(factor, factor, { transposeB: true })), values(a), 1e-6, 'product')
        expectClose(values(upperTriangle(factor, 1)), new Array(n * n).fill(0), 1e-9, 'above')
      }),
      { numRuns: 5 },
    )
  })
  it('gives NaN where the matrix is not positive definite', async () => {
    const { data } = await cholesky([
      [1, 2],
      [2, 1],
    ]).value()
    expect([...(data as Float32Array)].some(Number.isNaN)).toBe(true)
  })
})

describe('inverse, solve and determinants', () => {
  const shifted = (x: Tensor): Tensor => add(x, mul(eye(x.shape[x.rank - 1]), 3))

  it('agree with their references; both derivatives agree with differences', async () => {
    await fc.assert(
      fc.asyncProperty(sizes, seeds, async (n, seed) => {
        const a = randomTensor([2, n, n], seed)
        const options = { second: n < 4, tolerance: 1e-4 }
        await check(x => inverse(shifted(x)), [a], options)
        await check((x, b) => solve(shifted(x), b), [a, randomTensor([2, n, 3], seed + 1)], options)
        await check(x => slogDeterminant(shifted(x)).logAbs, [a], options)
        await check(x => determinant(shifted(x)), [a], options)
      }),
      { numRuns: 4 },
    )
  })
  it('choose pivots: zeros on the diagonal do no harm, on any runtime', async () => {
    const a = [
      [0, 2, 0],
      [0, 0, -3],
      [4, 0, 0],
    ]
    expectClose((await inverse(a).value()).numbers(), [0, 0, 0.25, 0.5, 0, 0, 0, -1 / 3, 0], 1e-6, 'inverse')
    const { sign, logAbs } = slogDeterminant(a)
    expect((await sign.value()).item()).toBe(-1)
    expect((await logAbs.value()).item()).toBeCloseTo(Math.log(24), 5)
    expect((await determinant(a).value()).item()).toBeCloseTo(-24, 4)
  })
  it('know singular matrices', async () => {
    const { sign, logAbs } = slogDeterminant([
      [1, 2],
      [2, 4],
    ])
    expect((await sign.value()).item()).toBeCloseTo(0)
    expect((await logAbs.value()).item()).toBe(Number.NEGATIVE_INFINITY)
    expect(
      (
        await determinant([
          [1, 2],
          [2, 4],
        ]).value()
      ).item(),
    ).toBeCloseTo(0)
  })
  it('keep the symbolic batch', () => {
    const x = placeholder('x', [-1, 3, 3])
    expect(inverse(x).shape).toEqual([-1, 3, 3])
    expect(slogDeterminant(x).logAbs.shape).toEqual([-1])
    expect(grad(sum(cholesky(x)), [x])[0].shape).toEqual([-1, 3, 3])
  })
  it('refuse what is not square', () => {
    expect(() => inverse([[1, 2]])).toThrow('inverse: expected square matrices [..., n, n], got [1,2]')
    expect(() => slogDeterminant(placeholder('x', [2, 0, 0]))).toThrow('holds empty matrices')
    expect(() => solve(eye(2), [1, 2, 3])).toThrow('solve: matrices [2,2] need a right-hand side')
  })
})

describe('eigh', () => {
  it('agrees with its reference in values and invariant projections; so do both derivatives', async () => {
    await fc.assert(
      fc.asyncProperty(sizes, seeds, async (n, seed) => {
        const spread = tensor(
          Float32Array.from({ length: n * n }, (_, k) => (k % (n + 1) ? 0 : (3 * k) / (n + 1))),
          [n, n],
        )
        // Eigenvalues about 3 apart.
        const matrix = (x: Tensor): Tensor => add(mul(symmetric(x), 0.3), spread)
        const x = randomTensor([2, n, n], seed)
        await check(a => eigh(matrix(a)).values, [x], { second: n < 4, tolerance: 1e-4 })
        await check(
          a => {
            const { vectors } = eigh(matrix(a))
            const last = vectors.slice(-1, n - 1, n)
            return matmul(last, last, { transposeB: true })
          },
          [x],
          { second: n < 4, tolerance: 1e-4 },
        )
      }),
      { numRuns: 5 },
    )
  })
  it('rebuilds the matrix from orthonormal vectors at sizes even and odd', async () => {
    for (const n of [1, 2, 3, 7, 16, 33]) {
      const a = symmetric(given(randomTensor([n, n], n)))
      const { values: lambda, vectors } = eigh(a)
      const rebuilt = matmul(mul(vectors, lambda), vectors, { transposeB: true })
      const [back, unit] = await Promise.all([rebuilt.value(), matmul(vectors, vectors, { transposeA: true }).value()])
      expectClose(back.numbers(), values(a), 3e-5, `rebuilt ${n}`)
      expectClose(unit.numbers(), flatEye(n), 2e-6, `orthonormal ${n}`)
      const order = (await lambda.value()).numbers()
      expect([...order]).toEqual([...order].sort((x, y) => x - y))
    }
  })
  it('is at home with zeros, repeated eigenvalues and huge numbers', async () => {
    expect([
      ...(
        await eigh([
          [0, 0],
          [0, 0],
        ]).values.value()
      ).numbers(),
    ]).toEqual([0, 0])
    const { values: same, vectors } = eigh(mul(eye(3), 2))
    expect([...(await same.value()).numbers()]).toEqual([2, 2, 2])
    const [gradient] = grad(sum(vectors), [placeholder('unused', [1])])
    expect(gradient.shape).toEqual([1])
    const huge = (
      await eigh([
        [3e25, 4e25],
        [4e25, -3e25],
      ]).values.value()
    ).numbers()
    expectClose(huge, [-5e25, 5e25], 1e-5, 'huge')
  })
})

describe('svd', () => {
  it('agrees with its reference in invariant terms; so do both derivatives', async () => {
    await fc.assert(
      fc.asyncProperty(sizes, sizes, seeds, async (m, n, seed) => {
        const small = Math.min(m, n)
        const spread = tensor(
          Float32Array.from({ length: m * n }, (_, k) => (k % n === Math.floor(k / n) ? 2 + 2 * (k % n) : 0)),
          [m, n],
        )
        const matrix = (x: Tensor): Tensor => add(mul(x, 0.2), spread)
        const x = randomTensor([2, m, n], seed)
        const options = { second: m + n < 6, tolerance: 1e-4 }
        await check(a => [singularValues(matrix(a)), nuclearNorm(matrix(a))], [x], options)
        await check(
          a => {
            const { u, v } = svd(matrix(a))
            const first = (t: Tensor): Tensor => t.slice(-1, 0, Math.max(1, small - 1))
            return [matmul(first(u), first(v), { transposeB: true }), matmul(first(u), first(u), { transposeB: true })]
          },
          [x],
          options,
        )
      }),
      { numRuns: 5 },
    )
  })
  it('rebuilds tall and wide matrices', async () => {
    for (const [m, n] of [
      [9, 4],
      [4, 9],
      [12, 12],
      [1, 3],
      [20, 17],
    ]) {
      const a = given(randomTensor([m, n], m))
      const { u, s, v } = svd(a)
      const back = await matmul(mul(u, s), v, { transposeB: true }).value()
      expectClose(back.numbers(), values(a), 1e-5, `${m}x${n}`)
      const unit = await matmul(u, u, { transposeA: true }).value()
      expectClose(unit.numbers(), flatEye(Math.min(m, n)), 1e-5, 'orthonormal')
    }
  })
  it('keeps small singular values that a squared matrix would lose', async () => {
    const s = (
      await singularValues([
        [1, 1],
        [0, 1e-5],
      ]).value()
    ).numbers()
    expectClose([s[1] * 1e5], [Math.SQRT1_2], 1e-3, 'smallest')
  })
  it('survives rank deficiency and refuses nothing', async () => {
    const x = placeholder('x', [2, 2])
    const [gradient] = grad(nuclearNorm(x), [x])
    const [{ data }] = interpret([gradient], new Map([[x, [1, 2, 2, 4]]]))
    expect([...data].every(Number.isFinite)).toBe(true)
    expect(() => svd(placeholder('x', [0, 2]))).toThrow('svd: [0,2] holds empty matrices')
    expect(() => svd([1, 2])).toThrow('svd: expected matrices [..., m, n], got [2]')
  })
})

describe('qr', () => {
  it('gives orthonormal columns and a positive triangle; both derivatives agree with differences', async () => {
    await fc.assert(
      fc.asyncProperty(sizes, fc.nat(3), seeds, async (n, more, seed) => {
        const m = n + more
        const raised = (x: Tensor): Tensor =>
          add(
            x,
            tensor(
              Float32Array.from({ length: m * n }, (_, k) => (k % n === Math.floor(k / n) ? 4 : 0)),
              [m, n],
            ),
          )
        await check(
          x => {
            const { q, r } = qr(raised(x))
            return [q, r]
          },
          [randomTensor([2, m, n], seed)],
          { second: n < 4, tolerance: 1e-4 },
        )
        const { q, r } = qr(given(randomTensor([m, n], seed)))
        expectClose(values(matmul(q, q, { transposeA: true })), flatEye(n), 1e-9, 'orthonormal')
        expectClose(values(matmul(q, r)), values(given(randomTensor([m, n], seed))), 1e-9, 'product')
        expect([...values(diagonal(r))].every(entry => entry > 0)).toBe(true)
      }),
      { numRuns: 5 },
    )
  })
  it('refuses more columns than rows', () => {
    expect(() => qr([[1, 2]])).toThrow('qr: [1,2] has more columns than rows; factor the first 1 columns')
  })
})
