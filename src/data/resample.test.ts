import { describe, expect, it } from 'vitest'
import { resizeCrop, rotateAndShift, windowPositions } from './resample.ts'

/** A 5 x 6 picture without symmetry. */
const picture = Uint8Array.from({ length: 30 }, (_, at) => (at * at * 7 + 3 * at) % 50)
const size = { height: 5, width: 6 }

function expectClose(actual: Float32Array, expected: number[], digits = 4): void {
  expect(actual.length).toBe(expected.length)
  for (const [at, value] of expected.entries()) expect(actual[at]).toBeCloseTo(value, digits)
}

describe('resizeCrop', () => {
  // Expected values: torch.nn.functional.interpolate(part, mode='bilinear', antialias=True) of PyTorch 1.13 in float64.
  it('shrinks a part as PyTorch does with anti-aliasing', () => {
    const out = new Float32Array(6)
    resizeCrop(picture, 0, 1, size, { top: 1, left: 1, height: 4, width: 5 }, { height: 2, width: 3 }, out)
    expectClose(
      out,
      [
        18.816326530612244, 25.777777777777775, 28.122448979591837, 14.653061224489793, 15.777777777777779,
        20.448979591836736,
      ],
    )
  })

  it('enlarges a part as PyTorch does', () => {
    const out = new Float32Array(12)
    resizeCrop(picture, 0, 1, size, { top: 0, left: 2, height: 2, width: 3 }, { height: 3, width: 4 }, out)
    expectClose(out, [34, 26.5, 22.75, 24, 28, 31.125, 30.75, 27, 22, 35.75, 38.75, 30])
  })

  it('treats channels and the offset alike, and copies what it does not resize', () => {
    const two = Uint8Array.of(99, ...picture, ...picture.map(value => value + 1))
    const out = new Float32Array(60)
    resizeCrop(two, 1, 2, size, { top: 0, left: 0, ...size }, size, out)
    expectClose(out, [...picture, ...picture.map(value => value + 1)])
  })
})

describe('rotateAndShift', () => {
  it('turns counter-clockwise: what is at the right comes to the top', () => {
    const right = Uint8Array.of(0, 0, 0, 0, 0, 9, 0, 0, 0)
    const out = new Float32Array(9)
    rotateAndShift(right, 0, 1, { height: 3, width: 3 }, 90, { right: 0, down: 0 }, 0, out)
    expectClose(out, [0, 9, 0, 0, 0, 0, 0, 0, 0])
  })

  it('moves right and down, with the fill coming in', () => {
    const out = new Float32Array(4)
    rotateAndShift(Uint8Array.of(1, 2, 3, 4), 0, 1, { height: 2, width: 2 }, 0, { right: 1, down: 0 }, 7, out)
    expectClose(out, [7, 1, 7, 3])
    rotateAndShift(Uint8Array.of(1, 2, 3, 4), 0, 1, { height: 2, width: 2 }, 0, { right: 0, down: 1 }, 7, out)
    expectClose(out, [7, 7, 1, 2])
  })

  // Expected values: torch.nn.functional.grid_sample(mode='bilinear', padding_mode='zeros') of PyTorch 1.13 in float64.
  it('interpolates as PyTorch does', () => {
    const out = new Float32Array(30)
    rotateAndShift(picture, 0, 1, size, 30, { right: 1.25, down: -0.5 }, 0, out)
    expectClose(out, [
      ...[0, 2.830751333891513, 22.818793948932736, 29.537638741604205, 34.93911086754464, 31.525336052119272],
      ...[0, 6.392304845413263, 15.799038105676656, 22.366025403784437, 27.02627944162883, 30.253520777581],
      ...[0.02683746251514025, 18.57772228311383, 22.428203230275514, 17.334936490538908, 10.401923788646686],
      ...[2.9939018343475676, 0, 15.53924651018014, 32.8933545931029, 30.799038105676658, 10.320959738395013],
      ...[27.83057868162844, 0, 0, 12.323324410106295, 7.393938843975137, 3.311898816047909, 3.7748180953300166],
    ])
  })
})

describe('windowPositions', () => {
  const positions = (
    inputs: number,
    start: number,
    outputs: number,
    edge: 'constant' | 'reflect',
    reversed = false,
  ) => {
    const out = new Int32Array(outputs)
    windowPositions(inputs, start, edge, reversed, out)
    return [...out]
  }

  it('shows nothing, or the mirrored inside, beyond the ends', () => {
    expect(positions(3, -2, 7, 'constant')).toEqual([-1, -1, 0, 1, 2, -1, -1])
    expect(positions(3, -2, 7, 'reflect')).toEqual([2, 1, 0, 1, 2, 1, 0])
    expect(positions(3, -6, 5, 'reflect')).toEqual([2, 1, 0, 1, 2])
    expect(positions(1, -2, 4, 'reflect')).toEqual([0, 0, 0, 0])
  })

  it('reverses the window, not the input', () => {
    expect(positions(4, 1, 4, 'constant', true)).toEqual([-1, 3, 2, 1])
  })
})
