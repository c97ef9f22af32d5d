import { checkFinite, checkInteger, checkMatrix, type MatrixLike } from './matrix.ts'

/** Points in a leaf: below this a scan is faster than another split. */
const leafSize = 16

/** The k nearest points of each of q queries, nearest first; equal distances by ascending index. */
export interface Neighbours {
  /** Neighbours a query. */
  readonly k: number
  /** [q, k]: indices of points. */
  readonly indices: Int32Array
  /** [q, k]: squared Euclidean distances. */
  readonly squaredDistances: Float64Array
}

/** What a search hands points to: all those no farther than `limit`, which may shrink meanwhile, and perhaps others. */
interface Collector {
  readonly limit: number
  offer(index: number, squaredDistance: number): void
}

/** Keeps the k best of what it is offered, sorted by (squared distance, index). */
export class NearestList implements Collector {
  limit = Infinity
  private count = 0

  /**
   * @param indices receives the indices; its length is k
   * @param squaredDistances as long as `indices`
   */
  constructor(
    private readonly indices: Int32Array,
    private readonly squaredDistances: Float64Array,
  ) {}

  offer(index: number, squaredDistance: number): void {
    const { indices, squaredDistances } = this
    const last = indices.length - 1
    if (squaredDistance > this.limit || (squaredDistance === this.limit && index > indices[last])) return
    if (this.count <= last) this.count++
    let at = this.count - 1
    for (; at > 0; at--) {
      const before = squaredDistances[at - 1]
      if (before < squaredDistance || (before === squaredDistance && indices[at - 1] < index)) break
      indices[at] = indices[at - 1]
      squaredDistances[at] = before
    }
    indices[at] = index
    squaredDistances[at] = squaredDistance
    if (this.count > last) this.limit = squaredDistances[last]
  }
}

/** Keeps all points of a closed ball. */
class Ball implements Collector {
  readonly inside: number[] = []

  constructor(readonly limit: number) {}

  offer(index: number, squaredDistance: number): void {
    if (squaredDistance <= this.limit) this.inside.push(index)
  }
}

/**
 * A k-d tree (Bentley 1975) over points of few dimensions: exact nearest neighbours and balls, ties by ascending index.
 *
 * Own code, because npm's trees of any dimension leave ties to chance, and the one that is maintained (thi.ng/geom-accel)
 * shares a buffer between trees, so that a 3-D tree misses neighbours once a 5-D one was queried.
 *
 * Each node splits the axis of widest spread at the median. Beyond about sixteen dimensions a scan is faster:
 * `nearestNeighbours` chooses.
 */
export class KdTree {
  readonly size: number
  readonly dimension: number
  private readonly coordinates: Float64Array
  /** The points' indices, arranged so that every node is a range and its splitting point stands in the middle. */
  private readonly order: Int32Array
  /** The splitting axis of the node whose middle is at this place of `order`. */
  private readonly axes: Int32Array

  /**
   * @param points [n, dimension], finite, dimension at least 1; copied
   * @throws RangeError if a coordinate is not finite
   */
  constructor(points: MatrixLike) {
    checkMatrix('KdTree: points', points)
    checkInteger('KdTree: dimension of the points', points.cols, 1)
    checkFinite('KdTree: points', points.data)
    this.size = points.rows
    this.dimension = points.cols
    this.coordinates = Float64Array.from(points.data)
    this.order = Int32Array.from({ length: points.rows }, (_, index) => index)
    this.axes = new Int32Array(points.rows)
    this.split(0, this.size)
  }

  private split(start: number, end: number): void {
    if (end - start <= leafSize) return
    const axis = this.widestAxis(start, end)
    const middle = (start + end) >>> 1
    this.select(start, end - 1, middle, axis)
    this.axes[middle] = axis
    this.split(start, middle)
    this.split(middle + 1, end)
  }

  private widestAxis(start: number, end: number): number {
    let widest = 0
    let widestSpread = -1
    for (let axis = 0; axis < this.dimension; axis++) {
      let low = Infinity
      let high = -Infinity
      for (let at = start; at < end; at++) {
        const value = this.coordinates[this.order[at] * this.dimension + axis]
        if (value < low) low = value
        if (value > high) high = value
      }
      if (high - low > widestSpread) {
        widestSpread = high - low
        widest = axis
      }
    }
    return widest
  }

  /** Hoare's selection: afterwards no coordinate left of `nth` is above it, and none right of it is below. */
  private select(left: number, right: number, nth: number, axis: number): void {
    const { order, coordinates, dimension } = this
    while (left < right) {
      const pivot = coordinates[order[(left + right) >>> 1] * dimension + axis]
      let i = left
      let j = right
      while (i <= j) {
        while (coordinates[order[i] * dimension + axis] < pivot) i++
        while (coordinates[order[j] * dimension + axis] > pivot) j--
        if (i <= j) {
          const swapped = order[i]
          order[i] = order[j]
          order[j] = swapped
          i++
          j--
        }
      }
      if (nth <= j) right = j
      else if (nth >= i) left = i
      else return
    }
  }

  private squaredDistance(index: number, query: Float64Array): number {
    let sum = 0
    for (let axis = 0, at = index * this.dimension; axis < this.dimension; axis++, at++) {
      const difference = this.coordinates[at] - query[axis]
      sum += difference * difference
    }
    return sum
  }

  /** Offers every point of order[start, end) that may lie within the limit, near sides first. */
  private search(start: number, end: number, query: Float64Array, collector: Collector): void {
    const { order } = this
    if (end - start <= leafSize) {
      for (let at = start; at < end; at++) collector.offer(order[at], this.squaredDistance(order[at], query))
      return
    }
    const middle = (start + end) >>> 1
    const splitting = order[middle]
    const axis = this.axes[middle]
    const offset = query[axis] - this.coordinates[splitting * this.dimension + axis]
    if (offset < 0) this.search(start, middle, query, collector)
    else this.search(middle + 1, end, query, collector)
    collector.offer(splitting, this.squaredDistance(splitting, query))
    // "Above", not "at least": a point just as far may still win by its lower index.
    if (offset * offset > collector.limit) return
    if (offset < 0) this.search(middle + 1, end, query, collector)
    else this.search(start, middle, query, collector)
  }

  private checkQueries(method: string, queries: MatrixLike): void {
    checkMatrix(`${method}: queries`, queries)
    if (queries.cols !== this.dimension) {
      throw new RangeError(`${method}: queries have ${queries.cols} coordinates but the points have ${this.dimension}`)
    }
    checkFinite(`${method}: queries`, queries.data)
  }

  /**
   * The k points nearest to each query.
   *
   * @param queries [q, dimension]
   * @param k from 1 to the number of points
   * @throws RangeError if k or the queries' dimension does not fit
   */
  nearest(queries: MatrixLike, k: number): Neighbours {
    this.checkQueries('KdTree.nearest', queries)
    checkInteger('KdTree.nearest: k', k, 1, this.size)
    const indices = new Int32Array(queries.rows * k)
    const squaredDistances = new Float64Array(queries.rows * k)
    const query = new Float64Array(this.dimension)
    for (let i = 0; i < queries.rows; i++) {
      for (let axis = 0; axis < this.dimension; axis++) query[axis] = queries.data[i * this.dimension + axis]
      const best = new NearestList(indices.subarray(i * k, (i + 1) * k), squaredDistances.subarray(i * k, (i + 1) * k))
      this.search(0, this.size, query, best)
    }
    return { k, indices, squaredDistances }
  }

  /**
   * The points within a closed ball, by ascending index.
   *
   * @param query [dimension]
   * @param radius at least 0
   */
  within(query: ArrayLike<number>, radius: number): Int32Array {
    this.checkQueries('KdTree.within', { rows: 1, cols: query.length, data: query })
    if (!(radius >= 0)) throw new RangeError(`KdTree.within: radius is ${radius}; it must be at least 0`)
    const ball = new Ball(radius * radius)
    this.search(0, this.size, Float64Array.from(query), ball)
    return Int32Array.from(ball.inside).sort()
  }
}
