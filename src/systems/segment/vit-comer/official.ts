import type { HostTensor } from '../../../core/index.ts'
import { MultiScaleDeformableAttention, msDeformAttention } from '../../../nn/deformable-attention.ts'
import { loadStateDict } from '../../../nn/index.ts'
import type { LevelSizes } from '../../../nn/levels.ts'
import type { Golden, GoldenCase, Outputs } from '../../golden.ts'
import { OfficialConfig } from '../../official-config.ts'
import type { Reproduction } from '../../parity.ts'
import type { Official } from '../../system.ts'
import { DenseVit, type DenseVitOptions } from './plain-vit.ts'
import { type StageRange, ViTCoMer, type ViTCoMerOptions } from './vit-comer.ts'

type State = ReadonlyMap<string, HostTensor>

function shapeOf(state: State, key: string): readonly number[] {
  const value = state.get(key)
  if (!value) throw new Error(`vit-comer: the checkpoint has no '${key}': it is not one of ViT-CoMer`)
  return value.shape
}

/**
 * Builds the backbone of an official checkpoint (`ViTCoMer` of Traffic-X/ViT-CoMer, of segmentation or of detection).
 * @param config arguments of the official constructor by name, and `form`: 'segmentation' or 'detection' for the
 *   repository's half; what it lacks is read from the shapes of `state`, then from the official defaults
 * @param state the official state dict
 * @throws when the checkpoint is not of this model, or does not fit the configuration
 */
export function loadViTCoMer(config: Readonly<Record<string, unknown>>, state: State): ViTCoMer {
  const given = new OfficialConfig('vit-comer', config)
  const stages = stagesOf(given, state)
  const options = comerOptions(given, state, stages)
  const model = new ViTCoMer(new DenseVit(trunkOptions(given, state)), options)
  // The segmentation half makes a pyramid module for every stage, also where nothing ever calls it.
  const silent = stages.map((_, i) => perStage(options.toVit, i) === false)
  const rename = (key: string): string | undefined => {
    const stage = key.match(/^interactions\.(\d+)\.mrfp\./)?.[1]
    return stage !== undefined && silent[Number(stage)] ? undefined : key
  }
  loadStateDict(model, state, { rename })
  return model
}

const perStage = <T>(value: T | readonly T[] | undefined, stage: number): T | undefined =>
  Array.isArray(value) ? (value as readonly T[])[stage] : (value as T | undefined)

function trunkOptions(config: OfficialConfig, state: State): DenseVitOptions {
  const [dim, channels, patch] = shapeOf(state, 'patch_embed.proj.weight')
  const depth = config.number('depth', countIn(state, /^blocks\.(\d+)\./))
  return {
    channels: config.number('in_chans', channels),
    patch: config.number('patch_size', patch),
    dim: config.number('embed_dim', dim),
    depth,
    heads: config.number('num_heads', 12),
    mlpRatio: config.number('mlp_ratio', shapeOf(state, 'blocks.0.mlp.fc1.weight')[0] / dim),
    qkvBias: config.boolean('qkv_bias', state.has('blocks.0.attn.qkv.bias')),
    layerScale: config.boolean('layer_scale', state.has('blocks.0.gamma1')),
    grid: positionGrid(config, state),
    windows: windowsOf(config, depth),
    residuals: config.numbers('residual_indices', residualsIn(state)),
    dropout: config.number('drop_rate', 0),
    attentionDropout: config.number('attn_drop_rate', 0),
    dropPath: config.number('drop_path_rate', 0),
  }
}

/** Whose positions the checkpoint holds, a class token before them: the official code takes them to be square. */
function positionGrid(config: OfficialConfig, state: State): readonly [number, number] {
  const count = shapeOf(state, 'pos_embed')[1] - 1
  const patch = shapeOf(state, 'patch_embed.proj.weight')[2]
  const [height, width] = config.pair('pretrain_size', config.pair('img_size', Math.sqrt(count) * patch))
  const grid = [Math.floor(height / patch), Math.floor(width / patch)] as const
  // The size of pictures is often given as that of training, the positions are still those of the checkpoint.
  const side = Math.sqrt(count)
  return grid[0] * grid[1] === count || !Number.isInteger(side) ? grid : [side, side]
}

function windowsOf(config: OfficialConfig, depth: number): (number | undefined)[] {
  const flags = flagsOf(config, 'window_attn', false, depth)
  const given = config.values.window_size
  const sizes: unknown[] = Array.isArray(given) ? given : new Array(depth).fill(config.number('window_size', 14))
  return flags.map((windowed, i) => (windowed ? Number(sizes[i] ?? 14) : undefined))
}

const residualsIn = (state: State): number[] =>
  [...state.keys()].flatMap(key => key.match(/^blocks\.(\d+)\.residual\.conv1\.weight$/)?.[1] ?? []).map(Number)

function stagesOf(config: OfficialConfig, state: State): readonly StageRange[] {
  const count = countIn(state, /^interactions\.(\d+)\./)
  if (config.has('interaction_indexes'))
    return config.lists('interaction_indexes').map(blocks => [blocks[0], blocks[blocks.length - 1]])
  const depth = countIn(state, /^blocks\.(\d+)\./)
  return Array.from({ length: count }, (_, i) => [
    Math.floor((i * depth) / count),
    Math.floor(((i + 1) * depth) / count) - 1,
  ])
}

function comerOptions(config: OfficialConfig, state: State, stages: readonly StageRange[]): ViTCoMerOptions {
  const dim = shapeOf(state, 'patch_embed.proj.weight')[0]
  const at = (stage: number, key: string): boolean => state.has(`interactions.${stage}.${key}`)
  const flags = (name: string, found: (stage: number) => boolean): boolean[] =>
    config.has(name) ? flagsOf(config, name, true, stages.length) : stages.map((_, i) => found(i))
  const last = stages.length - 1
  const rows = (pattern: RegExp): number | undefined => [...state].find(([key]) => pattern.test(key))?.[1].shape[0]
  const hidden = rows(/\.mrfp\.fc1\.weight$/)
  const ffn = rows(/\.ffn\.fc1\.weight$/)
  const values = rows(/\.attn\.value_proj\.weight$/)
  const deformHeads = config.number('deform_num_heads', 6)
  const weights = rows(/\.attn\.attention_weights\.weight$/)
  const extra = countIn(state, new RegExp(`^interactions\\.${last}\\.extra_CTIs\\.(\\d+)\\.`))
  return {
    stages,
    cnnWidth: config.number('conv_inplane', shapeOf(state, 'spm.stem.0.weight')[0]),
    heads: deformHeads,
    points: config.number('n_points', weights ? weights / (3 * deformHeads) : 4),
    valueRatio: config.number('deform_ratio', values ? values / dim : 1),
    pyramidRatio: config.number('dim_ratio', hidden ? hidden / dim : 6),
    feedForward: config.boolean(
      'with_cffn',
      [...state.keys()].some(key => /(cfinter|extra_CTIs\.\d+)\.ffn\./.test(key)),
    ),
    feedForwardRatio: config.number('cffn_ratio', ffn ? ffn / dim : 0.25),
    toVit: flags('use_CTI_toV', i => at(i, 'cti_tov.gamma')),
    toCnn: flags('use_CTI_toC', i => at(i, 'cti_toc.query_norm.weight')),
    cnnInteraction: flags(
      'cnn_feature_interaction',
      i => at(i, 'cti_toc.cfinter.query_norm.weight') || at(i, 'extra_CTIs.0.cfinter.query_norm.weight'),
    ),
    extra: config.boolean('use_extra_CTI', extra > 0) ? config.number('extra_num', extra) : 0,
    gamma: config.number('init_values', 0),
    dropPath: config.number('drop_path_rate', 0),
    dropout: config.number('drop_rate', 0),
    positionGrid: positionGrid(config, state),
    vitFeatures: vitFeatures(config, hidden ? hidden / dim : undefined),
  }
}

/** The two halves of the repository differ in what they add at the end; their pyramid modules tell them apart. */
function vitFeatures(config: OfficialConfig, pyramidRatio: number | undefined): ViTCoMerOptions['vitFeatures'] {
  if (!config.boolean('add_vit_feature', true)) return 'none'
  const guessed = config.has('extra_num') || pyramidRatio === 0.5 ? 'detection' : 'segmentation'
  const form = config.text('form', guessed)
  if (form === 'segmentation') return 'stages'
  if (form === 'detection') return 'last'
  throw new Error(`vit-comer: form is '${form}', expected segmentation or detection`)
}

/** A flag for each of so many, given as one for all or as a list. */
function flagsOf(config: OfficialConfig, name: string, fallback: boolean, count: number): boolean[] {
  const given = config.values[name]
  if (!Array.isArray(given)) return new Array<boolean>(count).fill(config.boolean(name, fallback))
  if (given.length < count || given.some(flag => typeof flag !== 'boolean'))
    throw new Error(`vit-comer: '${name}' is ${JSON.stringify(given)}, expected true or false for each of ${count}`)
  return given.slice(0, count)
}

/** One more than the largest number that a pattern finds among the keys. */
const countIn = (state: State, pattern: RegExp): number =>
  1 + Math.max(-1, ...[...state.keys()].map(key => Number(key.match(pattern)?.[1] ?? -1)))

/** Builds deformable attention alone from the state dict of `MSDeformAttn`. */
export function loadDeformableAttention(
  values: Readonly<Record<string, unknown>>,
  state: State,
): MultiScaleDeformableAttention {
  const config = new OfficialConfig('vit-comer', values)
  const [width, dim] = shapeOf(state, 'value_proj.weight')
  const heads = config.number('heads', config.number('n_heads', 8))
  const levels = config.has('shapes_hw') ? sizesOf(config).length : config.number('n_levels', 4)
  const places = shapeOf(state, 'attention_weights.weight')[0]
  const model = new MultiScaleDeformableAttention(config.number('d_model', dim), {
    heads,
    levels,
    points: config.number('points', config.number('n_points', places / (heads * levels))),
    valueRatio: config.number('ratio', width / dim),
  })
  loadStateDict(model, state)
  return model
}

const sizesOf = (config: OfficialConfig): LevelSizes => config.pairs('shapes_hw', [])

function reproduceAttention(c: GoldenCase): Outputs {
  const sizes = sizesOf(new OfficialConfig('vit-comer', c.config))
  const outputs: Record<string, Outputs[string]> = {}
  if (c.has('in', 'core.value'))
    outputs['core.y'] = msDeformAttention(c.in('core.value'), sizes, c.in('core.loc'), c.in('core.weight'))
  if (c.has('in', 'query')) {
    const attention = loadDeformableAttention(c.config, c.state())
    c.bindParameters(attention)
    outputs.y = attention.forward(c.in('query'), c.in('reference'), c.in('feat'), sizes)
  }
  return outputs
}

function reproduceModel(c: GoldenCase, what: string): Outputs {
  const form = /detection form/i.test(what) ? { form: 'detection' } : {}
  const model = loadViTCoMer({ ...form, ...c.config }, c.state())
  c.bindParameters(model)
  const [f1, f2, f3, f4] = model.forward(c.in('x'))
  return { f1, f2, f3, f4 }
}

export const official: Official = {
  repository: 'Traffic-X/ViT-CoMer',
  licence: 'Apache-2.0',
  reproduction(golden: Golden): Reproduction {
    const isAttention = golden.tensors.has('in.core.value') || golden.tensors.has('in.reference')
    return {
      reproduce: isAttention ? reproduceAttention : c => reproduceModel(c, golden.metadata.what),
      tolerances: { output: { ofLargest: 2e-4, floor: 1e-6 }, gradient: { ofLargest: 2e-3, floor: 1e-6 } },
    }
  },
}
