import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { check, expectClose, randomTensor } from '../../../test/check.ts'
import { grad, type HostTensor, interpret, mul, placeholder, softmax, sum, type Tensor, tensor } from '../index.ts'
import { matmul } from '../ops/matmul.ts'
import { svd } from './decomposition.ts'
import { determinant } from './elimination.ts'
import {
  complexAbs,
  complexMul,
  fft,
  fft2,
  ifft,
  ifft2,
  irfft,
  irfft2,
  rfft,
  rfft2,
  spectralFilter2d,
} from './fourier.ts'
import { eye, transposed } from './matrices.ts'
import { cayley, householderReflect, matrixExp, newtonSchulz, skewSymmetric, spectralNorm } from './matrix-functions.ts'
import { linearCka, rbfCka } from './similarity.ts'
import { sinkhorn, sinkhornKnopp } from './transport.ts'

const values = (t: Tensor): Float64Array => interpret([t])[0].data
const given = (x: HostTensor): Tensor => tensor(x.data, x.shape)
const random = (shape: number[], seed: number, low = -2, high = 2): Tensor =>
  given(randomTensor(shape, seed, low, high))
const seeds = fc.nat(1000)
const flatEye = (n: number): number[] => Array.from({ length: n * n }, (_, k) => Number(k % n === Math.floor(k / n)))
const filled = (length: number, value: number): number[] => new Array<number>(length).fill(value)

describe('orthogonal matrices', () => {
  it('exp and Cayley of skew matrices and products of reflections are orthogonal', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 6 }), seeds, async (n, seed) => {
        const skew = skewSymmetric(random([n, n], seed))
        for (const q of [matrixExp(skew), cayley(skew), householderReflect(eye(n), random([3, n], seed + 1))])
          expectClose((await matmul(q, q, { transposeA: true }).value()).numbers(), flatEye(n), 1e-5, 'orthogonal')
        expectClose(values(determinant(matrixExp(skew))), [1], 1e-5, 'determinant')
      }),
      { numRuns: 5 },
    )
  })
  it('differentiate like their references', async () => {
    const x = randomTensor([2, 3, 3], 3, -1, 1)
    await check(a => matrixExp(a, { squarings: 4 }), [x], { second: true, tolerance: 1e-4 })
    await check(a => cayley(skewSymmetric(a)), [x], { second: true, tolerance: 1e-4 })
    await check(householderReflect, [randomTensor([4, 3]), randomTensor([2, 3], 5)], { second: true, tolerance: 1e-4 })
    await check(a => newtonSchulz(a, { steps: 4 }), [randomTensor([2, 3, 2])], { tolerance: 1e-4 })
  })
  it('matrixExp of a diagonal is the exponentials, whatever their size', async () => {
    const diagonal = [-20, 0, 1e-4, 3.5]
    const matrix = tensor(diagonal.map((d, i) => diagonal.map((_, j) => (i === j ? d : 0))))
    const { data } = await matrixExp(matrix).value()
    for (const [i, d] of diagonal.entries()) expect(Number(data[i * 5])).toBeCloseTo(Math.exp(d), 3)
    expectClose(
      (
        await matrixExp([
          [0, 0],
          [0, 0],
        ]).value()
      ).numbers(),
      flatEye(2),
      0,
      'exp(0)',
    )
    // exp(J) of a Jordan block
    expectClose(
      (
        await matrixExp([
          [1, 1],
          [0, 1],
        ]).value()
      ).numbers(),
      [Math.E, Math.E, 0, Math.E],
      1e-6,
      'Jordan',
    )
  })
  it('newtonSchulz finds the polar factor of tall and wide matrices', async () => {
    for (const shape of [
      [5, 3],
      [3, 5],
    ]) {
      const a = random(shape, 4)
      const { u, v } = svd(a)
      expectClose(values(newtonSchulz(a)), values(matmul(u, v, { transposeB: true })), 1e-6, 'polar')
    }
  })
  it('names what does not fit', () => {
    expect(() => cayley([[1, 2]])).toThrow('cayley: expected square matrices')
    expect(() => matrixExp(eye(2), { squarings: -1 })).toThrow('matrixExp: squarings is -1')
    expect(() => householderReflect(eye(3), [[1, 2]])).toThrow('got [3,3] and [1,2]')
    expect(() => newtonSchulz([1])).toThrow('newtonSchulz: expected matrices')
  })
})

describe('spectralNorm', () => {
  it('approaches the largest singular value and lets the gradient through W only', async () => {
    const w = random([5, 2, 2], 3)
    const { sigma, u, v } = spectralNorm(w, filled(5, 1), { iterations: 200 })
    expectClose(values(sigma), [values(svd(w.reshape([5, 4])).s)[0]], 1e-6, 'sigma')
    expect([u.shape, v.shape]).toEqual([[5], [4]])
    const x = placeholder('x', [5, 4])
    const [gradient] = grad(spectralNorm(x, filled(5, 1), { iterations: 200 }).sigma, [x])
    const [outer] = interpret([gradient], new Map([[x, randomTensor([5, 4], 3).data]]))
    expectClose(outer.data, values(mul(u.reshape([5, 1]), v)), 1e-5, 'u v^T')
  })
  it('refuses a start of another length and no iterations', () => {
    expect(() => spectralNorm(eye(3), [1, 2])).toThrow('got [3,3] and [2]')
    expect(() => spectralNorm(eye(2), [1, 2], { iterations: 0 })).toThrow('spectralNorm: iterations is 0')
  })
})

/** The definition, in complex arithmetic. */
function slowFourier(x: readonly number[], inverse = false): { real: number[]; imaginary: number[] } {
  const n = x.length
  const part = (f: (angle: number) => number): number[] =>
    x.map((_, k) => x.reduce((total, value, j) => total + value * f(((inverse ? 2 : -2) * Math.PI * j * k) / n), 0))
  return { real: part(Math.cos), imaginary: part(Math.sin) }
}

describe('Fourier transforms', () => {
  it('are what the definition says', () => {
    for (const n of [1, 2, 5, 8]) {
      const x = [...randomTensor([n], n).numbers()]
      const expected = slowFourier(x)
      const { real, imaginary } = fft(x)
      expectClose(values(real), expected.real, 1e-6, 'real')
      expectClose(values(imaginary), expected.imaginary, 1e-6, 'imaginary')
      const half = Math.floor(n / 2) + 1
      expectClose(values(rfft(x).real), expected.real.slice(0, half), 1e-6, 'half')
      expectClose(values(rfft(x).imaginary), expected.imaginary.slice(0, half), 1e-6, 'half')
    }
  })
  it('invert under every norm and along any axis', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 6 }), { minLength: 2, maxLength: 3 }),
        fc.nat(),
        fc.constantFrom('backward', 'ortho', 'forward'),
        (shape, place, norm) => {
          const axis = place % shape.length
          const x = random(shape, 2)
          const y = random(shape, 3)
          const back = ifft(fft({ real: x, imaginary: y }, { axis, norm }), { axis, norm })
          expectClose(values(back.real), values(x), 1e-6, 'real')
          expectClose(values(back.imaginary), values(y), 1e-6, 'imaginary')
          expectClose(
            values(irfft(rfft(x, { axis, norm }), { axis, norm, size: shape[axis] })),
            values(x),
            1e-6,
            'rfft',
          )
          const width = shape[shape.length - 1]
          expectClose(values(irfft2(rfft2(x, { norm }), { norm, width })), values(x), 1e-6, 'rfft2')
          expectClose(values(ifft2(fft2(x, { norm }), { norm }).real), values(x), 1e-6, 'fft2')
        },
      ),
      { numRuns: 20 },
    )
  })
  it('keep the energy when orthonormal (Parseval)', () => {
    const x = random([2, 6, 5], 8)
    const { real, imaginary } = fft2(x, { norm: 'ortho' })
    const energy = (t: Tensor): Tensor => sum(mul(t, t))
    expectClose(values(energy(real).add(energy(imaginary))), values(energy(x)), 1e-6, 'energy')
  })
  it('differentiate like their references', async () => {
    await check(
      x => {
        const { real, imaginary } = rfft2(x)
        return [real, imaginary, complexAbs({ real, imaginary })]
      },
      [randomTensor([2, 3, 4])],
      { tolerance: 1e-4 },
    )
    await check((x, w) => spectralFilter2d(x, w), [randomTensor([2, 3, 4, 5]), randomTensor([3, 4, 3, 2], 2)], {
      second: true,
      tolerance: 1e-4,
    })
  })
  it('turn products into circular convolutions', () => {
    const [a, b] = [random([7], 1), random([7], 2)]
    const product = complexMul(rfft(a), rfft(b))
    const [x, y] = [values(a), values(b)]
    const expected = x.map((_, k) => x.reduce((total, value, j) => total + value * y[(k - j + 7) % 7], 0))
    expectClose(values(irfft(product, { size: 7 })), expected, 1e-6, 'convolution')
  })
  it('name what does not fit', () => {
    expect(() => irfft(rfft([1, 2, 3, 4]), { size: 6 })).toThrow(
      'irfft: 3 frequencies do not make 6 points; expected 4',
    )
    expect(() => ifft({ real: eye(2), imaginary: eye(3) })).toThrow('real part [2,2] and imaginary part [3,3] differ')
    expect(() => rfft(placeholder('x', [2, 0]))).toThrow('rfft: axis 1 of [2,0] is empty')
    expect(() => spectralFilter2d(eye(4), eye(3))).toThrow('spectralFilter2d: [4,4] needs a weight [..., 4,3,2]')
  })
})

describe('centred kernel alignment', () => {
  it('is 1 for equal inputs and does not see rotations and scale', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 4, max: 9 }), seeds, async (examples, seed) => {
        const x = random([examples, 3], seed)
        const y = random([examples, 2], seed + 1)
        const turn = cayley(skewSymmetric(random([3, 3], seed + 2)))
        expectClose(values(linearCka(x, x)), [1], 1e-6, 'itself')
        expectClose(values(rbfCka(x, x, 1.5)), [1], 1e-6, 'itself')
        const plain = values(linearCka(x, y))
        expectClose(values(linearCka(mul(matmul(x, turn), 3), y)), plain, 1e-6, 'turned')
        expectClose(values(rbfCka(matmul(x, turn), y, 2)), values(rbfCka(x, y, 2)), 1e-6, 'turned')
        expect(plain[0]).toBeGreaterThanOrEqual(0)
        expect(plain[0]).toBeLessThanOrEqual(1 + 1e-9)
        await check(
          (a, b) => [linearCka(a, b), rbfCka(a, b, [1, 2])],
          [randomTensor([examples, 3], seed), randomTensor([examples, 2], seed + 1)],
          { tolerance: 1e-4 },
        )
      }),
      { numRuns: 4 },
    )
  })
  it('refuses different numbers of examples and a kernel without width', () => {
    expect(() => linearCka(eye(2), eye(3))).toThrow('linearCka: expected two matrices with one row for each example')
    expect(() => rbfCka(eye(2), eye(2), 0)).toThrow('rbfCka: sigma is 0; it must be above 0')
  })
})

describe('optimal transport', () => {
  it('meets its marginals and differentiates through the iterations', async () => {
    const cost = randomTensor([2, 3, 4], 5, 0, 1)
    const [source, target] = [softmax(random([2, 3], 6)), softmax(random([2, 4], 7))]
    const { plan, potentials } = sinkhorn(given(cost), source, target, { iterations: 200 })
    expectClose(values(sum(plan, -1)), values(source), 1e-4, 'rows')
    expectClose(values(sum(plan, -2)), values(target), 1e-6, 'columns')
    expect(potentials.map(({ shape }) => shape)).toEqual([
      [2, 3],
      [2, 4],
    ])
    await check(
      (c, a, b) => sinkhorn(c, softmax(a), softmax(b), { epsilon: 0.5, iterations: 5 }).plan,
      [cost, randomTensor([2, 3], 6), randomTensor([2, 4], 7)],
      { tolerance: 1e-4 },
    )
  })
  it('gives rows that sum to 1 and prototypes near-equal shares, also for huge scores', async () => {
    const assignment = sinkhornKnopp(mul(random([12, 4], 3), 100), { iterations: 60, epsilon: 10 })
    expectClose((await sum(assignment, 1).value()).numbers(), filled(12, 1), 1e-5, 'rows')
    expectClose((await sum(assignment, 0).value()).numbers(), filled(4, 3), 1e-2, 'shares')
    const x = placeholder('x', [3, 2])
    const [gradient] = grad(sum(sinkhornKnopp(x)), [x])
    expect([...interpret([gradient], new Map([[x, filled(6, 1)]]))[0].data]).toEqual(filled(6, 0))
  })
  it('refuses marginals that do not fit, no smoothing and no iterations', () => {
    expect(() => sinkhorn(eye(2), [1, 2, 3], [1, 2])).toThrow('sinkhorn: cost [2,2] needs source [2] and target [2]')
    expect(() => sinkhorn(eye(2), [1, 1], [1, 1], { epsilon: 0 })).toThrow('epsilon is 0; it must be above 0')
    expect(() => sinkhornKnopp(eye(2), { iterations: 0 })).toThrow('sinkhornKnopp: iterations is 0')
    expect(() => sinkhornKnopp([1])).toThrow('sinkhornKnopp: expected [samples, prototypes], got [1]')
  })
})

describe('transposed', () => {
  it('exchanges rows and columns', () => {
    expect([
      ...values(
        transposed(
          tensor([
            [1, 2],
            [3, 4],
          ]),
        ),
      ),
    ]).toEqual([1, 3, 2, 4])
  })
})
