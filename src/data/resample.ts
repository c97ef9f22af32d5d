/** Geometric changes of one image in [channels, height, width] order, with values in any unit. */

export type Pixels = Uint8Array | Float32Array

export interface PlaneSize {
  height: number
  width: number
}

/** A rectangle of whole pixels. */
export interface Crop extends PlaneSize {
  top: number
  left: number
}

/** For each output position, where its inputs begin, how many there are, and their weights (row of `width`). */
interface FilterBank {
  starts: Int32Array
  counts: Int32Array
  weights: Float32Array
  width: number
}

/**
 * Weights of a triangle filter that resamples `inputs` positions to `outputs`. Its support grows with the reduction, which
 * averages instead of skipping pixels; for an enlargement it is linear interpolation between pixel centres.
 */
function triangleFilter(inputs: number, outputs: number): FilterBank {
  const scale = inputs / outputs
  const support = Math.max(scale, 1)
  const width = Math.ceil(2 * support) + 1
  const bank = {
    starts: new Int32Array(outputs),
    counts: new Int32Array(outputs),
    weights: new Float32Array(outputs * width),
    width,
  }
  for (let output = 0; output < outputs; output++) {
    const centre = (output + 0.5) * scale
    const start = Math.max(0, Math.floor(centre - support + 0.5))
    const end = Math.min(inputs, Math.floor(centre + support + 0.5))
    let total = 0
    for (let input = start; input < end; input++) {
      const weight = Math.max(0, 1 - Math.abs(input + 0.5 - centre) / support)
      bank.weights[output * width + input - start] = weight
      total += weight
    }
    for (let at = 0; at < end - start; at++) bank.weights[output * width + at] /= total
    bank.starts[output] = start
    bank.counts[output] = end - start
  }
  return bank
}

/**
 * Resizes a part of an image by a separable triangle filter with anti-aliasing ("bilinear" with `antialias=True` in
 * PyTorch and Pillow).
 *
 * @param source [channels, size.height, size.width] from `offset`
 * @param out receives [channels, to.height, to.width] from 0
 */
export function resizeCrop(
  source: Pixels,
  offset: number,
  channels: number,
  size: PlaneSize,
  crop: Crop,
  to: PlaneSize,
  out: Float32Array,
): void {
  const across = triangleFilter(crop.width, to.width)
  const down = triangleFilter(crop.height, to.height)
  const narrowed = new Float32Array(crop.height * to.width)
  for (let channel = 0; channel < channels; channel++) {
    for (let y = 0; y < crop.height; y++) {
      const row = offset + (channel * size.height + crop.top + y) * size.width + crop.left
      for (let x = 0; x < to.width; x++) {
        const from = row + across.starts[x]
        const weights = x * across.width
        let sum = 0
        for (let at = 0; at < across.counts[x]; at++) sum += source[from + at] * across.weights[weights + at]
        narrowed[y * to.width + x] = sum
      }
    }
    for (let y = 0; y < to.height; y++) {
      const target = (channel * to.height + y) * to.width
      out.fill(0, target, target + to.width)
      for (let at = 0; at < down.counts[y]; at++) {
        const weight = down.weights[y * down.width + at]
        const row = (down.starts[y] + at) * to.width
        for (let x = 0; x < to.width; x++) out[target + x] += narrowed[row + x] * weight
      }
    }
  }
}

/**
 * Turns an image about its centre and then moves it, with bilinear interpolation; what comes from outside is `fill`.
 *
 * @param source [channels, size.height, size.width] from `offset`
 * @param angle degrees, counter-clockwise as seen
 * @param shift pixels to the right and down
 * @param out receives [channels, size.height, size.width] from 0
 */
export function rotateAndShift(
  source: Pixels,
  offset: number,
  channels: number,
  { height, width }: PlaneSize,
  angle: number,
  shift: { right: number; down: number },
  fill: number,
  out: Float32Array,
): void {
  const cosine = Math.cos((angle * Math.PI) / 180)
  const sine = Math.sin((angle * Math.PI) / 180)
  const centreX = (width - 1) / 2
  const centreY = (height - 1) / 2
  const area = height * width
  for (let y = 0; y < height; y++) {
    const dy = y - centreY - shift.down
    for (let x = 0; x < width; x++) {
      const dx = x - centreX - shift.right
      const fromX = cosine * dx - sine * dy + centreX
      const fromY = sine * dx + cosine * dy + centreY
      const left = Math.floor(fromX)
      const top = Math.floor(fromY)
      const right = fromX - left
      const bottom = fromY - top
      // Each corner's weight, and whether it lies in the image.
      const hasLeft = left >= 0 && left < width
      const hasRight = left + 1 >= 0 && left + 1 < width
      const hasTop = top >= 0 && top < height
      const hasBottom = top + 1 >= 0 && top + 1 < height
      for (let channel = 0; channel < channels; channel++) {
        const corner = offset + channel * area + top * width + left
        const topLeft = hasTop && hasLeft ? source[corner] : fill
        const topRight = hasTop && hasRight ? source[corner + 1] : fill
        const bottomLeft = hasBottom && hasLeft ? source[corner + width] : fill
        const bottomRight = hasBottom && hasRight ? source[corner + width + 1] : fill
        out[channel * area + y * width + x] =
          (topLeft * (1 - right) + topRight * right) * (1 - bottom) +
          (bottomLeft * (1 - right) + bottomRight * right) * bottom
      }
    }
  }
}

/**
 * For each of `outputs` positions of a window that begins at `start`, the input position it shows, -1 for none.
 *
 * @param edge what lies outside: `constant` nothing, `reflect` the inside mirrored about the outermost pixel's centre
 * @param reversed whether the window is seen from the other end
 */
export function windowPositions(
  inputs: number,
  start: number,
  edge: 'constant' | 'reflect',
  reversed: boolean,
  positions: Int32Array,
): void {
  const outputs = positions.length
  const period = Math.max(1, 2 * (inputs - 1))
  for (let output = 0; output < outputs; output++) {
    let input = start + (reversed ? outputs - 1 - output : output)
    if (input < 0 || input >= inputs) {
      if (edge === 'constant') input = -1
      else {
        input = ((input % period) + period) % period
        if (input >= inputs) input = period - input
      }
    }
    positions[output] = input
  }
}
