import {
  abs,
  cayley,
  cholesky,
  complexAbs,
  eigh,
  einsum,
  fft2,
  HostTensor,
  householderReflect,
  inverse,
  linearCka,
  log,
  matmul,
  matrixExp,
  mean,
  mul,
  nuclearNorm,
  qr,
  rbfCka,
  reshape,
  rfft2,
  singularValues,
  sinkhorn,
  sinkhornKnopp,
  skewSymmetric,
  slice,
  slogDeterminant,
  solve,
  spectralFilter2d,
  spectralNorm,
  sub,
  svd,
  type Tensor,
} from '../../core/index.ts'
import {
  kMeans,
  linearSumAssignment,
  lstsq,
  type Matrix,
  matrix,
  orthogonalProcrustes,
  pinv,
  ridge,
} from '../../numerics/index.ts'
import type { CaseBuilder, CaseTable, GoldenCase, Outputs } from '../golden.ts'

const onHost = (c: GoldenCase, name: string): Matrix => {
  const value = c.value('in', name)
  return matrix(value.shape[0], value.shape[1], value.numbers())
}

const fromMatrix = ({ rows, cols, data }: Matrix): HostTensor => new HostTensor(Float32Array.from(data), [rows, cols])

/** A scalar as the reference keeps it: one element. */
const scalar = (t: Tensor): Tensor => reshape(t, [1])

const of =
  (name: string, f: (x: Tensor) => Tensor): CaseBuilder =>
  c => ({ y: f(c.in(name)) })

const pair =
  (f: (x: Tensor, y: Tensor, ...named: string[]) => Tensor): CaseBuilder =>
  (c, [, ...named]) => ({ y: scalar(f(c.in('x'), c.in('y'), ...named)) })

/** The number that an output's name carries: 2 of `projector_top2`. */
function optionOf(c: GoldenCase, pattern: RegExp): { name: string; count: number } {
  for (const name of c.names('out')) {
    const match = name.match(pattern)
    if (match) return { name, count: Number(match[1]) }
  }
  throw new Error(`${c.name}: no output is named like ${pattern}`)
}

const columns = (x: Tensor, start: number, end?: number): Tensor => slice(x, -1, start, end)

function eigen(c: GoldenCase): Outputs {
  const { name, count } = optionOf(c, /^projector_top(\d+)$/)
  const { values, vectors } = eigh(c.in('sym'))
  const top = columns(vectors, -count)
  return { values, [name]: matmul(top, top, { transposeB: true }) }
}

function lowRank(c: GoldenCase): Outputs {
  const { name, count } = optionOf(c, /^rank(\d+)$/)
  const { u, s, v } = svd(c.in('X'))
  const kept = (t: Tensor): Tensor => columns(t, 0, count)
  return { [name]: matmul(mul(kept(u), kept(s)), kept(v), { transposeB: true }) }
}

function transforms(c: GoldenCase): Outputs {
  const x = c.in('x')
  const { real, imaginary } = rfft2(x)
  return { rfft2_real: real, rfft2_imag: imaginary, fft2_ortho_abs: complexAbs(fft2(x, { norm: 'ortho' })) }
}

function lloyd(c: GoldenCase): Outputs {
  const { name, count } = optionOf(c, /^centers_(\d+)iters$/)
  const { centres, labels } = kMeans(onHost(c, 'X'), onHost(c, 'init'), { iterations: count })
  return { [name]: fromMatrix(centres), labels: new HostTensor(labels, [labels.length]) }
}

function assignment(c: GoldenCase): Outputs {
  const { columnOfRow, total } = linearSumAssignment(onHost(c, 'cost'))
  return {
    col: new HostTensor(columnOfRow, [columnOfRow.length]),
    total: new HostTensor(Float32Array.of(total), [1]),
  }
}

function powerIteration(c: GoldenCase): Outputs {
  const { name, count } = optionOf(c, /^sigma_(\d+)iters$/)
  return { [name]: scalar(spectralNorm(c.in('W'), c.in('u'), { iterations: count }).sigma) }
}

/** Cases of `core.linalg`; the notes of the golden say what their names leave open. */
export const linalgCases: CaseTable = {
  cases: [
    [/^cayley$/, of('A', a => cayley(skewSymmetric(a)))],
    [/^matrix_exp_skew$/, of('A', a => matrixExp(skewSymmetric(a)))],
    [/^cholesky$/, of('S', cholesky)],
    [/^eigvalsh_logdet$/, of('S', s => log(eigh(s).values))],
    [/^slogdet$/, of('S', s => scalar(slogDeterminant(s).logAbs))],
    [/^inv$/, of('S', inverse)],
    [/^solve$/, c => ({ y: solve(c.in('S'), c.in('B')) })],
    [/^svdvals$/, of('X', singularValues)],
    [/^nuclear_norm$/, of('X', x => scalar(nuclearNorm(x)))],
    [/^eigh$/, eigen],
    [/^svd$/, lowRank],
    [
      /^qr$/,
      c => {
        const { q, r } = qr(c.in('X'))
        return { Q_posdiag: q, R_posdiag: r }
      },
    ],
    [/^einsum_bilinear$/, c => ({ y: einsum('n i, k i j, n j -> n k', c.in('x'), c.param('w'), c.in('y')) })],
    [/^householder\d+$/, c => ({ y: householderReflect(c.in('X'), c.param('v')) })],
    [/^linear_cka$/, pair(linearCka)],
    [/^rbf_cka_s([\d.]+)$/, pair((x, y, sigma) => rbfCka(x, y, Number(sigma)))],
    [
      /^sinkhorn_e([\d.]+)_(\d+)$/,
      (c, [, epsilon, iterations]) => ({
        y: sinkhorn(c.in('C'), c.in('a'), c.in('b'), { epsilon: Number(epsilon), iterations: Number(iterations) }).plan,
      }),
    ],
    [/^swav$/, c => ({ assign: sinkhornKnopp(c.in('scores')) })],
    [/^sn$/, powerIteration],
    [/^fft$/, transforms],
    // Mean distance of the amplitudes from 1.
    [/^fft_abs_loss$/, of('x', x => scalar(mean(abs(sub(complexAbs(rfft2(x)), 1)))))],
    [/^rfft_filter$/, c => ({ y: spectralFilter2d(c.in('x'), c.param('w')) })],
    // What has no gradient in the reference is worked out on the host.
    [/^pinv$/, c => ({ '': fromMatrix(pinv(onHost(c, 'X'))) })],
    [/^lstsq$/, c => ({ '': fromMatrix(lstsq(onHost(c, 'X'), onHost(c, 'Y'))) })],
    [
      /^ridge_([\d.]+)$/,
      (c, [, penalty]) => ({ '': fromMatrix(ridge(onHost(c, 'X'), onHost(c, 'Y'), Number(penalty))) }),
    ],
    [
      /^procrustes$/,
      c => {
        const { rotation } = orthogonalProcrustes(onHost(c, 'proc.src'), onHost(c, 'proc.dst'))
        return { R: fromMatrix(rotation) }
      },
    ],
    [/^kmeans$/, lloyd],
    [/^hungarian(?:_\w+)?$/, assignment],
  ],
}
