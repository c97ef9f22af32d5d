import multipart from '@fastify/multipart'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { ServerLimits } from './limits.ts'
import { Refusal } from './refusal.ts'

/** Reads forms into the bodies that JSON would give: fields by name, repeated fields as lists, the file as base64. */
export async function acceptForms(app: FastifyInstance, limits: ServerLimits): Promise<void> {
  await app.register(multipart, {
    limits: {
      fileSize: limits.imageBytes,
      files: 1,
      fieldSize: 16_384,
      fields: limits.queryParts * 2 + 8,
      parts: limits.queryParts * 2 + 9,
      headerPairs: 64,
    },
  })
  app.addHook('preValidation', async request => {
    if (!request.isMultipart()) return
    request.body = await readForm(request).catch(cause => {
      // Errors of limits carry their status; those of the form's grammar carry none.
      if (cause.statusCode) throw cause
      throw new Refusal(400, `the form cannot be read: ${cause.message.split('\n')[0]}.`, { cause })
    })
  })
}

async function readForm(request: FastifyRequest): Promise<Record<string, string | string[]>> {
  const body: Record<string, string | string[]> = Object.create(null)
  for await (const part of request.parts()) {
    const value = part.type === 'file' ? (await part.toBuffer()).toString('base64') : String(part.value)
    const before = body[part.fieldname]
    body[part.fieldname] = before === undefined ? value : [before, value].flat()
  }
  return { ...body }
}
