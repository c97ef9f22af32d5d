import { describe, expect, it } from 'vitest'
import { readPreprocessing } from './image-preprocessing.ts'
import { TextTokens, tokenSettings } from './text-tokens.ts'

const none = {}
const added = (content: string, id: number) => ({
  id,
  content,
  special: true,
  single_word: false,
  lstrip: false,
  rstrip: false,
  normalized: false,
})

/** Small tokenizers in the shapes that SigLIP's and CLIP's have. */
const unigram = {
  version: '1.0',
  added_tokens: [added('</s>', 1), added('<unk>', 2)],
  normalizer: { type: 'Lowercase' },
  pre_tokenizer: { type: 'Metaspace', replacement: '▁', add_prefix_space: true, prepend_scheme: 'always' },
  post_processor: {
    type: 'TemplateProcessing',
    single: [{ Sequence: { id: 'A', type_id: 0 } }, { SpecialToken: { id: '</s>', type_id: 0 } }],
    pair: [],
    special_tokens: { '</s>': { id: '</s>', ids: [1], tokens: ['</s>'] } },
  },
  decoder: null,
  model: {
    type: 'Unigram',
    unk_id: 2,
    vocab: [
      ['<pad>', 0],
      ['</s>', 0],
      ['<unk>', 0],
      ['▁cat', -2],
      ['▁', -3],
      ['cat', -2.5],
      ['s', -1],
      ['c', -5],
      ['a', -5],
      ['t', -5],
    ],
  },
}

const bpe = {
  version: '1.0',
  added_tokens: [added('<|startoftext|>', 0), added('<|endoftext|>', 1)],
  normalizer: { type: 'Sequence', normalizers: [{ type: 'NFC' }, { type: 'Lowercase' }] },
  pre_tokenizer: {
    type: 'Sequence',
    pretokenizers: [
      {
        type: 'Split',
        pattern: { Regex: '[\\p{L}]+|[\\p{N}]|[^\\s\\p{L}\\p{N}]+' },
        behavior: 'Removed',
        invert: true,
      },
      { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true },
    ],
  },
  post_processor: {
    type: 'RobertaProcessing',
    sep: ['<|endoftext|>', 1],
    cls: ['<|startoftext|>', 0],
    trim_offsets: false,
    add_prefix_space: false,
  },
  decoder: null,
  model: {
    type: 'BPE',
    dropout: null,
    unk_token: '<|endoftext|>',
    continuing_subword_prefix: '',
    end_of_word_suffix: '</w>',
    fuse_unk: false,
    vocab: {
      '<|startoftext|>': 0,
      '<|endoftext|>': 1,
      c: 2,
      a: 3,
      t: 4,
      't</w>': 5,
      at: 6,
      'cat</w>': 7,
      's</w>': 8,
      ca: 9,
    },
    merges: ['c a', 'ca t</w>'],
  },
}

describe('tokens of texts', () => {
  it('of a SigLIP-like model are filled up to its length', () => {
    const settings = tokenSettings(
      { tokenizer: unigram, tokenizerConfig: { model_max_length: 64 }, config: { model_type: 'siglip' } },
      { masked: false },
    )
    expect(settings).toEqual({ maxLength: 64, padding: 'maxLength' })
    const tokens = new TextTokens(unigram, { pad_token: '</s>' }, settings, 'tokenizer.json')
    expect(tokens.encode('Cats')).toEqual([3, 6, 1])
    const { ids, mask, length } = tokens.batch(['cat', ''])
    expect([length, [...ids.slice(0, 4)], [...mask.slice(0, 4)], ids[64]]).toEqual([64, [3, 1, 1, 1], [1, 1, 0, 0], 1])
    expect(tokens.encode('cat '.repeat(100))).toHaveLength(64)
    expect(tokens.encode('cat '.repeat(100)).slice(-2)).toEqual([3, 1])
  })

  it('of a CLIP-like model keep both ends, and are filled up to the longest of the batch', () => {
    const settings = tokenSettings(
      {
        tokenizer: bpe,
        tokenizerConfig: { model_max_length: 77 },
        config: { model_type: 'clip', text_config: { max_position_embeddings: 77 } },
      },
      { masked: true },
    )
    expect(settings).toEqual({ maxLength: 77, padding: 'longest' })
    const tokens = new TextTokens(bpe, { pad_token: '<|endoftext|>' }, settings, 'tokenizer.json')
    expect(tokens.encode('cat CAT')).toEqual([0, 7, 7, 1])
    expect([...tokens.batch(['cat', 'cat cat']).ids]).toEqual([0, 7, 1, 1, 0, 7, 7, 1])
    const long = tokens.encode('cat '.repeat(100))
    expect([long.length, long[0], long[75], long[76]]).toEqual([77, 0, 7, 1])
  })

  it('are as many as the strictest of its files allows', () => {
    const settings = (tokenizer: object, tokenizerConfig: object, config: object, fixed?: number, masked = false) =>
      tokenSettings({ tokenizer, tokenizerConfig, config } as Parameters<typeof tokenSettings>[0], { fixed, masked })
    const fixed64 = { padding: { strategy: { Fixed: 64 }, pad_id: 0 } }
    expect(settings(fixed64, { model_max_length: 1e30 }, none)).toEqual({ maxLength: 64, padding: 'maxLength' })
    expect(settings(none, { model_max_length: 1e30 }, { model_type: 'siglip2' }).maxLength).toBe(64)
    expect(settings(none, { model_max_length: 512 }, { text_config: { max_position_embeddings: 77 } }).maxLength).toBe(
      77,
    )
    expect(settings(none, none, none, 16)).toEqual({ maxLength: 16, padding: 'maxLength' })
    expect(settings(none, { model_max_length: 512 }, { model_type: 'bert' }, undefined, true).padding).toBe('longest')
    expect(settings(none, { model_max_length: 512 }, { model_type: 'bert' }).padding).toBe('maxLength')
  })
})

describe('preprocessing of pictures', () => {
  const unit = { image_mean: [0, 0, 0], image_std: [1, 1, 1] }
  const read = (config: object) => readPreprocessing({ ...unit, ...config }, 'p.json')

  it('is read in the forms that models have', () => {
    expect(read({ size: { shortest_edge: 256 }, crop_size: 224, do_center_crop: true, resample: 3 })).toMatchObject({
      side: 256,
      crop: 224,
      fit: 'cover',
      kernel: 'cubic',
    })
    expect(read({ size: { height: 224, width: 224 }, resample: 2 })).toMatchObject({
      side: 224,
      crop: 224,
      fit: 'fill',
      kernel: 'linear',
    })
    expect(read({ size: 224, crop_size: { height: 224, width: 224 }, do_center_crop: true })).toMatchObject({
      side: 224,
      fit: 'cover',
    })
    expect(read({ size: 512, resize_mode: 'shortest', interpolation: 'bicubic' })).toMatchObject({
      side: 512,
      fit: 'cover',
    })
    expect(readPreprocessing({ size: 64, do_normalize: false, do_rescale: false }, 'p')).toMatchObject({
      scale: 1,
      mean: [0, 0, 0],
      std: [1, 1, 1],
    })
  })

  it('is refused in one line where it makes no sense', () => {
    expect(() => read({ size: 100, crop_size: 224, do_center_crop: true })).toThrow(
      'cuts 224 pixels out of pictures of 100',
    )
    expect(() => read({})).toThrow('says no size')
    expect(() => read({ size: 'large' })).toThrow(/p\.json: not the preprocessing/)
    expect(() => read({ size: 8, image_std: [1, 0, 1] })).toThrow('holds a zero')
  })
})
