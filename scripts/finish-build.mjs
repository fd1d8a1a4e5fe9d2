// What the build does after the compiler. What an earlier build compiled and whose source is gone leaves dist/src. The types are
// made fit for every TypeScript from 5.6 on. dist/browser is made, the library for pages that use no bundler: one file per
// entry of package.json's exports, what they share in chunks beside them; decompressors and tokenizer are fetched on use. A page
// names them in an import map:
//   { "imports": { "kernelgrad": "<folder>/index.js", "kernelgrad/train": "<folder>/train.js" } }
// Workers know no import maps: a module worker imports the files by their addresses.
import { copyFileSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { build } from 'esbuild'

const AMBIENT = 'ambient.d.ts'
const { exports } = JSON.parse(readFileSync('package.json', 'utf8'))

for (const name of readdirSync('dist/src', { recursive: true })) {
  const source = join('src', name.replace(/(\.d\.ts|\.js|\.js\.map)$/, '.ts'))
  if (!existsSync(source) && name !== AMBIENT)
    rmSync(join('dist/src', name), { recursive: true, force: true })
}

// `Float32Array<ArrayBuffer>` is known from TypeScript 5.7 on; what `of` returns is the same type there, and plain before.
for (const name of readdirSync('dist/src', { recursive: true })) {
  if (!name.endsWith('.d.ts')) continue
  const path = join('dist/src', name)
  const text = readFileSync(path, 'utf8')
  const fit = text
    .replace(/\b(\w+Array)<ArrayBuffer>/g, `ReturnType<$1Constructor['of']>`)
    .replace(/\b(\w+Array)<ArrayBufferLike>/g, '$1')
  if (fit !== text) writeFileSync(path, fit)
}

// Names that a project may lack, for whoever imports an entry.
copyFileSync(join('src', AMBIENT), join('dist/src', AMBIENT))
for (const { types } of Object.values(exports)) {
  const reference = `/// <reference path="${relative(dirname(types), join('dist/src', AMBIENT))}" />\n`
  const text = readFileSync(types, 'utf8')
  if (!text.startsWith(reference)) writeFileSync(types, reference + text)
}

// What reads raw files through DuckDB runs in Node only.
const NODE_ONLY = ['./kdd', './lists']
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
