import { labelScenes } from '../../claims/scene-labelling.ts'
import type { Claim } from '../../system.ts'
import { VimLabeller } from './vim.ts'

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

/** The network of an arm; one direction is wider, so that the numbers of parameters are within 3 % of each other. */
export const labellerOf = (arm: string, classes: number): VimLabeller =>
  new VimLabeller(
    arm === 'two directions' ? { ...shared(classes), dim: 48 } : { ...shared(classes), dim: 53, directions: 'forward' },
  )

export const claim: Claim = {
  statement:
    'Scanning the patches in both directions labels them better than scanning them in one, at equal parameters: a patch in the top left of an object needs what comes later.',
  data: 'scenes: 3 to 5 icons of 10 concepts on a textured ground, 48x48 pixels, labels for 144 patches; 9,600 scenes to train on',
  metric: { name: 'mean IoU of 500 held-out scenes', unit: '%', better: 'higher' },
  arms: [
    { name: 'two directions', what: 'Vim v2: 3 blocks, 48 wide, 8 states' },
    { name: 'one direction', what: 'Mamba forward only: 3 blocks, 53 wide for equal parameters' },
  ],
  expected: { gain: 1.5 },
  run: (arm, seed, context) =>
    labelScenes(
      {
        build: classes => labellerOf(arm, classes),
        seed,
        size: SIZE,
        patch: PATCH,
        steps: context.quick ? 12 : 600,
        batch: context.quick ? 8 : 16,
        testScenes: context.quick ? 50 : 500,
        learningRate: 4e-3,
        scenes: { split: 'none', sets: ['lucide'] },
      },
      context,
    ),
}
