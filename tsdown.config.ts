import { defineConfig } from 'tsdown'

// dist mirrors src file by file: a bundler takes only what it needs, a stack trace names the module, and files that are
// found at run time (systems' folders, worker threads) are where their neighbours expect them. src/web is the page's own build.
// biome-ignore lint/style/noDefaultExport: tsdown reads its configuration from the default export
export default defineConfig({
  entry: ['src/**/*.ts', '!src/**/*.test.ts', '!src/web/**'],
  root: 'src',
  outDir: 'dist',
  format: 'esm',
  unbundle: true,
  // Files keep their imports as written: the shortcut past an index file would also pass by what it registers.
  treeshake: false,
  // Keeps node: imports as they are; files for browsers have none, and package.json's exports lead browsers only to those.
  platform: 'node',
  target: 'es2023',
  fixedExtension: false,
  dts: true,
  sourcemap: true,
  deps: { skipNodeModulesBundle: true },
  logLevel: 'warn',
})
