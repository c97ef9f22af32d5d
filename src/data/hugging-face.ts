import { createHash } from 'node:crypto'
import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { writeAtomic } from '../train/atomic.ts'
import { cacheFolder, download, downloadFailure, downloadLarge, fileSha256 } from './download.ts'

/** A model on the Hugging Face hub. */
export interface HubReference {
  /** `owner/name` */
  readonly repository: string
  /** Branch, tag or commit. */
  readonly revision: string
}

/** Whether a name means a model on the hub: `hf:owner/name`, `hf:owner/name@revision`. */
export const isHubName = (name: string): boolean => name.startsWith('hf:')

/** @throws one line when the name is not `hf:owner/name` or `hf:owner/name@revision` */
export function hubReference(name: string): HubReference {
  const found = /^hf:([\w-][\w.-]*\/[\w-][\w.-]*)(?:@([\w./-]+))?$/.exec(name)
  if (!found || name.includes('..'))
    throw new Error(`'${name}' is no model on the hub: expected hf:owner/name or hf:owner/name@revision`)
  return { repository: found[1], revision: found[2] ?? 'main' }
}

/** A file of a repository as the hub lists it. */
interface HubFile {
  readonly name: string
  readonly size: number
  /** SHA-256 of a large file; the hub's store of large files knows it. */
  readonly sha256?: string
  /** Git's own digest of a small one. */
  readonly blob?: string
}

const answerSchema = z.looseObject({
  sha: z.string().regex(/^[\da-f]{6,64}$/),
  siblings: z.array(
    z.looseObject({
      rfilename: z.string(),
      size: z.number().optional(),
      blobId: z.string().optional(),
      lfs: z.looseObject({ sha256: z.string().optional(), size: z.number().optional() }).nullish(),
    }),
  ),
})

export interface HubDownload {
  readonly done: number
  readonly total: number
  readonly file: string
}

export interface HubOptions {
  /** Files to fetch, of those that the repository has. Throws when what is needed is not among them. */
  readonly choose: (names: readonly string[]) => readonly string[]
  /** Name of the choice: a folder that holds it already is used without asking the hub. */
  readonly choice: string
  /** What to look for in an error: the files that someone without a connection has to bring. */
  readonly wanted: string
  readonly onProgress?: (progress: HubDownload) => void
  readonly environment?: NodeJS.ProcessEnv
}

const MARKER = '.tenet-hub.json'

interface Marker {
  readonly commit: string
  /** Choices whose files are all there. */
  readonly choices: readonly string[]
}

/** Folder of a model's files in the cache (`$TENET_CACHE`, `$XDG_CACHE_HOME`), whether they are there or not. */
export const hubFolder = ({ repository, revision }: HubReference, environment?: NodeJS.ProcessEnv): string =>
  join(cacheFolder(environment), 'hub', repository.replace('/', '--'), encodeURIComponent(revision))

/**
 * The files of a model on the hub, fetched once: what is in the cache is used without asking again. `HF_ENDPOINT` names another
 * server, `HF_TOKEN` opens models that need it, `HF_HUB_OFFLINE=1` forbids asking. Every file is checked against the digest that the
 * hub lists, large ones are continued where an earlier download broke.
 *
 * @returns the folder that holds them
 * @throws one line; without a connection it says which files to put where
 */
export async function fetchFromHub(reference: HubReference, options: HubOptions): Promise<string> {
  const { environment = process.env, choice } = options
  const folder = hubFolder(reference, environment)
  const marker = await readMarker(folder)
  if (marker?.choices.includes(choice)) return folder
  const server = new HubServer(reference, environment)
  const { commit, files } = await server.list().catch(async (error: unknown) => {
    // Files that someone put there by hand.
    if (error instanceof Unreachable && !marker && (await isFolder(folder))) return { commit: '', files: undefined }
    if (error instanceof Unreachable)
      throw new Error(
        `${server.title} is not in the cache and ${error.message}; with a connection, or a mirror in HF_ENDPOINT, it is fetched once; else put its ${options.wanted} into ${folder}`,
      )
    throw error
  })
  if (!files) return folder
  const names = options.choose(files.map(({ name }) => name))
  const chosen = files.filter(({ name }) => names.includes(name))
  await server.fetchAll(chosen, commit, folder, options.onProgress)
  const choices = marker?.commit === commit ? [...marker.choices, choice] : [choice]
  await writeAtomic(join(folder, MARKER), `${JSON.stringify({ ...reference, commit, choices })}\n`)
  return folder
}

const isFolder = (path: string): Promise<boolean> =>
  stat(path).then(
    info => info.isDirectory(),
    () => false,
  )

async function readMarker(folder: string): Promise<Marker | undefined> {
  try {
    const { commit, choices } = JSON.parse(await readFile(join(folder, MARKER), 'utf8')) as Partial<Marker>
    return typeof commit === 'string' && Array.isArray(choices) ? { commit, choices } : undefined
  } catch {
    return undefined
  }
}

/** No answer from the hub, for which there are other ways than mending the name. */
class Unreachable extends Error {}

class HubServer {
  readonly title: string
  readonly #reference: HubReference
  readonly #endpoint: string
  readonly #headers: Record<string, string>
  readonly #offline: boolean

  constructor(reference: HubReference, environment: NodeJS.ProcessEnv) {
    const { repository, revision } = reference
    this.#reference = reference
    this.title = `hf:${repository}${revision === 'main' ? '' : `@${revision}`}`
    this.#endpoint = (environment['HF_ENDPOINT'] || 'https://huggingface.co').replace(/\/+$/, '')
    this.#headers = environment['HF_TOKEN'] ? { authorization: `Bearer ${environment['HF_TOKEN']}` } : {}
    this.#offline = /^(1|true|yes|on)$/i.test(environment['HF_HUB_OFFLINE'] ?? '')
  }

  async list(): Promise<{ commit: string; files: HubFile[] }> {
    const { repository, revision } = this.#reference
    const address = `${this.#endpoint}/api/models/${repository}/revision/${encodeURIComponent(revision)}?blobs=true`
    if (this.#offline) throw new Unreachable('HF_HUB_OFFLINE forbids asking for it')
    const response = await fetch(address, { headers: this.#headers, signal: AbortSignal.timeout(30_000) }).catch(
      error => {
        throw new Unreachable(`${this.#endpoint} cannot be reached (${downloadFailure(error)})`)
      },
    )
    if (response.status === 401 || response.status === 403)
      throw new Error(
        `${this.title}: there is no such model, or it needs access (HTTP ${response.status}); set HF_TOKEN to a token that may read it`,
      )
    if (response.status === 404)
      throw new Error(`${this.title}: there is no such model or revision at ${this.#endpoint}`)
    if (!response.ok) throw new Unreachable(`${this.#endpoint} does not answer (HTTP ${response.status})`)
    const parsed = answerSchema.safeParse(await response.json().catch(() => undefined))
    if (!parsed.success) throw new Unreachable(`${this.#endpoint} does not answer as a hub does`)
    const files = parsed.data.siblings.map(({ rfilename: name, size, blobId: blob, lfs }) => ({
      name,
      size: lfs?.size ?? size ?? 0,
      sha256: lfs?.sha256,
      blob: lfs ? undefined : blob,
    }))
    return { commit: parsed.data.sha, files: files.filter(({ name }) => isInside(name)) }
  }

  async fetchAll(
    files: readonly HubFile[],
    commit: string,
    folder: string,
    onProgress?: (progress: HubDownload) => void,
  ): Promise<void> {
    const total = files.reduce((sum, { size }) => sum + size, 0)
    let before = 0
    for (const file of files) {
      const report = (done: number) => onProgress?.({ done: before + done, total, file: file.name })
      report(0)
      await this.#fetch(file, commit, join(folder, file.name), report)
      before += file.size
    }
    onProgress?.({ done: total, total, file: '' })
  }

  async #fetch(file: HubFile, commit: string, path: string, onProgress: (done: number) => void): Promise<void> {
    const { name, size, sha256, blob } = file
    const there = await stat(path).catch(() => undefined)
    // A name's bytes change only with the commit, whose digests were right when the file took its name.
    if (there && there.size === size && (await this.#isSame(file, path))) return
    const address = `${this.#endpoint}/${this.#reference.repository}/resolve/${commit}/${name.split('/').map(encodeURIComponent).join('/')}`
    try {
      if (sha256) await downloadLarge(address, path, { sha256, headers: this.#headers, onProgress })
      else
        await download([address], path, {
          headers: this.#headers,
          verify: bytes => {
            if (blob && gitBlob(bytes) !== blob) throw new Error('its bytes are not those that the hub lists')
          },
        })
    } catch (error) {
      throw new Error(
        `${this.title}: ${name} cannot be fetched (${(error as Error).message}); the same command goes on from here`,
      )
    }
  }

  async #isSame({ sha256, blob }: HubFile, path: string): Promise<boolean> {
    if (sha256) return (await fileSha256(path)) === sha256
    return blob !== undefined && gitBlob(await readFile(path)) === blob
  }
}

/** Git's digest of a file's content. */
const gitBlob = (bytes: Uint8Array): string =>
  createHash('sha1').update(`blob ${bytes.length}\0`).update(bytes).digest('hex')

/** A listed name that stays in the folder it is put into. */
const isInside = (name: string): boolean =>
  name !== '' &&
  !/[\\:\0]/.test(name) &&
  !name.startsWith('/') &&
  !name.split('/').some(part => part === '' || part === '..' || part === '.')
