import type { HostTensor } from '../../../core/index.ts'
import { loadStateDict, prepend } from '../../../nn/index.ts'
import type { Golden, GoldenCase, Outputs } from '../../golden.ts'
import { OfficialConfig } from '../../official-config.ts'
import type { Reproduction } from '../../parity.ts'
import type { Official } from '../../system.ts'
import { DHVT, type DhvtOptions } from './dhvt.ts'

type State = ReadonlyMap<string, HostTensor>

/**
 * Builds the model of an official checkpoint (`VisionTransformer` of ArieSeirack/DHVT with `apply_dhvt`).
 * @param config arguments of the official constructor; what it lacks is read from the shapes of `state`, then from the
 *   official defaults
 * @param state the official state dict
 * @throws when the checkpoint is not of this model, or does not fit the configuration
 */
export function loadDhvt(config: Readonly<Record<string, unknown>>, state: State): DHVT {
  const model = new DHVT(dhvtOptions(new OfficialConfig('dhvt', config), state))
  loadStateDict(model, state)
  return model
}

function shapeOf(state: State, key: string): readonly number[] {
  const value = state.get(key)
  if (!value) throw new Error(`dhvt: the checkpoint has no '${key}': it is not one of DHVT`)
  return value.shape
}

function dhvtOptions(config: OfficialConfig, state: State): DhvtOptions {
  if (!config.boolean('apply_dhvt', true)) throw new Error("dhvt: 'apply_dhvt' is off: that is a plain ViT, use vit")
  if (config.boolean('distilled', false))
    throw new Error("dhvt: 'distilled' models do not exist: they have one class token")
  const [dim] = shapeOf(state, 'patch_embed.post_affine.alpha').slice(1)
  const convolutions = [...state.keys()].filter(key => /^patch_embed\.proj\.\d+\.0\.weight$/.test(key)).length
  const hidden = shapeOf(state, 'blocks.0.mlp.conv1.weight')[0]
  const representation = state.has('pre_logits.fc.weight') ? shapeOf(state, 'pre_logits.fc.weight')[0] : 0
  return {
    channels: shapeOf(state, 'patch_embed.pre_affine.alpha')[1],
    classes: state.has('head.weight') ? config.number('num_classes', shapeOf(state, 'head.weight')[0]) : 0,
    patch: config.pair('patch_size', 2 ** convolutions)[0],
    dim: config.number('embed_dim', dim),
    depth: config.number('depth', blocksIn(state)),
    heads: config.number('num_heads', shapeOf(state, 'blocks.0.attn.pos_embed')[1]),
    mlpRatio: config.number('mlp_ratio', hidden / dim),
    qkvBias: config.boolean('qkv_bias', state.has('blocks.0.attn.qkv.bias')),
    representation: config.number('representation_size', representation) || undefined,
    dropout: config.number('drop_rate', 0),
    attentionDropout: config.number('attn_drop_rate', 0),
    dropPath: config.number('drop_path_rate', 0),
  }
}

const blocksIn = (state: State): number =>
  new Set([...state.keys()].map(key => key.match(/^blocks\.(\d+)\./)?.[1]).filter(Boolean)).size

/** Outputs `aux_attn0`, `aux_daff0`, … are those parts of a block on the normalised tokens that enter the first block. */
function reproduce(c: GoldenCase): Outputs {
  const model = loadDhvt(c.config, c.state())
  c.bindParameters(model)
  const images = c.in('x')
  const embedded = model.embed(images)
  const tokens = prepend(model.cls_token, embedded)
  const parts = Object.fromEntries(
    model.blocks.flatMap(({ norm1, attn, norm2, mlp }, i) => [
      [`aux_attn${i}`, attn.forward(norm1.forward(tokens))],
      [`aux_daff${i}`, mlp.forward(norm2.forward(tokens))],
    ]),
  )
  const outputs = { ...parts, aux_embed: embedded, features: model.features(images), logits: model.forward(images) }
  return Object.fromEntries(Object.entries(outputs).filter(([name]) => c.has('out', name)))
}

export const official: Official = {
  repository: 'ArieSeirack/DHVT',
  licence: 'Apache-2.0',
  reproduction: (_: Golden): Reproduction => ({
    reproduce,
    tolerances: { output: { ofLargest: 1e-4, floor: 1e-6 }, gradient: { ofLargest: 1e-3, floor: 1e-6 } },
  }),
}
