import { atan, formatShape, maximum, minimum, relu, type Tensor } from '../../core/index.ts'

/** Added to areas and lengths that divide, so that empty boxes give numbers. */
const EPSILON = 1e-7

/** Corners of boxes [..., 4] as x1, y1, x2, y2. */
function corners(boxes: Tensor): Tensor[] {
  if (boxes.shape[boxes.rank - 1] !== 4)
    throw new Error(`boxes: expected [..., 4] (x1, y1, x2, y2), got ${formatShape(boxes.shape)}`)
  return boxes.split(4, -1).map(t => t.squeeze(-1))
}
const area = ([x1, y1, x2, y2]: readonly Tensor[]): Tensor => x2.sub(x1).mul(y2.sub(y1))

interface Overlap {
  readonly iou: Tensor
  readonly union: Tensor
  /** Width and height of the smallest box around both. */
  readonly hull: readonly [Tensor, Tensor]
  readonly a: readonly Tensor[]
  readonly b: readonly Tensor[]
}

function overlap(boxesA: Tensor, boxesB: Tensor): Overlap {
  const [a, b] = [corners(boxesA), corners(boxesB)]
  const width = relu(minimum(a[2], b[2]).sub(maximum(a[0], b[0])))
  const height = relu(minimum(a[3], b[3]).sub(maximum(a[1], b[1])))
  const shared = width.mul(height)
  const union = area(a).add(area(b)).sub(shared)
  const hull: [Tensor, Tensor] = [
    maximum(a[2], b[2]).sub(minimum(a[0], b[0])),
    maximum(a[3], b[3]).sub(minimum(a[1], b[1])),
  ]
  return { iou: shared.div(union.add(EPSILON)), union, hull, a, b }
}

/** Intersection over union of boxes [..., 4] (x1, y1, x2, y2) that broadcast together: `[n,1,4]` with `[1,m,4]` gives all pairs. */
export const boxIou = (a: Tensor, b: Tensor): Tensor => overlap(a, b).iou

/** IoU less the share of the enclosing box that neither covers. Source: Rezatofighi et al. 2019 */
export function generalizedIou(a: Tensor, b: Tensor): Tensor {
  const { iou, union, hull } = overlap(a, b)
  const around = hull[0].mul(hull[1])
  return iou.sub(around.sub(union).div(around.add(EPSILON)))
}

function centreTerm({ hull, a, b }: Overlap): Tensor {
  const shift = (low: number, high: number): Tensor => a[low].add(a[high]).sub(b[low]).sub(b[high]).mul(0.5)
  const [dx, dy] = [shift(0, 2), shift(1, 3)]
  const diagonal = hull[0].mul(hull[0]).add(hull[1].mul(hull[1]))
  return dx.mul(dx).add(dy.mul(dy)).div(diagonal.add(EPSILON))
}

/** IoU less the squared distance of the centres over the enclosing box's diagonal. Source: Zheng et al. 2020 */
export function distanceIou(a: Tensor, b: Tensor): Tensor {
  const both = overlap(a, b)
  return both.iou.sub(centreTerm(both))
}

/** {@link distanceIou} less a term for differing aspect ratios, whose weight gets no gradient. Source: Zheng et al. 2020 */
export function completeIou(a: Tensor, b: Tensor): Tensor {
  const both = overlap(a, b)
  const angle = ([x1, y1, x2, y2]: readonly Tensor[]): Tensor => atan(x2.sub(x1).div(y2.sub(y1).maximum(EPSILON)))
  const difference = angle(both.b).sub(angle(both.a))
  const aspect = difference.mul(difference).mul(4 / Math.PI ** 2)
  const weight = aspect.div(aspect.add(1).sub(both.iou).add(EPSILON)).stopGradient()
  return both.iou.sub(centreTerm(both)).sub(aspect.mul(weight))
}
