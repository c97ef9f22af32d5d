import { mkdtemp, rm, unlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { modelBytes, node } from '../../../../test/onnx-model.ts'
import {
  bothTowers,
  colours,
  imageTower,
  type PairOptions,
  pairFiles,
  plain,
  textTower,
  writePair,
} from '../../../../test/onnx-pair.ts'
import { HostTensor } from '../../../core/index.ts'
import { OnnxEncoder } from './onnx-encoder.ts'
import { findPair } from './pair-files.ts'

let work: string
let made = 0
beforeAll(async () => {
  work = await mkdtemp(join(tmpdir(), 'tenet-pair-'))
})
afterAll(() => rm(work, { recursive: true, force: true }))

const folder = (): string => join(work, `pair${made++}`)
const open = async (path: string, options: { variant?: string } = {}) =>
  OnnxEncoder.open(await findPair(path, options), path)
const pair = async (options: PairOptions = {}) => open(await writePair(folder(), pairFiles(options)))
const words = Object.keys(colours)
const pictures = (side = 8) => Buffer.concat(words.map(word => plain(colours[word], side)))

function dot(a: Float32Array, b: Float32Array, i: number, j: number, dim: number): number {
  let sum = 0
  for (let d = 0; d < dim; d++) sum += a[i * dim + d] * b[j * dim + d]
  return sum
}

async function expectMatches(encoder: OnnxEncoder): Promise<void> {
  const texts = await encoder.encodeTexts(words)
  const images = await encoder.encodeImages(pictures(encoder.imageSize), words.length)
  for (let i = 0; i < words.length; i++) {
    expect(dot(texts, images, i, i, encoder.dim)).toBeGreaterThan(0.999)
    expect(dot(texts, texts, i, i, encoder.dim)).toBeCloseTo(1, 3)
    for (let j = 0; j < words.length; j++)
      if (colours[words[i]] !== colours[words[j]] && `${colours[words[i]]}` !== `${colours[words[j]]}`)
        expect(dot(texts, images, i, j, encoder.dim)).toBeLessThan(0.99)
  }
  await encoder.close()
}

describe('an ONNX image/text pair', () => {
  it('puts pictures and the words for them into one place, whatever the batch', async () => {
    const encoder = await pair()
    expect([encoder.dim, encoder.widths, encoder.imageSize, encoder.imageFit, encoder.imageKernel]).toEqual([
      12,
      [12],
      8,
      'cover',
      'linear',
    ])
    const many = [...Array(70).keys()].map(i => words[i % words.length])
    const texts = await encoder.encodeTexts(many)
    for (let i = 0; i < many.length; i++)
      expect(dot(texts, await encoder.encodeTexts([words[i % words.length]]), i, 0, 12)).toBeCloseTo(1, 5)
    expect((await encoder.encodeTexts(['', 'nothing it knows'])).every(Number.isFinite)).toBe(true)
    expect(await encoder.encodeTexts([])).toHaveLength(0)
    await expect(encoder.encodeImages(new Uint8Array(5), 1)).rejects.toThrow('expected 1 images of 8x8')
    await expectMatches(encoder)
  })

  it('takes models of a fixed batch, halves, and one model for both', async () => {
    await expectMatches(await pair({ batch: 3 }))
    await expectMatches(await pair({ halves: true }))
    const files = pairFiles()
    files.delete('onnx/vision_model.onnx')
    files.delete('onnx/text_model.onnx')
    files.set('onnx/model.onnx', bothTowers())
    await expectMatches(await open(await writePair(folder(), files)))
  })

  it('cuts the middle out of a larger picture, where the model was trained so', async () => {
    const encoder = await pair({ size: { shortest_edge: 12 } })
    expect(encoder.imageSize).toBe(12)
    const framed = plain([255, 255, 255], 12)
    for (let y = 2; y < 10; y++) framed.set(plain([0, 0, 255]).subarray(0, 24), (y * 12 + 2) * 3)
    const image = await encoder.encodeImages(framed, 1)
    expect(dot(image, await encoder.encodeTexts(['blue']), 0, 0, 12)).toBeGreaterThan(0.999)
    await encoder.close()
  })

  it('keeps the end of a text that is too long, and is the same encoder only with the same files', async () => {
    const path = await writePair(folder())
    const encoder = await open(path)
    const long = await encoder.encodeTexts(['red red red red red red red red blue', 'red'])
    expect(dot(long, long, 0, 1, 12)).toBeGreaterThan(0.999)
    const again = await open(await writePair(folder()))
    expect(again.id).toBe(encoder.id)
    const other = await pair({ scale: 1.5 })
    expect(other.id).not.toBe(encoder.id)
    for (const each of [encoder, again, other]) await each.close()
  })

  it('takes a manifest, and the precision that is asked for', async () => {
    const files = pairFiles()
    files.set('onnx/vision_model_quantized.onnx', imageTower({ dim: 5 }))
    files.set('onnx/text_model_quantized.onnx', textTower({ dim: 5 }))
    files.set(
      'my.json',
      Buffer.from('{"name":"mine","image":"onnx/vision_model.onnx","text":"onnx/text_model.onnx","maxLength":6}'),
    )
    const path = await writePair(folder(), files)
    const quantised = await open(path, { variant: 'quantized' })
    expect(quantised.dim).toBe(5)
    const named = await open(join(path, 'my.json'))
    expect([named.name, named.dim]).toEqual(['mine', 12])
    await quantised.close()
    await expectMatches(named)
    await expect(open(path, { variant: 'fp16' })).rejects.toThrow('vision_model_fp16.onnx')
    await writeFile(join(path, 'bad.json'), '{"image":"onnx/vision_model.onnx"}')
    await expect(open(join(path, 'bad.json'))).rejects.toThrow(/bad\.json: not the manifest of an encoder \(text: /)
  })

  it('feeds an attention mask where the model has one, and fills up to the longest text then', async () => {
    // Sums token numbers where the mask is 1: filling must not count.
    const text = modelBytes({
      opset: 17,
      inputs: { input_ids: ['i64', ['batch', 'length']], attention_mask: ['i64', ['batch', 'length']] },
      outputs: { text_embeds: ['f32', ['batch', 2]] },
      initializers: {
        axis: new HostTensor(BigInt64Array.of(1n), [1]),
        weight: new HostTensor(Float32Array.of(1, 0, 0, 1), [2, 2]),
      },
      nodes: [
        node('Mul', ['input_ids', 'attention_mask'], ['kept']),
        node('ReduceSum', ['kept', 'axis'], ['sum'], { keepdims: 1 }),
        node('ReduceSum', ['attention_mask', 'axis'], ['count'], { keepdims: 1 }),
        node('Concat', ['sum', 'count'], ['both'], { axis: 1 }),
        node('Cast', ['both'], ['numbers'], { to: 1 }),
        node('MatMul', ['numbers', 'weight'], ['text_embeds']),
      ],
    })
    const files = pairFiles({ dim: 2 })
    files.set('onnx/text_model.onnx', text)
    const encoder = await open(await writePair(folder(), files))
    // red is token 3, green 5: [0, 3, 1] and [0, 3, 5, 1].
    const found = await encoder.encodeTexts(['red', 'red green'])
    for (const [i, v] of [4, 3, 9, 4].entries())
      expect(found[i]).toBeCloseTo(v / Math.hypot(...(i < 2 ? [4, 3] : [9, 4])), 5)
    await encoder.close()
  })

  it('says in one line what is missing or does not fit', async () => {
    const refused = async (path: string) => {
      const error = await open(path).then(
        () => undefined,
        (e: Error) => e,
      )
      expect(error?.message).not.toMatch(/\n/)
      return error?.message
    }
    const changed = async (name: string, bytes: Uint8Array | undefined) => {
      const path = await writePair(folder())
      if (bytes) await writeFile(join(path, name), bytes)
      else await unlink(join(path, name))
      return refused(path)
    }
    expect(await refused(join(work, 'none'))).toMatch(/there is no encoder at/)
    expect(await changed('onnx/text_model.onnx', undefined)).toMatch(
      /not an image\/text pair.*its models are onnx\/vision_model\.onnx/,
    )
    expect(await changed('tokenizer.json', undefined)).toMatch(/tokenizer\.json is missing/)
    expect(await changed('onnx/text_model.onnx', textTower({ textDim: 7 }))).toMatch(
      /of 12 numbers and .* of 7: not an image\/text pair/,
    )
    expect(await changed('onnx/text_model.onnx', imageTower())).toMatch(/takes no token numbers/)
    expect(await changed('onnx/vision_model.onnx', textTower())).toMatch(/takes no pictures/)
    expect(await changed('onnx/vision_model.onnx', imageTower({ side: 16 }))).toMatch(
      /takes pictures of 16 pixels, but .* makes ones of 8/,
    )
    expect(await changed('onnx/vision_model.onnx', Buffer.from('no model'))).toMatch(
      /vision_model\.onnx: ONNX Runtime cannot load it/,
    )
    expect(await changed('tokenizer.json', Buffer.from('{"model":{}}'))).toMatch(/tokenizer\.json: not a tokenizer/)
    expect(await changed('tokenizer.json', Buffer.from('oops'))).toMatch(/not a JSON object/)
    expect(
      await changed(
        'preprocessor_config.json',
        Buffer.from('{"size":{"height":8,"width":9},"image_mean":[0,0,0],"image_std":[1,1,1]}'),
      ),
    ).toMatch(/only square/)
    expect(await changed('preprocessor_config.json', Buffer.from('{"size":8}'))).toMatch(/image_mean/)
  })
})
