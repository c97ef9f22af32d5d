import { labelScenes } from '../../claims/scene-labelling.ts'
import type { Claim } from '../../system.ts'
import { PlainMambaLabeller } from './backbone.ts'
import type { PlainMamba2dOptions } from './plain-mamba-2d.ts'

const SIZE = 48
const PATCH = 4

const mixers: Readonly<Record<string, PlainMamba2dOptions>> = {
  'continuous paths': { paths: 'snake' },
  'raster scan': { paths: 'raster', directionAware: false },
  'cross paths': { paths: 'cross' },
  'no directions': { paths: 'snake', directionAware: false },
}

/** The network of an arm. */
export const labellerOf = (arm: string, classes: number): PlainMambaLabeller =>
  new PlainMambaLabeller({
    channels: 3,
    size: [SIZE, SIZE],
    patch: PATCH,
    dim: 48,
    depth: 3,
    stemWidth: 16,
    mixer: { states: 8, ...mixers[arm] },
    classes,
  })

export const claim: Claim = {
  statement:
    'Four continuous paths over the grid with learned directions label patches better than the same four scans along the rows, at equal parameters and equal work.',
  data: 'scenes: 3 to 5 icons of 10 concepts on a textured ground, 48x48 pixels, labels for 144 patches; 9,600 scenes to train on',
  metric: { name: 'mean IoU of 500 held-out scenes', unit: '%', better: 'higher' },
  arms: [
    { name: 'continuous paths', what: 'PlainMamba: 3 layers, 48 wide, 8 states, aligned parameters' },
    { name: 'raster scan', what: 'the same with all four paths row by row and no direction vectors' },
    { name: 'cross paths', what: 'rows and columns, each forward and backward, without turning' },
    { name: 'no directions', what: 'continuous paths without direction vectors' },
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
