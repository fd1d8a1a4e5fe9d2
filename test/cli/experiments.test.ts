// What an experiment tells and how it ends, with figures that are given.
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { atLeast, type Experiment } from '../../src/cli/experiments/experiment.ts'
import { type PlantedOptions, runExperiment } from '../../src/cli/experiments/run.ts'
import { captured, kernelgrad } from './capture.ts'

const folder = mkdtempSync(join(tmpdir(), 'kernelgrad-experiments-'))
test.after(() => rmSync(folder, { recursive: true }))

/** An experiment whose figures are known beforehand: `b` above `a` by as much as the seed says. */
const given: Experiment = {
  name: 'given',
  title: 'Given',
  source: 'PyTorch: given',
  rows: [
    { name: 'a', title: 'the one', recorded: 0.5 },
    { name: 'b', title: 'the other' },
  ],
  trial: async ({ seed }) => ({ a: 0.6, b: 0.6 + seed / 100 }),
  checks: trials => [
    atLeast(
      'b above a by .02',
      trials.map(({ a, b }) => b! - a!),
      0.02,
    ),
    { says: 'a is a', pass: true, found: 'yes' },
  ],
}
const runGiven = (options: PlantedOptions) => {
  const run = () => runExperiment(given, options)
  const spec = { name: 'given', description: '', options: [], example: '', load: async () => ({ run }) }
  return captured([spec], ['given'])
}

test('what fails a check ends with code 1, its table beside the recorded figures', async () => {
  const fine = await runGiven({ out: join(folder, 'fine'), seed: 1, seeds: 3 })
  assert.is(fine.code, 0, fine.err)
  assert.ok(
    fine.out.includes(`ROC AUC    mean  deviation  seed 1  seed 2  seed 3  PyTorch
---------  ----  ---------  ------  ------  ------  -------
the one    .600       .000    .600    .600    .600     .500
the other  .620       .010    .610    .620    .630        -
PyTorch: given

pass  b above a by .02: mean .020 (.010 .020 .030), at least .020
pass  a is a: yes

passed in `),
    fine.out,
  )
  const short = await runGiven({ out: join(folder, 'short'), seed: 1, seeds: 2 })
  assert.is(short.code, 1)
  assert.match(
    short.out,
    /\nFAIL {2}b above a by \.02: mean \.015 \(\.010 \.020\), at least \.020\n.*\n\nfailed in /,
  )
  const results = JSON.parse(readFileSync(join(folder, 'short', 'results.json'), 'utf8'))
  assert.equal(
    [results.pass, results.checks.map(({ pass }: { pass: boolean }) => pass)],
    [false, [false, true]],
  )
  const json = await runGiven({ out: join(folder, 'json'), seed: 5, seeds: 1, json: true })
  assert.is(json.code, 0)
  assert.is(
    `${JSON.stringify(JSON.parse(readFileSync(join(folder, 'json', 'results.json'), 'utf8')))}\n`,
    json.out,
  )
})

test('a folder with an earlier run, and what stands in a file’s place, are refused before anything is trained', async () => {
  const told = async (out: string) => (await kernelgrad('experiment', 'pretrain', '--out', out)).err
  assert.match(
    await told(join(folder, 'fine')),
    /already holds (results\.json|seed-1) of an earlier run; name a new folder/,
  )
  const seeds = join(folder, 'seeds')
  mkdirSync(join(seeds, 'seed-7'), { recursive: true })
  assert.match(await told(seeds), /already holds seed-7 of an earlier run/)
  mkdirSync(join(folder, 'taken', 'report.html'), { recursive: true })
  assert.match(await told(join(folder, 'taken')), /report\.html: it is a folder/)
  writeFileSync(join(folder, 'file'), '')
  assert.match(await told(join(folder, 'file')), /file/)
  assert.not(existsSync(join(folder, 'taken', 'seed-1')))
})

test('names and options that cannot be are refused', async () => {
  for (const [args, message] of [
    [['distll'], /unknown command 'experiment distll', expected one of notebook, pretrain, fusion, distill/],
    [['pretrain'], /required option '--out <folder>' not specified/],
    [
      ['pretrain', '--out', folder, '--seeds', '0'],
      /'--seeds <count>': expected a whole number of at least 1, got '0'/,
    ],
    [['pretrain', '--out', folder, '--train', 'x'], /unknown option '--train'/],
    [[], /required option '--train <files...>' not specified/],
    [['notebook'], /required option '--train <files...>' not specified/],
  ] as [string[], RegExp][]) {
    const { code, err } = await kernelgrad('experiment', ...args)
    assert.is(code, 2, args.join(' '))
    assert.match(err, message)
  }
})

test.run()
