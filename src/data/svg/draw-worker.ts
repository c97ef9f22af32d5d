import { parentPort, workerData } from 'node:worker_threads'
import { initWasm, Resvg } from '@resvg/resvg-wasm'
import { checkSvg } from './check-svg.ts'

/** What a drawing thread is started with. */
export interface DrawSetup {
  readonly module: WebAssembly.Module
  /** The index of the document being drawn, so that the main thread knows which one never ends. */
  readonly progress: Int32Array<SharedArrayBuffer>
}

/** Documents to draw, and the shared memory that their pixels go into. */
export interface DrawJob {
  readonly svgs: readonly string[]
  readonly size: number
  /** RGB, [svgs, size, size, 3]; white already */
  readonly pixels: Uint8Array<SharedArrayBuffer>
}

/**
 * What a thread reports: that it can draw; that one document of its job failed, at once, as a thread that is ended has no
 * last word; that the job is done; or that WebAssembly trapped on a document, so that it and those after it are not drawn
 * and the thread is used up.
 */
export type DrawReport =
  | { readonly kind: 'ready' }
  | { readonly kind: 'failed'; readonly index: number; readonly reason: string }
  | { readonly kind: 'done' }
  | { readonly kind: 'trapped'; readonly index: number }

/** Composites nothing: resvg has already drawn on white. Puts the drawing in the middle of its square. */
function place(rgba: Uint8Array, width: number, height: number, size: number, target: Uint8Array): void {
  const [columns, rows] = [Math.min(width, size), Math.min(height, size)]
  const [left, top] = [(size - columns) >> 1, (size - rows) >> 1]
  for (let y = 0; y < rows; y++) {
    let to = ((top + y) * size + left) * 3
    for (let x = 0, from = y * width * 4; x < columns; x++, from += 4, to += 3) {
      target[to] = rgba[from]
      target[to + 1] = rgba[from + 1]
      target[to + 2] = rgba[from + 2]
    }
  }
}

function parse(svg: string, mode: 'width' | 'height', size: number) {
  return new Resvg(svg, { fitTo: { mode, value: size }, background: 'white', font: { loadSystemFonts: false } })
}

function draw(svg: string, size: number, target: Uint8Array): void {
  let drawing = parse(svg, 'width', size)
  if (drawing.height > drawing.width) {
    drawing.free()
    drawing = parse(svg, 'height', size)
  }
  const image = drawing.render()
  place(image.pixels, image.width, image.height, size, target)
  image.free()
  drawing.free()
}

function answer({ svgs, size, pixels }: DrawJob, progress: Int32Array, report: (what: DrawReport) => void): void {
  const stride = size * size * 3
  for (const [index, svg] of svgs.entries()) {
    Atomics.store(progress, 0, index)
    const refusal = checkSvg(svg)
    if (refusal) {
      report({ kind: 'failed', index, reason: refusal })
      continue
    }
    try {
      draw(svg, size, pixels.subarray(index * stride, (index + 1) * stride))
    } catch (error) {
      // A stack that overflows inside WebAssembly is a RangeError and leaves it just as broken as a trap.
      if (error instanceof WebAssembly.RuntimeError || error instanceof RangeError) {
        report({ kind: 'trapped', index })
        return
      }
      const cause = error instanceof Error ? error.message : String(error)
      report({ kind: 'failed', index, reason: `it cannot be drawn (${cause})` })
    }
  }
  report({ kind: 'done' })
}

const { module, progress } = workerData as DrawSetup
const port = parentPort
if (!port) throw new Error('draw-worker: expected to run in a worker thread.')
const report = (what: DrawReport) => port.postMessage(what)
await initWasm(module)
port.on('message', (job: DrawJob) => answer(job, progress, report))
report({ kind: 'ready' })
