import { z } from 'zod'
import type { ServerLimits } from './limits.ts'

export const errorSchema = z.object({ error: z.string().describe('what was wrong and what to do, in one sentence') })

const metadata = z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null(), z.array(z.string())]))

const indexing = z.object({
  done: z.number().describe('items indexed so far'),
  total: z.number().optional(),
  rate: z.number().describe('items a second'),
  secondsLeft: z.number().optional(),
  failed: z.number(),
  error: z.string().optional(),
})

const hit = z.object({
  id: z.string(),
  name: z.string(),
  score: z.number(),
  metadata,
  texts: z.array(z.string()),
  why: z
    .object({
      meaning: z.number().describe('share of the score that came from the vectors'),
      keywords: z.number().describe('share that came from words'),
      matched: z.array(z.string()).describe('words of the item that the query touched'),
    })
    .optional(),
})

export const itemSchema = z.object({
  id: z.string(),
  name: z.string(),
  texts: z.array(z.string()),
  metadata,
  image: z.string().optional().describe('address of its picture on this server'),
})

export const picturesResponse = z.object({
  pictures: z.record(z.string(), z.string()).describe('SVG documents by id; other pictures have an address each'),
})

export const searchResponse = z.object({
  results: z.array(hit),
  total: z.number().describe('items that the query and its conditions leave'),
  milliseconds: z.number(),
  understood: z
    .array(
      z.object({
        text: z.string(),
        because: z.enum(['spelling', 'language', 'synonym', 'phrase']),
        languages: z.array(z.string()).optional(),
      }),
    )
    .optional()
    .describe('what was searched for in place of texts that were misspelt, in another language, or rare words'),
})

export const describeResponse = z.object({
  words: z.array(z.object({ text: z.string(), score: z.number(), count: z.number() })),
  milliseconds: z.number(),
})

export const collectionsResponse = z.object({
  collections: z.array(
    z.object({
      name: z.string(),
      count: z.number(),
      indexing: indexing.optional(),
      facets: z.record(
        z.string(),
        z.array(z.object({ value: z.string(), count: z.number(), title: z.string().optional() })),
      ),
    }),
  ),
})

export const healthResponse = z.object({
  status: z.literal('ok'),
  version: z.string(),
  uptimeSeconds: z.number().optional(),
  collections: z.array(z.object({ name: z.string(), count: z.number(), indexing: indexing.optional() })).optional(),
})

/** Values from a form are texts; these read them as what they stand for. */
const flag = z.union([z.boolean(), z.enum(['true', 'false']).transform(text => text === 'true')])
const whole = (least: number, most: number) => {
  const number = z.int().min(least).max(most)
  return z.union([
    number,
    z
      .string()
      .regex(/^\d{1,9}$/)
      .transform(Number)
      .pipe(number),
  ])
}
const collectionName = z.string().min(1).max(200).optional().describe('which collection; by default the first')

/** The bodies of requests, with the limits of this server in them, so that the OpenAPI document tells them too. */
export function requestSchemas(limits: ServerLimits) {
  const text = z.string().max(limits.textLength)
  const id = z.string().min(1).max(300)
  const image = z
    .string()
    .min(1)
    .max(Math.ceil(limits.imageBytes / 3) * 4 + 200)
    .describe('a picture file (PNG, JPEG, WebP, GIF, TIFF, AVIF or SVG) in base64, with or without a data: prefix')
  const search = z.strictObject({
    collection: collectionName,
    text: z
      .union([text, z.array(text).min(1).max(limits.queryParts)])
      .optional()
      .describe('what to look for, in any language; several are looked for together'),
    image: image.optional(),
    sketch: flag.optional().describe('the picture is a drawing by hand'),
    like: z
      .union([id, z.array(id).min(1).max(limits.queryParts)])
      .optional()
      .describe('items to look for others like'),
    where: z.string().max(limits.whereLength).optional().describe(`a condition in SQL over metadata: set = 'lucide'`),
    top: whole(1, limits.top).default(60),
    offset: whole(0, limits.offset).default(0),
    mode: z.enum(['hybrid', 'meaning', 'keywords']).default('hybrid'),
  })
  const describe = z.strictObject({ collection: collectionName, image, top: whole(1, 200).default(20) })
  const pictures = z.strictObject({ collection: collectionName, ids: z.array(id).min(1).max(limits.pictures) })
  const itemParameters = z.object({ id })
  const itemQuery = z.object({ collection: collectionName })
  const imageQuery = z.object({ collection: collectionName, size: whole(16, 1024).default(256) })
  return { search, describe, pictures, itemParameters, itemQuery, imageQuery }
}

export type RequestSchemas = ReturnType<typeof requestSchemas>
