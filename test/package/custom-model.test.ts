// The example model as a user has it, in a folder of its own with the packed package installed: trained, stopped, resumed to the bit,
// evaluated, asked and reported by `npx kernelgrad`, by a program of the library's, and by that same program in a browser's worker.
// Waits for CI: it packs and installs the package
import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { Page } from 'playwright-core'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { build } from 'vite'
import { readColumns } from '../../src/data/index.ts'
import { launchChromium } from '../support/chromium.ts'
import { ownShell, packedProject, packFresh } from '../support/packed.ts'
import { type Served, serve } from '../support/serve.ts'

interface Job {
  /** Holds, or will hold, the data and the runs. */
  folder: string
  /** Name of the run's folder in it. */
  name: string
  resume?: boolean
  stopAfter?: number
  adapter?: string
  /** Write report.json and report.html, which pages cannot. */
  report?: boolean
}

interface Outcome {
  startStep: number
  steps: number
  losses: number[]
  evalLosses: number[]
  /** Every trained value, by parameter, and the scores of the test rows. */
  weights: Record<string, number[]>
  scores: number[]
  /** Of the model as it was saved and opened again. */
  metrics: Record<string, number>
}

const COMMAND = 'kernelgrad'
const DATA = { trainRows: 640, testRows: 90, seed: 2 }
const TRAINER = { eval_steps: 4, save_steps: 4, logging_steps: 1 }

/** Plain JavaScript, beside dcn.js in the user's folder. */
const PROGRAM = `
import * as kg from 'kernelgrad'
import { writeSyntheticKdd } from 'kernelgrad/datasets'
import { runReport, writeRunReport } from 'kernelgrad/train'
import DcnV2 from './dcn.js'
import json from './run.json' with { type: 'json' }

kg.registerModel(DcnV2)

export async function run({ folder, name, resume = false, stopAfter, adapter, report }) {
  await writeSyntheticKdd({ folder, ...${JSON.stringify(DATA)} })
  const { trainer: settings, ...own } = json
  const config = kg.parseTrainerConfig(settings, 'run.json: trainer')
  const gpu = await kg.openGpu({ adapter })
  const model = kg.createModel({ architecture: 'DcnV2', ...own }).to(gpu, { seed: config.seed })
  const [train, evaluation] = await Promise.all(
    ['train', 'test'].map(file => kg.loadDataset(folder + '/' + file + '.parquet', { inputs: model.inputs })),
  )
  const output = folder + '/' + name
  let startStep
  const trainer = new kg.Trainer({
    model, config, train, evaluation, output,
    callbacks: [{
      onTrainBegin({ state }) { startStep = state.global_step },
      onStepEnd({ state }) { if (state.global_step === stopAfter) trainer.interrupt() },
    }],
  })
  const { log_history, global_step } = await trainer.train({ resumeFromCheckpoint: resume })
  const state = await model.stateDict()
  const weights = Object.fromEntries([...state].map(([name, { data }]) => [name, [...data]]))
  await kg.saveModel(model, output + '/model')
  const opened = await kg.loadModel(gpu, output + '/model')
  const scores = [...(await kg.predict(opened, evaluation))]
  const metrics = await kg.evaluate(opened, evaluation)
  if (report) await writeRunReport(output, runReport({
    name, adapter: gpu.adapter.line, config: { ...model.config, trainer: config },
    model: { architecture: 'DcnV2', parameters: model.numParameters() },
    rows: { train: train.length, evaluation: evaluation.length }, state: trainer.state, seconds: 1, metrics,
  }))
  gpu.close()
  const logged = key => log_history.flatMap(entry => (key in entry ? [entry[key]] : []))
  return { startStep, steps: global_step, losses: logged('loss'), evalLosses: logged('eval_loss'), weights, scores, metrics }
}
`

const WORKER = `
import { run } from './program.js'
onmessage = ({ data }) => run(data).then(
  outcome => postMessage({ outcome }), error => postMessage({ error: String(error.stack) }))
`
const PAGE = `
window.work = job => new Promise(resolve => {
  const worker = new Worker(new URL('./worker.js', import.meta.url), { type: 'module' })
  worker.onmessage = ({ data }) => { worker.terminate(); resolve(data) }
  worker.onerror = ({ message }) => resolve({ error: 'the worker failed: ' + message })
  worker.postMessage(job)
})
`

const root = mkdtempSync(join(tmpdir(), 'kernelgrad-packed-model-'))
packFresh(root)
const example = join(root, 'package/examples/custom-model')
const config = JSON.parse(readFileSync(join(example, 'config.json'), 'utf8'))
const settings = { ...config, trainer: { ...config.trainer, ...TRAINER } }
const folder = packedProject(root, 'dcn', {
  'program.js': PROGRAM,
  'worker.js': WORKER,
  'main.js': PAGE,
  'index.html':
    '<!doctype html><title>dcn</title><link rel="icon" href="data:,"><script type="module" src="/main.js"></script>',
  'run.json': JSON.stringify(settings),
  'first.json': JSON.stringify({ ...settings, trainer: { ...settings.trainer, max_steps: 4 } }),
})
cpSync(example, folder, { recursive: true })
const program = () => import(pathToFileURL(join(folder, 'program.js')).href)
/** The adapter that the browser has too. */
const adapter = 'embedded'
const inFolder = (name: string) => join(folder, name)

function started(...args: string[]) {
  const env = { ...ownShell(), KERNELGRAD_ADAPTER: adapter }
  return spawnSync('npx', ['--no', COMMAND, ...args], { cwd: folder, env, encoding: 'utf8' })
}
function npx(...args: string[]): string {
  const { status, stdout, stderr } = started(...args)
  assert.is(status, 0, stdout + stderr)
  return stdout
}

let whole: Outcome
test('a program: trained, stopped and resumed to the bit, evaluated, asked, reported', async () => {
  const { run } = (await program()) as { run(job: Job): Promise<Outcome> }
  whole = await run({ folder, name: 'whole', adapter, report: true })
  assert.is(whole.steps, 10)
  assert.is(whole.losses.length, 10)
  assert.is(whole.evalLosses.length, 3)
  assert.ok(whole.scores.length === 2 * DATA.testRows && whole.scores.every(p => p > 0 && p < 1))
  assert.ok(whole.metrics.roc_auc! > 0.4 && whole.metrics.loss! > 0)
  const stopped = await run({ folder, name: 'parts', stopAfter: 6, adapter })
  assert.is(stopped.steps, 6)
  assert.not.equal(stopped.weights, whole.weights)
  const resumed = await run({ folder, name: 'parts', resume: true, adapter })
  assert.is(resumed.startStep, 6)
  assert.equal(resumed, { ...whole, startStep: 6 })
  const page = readFileSync(inFolder('whole/report.html'), 'utf8')
  assert.ok(page.includes('DcnV2'))
})

test('npx kernelgrad: the same run, to the bit, and every command', async () => {
  const train = (config: string, out: string, ...more: string[]) => {
    const files = ['--train', 'train.parquet', '--eval', 'test.parquet', '--out', out, '--json']
    return npx('train', '--architecture', './dcn.js', '--config', config, ...files, ...more)
  }
  const told = JSON.parse(train('run.json', 'cli-whole').trimEnd().split('\n').at(-1)!)
  const weights = (run: string) => readFileSync(inFolder(`${run}/model.safetensors`))
  assert.equal(weights('cli-whole'), weights('whole/model'))
  assert.is(told.steps, 10)
  train('first.json', 'cli-parts')
  assert.not.equal(weights('cli-parts'), weights('cli-whole'))
  train('run.json', 'cli-parts', '--resume')
  assert.equal(weights('cli-parts'), weights('cli-whole'))
  assert.is(JSON.parse(readFileSync(inFolder('cli-whole/config.json'), 'utf8')).architecture, 'DcnV2')

  const model = ['--architecture', './dcn.js', '--model', 'cli-whole', '--data', 'test.parquet']
  const { metrics } = JSON.parse(npx('evaluate', ...model, '--json', '--group-by', 'user_id'))
  assert.ok(metrics.gauc_groups > 0)
  for (const [name, value] of Object.entries(whole.metrics)) {
    assert.is(told.metrics[name], value, name)
    assert.is(metrics[name], value, name)
  }
  npx('predict', ...model, '--out', 'scores.parquet')
  const { probability } = await readColumns(inFolder('scores.parquet'), ['row', 'label', 'probability'])
  assert.equal(
    [...(probability as number[])].map(Math.fround),
    whole.scores.filter((_, i) => i % 2),
  )
  const { status, stderr } = started('evaluate', ...model.slice(2))
  assert.is(status, 1)
  assert.match(stderr, /got "DcnV2"; --architecture names the file of another/)
  npx('report', 'cli-whole', 'cli-parts', '--out', 'report.html')
  assert.ok(readFileSync(inFolder('report.html'), 'utf8').includes('DcnV2'))
})

const browser = await launchChromium()
if (typeof browser === 'string') console.log(`skip: a user's model in a browser: ${browser}`)
const inBrowser = typeof browser === 'string' ? test.skip : test
let page: Page
let served: Served

const close = (said: readonly number[], node: readonly number[], bound: number, what: string) => {
  assert.is(said.length, node.length, what)
  for (const [i, value] of said.entries())
    assert.ok(Math.abs(value - node[i]!) < bound, `${what}, value ${i}: ${value}, in Node ${node[i]}`)
}
async function inWorker(job: Job): Promise<Outcome> {
  const reply = await page.evaluate(
    job =>
      (window as unknown as { work(job: Job): Promise<{ outcome?: Outcome; error?: string }> }).work(job),
    job,
  )
  if (!reply.outcome) throw new Error(reply.error)
  return reply.outcome
}

inBrowser("a browser's worker: the same program, and its losses are Node's", async () => {
  if (typeof browser === 'string') return
  await build({ root: folder, logLevel: 'error', configFile: false, worker: { format: 'es' } })
  served = await serve(path => {
    const file = inFolder(join('dist', path === '/' ? 'index.html' : path))
    return existsSync(file) ? readFileSync(file) : undefined
  })
  page = await browser.newPage()
  page.on('pageerror', error => console.error(error))
  await page.goto(served.url)
  const there = await inWorker({ folder: 'dcn', name: 'whole' })
  assert.is(there.steps, 10)
  // One SwiftShader, compiled by two versions of Dawn: the last bits may differ.
  close(there.losses, whole.losses, 1e-6, 'losses')
  close(there.evalLosses, whole.evalLosses, 1e-6, 'evaluation losses')
  close(there.scores, whole.scores, 1e-6, 'scores')
  assert.equal(Object.keys(there.metrics), Object.keys(whole.metrics))
  for (const [name, values] of Object.entries(there.weights)) close(values, whole.weights[name]!, 5e-6, name)

  const stopped = await inWorker({ folder: 'dcn', name: 'parts', stopAfter: 6 })
  assert.is(stopped.steps, 6)
  assert.not.equal(stopped.weights, there.weights)
  await page.reload()
  const resumed = await inWorker({ folder: 'dcn', name: 'parts', resume: true })
  assert.equal(resumed, { ...there, startStep: 6 })
})

test.after(async () => {
  if (typeof browser !== 'string') await browser.close()
  served?.close()
  rmSync(root, { recursive: true })
})
test.run()
