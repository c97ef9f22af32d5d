import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'

/** Shows a file or address in the user's browser; says where it is when there is none to show it in. */
export async function openInBrowser(target: string): Promise<void> {
  const address = /^https?:/.test(target) ? target : pathToFileURL(resolve(target)).href
  const headless = process.platform === 'linux' && !process.env.DISPLAY && !process.env.WAYLAND_DISPLAY
  if (headless || process.env.CI) {
    console.log(`open ${address}`)
    return
  }
  const { default: open } = await import('open')
  await open(address).catch(() => console.log(`open ${address}`))
}
