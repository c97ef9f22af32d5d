export * from './exports.ts'
export { type BrowserOptions, configureBrowser } from './runtime/browser.ts'
