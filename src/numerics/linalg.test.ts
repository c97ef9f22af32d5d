import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Golden, goldenExists, goldenTensor, readGolden } from '../../test/golden.ts'
import {
  cholesky,
  eigh,
  generalisedEigh,
  lowRank,
  matrixFunction,
  matrixRank,
  nuclearNorm,
  pinv,
  qr,
  singularValues,
  svd,
} from './decomposition.ts'
import { determinant, inverse, logDeterminant, lstsq, ridge, solve, spectralNorm } from './linalg.ts'
import {
  add,
  centreColumns,
  columnMeans,
  fromRows,
  identity,
  type Matrix,
  type MatrixLike,
  matrix,
  multiply,
  rowOf,
  scale,
  transpose,
} from './matrix.ts'
import { principalComponents, project } from './principal-components.ts'

function expectClose(actual: MatrixLike, expected: MatrixLike, tolerance = 1e-9): void {
  expect([actual.rows, actual.cols]).toEqual([expected.rows, expected.cols])
  for (let i = 0; i < expected.data.length; i++) {
    const bound = tolerance * (1 + Math.abs(expected.data[i]))
    expect(Math.abs(actual.data[i] - expected.data[i]), `entry ${i}`).toBeLessThanOrEqual(bound)
  }
}

const matrices = (rows: fc.Arbitrary<number>, cols: fc.Arbitrary<number>): fc.Arbitrary<Matrix> =>
  fc.tuple(rows, cols).chain(([r, c]) =>
    fc.array(fc.integer({ min: -1000, max: 1000 }), { minLength: r * c, maxLength: r * c }).map(values =>
      matrix(
        r,
        c,
        values.map(value => value / 100),
      ),
    ),
  )
const small = fc.integer({ min: 1, max: 7 })
const anyMatrix = matrices(small, small)
const anySquare = small.chain(n => matrices(fc.constant(n), fc.constant(n)))
const gram = (m: MatrixLike) => multiply(transpose(m), m)
const diagonal = (values: ArrayLike<number>) => {
  const out = matrix(values.length, values.length)
  for (let i = 0; i < values.length; i++) out.data[i * values.length + i] = values[i]
  return out
}

describe('matrix', () => {
  it('multiplies, transposes, adds and centres', () => {
    const a = fromRows([
      [1, 2, 3],
      [4, 5, 6],
    ])
    expectClose(multiply(a, transpose(a)), matrix(2, 2, [14, 32, 32, 77]), 0)
    expectClose(add(a, scale(a, 2), -1), scale(a, -1), 0)
    expect([...columnMeans(a)]).toEqual([2.5, 3.5, 4.5])
    expectClose(centreColumns(a), matrix(2, 3, [-1.5, -1.5, -1.5, 1.5, 1.5, 1.5]), 0)
    expect([...rowOf(a, 1)]).toEqual([4, 5, 6])
  })

  it('says what does not fit', () => {
    expect(() => matrix(2, 2, [1, 2, 3])).toThrow('matrix is 2x2 but its data has 3 values, not 4')
    expect(() => multiply(matrix(2, 3), matrix(2, 3))).toThrow("a is 2x3 and b is 2x3; a's columns must equal b's rows")
    expect(() => fromRows([[1, 2], [3]])).toThrow('row 1 has 1 values but row 0 has 2')
    expect(() => add(matrix(1, 2), matrix(2, 1))).toThrow('a is 1x2 and b is 2x1')
  })
})

describe('factorisations', () => {
  it('svd rebuilds any matrix from orthonormal factors and descending values', () => {
    fc.assert(
      fc.property(anyMatrix, a => {
        const { u, s, v } = svd(a)
        const rank = Math.min(a.rows, a.cols)
        expect(s.length).toBe(rank)
        expectClose(multiply(multiply(u, diagonal(s)), transpose(v)), a, 1e-10)
        expectClose(gram(u), identity(rank), 1e-10)
        expectClose(gram(v), identity(rank), 1e-10)
        for (let i = 1; i < rank; i++) expect(s[i]).toBeLessThanOrEqual(s[i - 1])
        expect(s[rank - 1]).toBeGreaterThanOrEqual(0)
      }),
      { numRuns: 60 },
    )
  })

  it('svd gives the same signs for a matrix and its negative up to U', () => {
    const a = fromRows([
      [3, 1],
      [1, 3],
      [0, 2],
    ])
    expectClose(svd(a).v, svd(scale(a, -1)).v)
    expectClose(svd(a).u, scale(svd(scale(a, -1)).u, -1))
  })

  it('qr is upper triangular with a non-negative diagonal, for tall, wide and rank-deficient matrices', () => {
    fc.assert(
      fc.property(anyMatrix, a => {
        const { q, r } = qr(a)
        expectClose(multiply(q, r), a, 1e-10)
        expectClose(gram(q), identity(Math.min(a.rows, a.cols)), 1e-10)
        for (let i = 0; i < r.rows; i++) {
          expect(r.data[i * r.cols + i]).toBeGreaterThanOrEqual(0)
          for (let j = 0; j < i; j++) expect(r.data[i * r.cols + j]).toBe(0)
        }
      }),
      { numRuns: 60 },
    )
  })

  it('eigh diagonalises a symmetric matrix with ascending values', () => {
    fc.assert(
      fc.property(anySquare, a => {
        const symmetric = add(a, transpose(a))
        const { values, vectors } = eigh(symmetric)
        expectClose(multiply(symmetric, vectors), multiply(vectors, diagonal(values)), 1e-9)
        expectClose(gram(vectors), identity(a.rows), 1e-10)
        for (let i = 1; i < values.length; i++) expect(values[i]).toBeGreaterThanOrEqual(values[i - 1])
      }),
      { numRuns: 60 },
    )
    expect([...eigh(matrix(2, 2, [2, 1, 1, 2])).values]).toEqual([expect.closeTo(1, 12), expect.closeTo(3, 12)])
  })

  it('cholesky, generalised eigenvectors and whitening of a positive definite matrix', () => {
    fc.assert(
      fc.property(anySquare, a => {
        const definite = add(gram(a), identity(a.rows))
        const lower = cholesky(definite)
        expectClose(multiply(lower, transpose(lower)), definite, 1e-9)
        const symmetric = add(a, transpose(a))
        const { values, vectors } = generalisedEigh(symmetric, definite)
        expectClose(multiply(transpose(vectors), multiply(definite, vectors)), identity(a.rows), 1e-8)
        expectClose(multiply(transpose(vectors), multiply(symmetric, vectors)), diagonal(values), 1e-7)
        const whitening = matrixFunction(definite, value => 1 / Math.sqrt(value))
        expectClose(multiply(whitening, multiply(definite, whitening)), identity(a.rows), 1e-8)
      }),
      { numRuns: 40 },
    )
  })

  it('pinv meets the four Penrose conditions and lowRank drops the rank', () => {
    fc.assert(
      fc.property(anyMatrix, a => {
        const p = pinv(a)
        expectClose(multiply(a, multiply(p, a)), a, 1e-7)
        expectClose(multiply(p, multiply(a, p)), p, 1e-7)
        expectClose(multiply(a, p), transpose(multiply(a, p)), 1e-7)
        expectClose(multiply(p, a), transpose(multiply(p, a)), 1e-7)
        expect(matrixRank(lowRank(a, 1), 1e-9)).toBeLessThanOrEqual(1)
      }),
      { numRuns: 40 },
    )
    expect(matrixRank(matrix(2, 2, [1, 2, 2, 4]))).toBe(1)
    expect(nuclearNorm(diagonal([3, -4]))).toBeCloseTo(7, 12)
  })

  it('keeps orthonormal factors at the ends of the number range', () => {
    for (const magnitude of [5e-324, 1e-310, 1e-160, 1e160, 1e300]) {
      const a = matrix(3, 3, [0, 0, 1, -magnitude, 0, 2, magnitude, magnitude, 0])
      const extreme = matrix(3, 2, [magnitude, 0, -magnitude, magnitude, magnitude, magnitude])
      for (const m of [a, extreme]) {
        expectClose(gram(qr(m).q), identity(m.cols), 1e-10)
        expectClose(gram(svd(m).v), identity(m.cols), 1e-10)
      }
      expect(singularValues(matrix(1, 2, [magnitude, 0]))[0]).toBe(magnitude)
    }
    expectClose(gram(eigh(matrix(2, 2, [0, 1e300, 1e300, 0])).vectors), identity(2), 1e-10)
  })

  it('refuses what has no such factorisation', () => {
    expect(() => eigh(matrix(2, 2, [1, 2, 3, 4]))).toThrow('entry (1, 0) is 3 but entry (0, 1) is 2')
    expect(() => eigh(matrix(2, 3))).toThrow('eigh: input is 2x3; it must be square')
    expect(() => cholesky(matrix(2, 2, [1, 2, 2, 1]))).toThrow('not positive definite')
    expect(() => cholesky(matrix(2, 2, [1, 1, 1, 1]))).toThrow('not positive definite')
    expect(() => svd(matrix(1, 2, [1, Number.NaN]))).toThrow('svd: input holds NaN at index 1')
    expect(() => svd(matrix(0, 2))).toThrow('must not be empty')
    expect(() => lowRank(identity(2), 3)).toThrow('lowRank: rank is 3; it must be an integer from 1 to 2')
  })
})

describe('linear systems', () => {
  it('solve, inverse and determinant agree on well-conditioned systems', () => {
    fc.assert(
      fc.property(anySquare, a => {
        const regular = add(a, identity(a.rows), 100)
        const x = matrix(
          a.rows,
          2,
          Array.from({ length: 2 * a.rows }, (_, i) => i - 1.5),
        )
        expectClose(solve(regular, multiply(regular, x)), x, 1e-9)
        expectClose(multiply(regular, inverse(regular)), identity(a.rows), 1e-10)
        const { sign, logAbs } = logDeterminant(regular)
        const product = singularValues(regular).reduce((all, value) => all + Math.log(value), 0)
        expect(logAbs).toBeCloseTo(product, 8)
        expect(sign * Math.exp(logAbs - product)).toBeCloseTo(determinant(regular) / Math.exp(product), 8)
      }),
      { numRuns: 40 },
    )
  })

  it('tracks the sign of the determinant through row swaps', () => {
    expect(determinant(matrix(2, 2, [0, 1, 1, 0]))).toBe(-1)
    expect(logDeterminant(matrix(2, 2, [0, 1, 1, 0])).sign).toBe(-1)
    expect(logDeterminant(matrix(3, 3, [0, 0, 1, 1, 0, 0, 0, 1, 0])).sign).toBe(1)
    expect(logDeterminant(matrix(2, 2, [1, 1, 1, 1]))).toEqual({ sign: 0, logAbs: -Infinity })
    // A determinant of 1e-600 is 0 in float64, its logarithm is not.
    expect(logDeterminant(diagonal([1e-200, 1e-200, 1e-200])).logAbs).toBeCloseTo(-600 * Math.LN10, 8)
  })

  it('judges singularity by each row, so a badly scaled system still solves', () => {
    expectClose(solve(diagonal([1, 1e-30]), matrix(2, 1, [1, 1e-30])), matrix(2, 1, [1, 1]))
    // 0.1 * 6 / 3 leaves a pivot of rounding error, not of zero.
    expect(() => solve(matrix(2, 2, [0.1, 0.2, 0.3, 0.6]), matrix(2, 1))).toThrow('singular to working precision')
    expect(() => inverse(matrix(2, 2, [1, 2, 2, 4]))).toThrow('singular to working precision')
  })

  it('least squares leaves a residual orthogonal to the columns, and the smallest solution', () => {
    const a = fromRows([
      [1, 1],
      [1, 2],
      [1, 3],
    ])
    const x = lstsq(a, matrix(3, 1, [1, 2, 2]))
    expectClose(x, matrix(2, 1, [2 / 3, 1 / 2]))
    expectClose(lstsq(matrix(1, 2, [1, 1]), matrix(1, 1, [2])), matrix(2, 1, [1, 1]))
  })

  it('ridge is the same by the primal and the dual equations', () => {
    fc.assert(
      fc.property(anyMatrix, x => {
        const y = matrix(
          x.rows,
          2,
          Array.from({ length: 2 * x.rows }, (_, i) => (i % 5) - 2),
        )
        const xt = transpose(x)
        const direct = solve(add(multiply(xt, x), identity(x.cols), 0.5), multiply(xt, y))
        expectClose(ridge(x, y, 0.5), direct, 1e-8)
      }),
      { numRuns: 40 },
    )
    expect(() => ridge(identity(2), identity(2), 0)).toThrow('penalty is 0')
  })

  it('power iteration approaches the largest singular value from below', () => {
    const w = fromRows([
      [3, 1],
      [0, 2],
      [1, 1],
    ])
    const exact = singularValues(w)[0]
    const { sigma } = spectralNorm(w, [1, 1, 1], 50)
    expect(sigma).toBeCloseTo(exact, 10)
    expect(spectralNorm(w, [1, 1, 1]).sigma).toBeLessThanOrEqual(exact)
    expect(() => spectralNorm(w, [1, 1])).toThrow('start has 2 values but the matrix is 3x2')
    expect(() => spectralNorm(matrix(2, 2), [1, 0])).toThrow('mapped to zero')
  })
})

describe('principal components', () => {
  const samples = (n: number) =>
    fromRows(Array.from({ length: n }, (_, i) => [3 * Math.sin(i) + 5, Math.cos(1.7 * i), 0.1 * Math.sin(2.3 * i)]))

  it('finds the same directions by covariance and by svd, with whitened unit variance', () => {
    for (const n of [12, 60]) {
      const x = samples(n)
      const pca = principalComponents(x)
      expectClose(multiply(pca.components, transpose(pca.components)), identity(3), 1e-10)
      const coordinates = centreColumns(project(pca, x))
      expectClose(scale(gram(coordinates), 1 / (n - 1)), diagonal(pca.variances), 1e-9)
      expectClose(scale(gram(project(pca, x, { whiten: true })), 1 / (n - 1)), identity(3), 1e-9)
      expect(pca.totalVariance).toBeCloseTo(
        pca.variances.reduce((sum, value) => sum + value, 0),
        9,
      )
      expectClose(principalComponents(x, 1).components, matrix(1, 3, pca.components.data.slice(0, 3)), 1e-9)
    }
  })

  it('refuses more components than the samples span', () => {
    expect(() => principalComponents(samples(3), 3)).toThrow('components is 3; it must be an integer from 1 to 2')
  })
})

describe.skipIf(!goldenExists('core.linalg'))('core.linalg golden', () => {
  const golden = readGolden('core.linalg') as Golden
  const tensor = (name: string): Matrix => {
    const { shape, data } = goldenTensor(golden, name)
    const cols = shape.at(-1) ?? 1
    return matrix(data.length / cols, cols, data)
  }
  const close = (actual: MatrixLike, name: string) => expectClose(actual, tensor(name), 1e-5)
  const scalar = (value: number) => matrix(1, 1, [value])
  const asRow = (values: ArrayLike<number>) => matrix(1, values.length, values)

  it('eigenvalues, the projector on the two largest, and log-determinants', () => {
    const { values, vectors } = eigh(tensor('in.sym'))
    close(asRow(values), 'out.eigh.values')
    const top = matrix(
      6,
      2,
      Array.from({ length: 12 }, (_, at) => vectors.data[Math.floor(at / 2) * 6 + 4 + (at % 2)]),
    )
    close(multiply(top, transpose(top)), 'out.eigh.projector_top2')
    close(scalar(logDeterminant(tensor('in.slogdet.S')).logAbs), 'out.slogdet.y')
  })

  it('Cholesky, solve and inverse', () => {
    close(cholesky(tensor('in.cholesky.S')), 'out.cholesky.y')
    close(solve(tensor('in.solve.S'), tensor('in.solve.B')), 'out.solve.y')
    close(inverse(tensor('in.inv.S')), 'out.inv.y')
  })

  it('singular values, nuclear norm, rank 3, pseudo-inverse', () => {
    close(asRow(singularValues(tensor('in.svdvals.X'))), 'out.svdvals.y')
    close(scalar(nuclearNorm(tensor('in.nuclear_norm.X'))), 'out.nuclear_norm.y')
    close(lowRank(tensor('in.X'), 3), 'out.svd.rank3')
    close(pinv(tensor('in.X')), 'out.pinv')
  })

  it('least squares, ridge, QR with positive diagonal, spectral norm', () => {
    close(lstsq(tensor('in.X'), tensor('in.Y')), 'out.lstsq')
    close(ridge(tensor('in.X'), tensor('in.Y'), 0.1), 'out.ridge_0.1')
    const { q, r } = qr(tensor('in.X'))
    close(q, 'out.qr.Q_posdiag')
    close(r, 'out.qr.R_posdiag')
    close(scalar(spectralNorm(tensor('in.sn.W'), tensor('in.sn.u').data, 3).sigma), 'out.sn.sigma_3iters')
  })
})
