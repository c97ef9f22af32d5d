import type { HostTensor } from '../../../core/index.ts'
import { loadStateDict } from '../../../nn/index.ts'
import type { Golden, GoldenCase, Outputs } from '../../golden.ts'
import { OfficialConfig } from '../../official-config.ts'
import type { Reproduction } from '../../parity.ts'
import type { Official } from '../../system.ts'
import { CrossVit, type CrossVitOptions } from './crossvit.ts'

type State = ReadonlyMap<string, HostTensor>

function shapeOf(state: State, key: string): readonly number[] {
  const value = state.get(key)
  if (!value) throw new Error(`crossvit: the checkpoint has no '${key}': it is not one of CrossViT`)
  return value.shape
}

/**
 * Builds the model of an official checkpoint (`VisionTransformer` of IBM/CrossViT, models/crossvit.py).
 * @param config arguments of the official constructor by name; what it lacks is read from the shapes of `state`, then
 *   from the settings of the released models
 * @param state the official state dict
 * @throws when the checkpoint is not of this model, or does not fit the configuration
 */
export function loadCrossVit(config: Readonly<Record<string, unknown>>, state: State): CrossVit {
  const model = new CrossVit(crossVitOptions(new OfficialConfig('crossvit', config), state))
  loadStateDict(model, state)
  return model
}

function crossVitOptions(config: OfficialConfig, state: State): CrossVitOptions {
  const branches = countIn(state, /^cls_token\.(\d+)$/)
  const each = <T>(f: (branch: number) => T): T[] => Array.from({ length: branches }, (_, i) => f(i))
  const multiConv = config.boolean('multi_conv', state.has('patch_embed.0.proj.0.weight'))
  const first = multiConv ? 'proj.0.weight' : 'proj.weight'
  const dims = config.numbers(
    'embed_dim',
    each(i => shapeOf(state, `pos_embed.${i}`)[2]),
  )
  const patches = config.numbers(
    'patch_size',
    each(i => (multiConv ? [12, 16][i] : shapeOf(state, `patch_embed.${i}.proj.weight`)[2])),
  )
  const blocks = depthsOf(config, state, branches)
  const mlpRatios = dims.map((dim, i) => shapeOf(state, `blocks.0.blocks.${i}.0.mlp.fc1.weight`)[0] / dim)
  return {
    channels: config.number('in_chans', shapeOf(state, `patch_embed.0.${first}`)[1]),
    classes: state.has('head.0.weight') ? config.number('num_classes', shapeOf(state, 'head.0.weight')[0]) : 0,
    sizes: config.has('img_size')
      ? spread(config.numbers('img_size'), branches)
      : each(i => Math.sqrt(shapeOf(state, `pos_embed.${i}`)[1] - 1) * patches[i]),
    patches,
    dims,
    depths: blocks.map(depth => depth.slice(0, branches)),
    fusions: Math.max(1, blocks[0][branches]),
    nestedFusion: blocks[0][branches] > 0,
    heads: config.numbers('num_heads', dims.length === 2 ? releasedHeads(dims) : undefined),
    mlpRatios,
    multiConv,
    qkvBias: config.boolean('qkv_bias', state.has('blocks.0.fusion.0.attn.wq.bias') || hasNestedBias(state)),
    crossScale: config.has('qk_scale') ? config.number('qk_scale') : undefined,
    dropout: config.number('drop_rate', 0),
    attentionDropout: config.number('attn_drop_rate', 0),
    dropPath: config.number('drop_path_rate', 0),
  }
}

const hasNestedBias = (state: State): boolean => state.has('blocks.0.fusion.0.0.attn.wq.bias')

const spread = (values: readonly number[], count: number): number[] =>
  values.length === 1 ? new Array<number>(count).fill(values[0]) : [...values]

/** Depths of each multi-scale block, the number of cross attentions last, 0 where a single one stands by itself. */
function depthsOf(config: OfficialConfig, state: State, branches: number): number[][] {
  const count = countIn(state, /^blocks\.(\d+)\./)
  if (config.has('depth')) {
    const list = config.lists('depth')
    if (list.length !== count)
      throw new Error(
        `crossvit: 'depth' has ${list.length} entries, but the checkpoint has ${count} multi-scale blocks`,
      )
    const odd = list.find(depth => depth.length !== branches + 1)
    if (odd)
      throw new Error(`crossvit: 'depth' [${odd}] must have an entry for each of ${branches} branches and one more`)
    return list
  }
  return Array.from({ length: count }, (_, k) => [
    ...Array.from({ length: branches }, (_, i) =>
      countIn(state, new RegExp(`^blocks\\.${k}\\.blocks\\.${i}\\.(\\d+)\\.`)),
    ),
    countIn(state, new RegExp(`^blocks\\.${k}\\.fusion\\.0\\.(\\d+)\\.`)),
  ])
}

/** Heads that the released models have at these widths; the tensors do not tell. */
function releasedHeads(dims: readonly number[]): number[] | undefined {
  const heads: Record<string, number[]> = {
    '96,192': [3, 3],
    '192,384': [6, 6],
    '384,768': [12, 12],
    '128,256': [4, 4],
    '224,448': [7, 7],
  }
  return heads[dims.join()]
}

/** One more than the largest number that a pattern finds among the keys. */
const countIn = (state: State, pattern: RegExp): number =>
  1 + Math.max(-1, ...[...state.keys()].map(key => Number(key.match(pattern)?.[1] ?? -1)))

function reproduceModel(c: GoldenCase): Outputs {
  const model = loadCrossVit(c.config, c.state())
  c.bindParameters(model)
  const x = c.in('x')
  const tokens = model.classTokens(x)
  const views = model.views(x)
  const expected = c.has('out', 'aux_resized') ? c.outputShape('aux_resized').join() : undefined
  const resized = views.find(view => view.shape.join() === expected)
  return {
    ...Object.fromEntries(tokens.map((token, i) => [`cls${i}`, token])),
    ...(model.head.length ? { logits: model.classify(tokens) } : {}),
    ...(resized ? { aux_resized: resized } : {}),
  }
}

export const official: Official = {
  repository: 'IBM/CrossViT',
  licence: 'Apache-2.0',
  reproduction(_: Golden): Reproduction {
    return {
      reproduce: reproduceModel,
      tolerances: { output: { ofLargest: 1e-4, floor: 1e-6 }, gradient: { ofLargest: 1e-3, floor: 1e-6 } },
    }
  },
}
