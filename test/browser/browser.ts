import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { type Browser, chromium, type Page } from 'playwright-core'

export const chromiumPath = process.env.TENET_CHROMIUM ?? '/usr/bin/chromium'
export const hasChromium = existsSync(chromiumPath)

const ortFolder = fileURLToPath(new URL('../../node_modules/onnxruntime-web/dist/', import.meta.url))
const types: Readonly<Record<string, string>> = {
  js: 'text/javascript',
  mjs: 'text/javascript',
  wasm: 'application/wasm',
  html: 'text/html',
}

/** A page in headless Chromium with Tenet's browser build, served from this machine only. */
export interface BrowserPage {
  readonly page: Page
  /** Makes bytes available to the page under `/files/<name>`. */
  serve(name: string, bytes: Uint8Array): void
  close(): Promise<void>
}

/** Headless Chromium that asks the network for nothing by itself. */
export function launchChromium(): Promise<Browser> {
  return chromium.launch({
    executablePath: chromiumPath,
    args: [
      '--headless',
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  })
}

async function bundle(): Promise<Uint8Array> {
  const { outputFiles } = await build({
    entryPoints: [fileURLToPath(new URL('./page.ts', import.meta.url))],
    bundle: true,
    format: 'esm',
    write: false,
    conditions: ['browser'],
    logLevel: 'error',
  })
  return outputFiles[0].contents
}

export async function openBrowserPage(): Promise<BrowserPage> {
  const files = new Map<string, Uint8Array>([
    ['/page.js', await bundle()],
    [
      '/',
      new TextEncoder().encode(
        '<!doctype html><meta charset="utf-8"><title>Tenet</title><script type="module" src="/page.js"></script>',
      ),
    ],
  ])
  const server: Server = createServer(async (request, response) => {
    const path = new URL(request.url ?? '/', 'http://localhost').pathname
    const known = files.get(path)
    const body =
      known ??
      (path.startsWith('/ort/') ? await readFile(join(ortFolder, basename(path))).catch(() => undefined) : undefined)
    response.writeHead(body ? 200 : 404, {
      'content-type': types[path === '/' ? 'html' : (path.split('.').pop() ?? '')] ?? 'application/octet-stream',
    })
    response.end(body)
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const browser = await launchChromium()
  const page = await browser.newPage()
  await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`)
  await page.waitForFunction(() => 'smallTraining' in globalThis)
  return {
    page,
    serve: (name, bytes) => {
      files.set(`/files/${name}`, bytes)
    },
    close: async () => {
      await browser.close()
      await new Promise(resolve => server.close(resolve))
    },
  }
}
