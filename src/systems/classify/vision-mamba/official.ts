import type { HostTensor } from '../../../core/index.ts'
import { loadStateDict } from '../../../nn/index.ts'
import { selectiveScan } from '../../../nn/selective-scan.ts'
import type { Golden, GoldenCase, Outputs } from '../../golden.ts'
import { OfficialConfig } from '../../official-config.ts'
import type { Reproduction } from '../../parity.ts'
import type { Official } from '../../system.ts'
import { Vim, type VimEncoderOptions, type VimOptions } from './vim.ts'

/** A checkpoint's values by their official keys. */
type State = ReadonlyMap<string, HostTensor>

/**
 * Builds the model of an official checkpoint (`VisionMamba` of hustvl/Vim).
 * @param config arguments of the official constructor by name; what it lacks is read from the shapes of `state`, then
 *   from the official defaults
 * @param state the official state dict
 * @throws when the checkpoint is not of this model, or does not fit the configuration
 */
export function loadVim(config: Readonly<Record<string, unknown>>, state: State): Vim {
  const model = new Vim(vimOptions(new OfficialConfig('vision-mamba', config), state))
  loadStateDict(model, state)
  return model
}

function shapeOf(state: State, key: string): readonly number[] {
  const value = state.get(key)
  if (!value) throw new Error(`vision-mamba: the checkpoint has no '${key}': it is not one of Vim`)
  return value.shape
}

function vimOptions(config: OfficialConfig, state: State): VimOptions {
  const [dim, channels, ...patch] = shapeOf(state, 'patch_embed.proj.weight')
  const sides = config.pair('patch_size', patch)
  const stride = config.number('stride', sides[0])
  const classToken = classTokenOf(config, state)
  const tokens = state.get('pos_embed')?.shape[1]
  const grid = tokens && Math.round(Math.sqrt(tokens - { none: 0, ends: 2, first: 1, middle: 1, last: 1 }[classToken]))
  const side = grid ? (grid - 1) * stride + sides[0] : 224
  return {
    channels: config.number('channels', channels),
    size: config.pair('img_size', side),
    patch: sides,
    stride,
    dim: config.number('embed_dim', dim),
    depth: config.number('depth', layersIn(state)),
    classes: state.has('head.weight') ? config.number('num_classes', shapeOf(state, 'head.weight')[0]) : 0,
    classToken,
    pool: poolOf(config),
    positions: config.boolean('if_abs_pos_embed', state.has('pos_embed')),
    rotary: config.boolean('if_rope', state.has('rope.freqs_cos'))
      ? { trainedSide: config.number('pt_hw_seq_len', 14), residual: config.boolean('if_rope_residual', false) }
      : undefined,
    norm: config.boolean('rms_norm', !state.has('norm_f.bias')) ? 'rms' : 'layer',
    epsilon: config.number('norm_epsilon', 1e-5),
    dropout: config.number('drop_rate', 0),
    dropPath: config.number('drop_path_rate', 0.1),
    paired: config.boolean('if_bidirectional', false),
    ...mixerOptions(config, state, dim),
  }
}

function mixerOptions(
  config: OfficialConfig,
  state: State,
  dim: number,
): Pick<VimEncoderOptions, 'directions' | 'average' | 'layerScale' | 'mixer'> {
  const mixer = 'layers.0.mixer.'
  const [inner, states] = shapeOf(state, `${mixer}A_log`)
  const ssm = config.record('ssm_cfg')
  const found = state.has(`${mixer}conv1d_b.weight`) ? 'v2' : state.has(`${mixer}A_b_log`) ? 'v1' : 'none'
  const type = config.boolean('if_bimamba', false) ? 'v1' : config.text('bimamba_type', found)
  const directions = { v2: 'both', v1: 'sharedBoth', none: 'forward' } as const
  if (!(type in directions))
    throw new Error(`vision-mamba: bimamba_type is '${type}', expected one of ${Object.keys(directions).join(', ')}`)
  return {
    directions: directions[type as keyof typeof directions],
    average: config.boolean('if_divide_out', true),
    layerScale: state.has(`${mixer}gamma`) ? config.number('init_layer_scale', 1) : undefined,
    mixer: {
      states: config.number('d_state', states),
      expand: ssm.number('expand', inner / dim),
      kernel: ssm.number('d_conv', shapeOf(state, `${mixer}conv1d.weight`)[2]),
      rank: shapeOf(state, `${mixer}dt_proj.weight`)[1],
      bias: state.has(`${mixer}in_proj.bias`),
      convBias: state.has(`${mixer}conv1d.bias`),
    },
  }
}

function classTokenOf(config: OfficialConfig, state: State): NonNullable<VimEncoderOptions['classToken']> {
  if (!config.boolean('if_cls_token', state.has('cls_token') || state.has('cls_token_head'))) return 'none'
  if (config.boolean('use_double_cls_token', state.has('cls_token_head'))) return 'ends'
  return config.boolean('use_middle_cls_token', true) ? 'middle' : 'first'
}

function poolOf(config: OfficialConfig): NonNullable<VimEncoderOptions['pool']> {
  const pools = { none: 'last', mean: 'mean', max: 'max', all: 'all' } as const
  const name = config.text('final_pool_type', 'none')
  if (!(name in pools))
    throw new Error(`vision-mamba: final_pool_type is '${name}', expected one of ${Object.keys(pools).join(', ')}`)
  return pools[name as keyof typeof pools]
}

const layersIn = (state: State): number =>
  1 + Math.max(-1, ...[...state.keys()].map(key => Number(key.match(/^layers\.(\d+)\./)?.[1] ?? -1)))

/** Cases of the scan alone: their names stand before those of their tensors. */
function reproduceScans(c: GoldenCase): Outputs {
  const outputs: Record<string, ReturnType<typeof selectiveScan>['output']> = {}
  for (const name of c.names('out').filter(output => /(^|\.)y$/.test(output))) {
    const prefix = name.slice(0, -1)
    const given = (part: string) => (c.has('in', prefix + part) ? c.in(prefix + part) : undefined)
    const need = (part: string) => c.in(prefix + part)
    const { output, lastState } = selectiveScan(need('u'), need('delta'), need('A'), need('B'), need('C'), {
      D: given('D'),
      z: given('z'),
      deltaBias: given('delta_bias'),
      // The reference's plain case uses softplus, its grouped one takes step sizes as they are, and so has no bias.
      softplus: c.has('in', `${prefix}delta_bias`),
    })
    outputs[name] = output
    if (c.has('out', `${prefix}last_state`)) outputs[`${prefix}last_state`] = lastState
  }
  return outputs
}

function reproduceModel(c: GoldenCase): Outputs {
  const model = loadVim(c.config, c.state())
  c.bindParameters(model)
  const encoding = model.encode(c.in('x'))
  return { features: encoding.cls, logits: model.classify(encoding) }
}

export const official: Official = {
  repository: 'hustvl/Vim',
  licence: 'Apache-2.0',
  reproduction(golden: Golden): Reproduction {
    return {
      reproduce: golden.tensors.has('in.delta') ? reproduceScans : reproduceModel,
      tolerances: { output: { ofLargest: 1e-4, floor: 1e-6 }, gradient: { ofLargest: 1e-3, floor: 1e-6 } },
    }
  },
}
