// Turns each wgsl/<family>.wgsl into src/wgsl/<family>.ts, a module that exports the file's text, so that the
// same build runs in Node and in browsers and a bundler drops the kernels nobody imports; and the package's version.
// Comments and spaces stay behind, lines do not move: a message about line 12 means line 12 of the .wgsl file.
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'

const compact = text =>
  text
    .split('\n')
    .map(line => line.replace(/\/\/(?! @(unroll|if|else|end)\b).*/, '').trim())
    // Launchers set constants by their whole line; two operators in a row (a - -b) keep their space.
    .map(line =>
      /^(const |\/\/)/.test(line) ? line : line.replace(/ ?([-+*/%=<>&|,:;{}()?]+) (?![-+*/&<>=])/g, '$1'),
    )
    .join('\n')

mkdirSync('src/wgsl', { recursive: true })
const wanted = new Map()
for (const file of readdirSync('wgsl').filter(f => f.endsWith('.wgsl'))) {
  const text = compact(readFileSync(`wgsl/${file}`, 'utf8')).replace(/[\\`$]/g, '\\$&')
  wanted.set(
    file.replace(/wgsl$/, 'ts'),
    `// Made from wgsl/${file} by scripts/embed-wgsl.mjs.\nexport default \`${text}\`\n`,
  )
}
const { version } = JSON.parse(readFileSync('package.json', 'utf8'))
wanted.set(
  'version.ts',
  `// Made from package.json by scripts/embed-wgsl.mjs.\n/** The library's version. */\nexport const VERSION = '${version}'\n`,
)
for (const file of readdirSync('src/wgsl')) if (!wanted.has(file)) rmSync(`src/wgsl/${file}`)
for (const [file, text] of wanted) {
  let old
  try {
    old = readFileSync(`src/wgsl/${file}`, 'utf8')
  } catch (error) {
    if (error.code !== 'ENOENT') throw error
  }
  if (old !== text) writeFileSync(`src/wgsl/${file}`, text)
}
