import { type HostTensor, hostTensor } from '../../../core/index.ts'
import { loadStateDict } from '../../../nn/index.ts'
import type { Golden, GoldenCase, Outputs } from '../../golden.ts'
import { OfficialConfig } from '../../official-config.ts'
import type { Reproduction } from '../../parity.ts'
import type { Official } from '../../system.ts'
import { PlainMamba, PlainMambaBackbone, type PlainMambaOptions } from './backbone.ts'
import { gridPaths } from './snake-orders.ts'

type State = ReadonlyMap<string, HostTensor>

/** The official code's named architectures. */
export const architectures: Readonly<Record<string, Partial<PlainMambaOptions>>> = {
  L1: { dim: 192, depth: 24, convs: 1, convolvedLayers: [0] },
  L2: { dim: 384, depth: 24, convs: 2 },
  L3: { dim: 448, depth: 36, convs: 2 },
}

/**
 * Builds the backbone of an official checkpoint (`PlainMamba` of ChenhongyiYang/PlainMamba), in the official form whose
 * step sizes, B and C stay in reading order.
 * @param config arguments of the official constructor; what it lacks is read from the shapes of `state`, then from the
 *   official defaults
 * @param state the official state dict, with or without the prefix `backbone.`
 * @throws when the checkpoint is not of this model, or does not fit the configuration
 */
export function loadPlainMamba(config: Readonly<Record<string, unknown>>, state: State): PlainMambaBackbone {
  const own = withoutPrefix(state)
  const model = new PlainMambaBackbone(plainMambaOptions(new OfficialConfig('plain-mamba', config), own))
  loadStateDict(model, own)
  return model
}

/** {@link loadPlainMamba} with the classifier `head.fc` of a whole checkpoint. */
export function loadPlainMambaClassifier(config: Readonly<Record<string, unknown>>, state: State): PlainMamba {
  const options = plainMambaOptions(new OfficialConfig('plain-mamba', config), withoutPrefix(state))
  const model = new PlainMamba({ ...options, classes: shapeOf(state, 'head.fc.weight')[0] })
  loadStateDict(model, state)
  return model
}

function withoutPrefix(state: State): Map<string, HostTensor> {
  const prefix = 'backbone.'
  if (![...state.keys()].some(key => key.startsWith(prefix))) return new Map(state)
  return new Map([...state].filter(([key]) => key.startsWith(prefix)).map(([key, t]) => [key.slice(prefix.length), t]))
}

function shapeOf(state: State, key: string): readonly number[] {
  const value = state.get(key)
  if (!value) throw new Error(`plain-mamba: the checkpoint has no '${key}': it is not one of PlainMamba`)
  return value.shape
}

function plainMambaOptions(config: OfficialConfig, state: State): PlainMambaOptions {
  const name = config.text('arch', '')
  if (name && !(name in architectures))
    throw new Error(
      `plain-mamba: there is no architecture '${name}'; there are: ${Object.keys(architectures).join(', ')}`,
    )
  const [dim, stemWidth, half] = shapeOf(state, 'patch_embed.projection.weight')
  const layers = [...state.keys()].map(key => Number(key.match(/^layers\.(\d+)\./)?.[1] ?? -1))
  const depth = config.number('num_layers', 1 + Math.max(-1, ...layers))
  const convs = [...state.keys()].filter(key => /^patch_embed\.convs\.\d+\.weight$/.test(key)).length / 2
  const named = architectures[name]
  const layerConfig = config.record('layer_cfgs')
  const rms = layerConfig.boolean('use_rms_norm', !state.has('layers.0.norm.bias'))
  const fromState = [...state.keys()].filter(key => key.endsWith('.dw.0.weight')).map(key => Number(key.split('.')[1]))
  return {
    channels: config.number('in_channels', shapeOf(state, 'patch_embed.stem.0.weight')[1]),
    size: config.pair('img_size', sideFrom(state, 2 * half)),
    patch: named ? 2 * half : config.number('patch_size', 2 * half),
    dim: named?.dim ?? config.number('embed_dims', dim),
    depth: named?.depth ?? depth,
    convs: named?.convs ?? config.number('num_convs_patch_embed', convs),
    stemWidth,
    convolvedLayers: named ? (named.convolvedLayers ?? []) : config.numbers('layers_with_dwconv', fromState),
    norm: rms ? 'rms' : 'layer',
    epsilon: config.record('norm_cfg').number('eps', 1e-6),
    finalNorm: config.boolean('final_norm', state.has('ln1.weight')),
    positions: config.boolean('with_pos_embed', state.has('pos_embed')),
    interpolation: interpolationOf(config),
    dropout: config.number('drop_rate', 0),
    dropPath: config.number('drop_path_rate', 0),
    mapsOf: config.has('out_indices') ? config.numbers('out_indices') : undefined,
    mixer: mixerOptions(layerConfig.record('mamba_cfg'), state, dim),
  }
}

function mixerOptions(config: OfficialConfig, state: State, dim: number): PlainMambaOptions['mixer'] {
  const mixer = 'layers.0.mamba.'
  const [inner, states] = shapeOf(state, `${mixer}A_log`)
  return {
    states: config.number('d_state', states),
    expand: config.number('expand', inner / dim),
    kernel: config.number('conv_size', shapeOf(state, `${mixer}conv2d.weight`)[2]),
    rank: shapeOf(state, `${mixer}dt_proj.weight`)[1],
    bias: config.boolean('bias', state.has(`${mixer}in_proj.bias`)),
    convBias: config.boolean('conv_bias', state.has(`${mixer}conv2d.bias`)),
    layerScale: state.has(`${mixer}gamma`) ? config.number('init_layer_scale', 1) : undefined,
    aligned: false,
  }
}

/** The picture's side where the configuration does not say it: that of a square grid of positions. */
const sideFrom = (state: State, patch: number): number => {
  const positions = state.get('pos_embed')?.shape[1]
  return positions ? Math.round(Math.sqrt(positions)) * patch : 224
}

function interpolationOf(config: OfficialConfig): NonNullable<PlainMambaOptions['interpolation']> {
  const modes = { bicubic: 'cubic', bilinear: 'linear', nearest: 'nearest' } as const
  const mode = config.text('interpolate_mode', 'bicubic')
  if (!(mode in modes))
    throw new Error(`plain-mamba: interpolate_mode is '${mode}', expected one of ${Object.keys(modes).join(', ')}`)
  return modes[mode as keyof typeof modes]
}

function reproduce(c: GoldenCase): Outputs {
  const model = loadPlainMamba(c.config, c.state())
  c.bindParameters(model)
  const { tokens, grid, maps } = model.encode(c.in('x'))
  const { order, direction } = gridPaths(...grid)
  const table = (rows: readonly (readonly number[])[]): HostTensor =>
    hostTensor(Int32Array.from(rows.flat()), [rows.length, rows[0].length])
  return {
    tokens,
    map: maps[maps.length - 1],
    pooled: tokens.mean(1),
    aux_orders: table(order),
    aux_directions: table(direction),
  }
}

export const official: Official = {
  repository: 'ChenhongyiYang/PlainMamba',
  licence: 'Apache-2.0',
  reproduction: (_: Golden): Reproduction => ({
    reproduce,
    tolerances: { output: { ofLargest: 1e-4, floor: 1e-6 }, gradient: { ofLargest: 1e-3, floor: 1e-6 } },
  }),
}
