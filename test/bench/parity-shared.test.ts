// Every case of frozen values that is too large, or takes too long, to stand in test/golden.
import { existsSync } from 'node:fs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { PARITY } from '../../bench/parity/command.ts'
import { spreadShare } from '../../bench/parity/planted-case.ts'
import { captured } from '../cli/capture.ts'

const parity = (...args: string[]) => captured([PARITY], ['parity', ...args])
const SHARED = '../shared/golden'

for (const name of ['full', 'odd', 'ops', 'planted']) {
  const folder = `${SHARED}/${name}`
  if (!existsSync(`${folder}/case.json`)) {
    console.log(`skip: parity of ${name}: ${folder} is not there`)
    test.skip(`parity of ${name}`, () => {})
    continue
  }
  if (['full', 'planted'].includes(name) && !process.env.CI) {
    console.log(`skip: parity of ${name}: it trains for half a minute or more; set CI=1 to run it`)
    test.skip(`parity of ${name}`, () => {})
    continue
  }
  test(`parity of ${name}`, async () => {
    const { code, out } = await parity(folder, ...(name === 'planted' ? ['--fp16'] : []))
    assert.is(code, 0, out)
    assert.match(out, new RegExp(`^${name}/`, 'm'))
  })
}

test('a share of the spread is 1 where the farthest run, twice as far from the mean, would stand', () => {
  const runs = [1, 2, 6] // mean 3
  assert.is(spreadShare(3, runs), 0)
  assert.is(spreadShare(9, runs), 1)
  assert.is(spreadShare(-1, runs), 1)
  assert.is(spreadShare(10.5, runs), 1.25)
})

test.run()
