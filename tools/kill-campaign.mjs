// Ends train, its resume, predict, preprocess and report at random moments, by SIGKILL, SIGTERM, SIGHUP or a closed pipe, and checks what
// is left: outputs are older ones or whole, checkpoints are whole, the next run ends with the same bits, and nothing on its way stays.
// usage: npm run kills -- [--count N] [--seed S] [--jobs J]
import { spawn } from 'node:child_process'
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { writeSyntheticKdd, writeSyntheticRaw } from '../dist/src/datasets/index.js'
import { damageOf } from '../dist/src/train/checkpoint-folder.js'

const { values } = parseArgs({
  options: {
    count: { type: 'string', default: '200' },
    seed: { type: 'string', default: '1' },
    jobs: { type: 'string', default: '1' },
  },
})
const [count, seed, jobs] = ['count', 'seed', 'jobs'].map(name => Number(values[name]))
const root = mkdtempSync(join(tmpdir(), 'kernelgrad-kills-'))
const at = (...names) => join(root, ...names)

let state = seed >>> 0
/** Uniform in [0, 1), mulberry32. */
function random() {
  state = (state + 0x6d2b79f5) >>> 0
  let t = Math.imul(state ^ (state >>> 15), state | 1)
  t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
  return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
}
const pick = all => all[Math.floor(random() * all.length)]

/** Runs a command; `end` says how it is ended and when: after so many milliseconds, or lines. */
function run(args, end) {
  return new Promise(resolve => {
    const started = Date.now()
    const child = spawn(process.execPath, ['bin/kernelgrad.js', ...args])
    let told = ''
    let lines = 0
    let ended = false
    const stop = () => {
      if (ended) return
      ended = true
      if (end.how === 'pipe') for (const stream of [child.stdout, child.stderr]) stream.destroy()
      else child.kill(end.how)
    }
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', text => {
        told += text
        lines += String(text).split('\n').length - 1
        if (end?.lines !== undefined && lines >= end.lines) stop()
      })
    const timer = end?.after !== undefined && setTimeout(stop, end.after)
    child.on('exit', (code, signal) => {
      clearTimeout(timer)
      resolve({ code, signal, told, lines, ms: Date.now() - started })
    })
  })
}
async function done(args) {
  const result = await run(args)
  if (result.code !== 0)
    throw new Error(`${args.join(' ')} ended with ${result.code ?? result.signal}: ${result.told}`)
  return result
}

const same = (a, b) => existsSync(a) && readFileSync(a).equals(readFileSync(b))
const onTheWay = folder => readdirSync(folder).filter(name => /\.(tmp|old)$|^\.lock|^\.preprocess/.test(name))
const expect = (holds, what) => {
  if (!holds) throw new Error(what)
}

const data = await writeSyntheticKdd({ folder: at('data'), trainRows: 150, testRows: 61, seed: 4 })
await writeSyntheticRaw({ folder: at('raw'), rows: 4000, seed: 2 })
writeFileSync(
  at('config.json'),
  JSON.stringify({
    features_config: data.features_config,
    mlp_config: [{ hidden_size: 8, activation_function: 'ReLU', dropout_p: 0.2 }],
    pretrained_model_config: {
      vocab_size: data.vocabSize,
      pad_token_id: data.padTokenId,
      dim: 12,
      n_heads: 2,
      n_layers: 1,
      hidden_dim: 20,
      max_position_embeddings: 32,
    },
    trainer: {
      max_steps: 12,
      per_device_train_batch_size: 8,
      gradient_accumulation_steps: 2,
      eval_steps: 1,
      save_steps: 1,
      save_total_limit: 2,
      load_best_model_at_end: true,
      logging_steps: 1,
      seed: 9,
    },
  }),
)
const train = out => [
  'train',
  '--config',
  at('config.json'),
  '--train',
  data.train,
  '--eval',
  data.test,
  '--out',
  out,
]
const predict = out => [
  'predict',
  '--model',
  at('straight'),
  '--data',
  data.train,
  '--batch-size',
  '2',
  '--out',
  out,
]
const report = out => ['report', at('straight'), '--out', out]
const preprocess = (out, rows) => ['preprocess', at('raw'), '--rows', String(rows), '--out', out]
const TABLES = ['train.parquet', 'test.parquet', 'features.json']

const usual = { train: await done(train(at('straight'))) }
usual.resume = usual.train
usual.predict = await done(predict(at('p.parquet')))
usual.report = await done(report(at('r.html')))
await done(preprocess(at('older'), 2000))
usual.preprocess = await done(preprocess(at('newer'), 4000))
// A run as it stood in the middle: its newest checkpoint but the last.
mkdirSync(at('middle'))
const steps = readdirSync(at('straight')).filter(name => name.startsWith('checkpoint-'))
const first = steps.sort((a, b) => Number(a.slice(11)) - Number(b.slice(11)))[0]
cpSync(at('straight', first), at('middle', first), { recursive: true })

/** A run's folder after the end: whole, and what goes on from it ends as if nothing had been. */
async function checkRun(out) {
  const saved = existsSync(out) ? readdirSync(out).filter(name => /^checkpoint-\d+$/.test(name)) : []
  for (const name of saved) {
    const damage = await damageOf(join(out, name))
    expect(damage === undefined, `${name}: ${damage}`)
  }
  const whole = saved.length || readdirSync(out).some(name => /^checkpoint-\d+\..*\.old$/.test(name))
  await done(whole ? [...train(out), '--resume'] : train(out))
  expect(same(join(out, 'model.safetensors'), at('straight', 'model.safetensors')), 'the weights differ')
  expect(onTheWay(out).length === 0, `left: ${onTheWay(out)}`)
}

/** A file's writing: older or whole afterwards, and whole after the next run. */
const single = (args, whole) => ({
  start(folder) {
    mkdirSync(folder)
    writeFileSync(join(folder, 'out'), 'older')
    return args(join(folder, 'out'))
  },
  async check(folder, ended) {
    const out = join(folder, 'out')
    const older = readFileSync(out, 'latin1') === 'older'
    expect(older || same(out, at(whole)), 'the output is neither the older one nor whole')
    expect(ended.code !== 0 || !older, 'exit 0, and nothing was written')
    await done(args(out))
    expect(same(out, at(whole)), 'the next output differs')
    expect(onTheWay(folder).length === 0, `left: ${onTheWay(folder)}`)
  },
})

const WORKS = {
  train: {
    start: train,
    check: async (folder, ended) => {
      expect(ended.code !== 0 || existsSync(join(folder, 'report.html')), 'exit 0, and not done')
      if (existsSync(folder)) await checkRun(folder)
      else await done(train(folder))
    },
  },
  resume: {
    start(folder) {
      cpSync(at('middle'), folder, { recursive: true })
      return [...train(folder), '--resume']
    },
    check: checkRun,
  },
  predict: single(predict, 'p.parquet'),
  report: single(report, 'r.html'),
  preprocess: {
    start(folder) {
      cpSync(at('older'), folder, { recursive: true })
      return preprocess(folder, 4000)
    },
    async check(folder) {
      const kinds = TABLES.map(name => {
        if (!existsSync(join(folder, name))) return 'none'
        return same(join(folder, name), at('older', name))
          ? 'older'
          : same(join(folder, name), at('newer', name))
            ? 'newer'
            : 'broken'
      })
      const [a, b, features] = kinds
      // Between the files, no features.json is left to trust.
      expect(
        !kinds.includes('broken') && (features === 'none' || (a === features && b === features)),
        kinds.join(),
      )
      await done(preprocess(folder, 4000))
      for (const name of TABLES)
        expect(same(join(folder, name), at('newer', name)), `the next ${name} differs`)
      expect(onTheWay(folder).length === 0, `left: ${onTheWay(folder)}`)
    },
  },
}
const CODES = { SIGTERM: 143, SIGHUP: 129 }
const LAST_LINE = /the model is in .*|\d+ (rows|run) in .*|^npx kernelgrad train .*/m

const tally = {}
const found = []
let next = 0
async function work() {
  while (next < count) {
    const number = next++
    const name = Object.keys(WORKS)[number % 5]
    const how = pick(['SIGKILL', 'SIGTERM', 'SIGHUP', 'pipe'])
    const { ms, lines } = usual[name]
    const end =
      random() < 0.5 ? { how, after: random() * ms * 1.1 } : { how, lines: 1 + Math.floor(random() * lines) }
    const folder = at(`kill-${number}`)
    const label = `${number} ${name} ${JSON.stringify(end)}`
    try {
      const ended = await run(WORKS[name].start(folder), end)
      const fine = how === 'SIGKILL' ? [0, null] : how === 'pipe' ? [0] : [0, CODES[how]]
      // Before the program has begun, and once it has told its last line, a signal ends the process as it always does.
      const outside = ended.signal === how && (ended.lines === 0 || LAST_LINE.test(ended.told))
      expect(
        fine.includes(ended.code) || outside,
        `exit ${ended.code ?? ended.signal}: ${ended.told.slice(-300)}`,
      )
      const result = ended.code === 0 ? 'finished' : 'ended'
      await WORKS[name].check(folder, ended)
      tally[`${name} ${how} ${result}`] = (tally[`${name} ${how} ${result}`] ?? 0) + 1
      rmSync(folder, { recursive: true, force: true })
    } catch (error) {
      found.push(label)
      console.log(`FOUND ${label}: ${error.message}\n  ${folder}`)
    }
  }
}
await Promise.all(Array.from({ length: jobs }, work))
for (const [what, times] of Object.entries(tally).sort()) console.log(`${String(times).padStart(4)} ${what}`)
console.log(`${count} kills, seed ${seed}: ${found.length} found something`)
if (!found.length) rmSync(root, { recursive: true })
process.exit(found.length ? 1 : 0)
