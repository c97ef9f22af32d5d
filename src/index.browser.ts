export * from './core/index.browser.ts'
