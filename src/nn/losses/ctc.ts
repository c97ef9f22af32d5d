import {
  arange,
  asTensor,
  concat,
  constantData,
  formatShape,
  logSoftmax,
  logSumExp,
  pad,
  scan,
  stack,
  type Tensor,
  takeAlongAxis,
  where,
} from '../../core/index.ts'
import type { Reduction } from './reduction.ts'

export interface CtcOptions {
  /** Class of the blank; default 0. */
  readonly blank?: number
  /** Loss and gradient 0 for targets that no alignment can give; default false: their loss is infinite. */
  readonly zeroInfinity?: boolean
  /** `mean` divides each loss by its target's length before averaging. */
  readonly reduction?: Reduction
}

/** Log of no probability: finite, so that differences of it stay numbers. */
const IMPOSSIBLE = -1e30

/**
 * Connectionist temporal classification: -log of the probability of all alignments of a target with the outputs.
 * @param logits [time, batch, classes], before the softmax
 * @param targets [batch, length] (i32), entries past a target's length ignored
 * @param inputLengths [batch], from 1 to time
 * @param targetLengths [batch], from 0 to length
 * @throws when constant lengths show a target that cannot fit, naming the item, unless `zeroInfinity`; where lengths are
 * computed, such a target's loss is infinite. Source: Graves et al. 2006
 */
export function ctcLoss(
  logits: Tensor,
  targets: Tensor,
  inputLengths: Tensor,
  targetLengths: Tensor,
  options: CtcOptions = {},
): Tensor {
  const { blank = 0, zeroInfinity = false, reduction = 'mean' } = options
  const [, batch] = logits.shape
  if (targets.rank !== 2 || targets.shape[0] !== batch)
    throw new Error(`ctc: targets are ${formatShape(targets.shape)} for logits ${formatShape(logits.shape)}`)
  checkLengths(logits, targets, inputLengths, targetLengths, !zeroInfinity)
  const labels = withBlanks(targets.cast('i64'), blank)
  const alphas = forwardVariables(logits, labels, inputLengths.cast('i64'), blank)
  const ends = targetLengths.cast('i64').mul(2).expandDims(1)
  const last = takeAlongAxis(alphas, ends, 1)
  const before = where(ends.greater(0), takeAlongAxis(alphas, ends.sub(1).maximum(0), 1), IMPOSSIBLE)
  const loss = logSumExp(concat([last, before], 1), 1).neg()
  const impossible = loss.greater(-IMPOSSIBLE / 2)
  const finite = where(impossible, zeroInfinity ? 0 : Number.POSITIVE_INFINITY, where(impossible, asTensor(0), loss))
  if (reduction === 'none') return finite
  if (reduction === 'sum') return finite.sum()
  return finite.div(targetLengths.cast('f32').maximum(1)).mean()
}

/** A target needs a step for each label and one more between equal neighbours. */
function checkLengths(
  logits: Tensor,
  targets: Tensor,
  inputLengths: Tensor,
  targetLengths: Tensor,
  mustFit: boolean,
): void {
  const [time, batch] = logits.shape
  for (const [name, given] of Object.entries({ inputLengths, targetLengths }))
    if (formatShape(given.shape) !== formatShape([batch]))
      throw new Error(`ctc: ${name} are ${formatShape(given.shape)}, expected [${batch}]`)
  const [inputs, lengths] = [constantData(inputLengths), constantData(targetLengths)]
  if (!inputs || !lengths) return
  const labels = constantData(targets)
  Array.from(lengths, Number).forEach((length, item) => {
    if (inputs[item] > time)
      throw new Error(`ctc: the input of item ${item} has ${inputs[item]} steps but the logits hold ${time}`)
    if (length > targets.shape[1])
      throw new Error(`ctc: the target of item ${item} has ${length} labels but the targets hold ${targets.shape[1]}`)
    if (!mustFit) return
    const start = item * targets.shape[1]
    const own = labels?.slice(start, start + length) ?? []
    const repeats = Array.from(own, Number).filter((label, i, all) => i > 0 && label === all[i - 1]).length
    if (length + repeats <= Number(inputs[item])) return
    const also = repeats ? ` (${repeats} of them repeated, which takes a blank between)` : ''
    throw new Error(
      `ctc: the target of item ${item} has ${length} labels${also} but its input only ${inputs[item]} steps; shorten it or pass zeroInfinity`,
    )
  })
}

/** [batch, length] -> [batch, 2 length + 1]: blanks between, before and after the labels. */
function withBlanks(targets: Tensor, blank: number): Tensor {
  const [batch, length] = targets.shape
  const blanks = asTensor(blank, 'i64').broadcastTo([batch, length])
  const pairs = stack([blanks, targets], 2).reshape([batch, 2 * length])
  return pad(
    pairs,
    [
      [0, 0],
      [0, 1],
    ],
    'constant',
    blank,
  )
}

/** Log-probability of all paths that have reached each label at the end of the input. */
function forwardVariables(logits: Tensor, labels: Tensor, inputLengths: Tensor, blank: number): Tensor {
  const [time, batch] = logits.shape
  const states = labels.shape[1]
  const emissions = takeAlongAxis(logSoftmax(logits, -1), labels.expandDims(0).broadcastTo([time, batch, states]), 2)
  const earlier = pad(
    labels,
    [
      [0, 0],
      [2, -2],
    ],
    'constant',
    -1,
  )
  const maySkip = labels.notEqual(blank).and(labels.notEqual(earlier))
  const shift = (alpha: Tensor, by: number): Tensor =>
    pad(
      alpha,
      [
        [0, 0],
        [by, -by],
      ],
      'constant',
      IMPOSSIBLE,
    )
  const start = where(arange(states).less(2), emissions.at(0), IMPOSSIBLE)
  const body = ([alpha]: readonly Tensor[], [emission, step]: readonly Tensor[]) => {
    const skipped = where(maySkip, shift(alpha, 2), IMPOSSIBLE)
    const reached = logSumExp(stack([alpha, shift(alpha, 1), skipped]), 0).add(emission)
    const running = step.less(inputLengths).expandDims(1)
    // Sums of impossible terms must not drift to where the runtime's numbers end.
    return { carries: [where(running, reached.maximum(IMPOSSIBLE), alpha)], outputs: [] }
  }
  if (time === 1) return start
  const { carries } = scan(body, [start], [emissions.slice(0, 1, time), arange(time).slice(0, 1, time)])
  return carries[0]
}
