// Ranks in processes of their own, over each MPI that this machine has: the bits of ranks in one process, and an end with the rank and the
// reason for all, whatever happens to one of them. Each fault is injected once, 20 times where CI is set.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { allGone, type Ended, type Launcher, launch, launchers } from '../support/mpi.ts'

const RANK = 'dist/test/support/rank.js'
const TIMES = process.env.CI ? 20 : 1
if (!process.env.CI && launchers.length)
  console.log('skip: 19 of 20 faults of each kind: each starts processes; set CI=1 to inject them')

/** Deadlines for tests: what takes 15 seconds is the same after 3. */
const SOON = { KERNELGRAD_RANKS_LOST: '3' }

/** Lines of ours: launchers print their own, too. */
const said = ({ out }: Ended) => out.split('\n').filter(line => line.startsWith('error: '))

/** Injects a fault so often, by the launchers in turn. */
async function faults(body: (launcher: Launcher, time: number) => Promise<void>): Promise<void> {
  for (let time = 0; launchers.length > 0 && time < TIMES; time++)
    await body(launchers[(time + turn) % launchers.length] as Launcher, time)
  turn++
}
let turn = 0

for (const launcher of launchers)
  test(`over ${launcher.name}, sums have the bits of an addition in order, and parts of any size come`, async () => {
    for (const size of process.env.CI ? [2, 3, 4] : [3]) {
      const ended = await launch(launcher, size, [RANK, 'sums']).ended
      assert.equal(ended.code, 0, ended.out)
      for (let rank = 0; rank < size; rank++) assert.match(ended.out, `rank ${rank} of ${size}: ok`)
    }
  })

/** What one rank does wrong, and what is said of it, once. */
const WRONG: [string, (rank: number) => string][] = [
  ['throws', rank => `rank ${rank}: RangeError: no room for the table`],
  ['leaves', rank => `rank ${rank} ended with exit code 0 before the others`],
  [
    'lengths',
    rank =>
      `sum: rank 0 gives 10 values, rank ${rank} gives 9; every rank makes the same calls in the same order`,
  ],
  [
    'operations',
    rank =>
      `rank 0 calls barrier, rank ${rank} calls gather; every rank makes the same calls in the same order`,
  ],
  [
    'disagrees',
    rank => `ranks disagree on seed: rank 0 has 7, rank ${rank} has 8; start every rank with the same`,
  ],
]
for (const [what, says] of WRONG)
  test(`a rank that ${what}: one line names it and why, and all end`, () =>
    faults(async (launcher, time) => {
      const rank = 1 + (time % 2)
      const ended = await launch(launcher, 3, [RANK, what, String(rank)]).ended
      assert.is.not(ended.code, 0)
      assert.equal(said(ended), [`error: ${says(rank)}`], ended.out)
    }))

test('where rank 0 throws, it alone says so', () =>
  faults(async launcher => {
    const ended = await launch(launcher, 2, [RANK, 'throws', '0']).ended
    assert.is.not(ended.code, 0)
    assert.equal(said(ended), ['error: no room for the table'], ended.out)
  }))

test('a rank that is killed ends all of them', () =>
  faults(async (launcher, time) => {
    const job = launch(launcher, 3, [RANK, 'forever'])
    const pids = await job.pids
    process.kill(pids[time % 3] as number, 'SIGKILL')
    const ended = await job.ended
    assert.is.not(ended.code, 0)
    // The launcher sees it first. Open MPI's names the rank, MPICH's a process, perhaps one that it has ended itself.
    if (launcher.name === 'Open MPI') assert.match(ended.out, `rank ${time % 3}`)
    else
      assert.ok(
        pids.some(pid => ended.out.includes(`PID ${pid}`)),
        ended.out,
      )
    // MPICH's transport aborts a rank that was reading the killed one's memory, and mpiexec may tell of that one, or of one that it ended.
    const how = launcher.name === 'MPICH' ? /EXIT STRING: \w+ \(signal (6|9|15)\)/ : /[kK]illed|signal 9/
    assert.match(ended.out, how, ended.out)
    await allGone(pids)
  }))

test('a rank that stands still is named, by the next one where it is rank 0, and all end', () =>
  faults(async (launcher, time) => {
    const job = launch(launcher, 3, [RANK, 'forever'], SOON)
    const pids = await job.pids
    const rank = (time + 2) % 3
    process.kill(pids[rank] as number, 'SIGSTOP')
    const ended = await job.ended
    assert.is.not(ended.code, 0)
    const says = `rank ${rank} has given no sign of life for 3 seconds: it was stopped or ended, or its machine is out of reach`
    assert.equal(said(ended), [`error: ${says}`], ended.out)
    await allGone(pids)
  }))

test('a rank whose memory is full ends all of them', () =>
  faults(async (launcher, time) => {
    const ended = await launch(launcher, 2, ['--max-old-space-size=64', RANK, 'full', String(time % 2)]).ended
    assert.is.not(ended.code, 0)
    assert.match(ended.out, /heap out of memory/)
    assert.match(ended.out, launcher.name === 'MPICH' ? /PID \d+/ : `rank ${time % 2}`)
  }))

test('a rank that is busy for longer than that is waited for', () =>
  faults(async launcher => {
    const ended = await launch(launcher, 2, [RANK, 'busy', '1'], SOON).ended
    assert.equal(ended.code, 0, ended.out)
  }))

test('a rank that lives and does not come is named after the time that is given', () =>
  faults(async launcher => {
    const ended = await launch(launcher, 2, [RANK, 'late', '1'], { KERNELGRAD_RANKS_WAIT: '2' }).ended
    assert.is.not(ended.code, 0)
    const says = 'rank 1 lives, and has not come to barrier of the others for 2 seconds'
    assert.equal(said(ended), [`error: ${says}`], ended.out)
  }))

test.run()
