import { collectWrites, type HostTensor, type Tensor } from '../../../core/index.ts'
import { loadStateDict, namedVariables, withMode } from '../../../nn/index.ts'
import type { Golden, GoldenCase, Outputs } from '../../golden.ts'
import { OfficialConfig } from '../../official-config.ts'
import type { Reproduction } from '../../parity.ts'
import type { Official } from '../../system.ts'
import { ULSAM } from './subspace-attention.ts'

type State = ReadonlyMap<string, HostTensor>

/** Of the batch norms in the official code. */
const OFFICIAL_MOMENTUM = 0.9

/**
 * Builds the module of an official state dict (`ULSAM` of Nandan91/ULSAM).
 * @param config `channels` and `groups` (the official `nin` and `num_splits`), and `momentum`; what it lacks is read from
 *   the shapes of `state`, the momentum is 0.9 then
 * @param state `subspaces.<i>.conv_dws.weight`, …
 * @throws when the state is not of this module, or does not fit the configuration
 */
export function loadUlsam(config: Readonly<Record<string, unknown>>, state: State): ULSAM {
  const options = new OfficialConfig('ulsam', config)
  const first = state.get('subspaces.0.conv_dws.weight')
  if (!first) throw new Error("ulsam: the state dict has no 'subspaces.0.conv_dws.weight': it is not one of ULSAM")
  const found = new Set([...state.keys()].map(key => key.match(/^subspaces\.(\d+)\./)?.[1]).filter(Boolean)).size
  const groups = options.number('groups', options.number('num_splits', found))
  const channels = options.number('channels', options.number('nin', groups * first.shape[0]))
  const module = new ULSAM(channels, groups, { momentum: options.number('momentum', OFFICIAL_MOMENTUM) })
  loadStateDict(module, state)
  return module
}

interface CaseConfig extends Readonly<Record<string, unknown>> {
  readonly case?: string
  readonly train?: boolean
}

/** The configurations of a golden's cases; of the whole file where it has but one. */
function casesIn(c: GoldenCase): CaseConfig[] {
  const { config } = c
  return Array.isArray(config) ? (config as CaseConfig[]) : [config]
}

/** One case: its output `<case>.y`, and with batch statistics the running ones afterwards as `after.<case>.<key>`. */
function reproduceCase(c: GoldenCase, config: CaseConfig, only: boolean): Outputs {
  const prefix = only && !c.has('in', `${config.case}.x`) ? '' : `${config.case}.`
  const state = new Map([...c.state()].filter(([key]) => key.startsWith(prefix)))
  const module = loadUlsam(config, new Map([...state].map(([key, value]) => [key.slice(prefix.length), value])))
  for (const [path, variable] of namedVariables(module))
    if (state.has(prefix + path)) c.bindParameter(prefix + path, variable)
  const training = config.train ?? false
  const { result, writes } = collectWrites(() => withMode({ training }, () => module.forward(c.in(`${prefix}x`))))
  const outputs: Record<string, Tensor> = { [`${prefix}y`]: result }
  for (const [path, variable] of namedVariables(module)) {
    const name = `after.${prefix}${path}`
    if (c.has('out', name)) outputs[name] = writes.get(variable) ?? variable
  }
  return outputs
}

function reproduce(c: GoldenCase): Outputs {
  const cases = casesIn(c)
  return Object.assign({}, ...cases.map(config => reproduceCase(c, config, cases.length === 1)))
}

export const official: Official = {
  repository: 'Nandan91/ULSAM',
  licence: 'none stated',
  reproduction: (_: Golden): Reproduction => ({
    reproduce,
    tolerances: { output: { ofLargest: 1e-5, floor: 1e-6 }, gradient: { ofLargest: 1e-3, floor: 1e-6 } },
  }),
}
