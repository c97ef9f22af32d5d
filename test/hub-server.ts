import { createHash } from 'node:crypto'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

const commit = 'c0ffee'.repeat(6)

/** A small stand-in for the Hugging Face hub: lists and serves files, large ones from another path with ranges. */
export class HubStandIn {
  readonly requests: string[] = []
  /** Large files are cut off after so many bytes, once each. */
  cutAfter: number | undefined
  /** Serves wrong bytes of large files. */
  lies = false
  /** Token that every request must carry. */
  token: string | undefined
  readonly #files: ReadonlyMap<string, Uint8Array>
  readonly #repository: string
  readonly #cut = new Set<string>()
  readonly #server: Server

  constructor(repository: string, files: ReadonlyMap<string, Uint8Array>) {
    this.#repository = repository
    this.#files = files
    this.#server = createServer((request, response) => this.#answer(request, response))
  }

  async start(): Promise<string> {
    await new Promise<void>(resolve => this.#server.listen(0, '127.0.0.1', resolve))
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise(resolve => this.#server.close(resolve))
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const path = decodeURIComponent(request.url!.split('?')[0])
    this.requests.push(`${path}${request.headers.range ? ` ${request.headers.range}` : ''}`)
    const api = `/api/models/${this.#repository}/revision/main`
    const resolve = `/${this.#repository}/resolve/${commit}/`
    if (this.token && request.headers.authorization !== `Bearer ${this.token}`) response.writeHead(401).end()
    else if (path === api) response.end(JSON.stringify(this.#listing()))
    else if (path.startsWith(resolve)) this.#file(path.slice(resolve.length), request, response)
    else response.writeHead(404).end()
  }

  #listing() {
    const siblings = [...this.#files].map(([rfilename, bytes]) => ({
      rfilename,
      size: bytes.length,
      blobId: createHash('sha1').update(`blob ${bytes.length}\0`).update(bytes).digest('hex'),
      ...(rfilename.endsWith('.onnx') && {
        lfs: { sha256: createHash('sha256').update(bytes).digest('hex'), size: bytes.length, pointerSize: 130 },
      }),
    }))
    return {
      id: this.#repository,
      sha: commit,
      siblings: [...siblings, { rfilename: '../evil', size: 1, blobId: '0' }],
    }
  }

  #file(name: string, request: IncomingMessage, response: ServerResponse): void {
    const bytes = this.#files.get(name)
    if (!bytes) {
      response.writeHead(404).end()
      return
    }
    const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0)
    if (from >= bytes.length) {
      response.writeHead(416).end()
      return
    }
    const rest = bytes.slice(from)
    if (this.lies && name.endsWith('.onnx')) rest[0] ^= 1
    response.writeHead(from > 0 ? 206 : 200, { 'content-length': rest.length })
    if (this.cutAfter !== undefined && name.endsWith('.onnx') && !this.#cut.has(name)) {
      this.#cut.add(name)
      response.write(rest.slice(0, this.cutAfter))
      setTimeout(() => response.destroy(), 20)
    } else response.end(rest)
  }
}
