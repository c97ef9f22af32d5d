import { linearSumAssignment } from '../numerics/assignment.ts'
import { checkInteger, checkSameLength, type Matrix, matrix } from '../numerics/matrix.ts'

/** How two labellings of the same samples coincide. */
interface Contingency {
  /** [labels of the first, labels of the second] counts. */
  readonly counts: Matrix
  readonly ofFirst: Float64Array
  readonly ofSecond: Float64Array
  readonly total: number
}

function contingency(metric: string, first: ArrayLike<number>, second: ArrayLike<number>): Contingency {
  checkSameLength(`${metric}: labellings`, first, second)
  checkInteger(`${metric}: number of samples`, first.length, 1)
  const numbered = (labels: ArrayLike<number>) =>
    new Map([...new Set(Array.from(labels))].map((label, i) => [label, i]))
  const [rows, cols] = [numbered(first), numbered(second)]
  const counts = matrix(rows.size, cols.size)
  const [ofFirst, ofSecond] = [new Float64Array(rows.size), new Float64Array(cols.size)]
  for (let s = 0; s < first.length; s++) {
    const i = rows.get(first[s]) as number
    const j = cols.get(second[s]) as number
    counts.data[i * cols.size + j]++
    ofFirst[i]++
    ofSecond[j]++
  }
  return { counts, ofFirst, ofSecond, total: first.length }
}

/**
 * Normalised mutual information 2 I(U; V) / (H(U) + H(V)): the arithmetic mean of the entropies is the norm (Vinh, Epps
 * and Bailey 2010).
 *
 * @param first [samples] labels, any numbers
 * @param second [samples] labels, any numbers
 * @returns from 0 to 1; 1 if both put all samples into one cluster
 */
export function normalisedMutualInformation(first: ArrayLike<number>, second: ArrayLike<number>): number {
  const { counts, ofFirst, ofSecond, total } = contingency('normalisedMutualInformation', first, second)
  const entropy = (sizes: Float64Array) => sizes.reduce((sum, size) => sum - (size / total) * Math.log(size / total), 0)
  let information = 0
  counts.data.forEach((count, at) => {
    if (count === 0) return
    const expected = ofFirst[Math.floor(at / counts.cols)] * ofSecond[at % counts.cols]
    information += (count / total) * Math.log((count * total) / expected)
  })
  const mean = (entropy(ofFirst) + entropy(ofSecond)) / 2
  return mean === 0 ? 1 : Math.min(1, Math.max(0, information / mean))
}

/**
 * Adjusted Rand index (Hubert and Arabie 1985): agreement over pairs of samples, 0 by chance, 1 for equal partitions.
 *
 * @param first [samples] labels, any numbers
 * @param second [samples] labels, any numbers
 * @returns at most 1
 */
export function adjustedRandIndex(first: ArrayLike<number>, second: ArrayLike<number>): number {
  const { counts, ofFirst, ofSecond, total } = contingency('adjustedRandIndex', first, second)
  const pairs = (sizes: Float64Array) => sizes.reduce((sum, size) => sum + (size * (size - 1)) / 2, 0)
  const [together, inFirst, inSecond] = [pairs(counts.data), pairs(ofFirst), pairs(ofSecond)]
  const all = (total * (total - 1)) / 2
  // Both all in one cluster, or both all apart: nothing is left to chance.
  if (inFirst === inSecond && (inFirst === all || inFirst === 0)) return 1
  const chance = (inFirst * inSecond) / all
  return (together - chance) / ((inFirst + inSecond) / 2 - chance)
}

/**
 * Clustering accuracy: the share of samples in the cluster of their class, under the best one-to-one matching of clusters
 * and classes.
 *
 * @param truth [samples] classes, any numbers
 * @param clusters [samples] cluster labels, any numbers
 * @returns above 0, at most 1
 */
export function clusteringAccuracy(truth: ArrayLike<number>, clusters: ArrayLike<number>): number {
  const { counts, total } = contingency('clusteringAccuracy', truth, clusters)
  return linearSumAssignment(counts, { maximise: true }).total / total
}
