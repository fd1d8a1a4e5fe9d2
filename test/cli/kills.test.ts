// A handful of kills at random moments, one of each command; `npm run kills` does hundreds.
// Waits for CI: it ends and starts a dozen processes
import { spawnSync } from 'node:child_process'
import { test } from 'uvu'
import * as assert from 'uvu/assert'

const KILLS = 5

test(`${KILLS} kills at random moments lose nothing, and what follows ends with the same bytes`, () => {
  const args = ['tools/kill-campaign.mjs', '--count', String(KILLS), '--seed', '11']
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' })
  assert.is(status, 0, stdout + stderr)
  assert.match(stdout, new RegExp(`^${KILLS} kills, seed 11: 0 found something$`, 'm'))
})

test.run()
