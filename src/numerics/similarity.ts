import {
  centreColumns,
  checkMatrix,
  innerProduct,
  type Matrix,
  type MatrixLike,
  matrix,
  multiply,
  shapeOf,
  transpose,
} from './matrix.ts'

function checkPairedSamples(operation: string, x: MatrixLike, y: MatrixLike): void {
  checkMatrix(`${operation}: x`, x)
  checkMatrix(`${operation}: y`, y)
  if (x.rows !== y.rows || x.rows < 2) {
    throw new RangeError(
      `${operation}: x is ${shapeOf(x)} and y is ${shapeOf(y)}; both need the same two or more samples as rows`,
    )
  }
}

/** Centring a constant leaves rounding errors of about 1e-16 of it; a real difference is far larger. */
const constantShare = 1e-12

function checkVaries(operation: string, name: string, centred: Matrix, original: MatrixLike): void {
  if (innerProduct(centred, centred) <= constantShare ** 2 * innerProduct(original, original)) {
    throw new RangeError(`${operation}: ${name} is the same for every sample, so similarity is undefined`)
  }
}

/** X^T Y or, if samples are fewer than features, the Gram matrices that give the same norms for less. */
const crossNorm = (x: Matrix, y: Matrix): number => {
  if (x.rows < x.cols && x.rows < y.cols) {
    return innerProduct(multiply(x, transpose(x)), multiply(y, transpose(y)))
  }
  const cross = multiply(transpose(x), y)
  return innerProduct(cross, cross)
}

/**
 * Linear centred kernel alignment ||Yc^T Xc||_F^2 / (||Xc^T Xc||_F ||Yc^T Yc||_F) (Kornblith et al. 2019, equation 6): 1 for
 * representations equal up to rotation, shift and isotropic scale.
 *
 * @param x [samples, features]
 * @param y [samples, other features], the same samples in the same order
 * @returns from 0 to 1
 * @throws RangeError if the samples do not pair or one side is constant
 */
export function linearCka(x: MatrixLike, y: MatrixLike): number {
  checkPairedSamples('linearCka', x, y)
  const xc = centreColumns(x)
  const yc = centreColumns(y)
  checkVaries('linearCka', 'x', xc, x)
  checkVaries('linearCka', 'y', yc, y)
  return crossNorm(xc, yc) / Math.sqrt(crossNorm(xc, xc) * crossNorm(yc, yc))
}

/** K_ij = exp(-||x_i - x_j||^2 / (2 sigma^2)). */
function rbfKernel({ rows: n, cols: d, data }: MatrixLike, sigma: number): Matrix {
  const kernel = matrix(n, n)
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < n; j++) {
      let distance = 0
      for (let axis = 0; axis < d; axis++) distance += (data[i * d + axis] - data[j * d + axis]) ** 2
      kernel.data[i * n + j] = Math.exp(-distance / (2 * sigma * sigma))
    }
  }
  return kernel
}

/** H K H with H = I - 1/n. */
const doublyCentred = (kernel: Matrix): Matrix => centreColumns(transpose(centreColumns(kernel)))

/**
 * Centred kernel alignment with Gaussian kernels exp(-d^2 / (2 sigma^2)): HSIC(K, L) / sqrt(HSIC(K, K) HSIC(L, L)) with the
 * biased HSIC (Kornblith et al. 2019, equations 3 and 4).
 *
 * @param x [samples, features]
 * @param y [samples, other features], the same samples in the same order
 * @param sigma width of both kernels, above 0, in the features' unit; a pair gives each side its own
 * @returns from 0 to 1
 * @throws RangeError if the samples do not pair, one side is constant or a width is not positive
 */
export function rbfCka(x: MatrixLike, y: MatrixLike, sigma: number | readonly [number, number]): number {
  checkPairedSamples('rbfCka', x, y)
  const [sigmaX, sigmaY] = typeof sigma === 'number' ? [sigma, sigma] : sigma
  for (const width of [sigmaX, sigmaY]) {
    if (!(width > 0)) throw new RangeError(`rbfCka: sigma is ${width}; it must be above 0`)
  }
  const [kernelX, kernelY] = [rbfKernel(x, sigmaX), rbfKernel(y, sigmaY)]
  const [k, l] = [doublyCentred(kernelX), doublyCentred(kernelY)]
  checkVaries('rbfCka', 'x', k, kernelX)
  checkVaries('rbfCka', 'y', l, kernelY)
  return innerProduct(k, l) / Math.sqrt(innerProduct(k, k) * innerProduct(l, l))
}
