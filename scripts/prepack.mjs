// Before the package is packed: what an earlier build compiled and whose source is gone leaves dist/src, and
// dist/browser is made, the library for pages that use no bundler. One file per entry of package.json's exports, what they
// share in chunks beside them; decompressors and tokenizer are fetched on use. A page names them in an import map:
//   { "imports": { "kernelgrad": "<folder>/index.js", "kernelgrad/train": "<folder>/train.js" } }
// Workers know no import maps: a module worker imports the files by their addresses.
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { build } from 'esbuild'

for (const name of readdirSync('dist/src', { recursive: true })) {
  const source = join('src', name.replace(/(\.d\.ts|\.js|\.js\.map)$/, '.ts'))
  if (!existsSync(source)) rmSync(join('dist/src', name), { recursive: true, force: true })
}

// What reads raw files through DuckDB runs in Node only.
const NODE_ONLY = ['./kdd']
const { exports } = JSON.parse(readFileSync('package.json', 'utf8'))
const entries = Object.entries(exports)
  .filter(([name]) => !NODE_ONLY.includes(name))
  .map(([name, { default: file }]) => [name === '.' ? 'index' : name.slice(2), file])

rmSync('dist/browser', { recursive: true, force: true })
await build({
  entryPoints: {
    ...Object.fromEntries(entries),
    // Started by its address, beside the file that starts it.
    'loader-worker-browser': 'dist/src/data/loader-worker-browser.js',
  },
  bundle: true,
  splitting: true,
  minify: true,
  format: 'esm',
  platform: 'browser',
  target: 'es2023',
  outdir: 'dist/browser',
  logLevel: 'warning',
})
