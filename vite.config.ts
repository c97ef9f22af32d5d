import { fileURLToPath } from 'node:url'
import react from '@vitejs/plugin-react'
import { defineConfig } from 'vite'

// The page of `tenet serve`: built into dist/web, where the server looks for it.
// biome-ignore lint/style/noDefaultExport: Vite reads its configuration from the default export
export default defineConfig({
  root: fileURLToPath(new URL('./src/web', import.meta.url)),
  plugins: [react()],
  build: { outDir: fileURLToPath(new URL('./dist/web', import.meta.url)), emptyOutDir: true, target: 'es2022' },
  logLevel: 'warn',
  // For work on the page: `npx vite` beside a running `tenet serve`.
  server: {
    proxy: Object.fromEntries(
      ['/search', '/describe', '/pictures', '/items', '/collections', '/health', '/session'].map(path => [
        path,
        'http://127.0.0.1:4242',
      ]),
    ),
  },
})
