import type { Tensor } from '../../core/index.ts'
import * as nn from '../../nn/index.ts'
import type { CaseTable, GoldenCase, Outputs } from '../golden.ts'
import { withCaseParameters } from './case-parameters.ts'

/** nn.MultiheadAttention: what is masked follows from the inputs, the rest from the name and the shapes. */
function multihead(c: GoldenCase, sequenceFirst: boolean): Outputs {
  const order = (t: Tensor): Tensor => (sequenceFirst ? t.swapAxes(0, 1) : t)
  const query = order(c.in('q'))
  const key = c.has('in', 'k') ? order(c.in('k')) : query
  const value = c.has('in', 'v') ? order(c.in('v')) : key
  const module = new nn.MultiheadAttention(query.shape[2], c.outputShape('attn')[1], {
    keyDim: key.shape[2],
    valueDim: value.shape[2],
    bias: c.has('param', 'in_proj_bias'),
  })
  const optional = (name: string): Tensor | undefined => (c.has('in', name) ? c.in(name) : undefined)
  const [y, attn] = withCaseParameters(c, module, () => {
    const { output, weights } = module.forward(query, key, value, {
      keyPadding: optional('key_padding_mask'),
      mask: optional('attn_mask'),
    })
    return [order(output), weights]
  })
  return { y, attn }
}

function encoderLayer(c: GoldenCase, preNorm: boolean): Outputs {
  const x = c.in('x')
  const layer = new nn.TransformerEncoderLayer({
    dim: x.shape[2],
    // The reference has four heads; neither the case's name nor a shape says so.
    heads: 4,
    hidden: c.value('param', 'linear1.weight').shape[0],
    activation: t => t.gelu(),
    preNorm,
  })
  const [y] = withCaseParameters(c, layer, () => [layer.forward(x)])
  return { y }
}

export const attentionCases: CaseTable = {
  cases: [
    [/^(?:self|cross)(?:_[a-z]+)*?(_seqfirst)?(?:_[a-z]+)*$/, (c, [, first]) => multihead(c, first !== undefined)],
    [
      /^sdpa(_bias)?(_causal)?$/,
      (c, [, bias, causal]) => ({
        y: nn.scaledDotProductAttention(c.in('q'), c.in('k'), c.in('v'), {
          bias: bias ? c.param('bias') : undefined,
          causal: causal !== undefined,
        }).output,
      }),
    ],
    [/^encoder_layer_(pre|post)norm$/, (c, [, side]) => encoderLayer(c, side === 'pre')],
    [/^rope_interleaved$/, c => ({ y: nn.rotary(c.in('x')) })],
    [/^rope_(?:half|halves|rotate_half)$/, c => ({ y: nn.rotary(c.in('x'), { layout: 'halves' }) })],
  ],
}
