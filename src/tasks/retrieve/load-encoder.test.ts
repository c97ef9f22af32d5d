import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { HubStandIn } from '../../../test/hub-server.ts'
import { imageTower, pairFiles, textTower, writePair } from '../../../test/onnx-pair.ts'
import { loadEncoder } from './load-encoder.ts'

let work: string
let made = 0
let hub: HubStandIn
let environment: Record<string, string>
beforeAll(async () => {
  work = await mkdtemp(join(tmpdir(), 'tenet-load-'))
})
afterAll(() => rm(work, { recursive: true, force: true }))
beforeEach(async () => {
  const files = pairFiles()
  files.set('onnx/vision_model_quantized.onnx', imageTower({ dim: 5 }))
  files.set('onnx/text_model_quantized.onnx', textTower({ dim: 5 }))
  files.set('README.md', Buffer.from('# colours'))
  files.set('pytorch_model.bin', Buffer.alloc(1000))
  hub = new HubStandIn('someone/colours', files)
  environment = { HF_ENDPOINT: await hub.start(), TENET_CACHE: join(work, `cache${made++}`) }
})
afterEach(() => hub.stop())

const cached = (): string => join(environment['TENET_CACHE'], 'hub', 'someone--colours', 'main')

async function refused(source: string, environment_: Record<string, string> = environment): Promise<string> {
  const encoder = await loadEncoder(source, { environment: environment_ }).catch((error: Error) => error)
  if (!(encoder instanceof Error)) throw new Error('expected a refusal')
  expect(encoder.message).not.toContain('\n')
  return encoder.message
}

describe('an encoder from the hub', () => {
  it('is fetched once, only what it needs of it, and found without the hub afterwards', async () => {
    const seen: number[] = []
    const encoder = await loadEncoder('hf:someone/colours', {
      environment,
      onDownload: ({ done, total }) => seen.push(done / total),
    })
    expect([encoder.name, encoder.dim, encoder.source]).toEqual(['someone/colours', 12, 'hf:someone/colours'])
    expect(seen.at(-1)).toBe(1)
    expect(seen).toEqual([...seen].sort((a, b) => a - b))
    expect((await readdir(cached(), { recursive: true })).sort()).toEqual([
      '.tenet-hub.json',
      'config.json',
      'onnx',
      'onnx/text_model.onnx',
      'onnx/vision_model.onnx',
      'preprocessor_config.json',
      'tokenizer.json',
      'tokenizer_config.json',
    ])
    const asked = hub.requests.length
    const offline = { ...environment, HF_ENDPOINT: 'http://127.0.0.1:9' }
    const again = await loadEncoder('hf:someone/colours', { environment: offline })
    expect([again.id, hub.requests.length]).toEqual([encoder.id, asked])
    const local = await loadEncoder(await writePair(join(work, 'local')))
    expect(local.id).toBe(encoder.id)
    for (const each of [encoder, again, local]) await each.close()
  })

  it('in another precision is another encoder', async () => {
    const encoder = await loadEncoder('hf:someone/colours#quantized', { environment })
    expect(encoder.dim).toBe(5)
    const full = await loadEncoder('hf:someone/colours', { environment })
    expect(full.dim).toBe(12)
    for (const each of [encoder, full]) await each.close()
    expect(await refused('hf:someone/colours#fp16')).toMatch(/vision_model_fp16\.onnx/)
  })

  it('is continued where a download broke, and never used with wrong bytes', async () => {
    hub.cutAfter = 300
    const encoder = await loadEncoder('hf:someone/colours', { environment })
    await encoder.close()
    expect(hub.requests.filter(request => request.endsWith('bytes=300-'))).toHaveLength(2)
    await rm(cached(), { recursive: true })
    hub.lies = true
    expect(await refused('hf:someone/colours')).toMatch(/vision_model\.onnx cannot be fetched \(.*its digest is/)
    expect(await readdir(join(cached(), 'onnx'))).toEqual([])
    hub.lies = false
    // A part that an earlier process left, here a wrong one.
    await writeFile(join(cached(), 'onnx', 'vision_model.onnx.part'), 'wrong')
    const mended = await loadEncoder('hf:someone/colours', { environment })
    expect(mended.id).toBe(encoder.id)
    await mended.close()
  })

  it('is opened with a token where it needs one', async () => {
    hub.token = 'secret'
    expect(await refused('hf:someone/colours')).toMatch(/needs access.*set HF_TOKEN/)
    const encoder = await loadEncoder('hf:someone/colours', { environment: { ...environment, HF_TOKEN: 'secret' } })
    await encoder.close()
  })

  it('says without a connection what to put where, and takes it from there', async () => {
    const offline = { ...environment, HF_ENDPOINT: 'http://127.0.0.1:9' }
    const message = await refused('hf:someone/colours', offline)
    expect(message).toMatch(
      /^hf:someone\/colours is not in the cache and http:\/\/127\.0\.0\.1:9 cannot be reached \(.+\); .*put its onnx\/vision_model\.onnx and /,
    )
    expect(message).toContain(cached())
    expect(await refused('hf:someone/colours', { ...environment, HF_HUB_OFFLINE: '1' })).toMatch(/HF_HUB_OFFLINE/)
    await writePair(cached())
    const encoder = await loadEncoder('hf:someone/colours', { environment: offline })
    expect(encoder.dim).toBe(12)
    await encoder.close()
  })

  it('is refused in one line where it is none', async () => {
    expect(await refused('hf:someone')).toMatch(/expected hf:owner\/name/)
    expect(await refused('hf:../x')).toMatch(/expected hf:owner\/name/)
    expect(await refused('hf:someone/other')).toMatch(/no such model or revision/)
    expect(await refused('hf:someone/colours@v9')).toMatch(/no such model or revision/)
  })
})

describe('an encoder on disk', () => {
  it('is told by what it is, or refused in one line', async () => {
    const folder = await writePair(join(work, 'disk'))
    const encoder = await loadEncoder(folder)
    expect(encoder.source).toBe(folder)
    await encoder.close()
    expect(await refused(join(folder, 'onnx', 'text_model.onnx'))).toMatch(/give the folder/)
    expect(await refused(`${folder}#fp16`)).toMatch(/_fp16/)
    expect(await refused(join(folder, 'README'))).toMatch(/there is no encoder at/)
    expect(await readFile(join(folder, 'tokenizer.json'), 'utf8')).toContain('WordPiece')
  })
})
