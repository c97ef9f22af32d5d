import { openGlyphs } from '../../../data/index.ts'
import { type MobileNet, mobileNetV1 } from '../../../nn/index.ts'
import { classifyPictures } from '../../claims/picture-classification.ts'
import type { Claim } from '../../system.ts'
import { compactUlsam } from './compact-network.ts'
import { type Cost, costOf } from './with-ulsam.ts'

const SIDE = 32
/** The second and third of the three equal blocks: what is replaced in one arm and left out in another. */
const EQUAL: readonly number[] = [4, 5]
const format = { channels: 1, classes: 62 }

/** The network of an arm. */
export function networkOf(arm: string): MobileNet {
  if (arm === 'ULSAM') return compactUlsam({ ...format, positions: EQUAL, groups: 4 })
  const stages: (readonly [number, number])[] = [
    [32, 2],
    [64, 2],
    [64, 1],
    [64, 1],
    [64, 1],
    [128, 2],
  ]
  const full = mobileNetV1({ ...format, stemWidth: 16, stemStride: 1, stages })
  return arm === 'full network' ? full : full.withBlocks(full.blocks.filter((_, i) => !EQUAL.includes(i)))
}

const cost = (arm: string): Cost => costOf(networkOf(arm), [1, SIDE, SIDE])

/** The cost of ULSAM's network over that of the full one. */
export function shares(): Cost {
  const [ours, full] = ['ULSAM', 'full network'].map(cost)
  return { parameters: ours.parameters / full.parameters, multiplyAdds: ours.multiplyAdds / full.multiplyAdds }
}

const limits: Cost = { parameters: 0.8, multiplyAdds: 0.85 }

export const claim: Claim = {
  statement:
    'With two of its blocks replaced by ULSAM, a MobileNet needs at most 0.8 of the parameters and 0.85 of the multiply-adds, and loses at most 0.7 points of accuracy.',
  data: 'glyphs: 62 alphanumerics, 32x32 pixels; tested on fonts that were not trained on; random shifts of 2 pixels',
  metric: { name: 'accuracy', unit: '%', better: 'higher' },
  arms: [
    { name: 'ULSAM', what: 'MobileNet 16-32-64-64-128 with two 64-wide blocks replaced, 4 groups' },
    { name: 'full network', what: 'the same with all blocks' },
    { name: 'blocks left out', what: 'the same without the two blocks and without ULSAM' },
  ],
  expected: { gain: -0.7, everySeed: false },
  conditions: () => {
    const found = shares()
    return [
      {
        what: `at most ${limits.parameters} of the parameters`,
        measured: found.parameters.toFixed(3),
        holds: found.parameters <= limits.parameters,
      },
      {
        what: `at most ${limits.multiplyAdds} of the multiply-adds`,
        measured: found.multiplyAdds.toFixed(3),
        holds: found.multiplyAdds <= limits.multiplyAdds,
      },
    ]
  },
  async run(arm, seed, context) {
    const { quick } = context
    const { train, test, normalisation } = await openGlyphs({ size: SIDE })
    const result = await classifyPictures(
      {
        train,
        test,
        normalisation,
        build: () => networkOf(arm),
        // Glyphs stand on white, which the border must continue.
        augment: { randomCrop: { padding: 2, edge: 'reflect' } },
        // 30 epochs, 100,000 pictures.
        steps: quick ? 40 : 1560,
        batch: quick ? 32 : 64,
        learningRate: 6e-3,
        seed,
        // Decay would hold the logits of attention near 0, where it is flat.
        undecayed: /conv_point\.weight$/,
      },
      context,
    )
    return { ...result, also: { ...cost(arm) } }
  },
}
