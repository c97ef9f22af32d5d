import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { readEncoder, type TenetEncoder } from './tenet-encoder.ts'

/** The encoder that comes with Tenet: icons and words in many languages. */
export const defaultEncoderPath = fileURLToPath(new URL('../../../models/tenet-icons.safetensors', import.meta.url))

/**
 * Loads an encoder's file.
 * @param path default: the encoder that comes with Tenet
 * @throws one line when there is none, or it is damaged
 */
export async function loadEncoder(path = defaultEncoderPath, device?: string): Promise<TenetEncoder> {
  let bytes: Uint8Array
  try {
    bytes = await readFile(path)
  } catch (error) {
    const missing = (error as NodeJS.ErrnoException).code === 'ENOENT'
    throw new Error(missing ? `there is no encoder at ${path}` : `cannot read ${path}: ${(error as Error).message}`)
  }
  return readEncoder(bytes, path, device)
}
