import { mkdir, mkdtemp, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import sharp from 'sharp'
import { beforeAll, describe, expect, it } from 'vitest'
import { pictureFolder } from './pictures.ts'
import { tenet } from './tenet.ts'

let pictures: string
let work: string
let model: string

beforeAll(async () => {
  pictures = await pictureFolder()
  work = await mkdtemp(join(tmpdir(), 'tenet-cli-'))
  const into = join(work, 'run')
  const { code, stderr } = await tenet(
    'train',
    'classify',
    '--data',
    pictures,
    '--model',
    'resnet',
    '--options',
    '{"widths":[8,16],"depths":[1,1]}',
    '--size',
    '16',
    '--epochs',
    '6',
    '--batch-size',
    '8',
    '--into',
    into,
    '--json',
  )
  expect(stderr).toBe('')
  expect(code).toBe(0)
  model = join(into, 'model.safetensors')
})

/** A refusal is one line that begins with the program's name, and exit code 2; nothing goes to standard output. */
async function refused(...args: string[]): Promise<string> {
  const { code, stderr, stdout } = await tenet(...args)
  expect(stdout).toBe('')
  expect(stderr).not.toMatch(/^\s+at /m)
  const refusals = stderr.split('\n').filter(line => line.startsWith('tenet: '))
  expect(refusals.length).toBe(1)
  expect(code).toBe(2)
  return refusals[0]
}

describe('a folder of pictures', () => {
  it('trains a classifier that knows its classes, and evaluates it', async () => {
    const { stdout, code } = await tenet(
      'eval',
      'classify',
      '--model',
      model,
      '--data',
      pictures,
      '--part',
      'train',
      '--json',
    )
    expect(code).toBe(0)
    expect(JSON.parse(stdout).accuracy).toBeGreaterThan(0.9)
  })
  it('predicts single pictures, and names those it cannot read', async () => {
    const bad = join(work, 'bad.png')
    await writeFile(bad, 'no picture')
    const { stdout, code } = await tenet('predict', join(pictures, 'down', '003.png'), bad, '--model', model, '--json')
    const { predictions } = JSON.parse(stdout)
    expect(code).toBe(0)
    expect(predictions[0].classes[0].name).toBe('down')
    expect(predictions[1].error).toMatch(/bad\.png/)
  })
  it('skips what it cannot read and goes on', async () => {
    const mixed = await pictureFolder(12)
    await writeFile(join(mixed, 'down', 'zero.png'), '')
    await writeFile(join(mixed, 'down', 'text.png'), 'text')
    await truncate(join(mixed, 'across', '001.png'), 60)
    const { stdout, stderr, code } = await tenet(
      'train',
      'classify',
      '--data',
      mixed,
      '--model',
      'cnn',
      '--options',
      '{"widths":[4]}',
      '--size',
      '16',
      '--epochs',
      '1',
      '--batch-size',
      '4',
      '--into',
      join(work, 'mixed'),
    )
    expect(code).toBe(0)
    for (const name of ['zero.png', 'text.png', '001.png']) expect(stderr).toContain(name)
    expect(stdout).toContain('model.safetensors')
  })
})

describe('bad input gets one line', () => {
  it.each([
    [
      'a missing folder',
      () => ['train', 'classify', '--data', join(work, 'nothing')],
      /there is no data set or folder/,
    ],
    [
      'an unknown model',
      () => ['train', 'classify', '--data', pictures, '--model', 'magic', '--into', join(work, 'm')],
      /there is no model 'magic'; there are: cnn, resnet, vit/,
    ],
    [
      'a model that is no model',
      () => ['predict', join(pictures, 'down', '003.png'), '--model', join(pictures, 'down', '003.png')],
      /not a readable safetensors file/,
    ],
    [
      'a missing model',
      () => ['eval', 'classify', '--model', join(work, 'none'), '--data', pictures],
      /there is no checkpoint at/,
    ],
    [
      'a wrong device',
      () => ['eval', 'classify', '--model', model, '--data', pictures, '--device', 'abacus'],
      /device 'abacus' is not supported here/,
    ],
  ] as const)('%s', async (_, args, message) => {
    expect(await refused(...args())).toMatch(message)
  })
  it('an empty folder', async () => {
    const empty = join(work, 'empty')
    await mkdir(empty, { recursive: true })
    expect(await refused('train', 'classify', '--data', empty)).toMatch(/empty/)
  })
  it('a checkpoint of another model', async () => {
    const into = join(work, 'run')
    const line = await refused(
      'train',
      'classify',
      '--data',
      pictures,
      '--model',
      'cnn',
      '--size',
      '16',
      '--into',
      into,
      '--resume',
    )
    expect(line).toMatch(/belongs to a run with other options/)
  })
  it('a picture of enormous size is refused without being decoded', async () => {
    const huge = join(work, 'huge.png')
    await sharp({ create: { width: 16000, height: 16000, channels: 3, background: 'white' } })
      .png({ compressionLevel: 1 })
      .toFile(huge)
    const { stdout, code } = await tenet('predict', huge, '--model', model, '--json')
    expect(code).toBe(2)
    expect(JSON.parse(stdout).predictions[0].error).toMatch(/pixels/)
  })
  it('flags with values that make no sense', async () => {
    const { code, stderr } = await tenet('train', 'classify', '--data', pictures, '--epochs', '-3')
    expect(code).toBe(2)
    expect(stderr).toContain('expected a whole number of at least 1')
  })
  it('a golden that is not there, beside the others', async () => {
    const { code, stdout } = await tenet('parity', join(work, 'none.safetensors'), '--json')
    expect(code).toBe(2)
    expect(JSON.parse(stdout).results[0].ok).toBe(false)
  })
})

it('lists devices that were tried, not only promised', async () => {
  const { code, stdout } = await tenet('devices', '--json')
  expect(code).toBe(0)
  const { devices } = JSON.parse(stdout) as { devices: { name: string; available: boolean; detail: string }[] }
  expect(devices.find(({ name }) => name === 'cpu')?.available).toBe(true)
  for (const { name, available, detail } of devices)
    if (name !== 'cpu') expect(detail).toMatch(available ? /opens and computes/ : /does not open|not in this build/)
})
