import {
  affineGrid,
  deformConv,
  fold,
  gridSample,
  type HostTensor,
  hostTensor,
  pad,
  pixelShuffle,
  pixelUnshuffle,
  type ResizeMode,
  resize,
  roiAlign,
  roiPool,
  type SampleMode,
  type SamplePadding,
  type Tensor,
  unfold,
} from '../../core/index.ts'
import { matrix, nms } from '../../numerics/index.ts'
import type { CaseTable, GoldenCase } from '../golden.ts'

/** PyTorch's names of the modes, which tell the number of axes too. */
const modes: Readonly<Record<string, ResizeMode & SampleMode>> = {
  nearest: 'nearest',
  linear: 'linear',
  bilinear: 'linear',
  trilinear: 'linear',
  bicubic: 'cubic',
}

const spatial = (c: GoldenCase): number[] => c.outputShape('y').slice(2)

/** Case names say `ac1` for align_corners. */
const resized = (c: GoldenCase, mode: string, alignCorners: boolean): { y: Tensor } => ({
  y: resize(c.in('x'), { mode: mode === 'area' ? 'area' : modes[mode], size: spatial(c), alignCorners }),
})

const scaled = (c: GoldenCase, mode: string, scale: number): { y: Tensor } => ({
  y: resize(c.in('x'), { mode: modes[mode], scale }),
})

/** What the reference pads, which no name says: one row above, two below, two columns on the left, one on the right. */
const padded = [
  [0, 0],
  [0, 0],
  [1, 2],
  [2, 1],
] as const

function keptBoxes(c: GoldenCase): Record<string, HostTensor> {
  const boxes = c.value('in', 'boxes')
  const scores = c.value('in', 'scores').numbers()
  const corners = matrix(boxes.shape[0], 4, boxes.numbers())
  // keep_05 is what a threshold of 0.5 keeps.
  return Object.fromEntries(
    c.names('out').map(name => {
      const kept = nms(corners, scores, Number(name.replace(/^keep_(\d)(\d+)$/, '$1.$2')))
      return [name, hostTensor(kept, [kept.length])]
    }),
  )
}

/** Reproductions of `core.resample`. */
export const resampleCases: CaseTable = {
  cases: [
    [/^(linear|bilinear|trilinear|bicubic)_\d+(?:x\d+)*_ac([01])$/, (c, [, mode, ac]) => resized(c, mode, ac === '1')],
    [/^(area|nearest)_\d+(?:x\d+)*$/, (c, [, mode]) => resized(c, mode, false)],
    [
      /^(linear|bilinear|trilinear|bicubic|nearest)_scale(\d+(?:\.\d+)?)$/,
      (c, [, mode, s]) => scaled(c, mode, Number(s)),
    ],
    [/^(nearest|bilinear|bicubic)_half$/, (c, [, mode]) => scaled(c, mode, 0.5)],
    [/^(linear)1d$/, (c, [, mode]) => resized(c, mode, false)],
    [
      /^grid_(nearest|bilinear|bicubic)_(zeros|border|reflection)(?:_ac([01]))?$/,
      (c, [, mode, padding, ac]) => ({
        y: gridSample(c.in('x'), c.in('grid'), {
          mode: modes[mode],
          padding: padding as SamplePadding,
          alignCorners: ac === '1',
        }),
      }),
    ],
    [
      /^affine_grid_ac([01])$/,
      (c, [, ac]) => ({
        y: affineGrid(c.in('theta'), c.outputShape('y').slice(1, -1), { alignCorners: ac === '1' }),
      }),
    ],
    [
      /^roi_align_al([01])_sr(-?\d+)$/,
      (c, [, aligned, ratio]) => ({
        y: roiAlign(c.in('x'), c.in('rois'), {
          size: spatial(c) as [number, number],
          spatialScale: 0.75,
          samplingRatio: Number(ratio) > 0 ? Number(ratio) : undefined,
          aligned: aligned === '1',
        }),
      }),
    ],
    [/^roi_pool$/, c => ({ y: roiPool(c.in('x'), c.in('rois'), { size: spatial(c) as [number, number] }) })],
    [
      /^deform_conv(?:_v[12])?$/,
      c => {
        const weight = c.param('weight')
        return {
          y: deformConv(c.in('x'), c.in('offset'), weight, {
            mask: c.has('in', 'mask') ? c.in('mask') : undefined,
            bias: c.has('param', 'bias') ? c.param('bias') : undefined,
            padding: weight.shape.slice(2).map(size => (size - 1) / 2),
          }),
        }
      },
    ],
    [
      /^unfold_k(\d+)s(\d+)(?:p(\d+))?(?:d(\d+))?$/,
      (c, [, k, s, p = '0', d = '1']) => ({
        y: unfold(c.in('x'), Number(k), { stride: Number(s), padding: Number(p), dilation: Number(d) }),
      }),
    ],
    [
      /^fold_k(\d+)s(\d+)(?:p(\d+))?(?:d(\d+))?$/,
      (c, [, k, s, p = '0', d = '1']) => ({
        y: fold(c.in('x'), spatial(c), Number(k), { stride: Number(s), padding: Number(p), dilation: Number(d) }),
      }),
    ],
    [/^pixel_shuffle(\d+)$/, (c, [, r]) => ({ y: pixelShuffle(c.in('x'), Number(r)) })],
    [/^pixel_unshuffle(\d+)$/, (c, [, r]) => ({ y: pixelUnshuffle(c.in('x'), Number(r)) })],
    [
      /^pad_(reflect|replicate|circular)$/,
      (c, [, mode]) => ({ y: pad(c.in('x'), padded, mode as 'reflect' | 'replicate' | 'circular') }),
    ],
    [/^nms$/, keptBoxes],
  ],
}
