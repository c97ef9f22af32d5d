import * as tf from '@tensorflow/tfjs'

export type Named = Record<string, tf.Tensor>

type Differentiable = Parameters<typeof tf.customGrad>[0]

/** A function with its own gradient, whose intermediate tensors are freed at once; the library keeps them to the pass's end. */
function tidyGradient(operate: Differentiable): (...args: tf.Tensor[]) => tf.Tensor {
  return tf.customGrad((...args) => {
    const { value, gradFunc } = operate(...args)
    return { value, gradFunc: (dy, saved) => tf.tidy(() => gradFunc(dy, saved)) }
  })
}

/** Swaps the last two axes. The backend's own products with a transposed operand are ten to fifty times slower than this first. */
const transposed = (x: tf.Tensor): tf.Tensor => {
  const axes = [...x.shape.keys()]
  axes.push(...axes.splice(-2).reverse())
  return tf.transpose(x, axes)
}

/** `left right`, or `left rightᵀ`, batched over leading axes, with gradients as plain products of transposed operands. */
export function product(left: tf.Tensor, right: tf.Tensor, transposeRight = false): tf.Tensor {
  const multiply = tidyGradient((...args) => {
    const [a, b, save] = args as [tf.Tensor, tf.Tensor, tf.GradSaveFunc]
    save([a, b])
    const value = tf.matMul(a, transposeRight ? transposed(b) : b)
    const gradFunc = (dy: tf.Tensor, saved: tf.Tensor[]) => {
      const [x, y] = saved
      const toLeft = tf.matMul(dy, transposeRight ? y : transposed(y))
      const toRight = transposeRight ? tf.matMul(transposed(dy), x) : tf.matMul(transposed(x), dy)
      return [toLeft, toRight]
    }
    return { value, gradFunc }
  })
  return multiply(left, right)
}

/** The input positions under tap (row, column) of a square kernel: `[batch, out, out, channels]`. */
function tap(padded: tf.Tensor4D, row: number, column: number, size: readonly [number, number], stride: number) {
  const [batch, , , channels] = padded.shape
  const end = [batch, row + (size[0] - 1) * stride + 1, column + (size[1] - 1) * stride + 1, channels] as const
  return tf.stridedSlice(padded, [0, row, column, 0], [...end], [1, stride, stride, 1])
}

/** The gradient of a convolution's kernel, one matrix product a tap; the backend has no kernel for it. */
function kernelGradient(x: tf.Tensor4D, dy: tf.Tensor4D, size: number, stride: number): tf.Tensor {
  const edge = (size - 1) / 2
  const padded = tf.pad(x, [
    [0, 0],
    [edge, edge],
    [edge, edge],
    [0, 0],
  ]) as tf.Tensor4D
  const [, height, width, to] = dy.shape
  const from = x.shape[3]
  const rows = dy.reshape([-1, to])
  const taps: tf.Tensor[] = []
  for (let tapIndex = 0; tapIndex < size * size; tapIndex++) {
    const patch = tap(padded, Math.floor(tapIndex / size), tapIndex % size, [height, width], stride)
    taps.push(tf.matMul(transposed(patch.reshape([-1, from])), rows))
  }
  return tf.stack(taps).reshape([size, size, from, to])
}

/** `dy` with `stride - 1` zeros after each row and column, cropped or padded to the input's size. */
function spread(dy: tf.Tensor4D, size: number, stride: number): tf.Tensor4D {
  if (stride === 1) return dy
  const [batch, height, width, channels] = dy.shape
  const apart = tf.pad(dy.reshape([batch, height, 1, width, 1, channels]), [
    [0, 0],
    [0, 0],
    [0, stride - 1],
    [0, 0],
    [0, stride - 1],
    [0, 0],
  ])
  return apart.reshape([batch, size, size, channels])
}

/** The gradient of a convolution's input: a convolution with the flipped, transposed kernel. */
function inputGradient(dy: tf.Tensor4D, w: tf.Tensor4D, size: number, stride: number): tf.Tensor {
  const flipped = tf.transpose(tf.reverse(w, [0, 1]), [0, 1, 3, 2]) as tf.Tensor4D
  return tf.conv2d(spread(dy, size, stride), flipped, 1, padding(w))
}

const padding = (w: tf.Tensor4D) => (w.shape[0] - 1) / 2

/** A 2-D convolution with "same" zero padding (odd kernel `[size, size, from, to]`), or a depthwise one (`[size, size, 1, channels]`). */
export function convolution(x: tf.Tensor4D, w: tf.Tensor4D, stride: number, depthwise: boolean): tf.Tensor4D {
  const convolve = tidyGradient((...args) => {
    const [input, kernel, save] = args as [tf.Tensor4D, tf.Tensor4D, tf.GradSaveFunc]
    save([input, kernel])
    if (depthwise) {
      return {
        value: depthwiseForward(input, kernel),
        gradFunc: (dy, saved) => depthwiseGradients(dy as tf.Tensor4D, saved),
      }
    }
    const gradFunc = (dy: tf.Tensor, saved: tf.Tensor[]) => {
      const [from, weights] = saved as [tf.Tensor4D, tf.Tensor4D]
      return [
        inputGradient(dy as tf.Tensor4D, weights, from.shape[1], stride),
        kernelGradient(from, dy as tf.Tensor4D, weights.shape[0], stride),
      ]
    }
    return { value: tf.conv2d(input, kernel, stride, padding(kernel)), gradFunc }
  })
  return convolve(x, w) as tf.Tensor4D
}

const channelMultiplier = (w: tf.Tensor4D) => tf.transpose(w, [0, 1, 3, 2]) as tf.Tensor4D

const depthwiseForward = (x: tf.Tensor4D, w: tf.Tensor4D) => tf.depthwiseConv2d(x, channelMultiplier(w), 1, 'same')

/** Depthwise gradients at stride 1: a depthwise convolution with the flipped kernel, and one sum of products a tap. */
function depthwiseGradients(dy: tf.Tensor4D, saved: tf.Tensor[]): tf.Tensor[] {
  const [x, w] = saved as [tf.Tensor4D, tf.Tensor4D]
  const size = w.shape[0]
  const edge = (size - 1) / 2
  const padded = tf.pad(x, [
    [0, 0],
    [edge, edge],
    [edge, edge],
    [0, 0],
  ]) as tf.Tensor4D
  const [, height, width, channels] = dy.shape
  const taps: tf.Tensor[] = []
  for (let tapIndex = 0; tapIndex < size * size; tapIndex++) {
    const patch = tap(padded, Math.floor(tapIndex / size), tapIndex % size, [height, width], 1)
    taps.push(patch.mul(dy).sum([0, 1, 2]))
  }
  return [depthwiseForward(dy, tf.reverse(w, [0, 1])), tf.stack(taps).reshape([size, size, 1, channels])]
}

/**
 * Batch norm in training over all but the last axis. Its gradient keeps the input alone: with the composed form's many
 * intermediates a training step of the residual network outgrows the backend's 4 GB.
 */
export function batchNorm(x: tf.Tensor, scale: tf.Tensor, shift: tf.Tensor): tf.Tensor {
  const axes = [...x.shape.keys()].slice(0, -1)
  const normalise = tidyGradient((...args) => {
    const [input, gain, offset, save] = args as [tf.Tensor, tf.Tensor, tf.Tensor, tf.GradSaveFunc]
    const { mean, variance } = tf.moments(input, axes)
    const inverse = variance.add(1e-5).rsqrt()
    save([input, gain, mean, inverse])
    const value = input.sub(mean).mul(inverse.mul(gain)).add(offset)
    const gradFunc = (dy: tf.Tensor, saved: tf.Tensor[]) => {
      const [from, weight, centre, rate] = saved
      const unit = from.sub(centre).mul(rate)
      const toScale = dy.mul(unit).sum(axes)
      const toShift = dy.sum(axes)
      const count = from.size / weight.size
      const toInput = dy
        .sub(toShift.div(count))
        .sub(unit.mul(toScale.div(count)))
        .mul(rate.mul(weight))
      return [toInput, toScale, toShift]
    }
    return { value, gradFunc }
  })
  return normalise(x, scale, shift)
}

/** `x/2 (1 + erf(x/√2))`. */
export const erfGelu = (x: tf.Tensor): tf.Tensor => x.mul(0.5).mul(tf.erf(x.mul(Math.SQRT1_2)).add(1))

/** `h_t = decay_t h_(t-1) + drive_t` along axis 1 from zero, one step after another. */
export function scan(decay: tf.Tensor, drive: tf.Tensor): tf.Tensor {
  const decays = tf.unstack(decay, 1)
  const drives = tf.unstack(drive, 1)
  const states: tf.Tensor[] = []
  for (const [time, step] of drives.entries()) {
    states.push(time === 0 ? step : decays[time].mul(states[time - 1]).add(step))
  }
  return tf.stack(states, 1)
}

/** Rows of a table; the gradient adds repeated rows up with `scatterND` (the backend has no segment sum). */
export function embedding(table: tf.Tensor2D, ids: tf.Tensor1D): tf.Tensor2D {
  const look = tidyGradient(rows => {
    const value = tf.gather(rows as tf.Tensor2D, ids)
    return { value, gradFunc: dy => tf.scatterND(ids.expandDims(1), dy, table.shape) }
  })
  return look(table) as tf.Tensor2D
}
