import { join } from 'node:path'
import * as Plot from '@observablehq/plot'
import { type Dataset, readSample } from '../../data/index.ts'
import { LOG, learningCurve, renderPlot, TrainingLog, writeAtomic, writePicture } from '../../train/index.ts'
import type { Classifier } from './classifier.ts'
import { type ClassificationReport, likeliest, type Predictions, type TestResult } from './evaluate.ts'

/** Rows are true classes, columns predicted ones; darker is more of the row. */
export function confusionPlot({ confusion, perClass }: Pick<ClassificationReport, 'confusion' | 'perClass'>): string {
  const names = perClass.map(({ name }) => name)
  const cells = confusion.flatMap((row, r) => {
    const total = Math.max(
      1,
      row.reduce((a, b) => a + b, 0),
    )
    return row.map((count, c) => ({ truth: names[r], predicted: names[c], share: count / total, count }))
  })
  const side = Math.max(320, Math.min(900, 46 * names.length + 140))
  return renderPlot({
    width: side,
    height: side - 40,
    marginLeft: 100,
    marginBottom: 90,
    x: { label: 'predicted', domain: names, tickRotate: -45 },
    y: { label: 'true', domain: names },
    color: { scheme: 'blues', domain: [0, 1] },
    marks: [
      Plot.cell(cells, { x: 'predicted', y: 'truth', fill: 'share', inset: 0.5 }),
      ...(names.length <= 20
        ? [
            Plot.text(cells, {
              x: 'predicted',
              y: 'truth',
              text: d => (d.count ? String(d.count) : ''),
              fill: d => (d.share > 0.5 ? 'white' : '#333'),
            }),
          ]
        : []),
    ],
  })
}

interface Shown {
  readonly png: string
  readonly truth: string
  readonly guess: string
  readonly probability: number
  readonly right: boolean
}

/** Some test pictures with what the classifier says of them: right answers, then the surest mistakes. */
async function examples(
  classes: readonly string[],
  dataset: Dataset,
  { probabilities, labels, indices }: Predictions,
  count: number,
): Promise<{ right: Shown[]; wrong: Shown[] }> {
  const all = Array.from(labels, (label, i) => {
    const row = probabilities.subarray(i * classes.length, (i + 1) * classes.length)
    const guess = likeliest(row)
    return { index: indices[i], label, guess, probability: row[guess] }
  })
  const show = async (one: (typeof all)[number]): Promise<Shown> => ({
    png: await thumbnail(dataset, one.index),
    truth: classes[one.label],
    guess: classes[one.guess],
    probability: one.probability,
    right: one.label === one.guess,
  })
  const wrong = all.filter(({ label, guess }) => label !== guess).sort((a, b) => b.probability - a.probability)
  const right = all.filter(({ label, guess }) => label === guess)
  const spread = right.filter((_, i) => i % Math.max(1, Math.floor(right.length / count)) === 0).slice(0, count)
  return { right: await Promise.all(spread.map(show)), wrong: await Promise.all(wrong.slice(0, count).map(show)) }
}

/** A sample as a PNG data URL. */
async function thumbnail(dataset: Dataset, index: number): Promise<string> {
  const { values, offset } = await readSample(dataset, index)
  const [channels, height, width] = dataset.shape
  const pixels = Buffer.alloc(height * width * channels)
  for (let c = 0; c < channels; c++)
    for (let p = 0; p < height * width; p++) pixels[p * channels + c] = values[offset + c * height * width + p]
  const { default: sharp } = await import('sharp')
  const png = await sharp(pixels, { raw: { width, height, channels: channels as 1 | 3 } })
    .resize(84, 84, { kernel: 'nearest', fit: 'contain' })
    .png()
    .toBuffer()
  return `data:image/png;base64,${png.toString('base64')}`
}

const escapeHtml = (text: string): string => text.replace(/[&<>"']/g, c => `&#${c.charCodeAt(0)};`)

function gallery(shown: readonly Shown[]): string {
  const card = ({ png, truth, guess, probability, right }: Shown): string =>
    `<figure class="${right ? 'right' : 'wrong'}"><img src="${png}" alt="${escapeHtml(truth)}"><figcaption>${escapeHtml(guess)} ${(100 * probability).toFixed(0)} %${right ? '' : `<br><small>is ${escapeHtml(truth)}</small>`}</figcaption></figure>`
  return `<div class="gallery">${shown.map(card).join('')}</div>`
}

const style = `:root{color-scheme:light dark;font:16px/1.5 system-ui,sans-serif}body{max-width:60rem;margin:2rem auto;padding:0 1rem}
h1,h2{line-height:1.2}.gallery{display:flex;flex-wrap:wrap;gap:.75rem}figure{margin:0;width:7rem;text-align:center}figcaption{font-size:.8rem}
img{max-width:100%}.gallery img{border:3px solid #2a9d5c;border-radius:6px}.wrong img{border-color:#d1495b}.plot img{background:white;border-radius:6px}
dl{display:grid;grid-template-columns:max-content auto;gap:.25rem 1rem}dt{opacity:.7}dd{margin:0}`

/**
 * Draws what a run came to: `loss`, `accuracy` and `confusion` as SVG and PNG, and `report.html` with them and some pictures.
 * @returns the path of the page
 */
export async function writeReport(
  folder: string,
  classifier: Classifier,
  test: Dataset,
  { report, predictions }: TestResult,
  seconds: number,
): Promise<string> {
  const { card } = classifier
  const entries = await new TrainingLog(join(folder, LOG)).read()
  await writePicture(join(folder, 'loss'), learningCurve(entries, 'loss'))
  await writePicture(join(folder, 'accuracy'), learningCurve(entries, 'accuracy'))
  await writePicture(join(folder, 'confusion'), confusionPlot(report))
  const { right, wrong } = await examples(card.classes, test, predictions, 16)
  const percent = (x: number): string => `${(100 * x).toFixed(2)} %`
  const facts: [string, string][] = [
    [
      'test accuracy',
      `${percent(report.accuracy)} (95 % interval ${percent(report.interval[0])} to ${percent(report.interval[1])}), ${report.samples} pictures`,
    ],
    ['calibration error', percent(report.calibrationError)],
    ['model', `${card.model} ${JSON.stringify(card.options)}`],
    ['trained in', `${seconds.toFixed(0)} s`],
  ]
  const page = `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Tenet: ${escapeHtml(String(card.training?.data ?? card.model))}</title><style>${style}</style>
<h1>A classifier trained here</h1><dl>${facts.map(([name, value]) => `<dt>${name}</dt><dd>${escapeHtml(value)}</dd>`).join('')}</dl>
<h2>What it says of pictures it has never seen</h2>${gallery(right)}<h2>Its surest mistakes</h2>${gallery(wrong)}
<h2>Learning</h2><p class="plot"><img src="loss.svg" alt="loss over the run"> <img src="accuracy.svg" alt="accuracy over the run"></p>
<h2>What it takes for what</h2><p class="plot"><img src="confusion.svg" alt="confusion matrix"></p></html>`
  const path = join(folder, 'report.html')
  await writeAtomic(path, page)
  return path
}
