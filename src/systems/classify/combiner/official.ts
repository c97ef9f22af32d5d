import type { HostTensor, Tensor } from '../../../core/index.ts'
import { loadStateDict, namedVariables } from '../../../nn/index.ts'
import type { Golden, GoldenCase, Outputs } from '../../golden.ts'
import { OfficialConfig } from '../../official-config.ts'
import type { Reproduction } from '../../parity.ts'
import type { Official } from '../../system.ts'
import { CombinerAttention, type Pattern } from './combiner-attention.ts'

type State = ReadonlyMap<string, HostTensor>

const patterns: readonly Pattern[] = ['fixed', 'logsparse', 'axial', 'mixture']

/** Flax calls the weight of a layer norm its scale. */
const toPath = (key: string): string => key.replace(/^(LayerNorm_\d+)\.scale$/, '$1.weight')
const toKey = (path: string): string => path.replace(/^(LayerNorm_\d+)\.weight$/, '$1.scale')

/**
 * Builds an attention layer from the parameters of an official one (JAX, google-research/combiner, layer.py: `_SelfAttSqrtn`,
 * `_SelfAttLogn`, `_SelfAttAxialRowmajor`, `_AxialMixtureAtt`).
 * @param config `pattern` ('axial' can be told from the parameters), `segment` (the official `max_seg_len`), and
 *   optionally `causal`, `dropout_rate` and `attention_dropout_rate`; widths and heads are those of the kernels
 * @param state `query.kernel`, …, in flax's layout
 * @throws when the state is not of such a layer, or does not fit the configuration
 */
export function loadCombinerAttention(config: Readonly<Record<string, unknown>>, state: State): CombinerAttention {
  const options = new OfficialConfig('combiner', config)
  const axial = state.has('DenseGeneral_2.kernel')
  const pattern = options.text('pattern', axial ? 'axial' : 'fixed') as Pattern
  if (!patterns.includes(pattern))
    throw new Error(`combiner: pattern is '${pattern}', expected one of ${patterns.join(', ')}`)
  const shapeOf = (key: string): readonly number[] => {
    const value = state.get(key)
    if (!value) throw new Error(`combiner: the parameters lack '${key}': they are not those of a '${pattern}' layer`)
    return value.shape
  }
  const [dim, heads, headDim] = shapeOf('query.kernel')
  const [, , out] = shapeOf(pattern === 'axial' ? 'DenseGeneral_2.kernel' : 'DenseGeneral_0.kernel')
  const layer = new CombinerAttention({
    pattern,
    dim,
    heads: options.number('heads', options.number('num_heads', heads)),
    headDim: options.number('head_dim', headDim),
    out,
    segment: pattern === 'logsparse' ? undefined : options.number('segment', options.number('max_seg_len', 32)),
    causal: options.boolean('causal', true),
    dropout: options.number('dropout_rate', 0),
    attentionDropout: options.number('attention_dropout_rate', 0),
  })
  loadStateDict(layer, state, { rename: toPath })
  return layer
}

/** One layer: the case's name is its pattern where the configuration does not name it. */
function reproduceCase(c: GoldenCase, config: Readonly<Record<string, unknown>>): Outputs {
  const found = `${config.case ?? config.pattern}.`
  const prefix = c.has('in', `${found}x`) ? found : ''
  const state = new Map([...c.state()].filter(([key]) => key.startsWith(prefix)))
  const layer = loadCombinerAttention(config, new Map([...state].map(([key, t]) => [key.slice(prefix.length), t])))
  for (const [path, variable] of namedVariables(layer)) c.bindParameter(prefix + toKey(path), variable)
  return { [`${prefix}y`]: layer.forward(c.in(`${prefix}x`)) }
}

function reproduce(c: GoldenCase): Outputs {
  const configs = Array.isArray(c.config) ? (c.config as Readonly<Record<string, unknown>>[]) : [c.config]
  const outputs: Record<string, Tensor | HostTensor> = {}
  for (const config of configs) Object.assign(outputs, reproduceCase(c, config))
  return outputs
}

export const official: Official = {
  repository: 'google-research/google-research',
  licence: 'Apache-2.0',
  reproduction: (_: Golden): Reproduction => ({
    reproduce,
    tolerances: { output: { ofLargest: 1e-4, floor: 1e-6 }, gradient: { ofLargest: 1e-3, floor: 1e-6 } },
  }),
}
