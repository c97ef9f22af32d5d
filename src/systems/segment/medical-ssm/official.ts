import type { HostTensor, Tensor } from '../../../core/index.ts'
import { loadStateDict, type Module } from '../../../nn/index.ts'
import type { Golden, GoldenCase, Outputs } from '../../golden.ts'
import { OfficialConfig } from '../../official-config.ts'
import type { Reproduction } from '../../parity.ts'
import type { Official } from '../../system.ts'
import { bceDiceLoss, ceDiceLoss } from './losses.ts'
import { S4Layer, s4Convolve, s4Kernel, s4Recurrence } from './s4.ts'
import { SS2D } from './ss2d.ts'
import { type ResidualUnet, type ResidualUnetOptions, UMambaBot, UMambaEnc } from './u-mamba.ts'
import { VMUNet } from './vm-unet.ts'

type State = ReadonlyMap<string, HostTensor>
type Config = Readonly<Record<string, unknown>>

const reader = (config: Config): OfficialConfig => new OfficialConfig('medical-ssm', config)

function shapeOf(state: State, key: string, model: string): readonly number[] {
  const value = state.get(key)
  if (!value) throw new Error(`medical-ssm: the checkpoint has no '${key}': it is not one of ${model}`)
  return value.shape
}

function filled<M extends Module>(model: M, state: State): M {
  loadStateDict(model, state)
  return model
}

/** One more than the largest number that `pattern` captures in the keys; 0 where none matches. */
const countOf = (state: State, pattern: RegExp): number =>
  1 + Math.max(-1, ...[...state.keys()].map(key => Number(key.match(pattern)?.[1] ?? -1)))

/**
 * Builds the SS2D block of an official state dict.
 * @param config arguments of the official constructor; what it lacks is read from the shapes of `state`
 */
export function loadSs2d(config: Config, state: State): SS2D {
  const given = reader(config)
  const [, inner, rank] = shapeOf(state, 'dt_projs_weight', 'SS2D')
  const dim = given.number('d_model', shapeOf(state, 'out_proj.weight', 'SS2D')[0])
  const model = new SS2D(dim, {
    states: given.number('d_state', shapeOf(state, 'A_logs', 'SS2D')[1]),
    expand: given.number('expand', inner / dim),
    kernel: given.number('d_conv', shapeOf(state, 'conv2d.weight', 'SS2D')[2]),
    rank,
    bias: state.has('in_proj.bias'),
    convBias: state.has('conv2d.bias'),
    dropout: given.number('dropout', 0),
  })
  return filled(model, state)
}

/**
 * Builds the VM-UNet of an official checkpoint.
 * @param config arguments of the official constructor (`VSSM`, or `VMUNet` which wraps it); what it lacks is read from `state`
 * @param state the official state dict, with or without the prefix `vmunet.`
 */
export function loadVmUnet(config: Config, state: State): VMUNet {
  const given = reader(config)
  const own = new Map([...state].map(([key, value]) => [key.replace(/^vmunet\./, ''), value]))
  const [width, channels, patch] = shapeOf(own, 'patch_embed.proj.weight', 'VM-UNet')
  const stages = countOf(own, /^layers\.(\d+)\./)
  const depthsIn = (part: string): number[] =>
    Array.from({ length: stages }, (_, i) => countOf(own, new RegExp(`^${part}\\.${i}\\.blocks\\.(\\d+)\\.`)))
  const [dim, ...more] = given.numbers('dims', [width])
  const dims = more.length ? [dim, ...more] : Array.from({ length: stages }, (_, i) => dim * 2 ** i)
  const model = new VMUNet({
    classes: given.number('num_classes', shapeOf(own, 'final_conv.weight', 'VM-UNet')[0]),
    channels: given.number('in_chans', given.number('input_channels', channels)),
    patch: given.number('patch_size', patch),
    depths: given.numbers('depths', depthsIn('layers')),
    depthsDecoder: given.numbers('depths_decoder', depthsIn('layers_up')),
    dims,
    dimsDecoder: given.numbers('dims_decoder', dims.toReversed()),
    states: given.number('d_state', shapeOf(own, 'layers.0.blocks.0.self_attention.A_logs', 'VM-UNet')[1]),
    patchNorm: given.boolean('patch_norm', own.has('patch_embed.norm.weight')),
    dropout: given.number('drop_rate', 0),
    mixerDropout: given.number('attn_drop_rate', 0),
    dropPath: given.number('drop_path_rate', 0),
  })
  return filled(model, own)
}

function unetOptions(given: OfficialConfig, state: State): ResidualUnetOptions {
  const norms = given.text('norm_op', 'InstanceNorm2d')
  if (!norms.includes('InstanceNorm2d'))
    throw new Error(`medical-ssm: U-Mamba in two dimensions has InstanceNorm2d, the configuration says ${norms}`)
  const stages = given.number('n_stages', countOf(state, /^encoder\.stages\.(\d+)\./))
  const shape = (i: number): readonly number[] => shapeOf(state, `encoder.stages.${i}.0.conv1.weight`, 'U-Mamba')
  const each = <T>(of: (i: number) => T, length = stages): T[] => Array.from({ length }, (_, i) => of(i))
  const widths = given.numbers(
    'features_per_stage',
    given.numbers(
      'features',
      each(i => shape(i)[0]),
    ),
  )
  const norm = given.record('norm_op_kwargs')
  const heads = shapeOf(state, 'decoder.seg_layers.0.weight', 'U-Mamba')[0]
  const bias = [...state.keys()].some(key => /\.[1-9]\d*\.conv1\.conv\.bias$/.test(key))
  return {
    channels: given.number('input_channels', shapeOf(state, 'encoder.stem.0.conv1.weight', 'U-Mamba')[1]),
    classes: given.number('num_classes', heads),
    widths: widths.length === 1 ? each(() => widths[0]) : widths,
    strides: given.pairs(
      'strides',
      each(i => (i === 0 ? [1, 1] : [2, 2])),
    ),
    kernels: given.pairs(
      'kernel_sizes',
      each(i => [shape(i)[2], shape(i)[3]]),
    ),
    // The official constructor overrides the numbers of blocks it is given in deep stages, so they are counted.
    blocks: each(i => countOf(state, new RegExp(`^encoder\\.stages\\.${i}\\.(\\d+)\\.`))),
    blocksDecoder: each(i => countOf(state, new RegExp(`^decoder\\.stages\\.${i}\\.(\\d+)\\.`)), stages - 1),
    convBias: given.boolean('conv_bias', bias),
    epsilon: norm.number('eps', 1e-5),
    affine: norm.boolean('affine', state.has('encoder.stem.0.norm1.weight')),
    slope: given.record('nonlin_kwargs').number('negative_slope', 0.01),
  }
}

/** Official checkpoints hold some tensors twice: blocks list their parts as a sequence too, and the decoder its encoder. */
const withoutTwins = (state: State): Map<string, HostTensor> =>
  new Map([...state].filter(([key]) => !key.includes('.all_modules.') && !key.startsWith('decoder.encoder.')))

/**
 * Builds the U-Mamba of an official checkpoint, with Mamba at the bottleneck or in the encoder, as the checkpoint has it.
 * @param config arguments of the official constructor; what it lacks is read from the shapes of `state`
 * @param size height and width of the pictures, where the configuration has no `input_size`
 */
export function loadUMamba(config: Config, state: State, size?: readonly [number, number]): ResidualUnet {
  const given = reader(config)
  const own = withoutTwins(state)
  const options = unetOptions(given, own)
  if (own.has('mamba_layer.norm.weight')) {
    const states = shapeOf(own, 'mamba_layer.mamba.A_log', 'U-Mamba')[1]
    return filled(new UMambaBot({ ...options, states }), own)
  }
  const input = given.has('input') ? given.numbers('input').slice(-2) : undefined
  const first = [...own.keys()].find(key => /^encoder\.mamba_layers\.\d+\.mamba\.A_log$/.test(key))
  if (!first) throw new Error('medical-ssm: the checkpoint has no Mamba layer: it is not one of U-Mamba')
  const sides = given.pair('input_size', size ?? input)
  return filled(new UMambaEnc({ ...options, size: sides, states: own.get(first)!.shape[1] }), own)
}

function reproduceS4(c: GoldenCase): Outputs {
  const state = c.state()
  const [channels, states] = shapeOf(state, 'log_A_real', 'S4D')
  const layer = filled(new S4Layer(channels, { states, kind: state.has('A_imag') ? 'complex' : 'real' }), state)
  c.bindParameters(layer)
  const { system } = layer
  const u = c.in('u')
  const K = s4Kernel(system, u.shape[2])
  const { lastState } = s4Recurrence(system, u)
  return {
    K,
    y: s4Convolve(u, K, system.D),
    last_state_re: lastState.re,
    ...(lastState.im ? { last_state_im: lastState.im } : {}),
  }
}

/** The golden's order of the four routes: row, row backwards, column, column backwards. */
const ROUTE_ORDER = [0, 2, 1, 3]

function reproduceSs2d(c: GoldenCase): Outputs {
  const block = loadSs2d(c.config, c.state())
  c.bindParameters(block)
  const { routes } = block.routes(c.in('x'))
  const named = ROUTE_ORDER.map((k, i): [string, Tensor] => [`aux_route${i}`, routes[k].rearrange('l b e -> b e l')])
  return { y: block.forward(c.in('x')), ...Object.fromEntries(named) }
}

function reproduceVmUnet(c: GoldenCase): Outputs {
  const model = loadVmUnet(c.config, c.state())
  c.bindParameters(model)
  return { logits: model.forward(c.in('x')) }
}

function reproduceUMamba(c: GoldenCase): Outputs {
  const own = c.config[c.name]
  const x = c.in('x')
  const size = [x.shape[2], x.shape[3]] as const
  const model = loadUMamba(typeof own === 'object' && own ? (own as Config) : {}, c.state(), size)
  c.bindParameters(model)
  return Object.fromEntries(model.deepScores(x).map((scores, i) => [`seg${i}`, scores]))
}

function reproduction({ tensors, name }: Golden): Reproduction {
  const tolerances = { output: { ofLargest: 1e-4, floor: 1e-6 }, gradient: { ofLargest: 1e-3, floor: 1e-6 } } as const
  const keys = [...tensors.keys()]
  const has = (pattern: RegExp): boolean => keys.some(key => pattern.test(key))
  if (has(/^param\.log_dt$/)) return { reproduce: reproduceS4, tolerances }
  if (has(/^param\.x_proj_weight$/)) return { reproduce: reproduceSs2d, tolerances }
  if (has(/^param\.(vmunet\.)?patch_embed\./)) return { reproduce: reproduceVmUnet, tolerances }
  if (has(/^param\.[a-z]\w*\.encoder\.stem\./))
    // A bias before a norm has the gradient 0: both sides hold nothing but rounding there.
    return {
      reproduce: { cases: [[/^[a-z]+$/, reproduceUMamba]] },
      tolerances: { ...tolerances, gradient: { ofLargest: 1e-3, floor: 5e-4 } },
    }
  if (has(/^in\.(bcedice|cedice)\./))
    return {
      reproduce: {
        cases: [
          [/^bcedice$/, c => ({ loss: bceDiceLoss(c.in('prob'), c.in('target')) })],
          [/^cedice$/, c => ({ loss: ceDiceLoss(c.in('logits'), c.in('labels')) })],
        ],
      },
      tolerances,
    }
  throw new Error(`${name}: no part of medical-ssm knows the tensors of this golden`)
}

export const official: Official = {
  repository: 'JCruan519/VM-UNet, bowang-lab/U-Mamba',
  licence: 'Apache-2.0',
  reproduction,
}
