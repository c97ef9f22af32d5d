import { boxArea, overlapArea } from '../numerics/boxes.ts'
import { checkInteger, fromRows, type Matrix } from '../numerics/matrix.ts'

/** Corners (x1, y1, x2, y2) of a box, in pixels. */
export type Box = readonly [number, number, number, number]

/** An annotated object. */
export interface GroundTruthBox {
  readonly image: number | string
  readonly category: number | string
  readonly box: Box
  /** A region of many objects: detections inside it are neither right nor wrong. Default false. */
  readonly crowd?: boolean
  /** Area in pixels that decides small, medium or large, such as that of a mask; default that of the box. */
  readonly area?: number
}

/** A predicted object. */
export interface DetectedBox {
  readonly image: number | string
  readonly category: number | string
  readonly box: Box
  /** Confidence; only the order counts. */
  readonly score: number
}

/** Options of `detectionAveragePrecision`. */
export interface DetectionOptions {
  /** IoU from which a detection matches; default 0.5, 0.55, …, 0.95. */
  readonly iouThresholds?: readonly number[]
  /** Best detections an image and category that count; default 100. */
  readonly maxDetections?: number
}

/** The summary of the COCO benchmark. Every value is NaN if no object could be found for it. */
export interface DetectionScores {
  /** Average precision, averaged over categories and IoU thresholds. */
  readonly ap: number
  /** At IoU 0.5 alone; NaN if that is not among the thresholds. */
  readonly ap50: number
  /** At IoU 0.75 alone; NaN if that is not among the thresholds. */
  readonly ap75: number
  /** Over objects of area up to 32^2. */
  readonly apSmall: number
  /** Over objects of area 32^2 to 96^2. */
  readonly apMedium: number
  /** Over objects of area from 96^2. */
  readonly apLarge: number
  /** Recall with `maxDetections`, averaged over categories and IoU thresholds. */
  readonly recall: number
  /** `ap` of each category that has objects. */
  readonly apOfCategory: ReadonlyMap<number | string, number>
}

const cocoThresholds: readonly number[] = Array.from({ length: 10 }, (_, i) => (50 + 5 * i) / 100)

/** Closed ranges of area, in pixels squared. */
const areaRanges = {
  all: [0, 1e10],
  small: [0, 32 ** 2],
  medium: [32 ** 2, 96 ** 2],
  large: [96 ** 2, 1e10],
} as const

const recallPoints = 101
/** Multiplied, not divided by 100: the benchmark's own recalls, to the last bit, decide who reaches them. */
const recallStep = 0.01

/** The objects and detections of one category in one image, detections by descending score, and their overlaps. */
interface ImageBoxes {
  readonly objects: readonly GroundTruthBox[]
  readonly objectAreas: readonly number[]
  readonly detections: readonly DetectedBox[]
  readonly detectionAreas: readonly number[]
  /** [detection][object] intersection over union; over the detection's own area for a crowd. */
  readonly overlaps: readonly Float64Array[]
}

function checkBox(kind: string, index: number, box: Box): void {
  if (box.length !== 4 || !box.every(Number.isFinite) || box[2] < box[0] || box[3] < box[1]) {
    throw new RangeError(`detection: ${kind} ${index} has box (${box.join(', ')}); give x1 <= x2 and y1 <= y2, finite`)
  }
}

function imageBoxes(objects: readonly GroundTruthBox[], unordered: readonly DetectedBox[], limit: number): ImageBoxes {
  // The sort is stable, so equal scores keep the order they came in.
  const detections = [...unordered].sort((a, b) => b.score - a.score).slice(0, limit)
  const corners = (boxes: readonly { box: Box }[]): Matrix => fromRows(boxes.map(({ box }) => box))
  const [ofObjects, ofDetections] = [corners(objects), corners(detections)]
  const detectionAreas = detections.map((_, d) => boxArea(ofDetections, d))
  const overlaps = detections.map((_, d) =>
    Float64Array.from(objects, ({ crowd }, g) => {
      const overlap = overlapArea(ofDetections, d, ofObjects, g)
      const union = crowd ? detectionAreas[d] : detectionAreas[d] + boxArea(ofObjects, g) - overlap
      return union > 0 ? overlap / union : 0
    }),
  )
  return {
    objects,
    objectAreas: objects.map(({ area }, g) => area ?? boxArea(ofObjects, g)),
    detections,
    detectionAreas,
    overlaps,
  }
}

type Verdict = 'right' | 'wrong' | 'ignored'

/** What becomes of each detection, and how many objects there were to find. */
interface Matching {
  readonly verdicts: readonly Verdict[]
  readonly findable: number
}

/**
 * Matches detections, best first, each with the free object it overlaps most. Crowds and objects outside the area range
 * are only matched where no other object is, and what matches them is ignored; so are unmatched detections outside the
 * range.
 */
function matchImage(boxes: ImageBoxes, threshold: number, [low, high]: readonly [number, number]): Matching {
  const { objects, objectAreas, detections, detectionAreas, overlaps } = boxes
  const outside = (area: number) => area < low || area > high
  const ignored = objects.map(({ crowd }, g) => crowd === true || outside(objectAreas[g]))
  const taken = new Uint8Array(objects.length)
  /** The object that detection d overlaps most, the last among equals, if that is enough. */
  const bestObject = (d: number, among: boolean): number => {
    let best = -1
    let least = Math.min(threshold, 1 - 1e-10)
    for (let g = 0; g < objects.length; g++) {
      if (ignored[g] !== among || (taken[g] && !objects[g].crowd) || overlaps[d][g] < least) continue
      least = overlaps[d][g]
      best = g
    }
    return best
  }
  const verdicts = detections.map((_, d): Verdict => {
    const wanted = bestObject(d, false)
    const match = wanted >= 0 ? wanted : bestObject(d, true)
    if (match >= 0) taken[match] = 1
    if (match >= 0) return ignored[match] ? 'ignored' : 'right'
    return outside(detectionAreas[d]) ? 'ignored' : 'wrong'
  })
  return { verdicts, findable: ignored.filter(flag => !flag).length }
}

/** Precision at 101 recalls from 0 to 1, each the best at that recall or beyond, averaged; and the recall reached. */
function precisionOverRecall(verdicts: readonly Verdict[], findable: number): { precision: number; recall: number } {
  const recalls: number[] = []
  const precisions: number[] = []
  let [right, counted] = [0, 0]
  for (const verdict of verdicts) {
    if (verdict === 'ignored') continue
    counted++
    if (verdict === 'right') right++
    recalls.push(right / findable)
    precisions.push(right / counted)
  }
  for (let i = precisions.length - 2; i >= 0; i--) precisions[i] = Math.max(precisions[i], precisions[i + 1])
  let sum = 0
  for (let point = 0, at = 0; point < recallPoints; point++) {
    while (at < recalls.length && recalls[at] < point * recallStep) at++
    if (at === recalls.length) break
    sum += precisions[at]
  }
  return { precision: sum / recallPoints, recall: right / findable }
}

/** Precision and recall of one category at one threshold; undefined if there is nothing to find. */
function categoryScores(
  images: readonly ImageBoxes[],
  threshold: number,
  range: readonly [number, number],
): { precision: number; recall: number } | undefined {
  const judged: { score: number; verdict: Verdict }[] = []
  let findable = 0
  for (const boxes of images) {
    const matching = matchImage(boxes, threshold, range)
    findable += matching.findable
    matching.verdicts.forEach((verdict, d) => {
      judged.push({ score: boxes.detections[d].score, verdict })
    })
  }
  if (findable === 0) return undefined
  judged.sort((a, b) => b.score - a.score)
  return precisionOverRecall(
    judged.map(({ verdict }) => verdict),
    findable,
  )
}

function mean(values: readonly number[]): number {
  return values.length === 0 ? Number.NaN : values.reduce((sum, value) => sum + value, 0) / values.length
}

/** Sorts boxes into categories, and within them into images in the order of first mention. */
function byCategory(
  groundTruth: readonly GroundTruthBox[],
  detections: readonly DetectedBox[],
  limit: number,
): Map<number | string, ImageBoxes[]> {
  const images = [...new Set([...groundTruth, ...detections].map(({ image }) => image))]
  const sorted = new Map<number | string, Map<number | string, [GroundTruthBox[], DetectedBox[]]>>()
  const cell = ({ category, image }: GroundTruthBox | DetectedBox) => {
    const ofCategory = sorted.get(category) ?? new Map<number | string, [GroundTruthBox[], DetectedBox[]]>()
    sorted.set(category, ofCategory)
    const ofImage = ofCategory.get(image) ?? [[], []]
    ofCategory.set(image, ofImage)
    return ofImage
  }
  for (const object of groundTruth) cell(object)[0].push(object)
  for (const detection of detections) cell(detection)[1].push(detection)
  const boxesOf = (ofCategory: Map<number | string, [GroundTruthBox[], DetectedBox[]]>) =>
    images.flatMap(image => {
      const [objects, found] = ofCategory.get(image) ?? [[], []]
      return objects.length + found.length > 0 ? [imageBoxes(objects, found, limit)] : []
    })
  return new Map([...sorted].map(([category, ofCategory]) => [category, boxesOf(ofCategory)]))
}

/**
 * Average precision of detections as the COCO benchmark defines it (Lin et al. 2014, and its evaluation server): within
 * each image and category, detections in descending score each take the free object they overlap most, if the IoU reaches
 * the threshold; precision is interpolated at 101 recalls and averaged over categories and thresholds.
 *
 * @param groundTruth all objects
 * @param detections all predictions; those of categories without objects do not count
 * @throws RangeError if a box is out of order, a score is NaN or an option is out of range
 */
export function detectionAveragePrecision(
  groundTruth: readonly GroundTruthBox[],
  detections: readonly DetectedBox[],
  { iouThresholds = cocoThresholds, maxDetections = 100 }: DetectionOptions = {},
): DetectionScores {
  checkInteger('detection: maxDetections', maxDetections, 1)
  for (const threshold of iouThresholds) {
    if (!(threshold > 0 && threshold <= 1)) {
      throw new RangeError(`detection: IoU threshold ${threshold}; thresholds must be above 0, at most 1`)
    }
  }
  groundTruth.forEach(({ box }, i) => {
    checkBox('object', i, box)
  })
  detections.forEach(({ box, score }, i) => {
    checkBox('detection', i, box)
    if (Number.isNaN(score)) throw new RangeError(`detection: score ${i} is NaN; scores must be comparable`)
  })
  const categories = byCategory(groundTruth, detections, maxDetections)
  const scoresOf = (images: readonly ImageBoxes[], range: keyof typeof areaRanges, thresholds = iouThresholds) =>
    thresholds.flatMap(threshold => categoryScores(images, threshold, areaRanges[range]) ?? [])
  const precisionOf = (range: keyof typeof areaRanges, thresholds = iouThresholds) =>
    mean(
      [...categories.values()].flatMap(images => scoresOf(images, range, thresholds)).map(({ precision }) => precision),
    )
  const atOne = (threshold: number) => precisionOf('all', iouThresholds.includes(threshold) ? [threshold] : [])
  const perCategory = [...categories].map(([category, images]) => ({ category, scores: scoresOf(images, 'all') }))
  const found = perCategory.filter(({ scores }) => scores.length > 0)
  const precisions = found.map(
    ({ category, scores }) => [category, mean(scores.map(({ precision }) => precision))] as const,
  )
  return {
    ap: mean(precisions.map(([, precision]) => precision)),
    ap50: atOne(0.5),
    ap75: atOne(0.75),
    apSmall: precisionOf('small'),
    apMedium: precisionOf('medium'),
    apLarge: precisionOf('large'),
    recall: mean(found.flatMap(({ scores }) => scores.map(({ recall }) => recall))),
    apOfCategory: new Map(precisions),
  }
}
