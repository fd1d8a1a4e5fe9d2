import { defineConfig } from 'vite'

// Paths are relative, so that the built page can be put into any folder of a server.
export default defineConfig({
  root: import.meta.dirname,
  base: './',
  worker: { format: 'es' },
  build: { outDir: '../../dist/page', emptyOutDir: true, target: 'es2023' },
})
