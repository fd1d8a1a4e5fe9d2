// Every kernel family is complete: WGSL, launcher, oracle, operation, test and benchmark row, under one name.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** Families without an operation: what uses them instead, and why. */
const NO_OP = {
  optimizer: ['src/optim/', 'updates parameters; nothing is differentiated through it'],
  scaler: ['src/optim/', 'scales the loss of a whole step; the loss itself is multiplied by scaleBy'],
  vector_scores: ['src/serve/', 'ranks; nothing is differentiated through it'],
  transpose: ['src/kernels/matmul.ts', 'turns an operand of a matrix product, inside its launch'],
  random: ['src/autograd/parameter-values.ts', 'draws starting values'],
}
/** Files in src/kernels for all families. */
const SHARED_LAUNCHERS = ['batch-forms', 'checks', 'groups', 'index', 'options', 'strides', 'tuning', 'width']
/** WGSL that stands before the texts of several families. */
const SHARED_WGSL = [
  'column_sum',
  'divide',
  'f16',
  'group_sum',
  'normal_cdf',
  'multiply_add',
  'one_minus_exp',
  'philox',
  'storage',
]
/** Oracles that others are made of. */
const SHARED_ORACLES = ['checks', 'index', 'erf', 'philox']

const root = process.argv[2] ?? '.'
const read = path => readFileSync(join(root, path), 'utf8')
const names = (folder, extension) =>
  readdirSync(join(root, folder))
    .filter(file => file.endsWith(extension))
    .map(file => file.slice(0, -extension.length))
const sources = folder =>
  readdirSync(join(root, folder), { recursive: true })
    .map(file => join(folder, file))
    .filter(file => file.endsWith('.ts'))

let bad = 0
const fail = message => {
  console.error(message)
  bad++
}
/** A file launches what it imports more than types of. */
const launches = (file, family) =>
  read(file)
    .replace(/^(import|export) type .*/gm, '')
    .includes(file.startsWith('src/kernels/') ? `'./${family}.ts'` : `/kernels/${family}.ts'`)

// A family's launcher may be spread over files: matmul.ts, matmul-forms.ts.
const families = names('src/kernels', '.ts').filter(
  name => !SHARED_LAUNCHERS.includes(name) && !name.includes('-'),
)
const ops = sources('src/autograd/ops')
const [kernelIndex, oracleIndex, rowIndex] = [
  'src/kernels/index.ts',
  'src/reference/index.ts',
  'bench/rows/index.ts',
].map(read)

for (const family of families) {
  const places = [
    `wgsl/${family}.wgsl`,
    `src/reference/${family}.ts`,
    `test/kernels/${family}.test.ts`,
    `bench/rows/${family}.ts`,
  ]
  for (const place of places) if (!existsSync(join(root, place))) fail(`${family}: ${place} is missing`)
  for (const [index, text] of [
    ['src/kernels/index.ts', kernelIndex],
    ['src/reference/index.ts', oracleIndex],
    ['bench/rows/index.ts', rowIndex],
  ])
    if (!text.includes(`'./${family}.ts'`)) fail(`${family}: ${index} does not name ./${family}.ts`)
  const hasOp = ops.some(file => launches(file, family))
  const [user, why] = NO_OP[family] ?? []
  if (!user && !hasOp)
    fail(`${family}: no operation in src/autograd/ops launches it, and no reason is given for that`)
  if (user && hasOp) fail(`${family}: has an operation, though the list says it has none because it ${why}`)
  if (user && !(user.endsWith('/') ? sources(user) : [user]).some(file => launches(file, family)))
    fail(`${family}: ${user} does not launch it, though it ${why}`)
}

for (const [folder, extension, shared] of [
  ['src/kernels', '.ts', SHARED_LAUNCHERS],
  ['wgsl', '.wgsl', SHARED_WGSL],
  ['src/reference', '.ts', SHARED_ORACLES],
  ['bench/rows', '.ts', ['index']],
]) {
  for (const name of names(folder, extension)) {
    const part = families.some(
      family => name === family || name.startsWith(`${family}_`) || name.startsWith(`${family}-`),
    )
    if (!part && !shared.includes(name)) fail(`${folder}/${name}${extension} belongs to no kernel family`)
  }
}
if (bad) process.exit(1)
console.log(`kernel families: ok (${families.length})`)
