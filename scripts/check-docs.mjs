// Holds the documentation to the code: links of Markdown files lead somewhere, TypeScript in them compiles, configurations are
// read, and commands exist. A comment `<!-- given … -->` before a block declares what the block takes for granted. Blocks in TSDoc
// may use a few names as they are. Runs on a build; no network.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { modelsTableFaults } from './models-table.mjs'

const root = resolve(process.argv[2] ?? '.')
const SKIPPED = new Set(['node_modules', 'dist', '.git', 'golden', 'runs', 'site'])
let bad = 0
const fail = message => {
  console.error(message)
  bad++
}

function* filesBelow(folder, ending) {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    if (SKIPPED.has(entry.name)) continue
    const path = join(folder, entry.name)
    if (entry.isDirectory()) yield* filesBelow(path, ending)
    else if (entry.name.endsWith(ending)) yield path
  }
}
const shown = path => relative(root, path)
const withoutCode = text => text.replace(/^```[\s\S]*?^```/gm, block => block.replace(/[^\n]/g, ''))
const lineOf = (text, at) => text.slice(0, at).split('\n').length

/** Anchors of a page's headings, as GitHub makes them. */
function anchorsOf(path) {
  const anchors = new Map()
  return [...withoutCode(readFileSync(path, 'utf8')).matchAll(/^#{1,6} +(.+)$/gm)].map(([, title]) => {
    const slug = title
      .toLowerCase()
      .replace(/\[([^\]]*)\]\([^)]*\)/g, '$1')
      .replace(/[^\p{L}\p{N}\s_-]/gu, '')
      .replaceAll(' ', '-')
    const seen = anchors.get(slug) ?? 0
    anchors.set(slug, seen + 1)
    return seen ? `${slug}-${seen}` : slug
  })
}

function checkLinks(path, text) {
  const plain = withoutCode(text).replace(/`[^`\n]*`/g, code => ' '.repeat(code.length))
  for (const match of plain.matchAll(/\[[^\]]*\]\(([^)\s]+)\)/g)) {
    const [, target] = match
    const where = `${shown(path)}:${lineOf(plain, match.index)}`
    if (/^[a-z]+:/.test(target)) {
      if (!/^https:\/\/[^/]+\.[a-z]+/.test(target)) fail(`${where}: link ${target} is no https address`)
      continue
    }
    const [file, anchor] = target.split('#')
    const to = file ? resolve(dirname(path), decodeURI(file)) : path
    if (!existsSync(to)) fail(`${where}: link ${target} leads nowhere`)
    else if (anchor && !(to.endsWith('.md') && anchorsOf(to).includes(anchor)))
      fail(`${where}: link ${target} names a heading that ${shown(to)} does not have`)
  }
}

/** Every fenced block with its language, what stands before it as given, and its line. */
function* blocksOf(text) {
  const fences = /(?:^<!-- given\n([\s\S]*?)-->\n\n)?^```(\w*)\n([\s\S]*?)^```$/gm
  for (const match of text.matchAll(fences)) {
    const [whole, given = '', language, code] = match
    yield {
      given,
      language,
      code,
      line: lineOf(text, match.index + whole.lastIndexOf(`\`\`\`${language}\n${code}`)),
    }
  }
}

const { COMMANDS } = await import(pathToFileURL(join(root, 'dist/src/cli/commands.js')))
const models = await import(pathToFileURL(join(root, 'dist/src/models/index.js')))
const { parseRunConfig } = models
const { scripts, exports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
const GLOBAL = ['--stack', '--help', '--version', '--prefix']

function checkCommand(line, where) {
  const words = line.replace(/#.*/, '').trim().split(/\s+/)
  const tool = words.indexOf('kernelgrad')
  if (tool >= 0) {
    const [name, second] = words.slice(tool + 1).filter(word => !word.startsWith('-'))
    const known = COMMANDS.find(known => known.name === name)
    if (!known && name !== 'COMMAND') fail(`${where}: kernelgrad has no command ${name}`)
    const { commands } = known ?? {}
    const command = commands
      ? (commands.find(({ name }) => name === second) ?? commands.find(({ isDefault }) => isDefault))
      : known
    const options = command?.options.map(({ flags }) => flags.split(' ')[0]) ?? []
    // What stands before is its launcher's.
    for (const word of words.slice(tool + 1).filter(word => word.startsWith('--')))
      if (!GLOBAL.includes(word) && !options.includes(word))
        fail(`${where}: kernelgrad ${name} has no option ${word}`)
  }
  for (const [, script] of line.matchAll(/npm run (?:-s )?([\w:-]+)/g))
    if (!scripts[script]) fail(`${where}: package.json has no script ${script}`)
  for (const [, file] of line.matchAll(/(?:node|python3?) ((?:tools|bench|scripts)\/\S+)/g))
    if (!existsSync(join(root, file))) fail(`${where}: there is no ${file}`)
}

const modelsPage = join(root, 'docs', 'models.md')
if (existsSync(modelsPage))
  for (const fault of modelsTableFaults(readFileSync(modelsPage, 'utf8'), models))
    fail(`docs/models.md: ${fault}`)

const site = join(root, 'docs', 'typedoc.json')
if (existsSync(site)) {
  const { entryPoints } = JSON.parse(readFileSync(site, 'utf8'))
  for (const [name, { default: file }] of Object.entries(exports)) {
    const source = file.replace('./dist', '..').replace(/js$/, 'ts')
    if (!entryPoints.includes(source))
      fail(`docs/typedoc.json: entryPoints lacks ${source}, which is ${name}`)
  }
}

const work = join(root, 'dist', `docs-check-${process.pid}`)
mkdirSync(work, { recursive: true })
/** What a compiled block is called, and where it stands. */
const places = new Map()

function addBlock({ given, code }, where, line) {
  const name = `block${places.size}.ts`
  const imports = `${given}\n`
  writeFileSync(join(work, name), `${imports}${code}\nexport {}\n`)
  places.set(name, { where, shift: line + 1 - imports.split('\n').length })
}

/** What blocks in TSDoc may call by these names. */
const TYPES = {
  gpu: `import('kernelgrad').Gpu`,
  model: `import('kernelgrad').TextTabularModel`,
  optimizer: `import('kernelgrad').AdamW`,
  dataset: `import('kernelgrad').Dataset`,
  batch: `import('kernelgrad').FeatureBatch`,
  config: `import('kernelgrad').ModelConfig`,
  trainer: `import('kernelgrad').ResolvedTrainerConfig`,
  forward: `import('kernelgrad/gpu').Kernel<'n'>`,
  backward: `import('kernelgrad/gpu').Kernel<'n'>`,
  swiglu: `import('kernelgrad').Op<readonly ['gate', 'up']>`,
}
const namesOf = code =>
  Object.entries(TYPES)
    .filter(([name]) => !new RegExp(`^(const|for .*const) (\\{[^}]*)?\\b${name}\\b`, 'm').test(code))
    .map(([name, type]) => `declare const ${name}: ${type}`)
    .join('; ')

let pages = 0
for (const path of filesBelow(root, '.md')) {
  const text = readFileSync(path, 'utf8')
  pages++
  checkLinks(path, text)
  // What is given holds for the blocks after it too, until something else is.
  let given = ''
  for (const block of blocksOf(text)) {
    const where = `${shown(path)}:${block.line}`
    given = block.given || given
    if (['ts', 'js', 'typescript', 'javascript'].includes(block.language))
      addBlock({ ...block, given }, shown(path), block.line)
    else if (block.language === 'json') {
      try {
        const json = JSON.parse(block.code)
        if ('features_config' in json) parseRunConfig(json, 'the configuration')
      } catch (error) {
        fail(`${where}: ${error.message}`)
      }
    } else for (const line of block.code.split('\n')) checkCommand(line, where)
  }
}
for (const path of filesBelow(join(root, 'src'), '.ts')) {
  const source = readFileSync(path, 'utf8')
  for (const { 0: comment, index } of source.matchAll(/\/\*\*[\s\S]*?\*\//g)) {
    const text = comment.replace(/^ *\* ?/gm, '')
    const line = lineOf(source, index)
    for (const block of blocksOf(text))
      if (block.language === 'ts')
        addBlock({ ...block, given: namesOf(block.code) }, shown(path), line + block.line - 1)
  }
}

const options = {
  extends: relative(work, join(root, 'tsconfig.json')),
  compilerOptions: {
    noEmit: true,
    noUnusedLocals: false,
    noUnusedParameters: false,
    rootDir: '../..',
    declaration: false,
    verbatimModuleSyntax: false,
  },
  include: ['*.ts'],
  exclude: [],
}
writeFileSync(join(work, 'tsconfig.json'), JSON.stringify(options))
const tsc = spawnSync(
  process.execPath,
  ['node_modules/typescript/bin/tsc', '-p', work, '--pretty', 'false'],
  {
    cwd: root,
    encoding: 'utf8',
  },
)
if (tsc.status !== 0) {
  const told = `${tsc.stdout}${tsc.stderr}`.replace(
    /^.*?(block\d+\.ts)\((\d+),(\d+)\): /gm,
    (_, name, line) => {
      const { where, shift } = places.get(name)
      return `${where}:${Number(line) + shift}: `
    },
  )
  fail(told.trim())
}
rmSync(work, { recursive: true })
if (bad) process.exit(1)
console.log(`documentation: ok (${pages} pages, ${places.size} blocks of TypeScript)`)
