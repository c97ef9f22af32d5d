import Delaunator from 'delaunator'
import { orient2d } from 'robust-predicates'
import { checkFinite, checkMatrix, type MatrixLike, shapeOf } from './matrix.ts'

function checkPlanar(operation: string, points: MatrixLike): void {
  checkMatrix(`${operation}: points`, points)
  if (points.cols !== 2) throw new RangeError(`${operation}: points are ${shapeOf(points)}; they must be [n, 2]`)
  checkFinite(`${operation}: points`, points.data)
}

/**
 * Twice the signed area of the triangle a, b, c: above 0 if they turn counter-clockwise with y pointing up. Its sign is
 * exact (Shewchuk 1997), so that nearly collinear points cannot fold a hull.
 */
const orientation = ({ data }: MatrixLike, a: number, b: number, c: number): number =>
  // The predicate takes y to point down.
  -orient2d(data[2 * a], data[2 * a + 1], data[2 * b], data[2 * b + 1], data[2 * c], data[2 * c + 1])

/**
 * Convex hull of points in the plane, by monotone chains (Andrew 1979).
 *
 * @param points [n, 2], finite
 * @returns indices of the hull's corners, counter-clockwise (y up), starting from the corner of lowest index. Points on an
 *   edge and repeated points are left out, of equal points the first is kept. One index if all points are equal, two if
 *   they are collinear
 * @throws RangeError if the points are not [n, 2] or not finite
 */
export function convexHull(points: MatrixLike): Int32Array {
  checkPlanar('convexHull', points)
  const { rows, data } = points
  const order = Array.from({ length: rows }, (_, index) => index)
  order.sort((a, b) => data[2 * a] - data[2 * b] || data[2 * a + 1] - data[2 * b + 1] || a - b)
  const distinct = order.filter((point, at) => {
    const before = order[at - 1]
    return at === 0 || data[2 * point] !== data[2 * before] || data[2 * point + 1] !== data[2 * before + 1]
  })
  if (distinct.length <= 2) return Int32Array.from(distinct).sort()
  const chain = (sequence: readonly number[]): number[] => {
    const corners: number[] = []
    for (const point of sequence) {
      while (
        corners.length > 1 &&
        orientation(points, corners[corners.length - 2], corners[corners.length - 1], point) <= 0
      ) {
        corners.pop()
      }
      corners.push(point)
    }
    // The last corner is the first of the other chain.
    return corners.slice(0, -1)
  }
  const hull = [...chain(distinct), ...chain(distinct.reverse())]
  const start = hull.indexOf(Math.min(...hull))
  return Int32Array.from([...hull.slice(start), ...hull.slice(0, start)])
}

/**
 * Delaunay triangulation of points in the plane.
 *
 * @param points [n, 2], finite
 * @returns [triangles, 3] indices, each triangle counter-clockwise (y up); none if all points are collinear. A repeated
 *   point takes part in no triangle
 * @throws RangeError if the points are not [n, 2] or not finite
 */
export function delaunay(points: MatrixLike): Int32Array {
  checkPlanar('delaunay', points)
  if (points.rows < 3) return new Int32Array(0)
  const { triangles } = new Delaunator(Float64Array.from(points.data))
  const out = Int32Array.from(triangles)
  for (let t = 0; t < out.length; t += 3) {
    if (orientation(points, out[t], out[t + 1], out[t + 2]) > 0) continue
    const swapped = out[t + 1]
    out[t + 1] = out[t + 2]
    out[t + 2] = swapped
  }
  return out
}

/**
 * Area of a simple polygon by the shoelace formula: positive if it runs counter-clockwise (y up).
 *
 * @param corners [n, 2] in order
 */
export function polygonArea(corners: MatrixLike): number {
  checkPlanar('polygonArea', corners)
  const { rows, data } = corners
  let doubled = 0
  for (let i = 0; i < rows; i++) {
    const next = (i + 1) % rows
    doubled += data[2 * i] * data[2 * next + 1] - data[2 * next] * data[2 * i + 1]
  }
  return doubled / 2
}
