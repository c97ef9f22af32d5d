import * as Plot from '@observablehq/plot'
import { renderPlot } from '../../train/index.ts'
import type { ClaimRecord } from './record.ts'

/** Every seed's value in every arm, seeds joined by lines, each arm's mean as a bar. */
export function claimPlot({ arms, metric }: ClaimRecord): string {
  const points = arms.flatMap(({ name, runs }) =>
    runs.map(({ seed, value }) => ({ arm: name, seed: `seed ${seed}`, value })),
  )
  const domain = arms.map(({ name }) => name)
  const longest = Math.max(...domain.map(name => name.length))
  const unit = metric.unit ? ` (${metric.unit})` : ''
  return renderPlot({
    width: 640,
    height: 90 + 40 * arms.length,
    marginLeft: Math.min(260, 20 + 7 * longest),
    marginRight: 24,
    x: { label: `${metric.name}${unit}, ${metric.better} is better`, grid: true, nice: true },
    y: { label: null, domain },
    marks: [
      Plot.line(points, { x: 'value', y: 'arm', z: 'seed', stroke: '#bbb' }),
      Plot.tickX(arms, { x: 'mean', y: 'name', stroke: '#222', strokeWidth: 3, insetTop: 6, insetBottom: 6 }),
      Plot.dot(points, { x: 'value', y: 'arm', fill: '#4269d0', r: 5, fillOpacity: 0.8 }),
      Plot.text(arms, { x: 'mean', y: 'name', text: arm => arm.mean.toPrecision(4), dy: -22, fill: '#222' }),
    ],
  })
}
