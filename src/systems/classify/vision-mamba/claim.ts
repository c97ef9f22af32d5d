import { parameterCount, withSeed } from '../../../nn/index.ts'
import { labelScenes } from '../../claims/scene-labelling.ts'
import type { Claim } from '../../system.ts'
import { VimLabeller, type VimOptions } from './vim.ts'

const SIZE = 48
const PATCH = 4

const shared = (classes: number) => ({
  channels: 3,
  size: [SIZE, SIZE] as const,
  patch: PATCH,
  depth: 3,
  mixer: { states: 8 },
  classes,
})

/** Both directions, 48 wide. */
const twoWay = (classes: number): VimOptions => ({ ...shared(classes), dim: 48 })

/** One direction, as wide as gives about as many parameters. */
function oneWay(classes: number): VimOptions {
  const wanted = withSeed(0, () => parameterCount(new VimLabeller(twoWay(classes))))
  const candidates = Array.from(
    { length: 24 },
    (_, i): VimOptions => ({
      ...shared(classes),
      directions: 'forward',
      dim: 48 + i,
    }),
  )
  const miss = (options: VimOptions): number =>
    Math.abs(withSeed(0, () => parameterCount(new VimLabeller(options))) - wanted)
  return candidates.reduce((best, options) => (miss(options) < miss(best) ? options : best))
}

/** The network of an arm. */
export const labellerOf = (arm: string, classes: number): VimLabeller =>
  new VimLabeller(arm === 'two directions' ? twoWay(classes) : oneWay(classes))

export const claim: Claim = {
  statement:
    'Scanning the patches in both directions labels them better than scanning them in one, at equal parameters: a patch in the top left of an object needs what comes later.',
  data: 'scenes: 3 to 5 icons of 10 concepts on a textured ground, 48x48 pixels, labels for 144 patches; tested on drawings that were not trained on',
  metric: { name: 'mean IoU of 500 held-out scenes', unit: '%', better: 'higher' },
  arms: [
    { name: 'two directions', what: 'Vim v2: 3 blocks, 48 wide, 8 states' },
    { name: 'one direction', what: 'Mamba forward only: 3 blocks, wider for equal parameters' },
  ],
  expected: { gain: 1.5 },
  run: (arm, seed, context) =>
    labelScenes(
      {
        build: classes => labellerOf(arm, classes),
        seed,
        size: SIZE,
        patch: PATCH,
        steps: context.quick ? 12 : 780,
        batch: context.quick ? 8 : 32,
        testScenes: context.quick ? 50 : 500,
        learningRate: 3e-3,
      },
      context,
    ),
}
