import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Golden, goldenExists, goldenTensor, readGolden } from '../../test/golden.ts'
import { kabsch, orthogonalProcrustes } from './alignment.ts'
import { boxIou, nms } from './boxes.ts'
import { qr } from './decomposition.ts'
import { convexHull, delaunay, polygonArea } from './geometry.ts'
import { determinant } from './linalg.ts'
import { fromRows, identity, type Matrix, type MatrixLike, matrix, multiply, scale, transpose } from './matrix.ts'

function expectClose(actual: ArrayLike<number>, expected: ArrayLike<number>, tolerance = 1e-9): void {
  expect(actual.length).toBe(expected.length)
  for (let i = 0; i < expected.length; i++) {
    expect(Math.abs(actual[i] - expected[i]), `value ${i}`).toBeLessThanOrEqual(tolerance * (1 + Math.abs(expected[i])))
  }
}

const pick = (points: MatrixLike, indices: Int32Array) =>
  fromRows([...indices].map(i => Array.from({ length: points.cols }, (_, axis) => points.data[i * points.cols + axis])))
const turn = ({ data }: MatrixLike, a: number, b: number, c: number) =>
  (data[2 * b] - data[2 * a]) * (data[2 * c + 1] - data[2 * a + 1]) -
  (data[2 * b + 1] - data[2 * a + 1]) * (data[2 * c] - data[2 * a])

/** Small integers: collinear and repeated points are common, and every orientation is exact. */
const planar = fc
  .integer({ min: 1, max: 30 })
  .chain(n =>
    fc
      .array(fc.integer({ min: -5, max: 5 }), { minLength: 2 * n, maxLength: 2 * n })
      .map(values => matrix(n, 2, values)),
  )

describe('convex hull', () => {
  it('is strictly convex, counter-clockwise, encloses all points and starts at its lowest index', () => {
    fc.assert(
      fc.property(planar, points => {
        const hull = convexHull(points)
        expect(hull[0]).toBe(Math.min(...hull))
        if (hull.length < 3) return
        for (let i = 0; i < hull.length; i++) {
          const [a, b, c] = [hull[i], hull[(i + 1) % hull.length], hull[(i + 2) % hull.length]]
          expect(turn(points, a, b, c)).toBeGreaterThan(0)
          for (let p = 0; p < points.rows; p++) expect(turn(points, a, b, p)).toBeGreaterThanOrEqual(0)
        }
        expect(polygonArea(pick(points, hull))).toBeGreaterThan(0)
      }),
      { numRuns: 200 },
    )
  })

  it('of a square with a point on an edge, inside and repeated', () => {
    const points = matrix(7, 2, [1, 1, 0, 0, 2, 0, 2, 2, 0, 2, 1, 0, 2, 2])
    expect([...convexHull(points)]).toEqual([1, 2, 3, 4])
    expect(polygonArea(pick(points, convexHull(points)))).toBe(4)
  })

  it('of collinear or equal points is their ends', () => {
    expect([...convexHull(matrix(4, 2, [1, 1, 3, 3, 0, 0, 2, 2]))]).toEqual([1, 2])
    expect([...convexHull(matrix(3, 2, [1, 1, 1, 1, 1, 1]))]).toEqual([0])
    expect(convexHull(matrix(0, 2)).length).toBe(0)
    expect(() => convexHull(matrix(2, 3))).toThrow('points are 2x3; they must be [n, 2]')
  })
})

describe('Delaunay triangulation', () => {
  it('tiles the hull with counter-clockwise triangles whose circles are empty', () => {
    fc.assert(
      fc.property(planar, points => {
        const triangles = delaunay(points)
        const hull = convexHull(points)
        if (hull.length < 3) expect(triangles.length).toBe(0)
        if (hull.length < 3) return
        let covered = 0
        for (let t = 0; t < triangles.length; t += 3) {
          const [a, b, c] = triangles.subarray(t, t + 3)
          covered += turn(points, a, b, c) / 2
          expect(turn(points, a, b, c)).toBeGreaterThan(0)
          for (let p = 0; p < points.rows; p++) expect(insideCircle(points, a, b, c, p)).toBeLessThanOrEqual(0)
        }
        expect(covered).toBe(polygonArea(pick(points, hull)))
      }),
      { numRuns: 150 },
    )
  })
})

/** Above 0 if p lies inside the circle through the counter-clockwise triangle a, b, c. */
function insideCircle({ data }: MatrixLike, a: number, b: number, c: number, p: number): number {
  const lifted = [a, b, c].flatMap(corner => {
    const [x, y] = [data[2 * corner] - data[2 * p], data[2 * corner + 1] - data[2 * p + 1]]
    return [x, y, x * x + y * y]
  })
  const [ax, ay, az, bx, by, bz, cx, cy, cz] = lifted
  return ax * (by * cz - bz * cy) - ay * (bx * cz - bz * cx) + az * (bx * cy - by * cx)
}

describe('boxes', () => {
  it('overlap by the share of their union', () => {
    const a = matrix(2, 4, [0, 0, 2, 2, 0, 0, 0, 0])
    const b = matrix(3, 4, [1, 1, 3, 3, 0, 0, 2, 2, 5, 5, 6, 6])
    expectClose(boxIou(a, b).data, [1 / 7, 1, 0, 0, 0, 0])
    expect(() => boxIou(matrix(1, 3), b)).toThrow('boxes are 1x3')
  })

  it('suppression keeps the best of each group, the lower index among equals, and respects classes', () => {
    const boxes = matrix(4, 4, [0, 0, 2, 2, 0, 0, 2, 2.1, 4, 4, 5, 5, 0, 0, 2, 2])
    expect([...nms(boxes, [0.5, 0.9, 0.7, 0.5], 0.5)]).toEqual([1, 2])
    expect([...nms(boxes, [0.5, 0.5, 0.5, 0.5], 0.5)]).toEqual([0, 2])
    expect([...nms(boxes, [0.5, 0.9, 0.7, 0.5], 0.5, [0, 1, 0, 1])]).toEqual([1, 2, 0])
    // A threshold that the IoU only reaches keeps the box.
    expect([...nms(matrix(2, 4, [0, 0, 2, 1, 0, 0, 1, 1]), [1, 0], 0.5)]).toEqual([0, 1])
    expect(() => nms(boxes, [1, 2, 3], 0.5)).toThrow('have 4 and 3 entries')
    expect(() => nms(boxes, [1, 2, 3, Number.NaN], 0.5)).toThrow('score 3 is NaN')
    expect(() => nms(boxes, [1, 2, 3, 4], 2)).toThrow('iouThreshold is 2')
  })
})

const vectors = (n: number, d: number) =>
  fc
    .array(fc.double({ min: -5, max: 5, noNaN: true }), { minLength: n * d, maxLength: n * d })
    .map(values => matrix(n, d, values))

describe('alignment', () => {
  it('kabsch recovers a planted rotation with det +1, and its weights can hide outliers', () => {
    fc.assert(
      fc.property(vectors(3, 3), vectors(1, 3), (generator, shift) => {
        const orthogonal = qr(generator).q
        const rotation = determinant(orthogonal) < 0 ? scale(orthogonal, -1) : orthogonal
        const source = fromRows([
          [0, 0, 0],
          [1, 0, 0],
          [0, 2, 0],
          [0, 0, 3],
          [9, 9, 9],
        ])
        const target = multiply(source, transpose(rotation))
        for (let at = 0; at < 15; at++) target.data[at] += shift.data[at % 3]
        target.data[12] += 100
        const found = kabsch(source, target, [1, 2, 1, 1, 0])
        expectClose(found.rotation.data, rotation.data, 1e-8)
        expectClose(found.translation, shift.data, 1e-7)
      }),
      { numRuns: 50 },
    )
  })

  it('kabsch answers a mirror image with a rotation', () => {
    const source = matrix(4, 3, [1, 0, 0, 0, 2, 0, 0, 0, 3, 1, 1, 1])
    const mirrored = multiply(source, matrix(3, 3, [-1, 0, 0, 0, 1, 0, 0, 0, 1]))
    expect(determinant(kabsch(source, mirrored).rotation)).toBeCloseTo(1, 10)
    expect(determinant(orthogonalProcrustes(source, mirrored).rotation)).toBeCloseTo(-1, 10)
    expect(() => kabsch(source, mirrored, [0, 0, 0, 0])).toThrow('non-negative with a positive sum')
    expect(() => kabsch(source, mirrored, [1])).toThrow('have 4 and 1 entries')
    expect(() => kabsch(source, matrix(3, 3))).toThrow('source is 4x3 and target is 3x3')
  })

  it('procrustes is orthogonal and no other rotation of a sample comes closer', () => {
    fc.assert(
      fc.property(vectors(6, 3), vectors(6, 3), vectors(3, 3), (source, target, generator) => {
        const residual = (rotation: MatrixLike) =>
          multiply(source, rotation).data.reduce((sum, value, i) => sum + (value - target.data[i]) ** 2, 0)
        const { rotation } = orthogonalProcrustes(source, target)
        expectClose(multiply(transpose(rotation), rotation).data, identity(3).data, 1e-9)
        expect(residual(rotation)).toBeLessThanOrEqual(residual(qr(generator).q) + 1e-6)
      }),
      { numRuns: 50 },
    )
    const source = matrix(3, 2, [1, 0, 0, 1, 2, 2])
    expect(orthogonalProcrustes(source, scale(source, 3)).scale).toBeCloseTo(3, 12)
  })
})

const matrixOf = (golden: Golden, name: string, item?: number): Matrix => {
  const { shape, data } = goldenTensor(golden, name)
  const [rows, cols] = shape.slice(-2)
  return matrix(rows, cols, item === undefined ? data : data.subarray(item * rows * cols, (item + 1) * rows * cols))
}

describe.skipIf(!goldenExists('core.resample'))('core.resample golden', () => {
  const golden = readGolden('core.resample') as Golden

  it.each([
    [0.5, 'out.nms.keep_05'],
    [0.2, 'out.nms.keep_02'],
  ])('nms at %f', (threshold, name) => {
    const { data: scores } = goldenTensor(golden, 'in.nms.scores')
    expect(nms(matrixOf(golden, 'in.nms.boxes'), scores, threshold)).toEqual(goldenTensor(golden, name).data)
  })
})

describe.skipIf(!goldenExists('core.points'))('core.points golden', () => {
  const golden = readGolden('core.points') as Golden

  it.each([0, 1])('weighted Kabsch of cloud %i', item => {
    const source = matrix(12, 3, matrixOf(golden, 'in.points', item).data.subarray(0, 36))
    const { data: weights } = goldenTensor(golden, 'in.kabsch.weights')
    const found = kabsch(source, matrixOf(golden, 'in.queries', item), weights.subarray(item * 12, item * 12 + 12))
    expectClose(found.rotation.data, matrixOf(golden, 'out.kabsch.R', item).data, 1e-5)
    const { data: translations } = goldenTensor(golden, 'out.kabsch.t')
    expectClose(found.translation, translations.subarray(item * 3, item * 3 + 3), 1e-5)
  })
})

describe.skipIf(!goldenExists('core.linalg'))('core.linalg golden', () => {
  const golden = readGolden('core.linalg') as Golden

  it('orthogonal Procrustes', () => {
    const { rotation } = orthogonalProcrustes(matrixOf(golden, 'in.proc.src'), matrixOf(golden, 'in.proc.dst'))
    expectClose(rotation.data, matrixOf(golden, 'out.procrustes.R').data, 1e-5)
  })
})
