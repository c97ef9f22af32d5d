import type { HostTensor } from '../../../core/index.ts'
import { loadStateDict } from '../../../nn/index.ts'
import {
  BiLevelRoutingAttention,
  type BiLevelRoutingOptions,
  type RegionPooling,
} from '../../../nn/routing-attention.ts'
import type { Golden, GoldenCase, Outputs } from '../../golden.ts'
import { OfficialConfig } from '../../official-config.ts'
import type { Reproduction } from '../../parity.ts'
import type { Official } from '../../system.ts'
import { BiFormer, type BiFormerOptions, type Mixing } from './biformer.ts'

type State = ReadonlyMap<string, HostTensor>
type Four<T> = readonly [T, T, T, T]

function shapeOf(state: State, key: string): readonly number[] {
  const value = state.get(key)
  if (!value) throw new Error(`biformer: the checkpoint has no '${key}': it is not one of BiFormer`)
  return value.shape
}

/**
 * Builds the model of an official checkpoint (`BiFormer` of rayleizhu/BiFormer, models/biformer.py).
 * @param config arguments of the official constructor by name; what it lacks is read from the shapes of `state`, then
 *   from the settings that all released models share
 * @param state the official state dict
 * @throws when the checkpoint is not of this model, or does not fit the configuration
 */
export function loadBiFormer(config: Readonly<Record<string, unknown>>, state: State): BiFormer {
  const model = new BiFormer(biformerOptions(new OfficialConfig('biformer', config), state))
  loadStateDict(model, state)
  return model
}

function biformerOptions(config: OfficialConfig, state: State): BiFormerOptions {
  const block = (i: number): string => `stages.${i}.0.`
  const dims = four(config, 'embed_dim', i =>
    i === 0 ? shapeOf(state, 'downsample_layers.0.3.weight')[0] : shapeOf(state, `downsample_layers.${i}.0.weight`)[0],
  )
  const keyDims = four(config, 'qk_dims', i => {
    const rows = state.get(`${block(i)}attn.qkv.qkv.weight`)?.shape[0]
    return rows === undefined ? dims[i] : (rows - dims[i]) / 2
  })
  const topks = four(config, 'topks', i =>
    state.has(`${block(i)}attn.qkv.qkv.weight`)
      ? [1, 4, 16, 49][i]
      : state.has(`${block(i)}attn.lepe.weight`)
        ? -2
        : state.has(`${block(i)}attn.2.weight`)
          ? 0
          : -1,
  )
  return {
    ...attentionOptions(config, state, block(topks.findIndex(k => k > 0))),
    channels: config.number('in_chans', shapeOf(state, 'downsample_layers.0.0.weight')[1]),
    classes: state.has('head.weight') ? config.number('num_classes', shapeOf(state, 'head.weight')[0]) : 0,
    dims,
    depths: four(config, 'depth', i => blocksIn(state, i)),
    mixing: topks.map(mixingOf) as unknown as Four<Mixing>,
    headDim: config.number('head_dim', 32),
    keyDims,
    mlpRatios: four(config, 'mlp_ratios', i => shapeOf(state, `${block(i)}mlp.0.weight`)[0] / dims[i]),
    pooling: [0, 1, 2, 3].map(i => poolingOf(config, i)) as unknown as Four<RegionPooling>,
    mlpConv: config.boolean('mlp_dwconv', state.has('stages.0.0.mlp.1.dwconv.weight')),
    positionKernel: positionKernel(config, state),
    preNorm: config.boolean('pre_norm', true),
    layerScale: state.has('stages.0.0.gamma1') ? config.number('layer_scale_init_value', 1) : undefined,
    dropPath: config.number('drop_path_rate', 0),
  }
}

/** Settings of routed attention that all its blocks share. */
function attentionOptions(
  config: OfficialConfig,
  state: State,
  block: string,
): Pick<
  BiLevelRoutingOptions,
  'regions' | 'scale' | 'lepe' | 'softRouting' | 'router' | 'outputProjection' | 'padding'
> {
  const kernel = [...state].find(([key]) => /attn\.lepe\.weight$/.test(key) || key === 'lepe.weight')?.[1].shape[2]
  const soft = config.boolean('soft_routing', false)
  const projection = config.boolean('param_routing', state.has(`${block}attn.router.emb.weight`))
  const differentiable = config.boolean('diff_routing', projection)
  if (differentiable && !soft)
    throw new Error('biformer: diff_routing needs soft_routing: hard routing has no gradient, officially either')
  return {
    regions: config.number('n_win', 7),
    scale: config.has('qk_scale') ? config.number('qk_scale') : undefined,
    lepe: config.number('side_dwconv', kernel ?? 0),
    softRouting: soft,
    router: { differentiable, projection },
    outputProjection: config.text('param_attention', 'qkvo') === 'qkvo',
    padding: config.boolean('auto_pad', false),
  }
}

/** Four numbers; an entry that is absent or null takes its fallback. */
function four(config: OfficialConfig, name: string, fallback: (stage: number) => number): Four<number> {
  const given = config.values[name]
  const list = Array.isArray(given) && given.includes(null) ? given : config.has(name) ? config.numbers(name) : []
  if (list.length !== 0 && list.length !== 4)
    throw new Error(`biformer: '${name}' has ${list.length} entries, expected one for each of the four stages`)
  return [0, 1, 2, 3].map(i => (list[i] as number | null | undefined) ?? fallback(i)) as unknown as Four<number>
}

function mixingOf(topk: number): Mixing {
  if (topk > 0) return topk
  if (topk === -1) return 'full'
  if (topk === -2) return 'fullLepe'
  if (topk === 0) return 'convolution'
  throw new Error(`biformer: topk is ${topk}, expected a number of regions, 0, -1 or -2`)
}

function positionKernel(config: OfficialConfig, state: State): 0 | 3 {
  const kernel = config.number('before_attn_dwconv', state.get('stages.0.0.pos_embed.weight')?.shape[2] ?? 0)
  if (kernel === 0 || kernel === 3) return kernel
  throw new Error(`biformer: before_attn_dwconv is ${kernel}; its padding of 1 fits a side of 3 only (0 for none)`)
}

/** The official names of {@link RegionPooling}, with the constructor's own defaults. */
function poolingOf(config: OfficialConfig, stage: number): RegionPooling {
  const mode = config.text('kv_downsample_mode', 'identity')
  const entry = (name: string, fallback: readonly number[]): number => config.numbers(name, fallback)[stage]
  if (mode === 'identity') return { kind: 'none' }
  if (mode === 'ada_avgpool' || mode === 'ada_maxpool') {
    const kind = mode === 'ada_avgpool' ? 'adaptiveAverage' : 'adaptiveMax'
    return { kind, side: entry('kv_per_wins', [2, 2, -1, -1]) }
  }
  if (mode === 'avgpool' || mode === 'maxpool')
    return { kind: mode === 'avgpool' ? 'average' : 'max', ratio: entry('kv_downsample_ratios', [4, 2, 1, 1]) }
  throw new Error(
    `biformer: kv_downsample_mode is '${mode}', expected identity, ada_avgpool, ada_maxpool, avgpool or maxpool`,
  )
}

const blocksIn = (state: State, stage: number): number =>
  1 +
  Math.max(
    -1,
    ...[...state.keys()].map(key => Number(key.match(new RegExp(`^stages\\.${stage}\\.(\\d+)\\.`))?.[1] ?? -1)),
  )

/**
 * Builds bi-level routing attention alone from the state dict of `BiLevelRoutingAttention` (ops/bra_legacy.py).
 * @param config `dim`, `num_heads`, `n_win`, `topk` and the other arguments of its constructor
 */
export function loadBiLevelRoutingAttention(
  values: Readonly<Record<string, unknown>>,
  state: State,
): BiLevelRoutingAttention {
  const config = new OfficialConfig('biformer', values)
  const [rows, columns] = shapeOf(state, 'qkv.qkv.weight')
  const dim = config.number('dim', columns)
  // Here the arguments are single numbers, which count for the first stage.
  const single = new OfficialConfig('biformer', {
    kv_downsample_mode: values.kv_downsample_mode,
    kv_per_wins: [values.kv_per_win ?? 4],
    kv_downsample_ratios: [values.kv_downsample_ratio ?? 4],
  })
  const model = new BiLevelRoutingAttention(dim, {
    ...attentionOptions(config, new Map([...state].map(([key, value]) => [`attn.${key}`, value])), ''),
    heads: config.number('num_heads', 8),
    topK: config.number('topk', 4),
    keyDim: config.number('qk_dim', (rows - dim) / 2),
    pooling: poolingOf(single, 0),
  })
  loadStateDict(model, state)
  return model
}

function reproduceAttention(c: GoldenCase): Outputs {
  const attention = loadBiLevelRoutingAttention(c.config, c.state())
  c.bindParameters(attention)
  const { output, routing, attention: weights } = attention.attend(c.in('x'))
  return {
    y: output,
    aux_idx: routing.indices.cast('i32'),
    aux_attn: weights.rearrange('b r m t k -> (b r) m t k'),
    aux_affinity: routing.affinity,
  }
}

function reproduceModel(c: GoldenCase): Outputs {
  const model = loadBiFormer(c.config, c.state())
  c.bindParameters(model)
  const pyramid = model.pyramid(c.in('x'))
  return { map: pyramid[3], logits: model.classify(pyramid[3].mean([2, 3])) }
}

export const official: Official = {
  repository: 'rayleizhu/BiFormer',
  licence: 'MIT',
  reproduction(golden: Golden): Reproduction {
    return {
      reproduce: golden.tensors.has('param.qkv.qkv.weight') ? reproduceAttention : reproduceModel,
      tolerances: { output: { ofLargest: 1e-4, floor: 1e-6 }, gradient: { ofLargest: 1e-3, floor: 1e-6 } },
    }
  },
}
