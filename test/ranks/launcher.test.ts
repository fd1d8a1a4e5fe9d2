// What started a process, by its environment, and which library that asks for.
import { spawnSync } from 'node:child_process'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { ConfigError } from '../../src/errors.ts'
import { alone, openRanks } from '../../src/ranks/index.ts'
import { askedFor, launchedBy } from '../../src/ranks/launcher.ts'
import { findMpi } from '../../src/ranks/mpi-node.ts'

type Environment = Record<string, string>

test('each launcher is known by what it sets', () => {
  const slurm = { SLURM_STEP_ID: '0', SLURM_STEP_NUM_TASKS: '4', SLURM_PROCID: '2', SLURM_NTASKS: '4' }
  const cases: [Environment, ReturnType<typeof launchedBy>][] = [
    [{}, undefined],
    [
      { OMPI_COMM_WORLD_SIZE: '4', OMPI_COMM_WORLD_RANK: '3', PMIX_RANK: '3' },
      { launcher: 'mpiexec of Open MPI', family: 'Open MPI', rank: 3, size: 4 },
    ],
    [
      { PMI_SIZE: '2', PMI_RANK: '0', PMI_FD: '9' },
      { launcher: 'mpiexec of MPICH', family: 'MPICH', rank: 0, size: 2 },
    ],
    [{ PMIX_RANK: '1' }, { launcher: 'a launcher with PMIx', family: undefined, rank: 1, size: undefined }],
    [
      { ...slurm, PMIX_RANK: '2' },
      { launcher: 'srun', family: undefined, rank: 2, size: 4 },
    ],
    [
      { ...slurm, PMI_RANK: '2', PMI_SIZE: '4' },
      { launcher: 'srun', family: undefined, rank: 2, size: 4 },
    ],
    // Open MPI's own launcher, within a step of Slurm.
    [
      { ...slurm, OMPI_COMM_WORLD_SIZE: '4', OMPI_COMM_WORLD_RANK: '2' },
      { launcher: 'mpiexec of Open MPI', family: 'Open MPI', rank: 2, size: 4 },
    ],
    // A batch script runs by itself, and a step may be of one process.
    [{ SLURM_NTASKS: '4', SLURM_PROCID: '0', SLURM_JOB_ID: '7' }, undefined],
    [{ ...slurm, SLURM_STEP_NUM_TASKS: '1' }, undefined],
  ]
  for (const [env, expected] of cases) assert.equal(launchedBy(env), expected, JSON.stringify(env))
})

test('variables that cannot be right are refused by name', () => {
  const cases: [Environment, RegExp][] = [
    [
      { OMPI_COMM_WORLD_SIZE: 'two', OMPI_COMM_WORLD_RANK: '0' },
      /^OMPI_COMM_WORLD_SIZE is 'two', expected a whole number/,
    ],
    [{ OMPI_COMM_WORLD_RANK: '0' }, /^OMPI_COMM_WORLD_SIZE is undefined/],
    [{ PMI_SIZE: '0', PMI_RANK: '0' }, /^PMI_SIZE is '0'/],
    [{ PMI_SIZE: '2', PMI_RANK: '-1' }, /^PMI_RANK is '-1'/],
    [{ PMI_SIZE: '2', PMI_RANK: '2' }, /^PMI_RANK is 2 and PMI_SIZE is 2; expected ranks from 0 to 1/],
    [{ PMIX_RANK: '1.5' }, /^PMIX_RANK is '1.5'/],
    [{ SLURM_STEP_ID: '0', SLURM_STEP_NUM_TASKS: 'x' }, /^SLURM_STEP_NUM_TASKS is 'x'/],
    [{ SLURM_STEP_ID: '0', SLURM_STEP_NUM_TASKS: '4' }, /^srun started 4 processes .* srun --mpi=pmix/],
  ]
  for (const [env, says] of cases)
    assert.throws(
      () => launchedBy(env),
      (error: Error) => error instanceof ConfigError && says.test(error.message),
      JSON.stringify(env),
    )
})

test('KERNELGRAD_MPI names a library, a path, or none', () => {
  assert.equal([undefined, '', 'off', 'openmpi', 'mpich', './libmpi.so'].map(askedFor), [
    undefined,
    undefined,
    'off',
    'Open MPI',
    'MPICH',
    { path: './libmpi.so' },
  ])
  for (const wrong of ['OpenMPI', 'no', 'intel', '1'])
    assert.throws(() => askedFor(wrong), /^KERNELGRAD_MPI is '.*', expected openmpi, mpich, off, or the path/)
})

/** What `openRanks` does in a process with these variables. */
function opened(env: Environment, ...flags: string[]): string {
  const code = `import { openRanks } from './dist/src/ranks/index.js'
try { const { size } = await openRanks(); console.log('size', size) } catch ({ name, message }) { console.log(name, message) }`
  const args = [...flags, '--input-type=module', '-e', code]
  const { stdout, stderr } = spawnSync(process.execPath, args, {
    encoding: 'utf8',
    env: { ...process.env, ...env },
  })
  return (stdout + stderr).trim()
}

test('without a launcher nothing is loaded, and a rank that is the only one is alone', async () => {
  assert.is(await openRanks(), alone)
  const noKoffi = `--import=data:text/javascript,${encodeURIComponent(
    `import { register } from 'node:module'
register('data:text/javascript,' + encodeURIComponent(\`export async function resolve(name, context, next) {
  if (name === 'koffi') throw new Error("Cannot find package 'koffi'")
  return next(name, context)
}\`))`,
  )}`
  const two = { PMI_RANK: '0', PMI_SIZE: '2' }
  assert.is(opened({}, noKoffi), 'size 1')
  assert.is(opened({ PMI_RANK: '0', PMI_SIZE: '1' }, noKoffi), 'size 1')
  assert.is(opened({ ...two, KERNELGRAD_MPI: 'off' }, noKoffi), 'size 1')
  const says =
    "ConfigError ranks: koffi, which calls MPI, could not be loaded: npm install koffi (Cannot find package 'koffi')"
  assert.is(opened(two, noKoffi), says)
})

test('options and their variables are held to what they can be', async () => {
  for (const wrong of [
    { lost: 0 },
    { wait: -1 },
    { start: Number.NaN },
    { lost: '3' },
    { patience: 3 },
    7,
    null,
  ])
    assert.instance(await openRanks(wrong as never).catch(error => error), ConfigError)
  assert.match(
    opened({ KERNELGRAD_RANKS_LOST: 'soon' }),
    /^ConfigError KERNELGRAD_RANKS_LOST is '.*', expected a finite/,
  )
})

const found = await findMpi({})
if (found.libraries.length < 2)
  console.log(`skip: which library is used: ${found.trouble ?? 'there is but one here'}`)
else
  test('the library is the one that belongs to the launcher, and there may be only one', () => {
    const [open, mpich] = found.libraries
    assert.equal([open?.family, mpich?.family], ['Open MPI', 'MPICH'])
    const srun = { SLURM_STEP_ID: '0', SLURM_STEP_NUM_TASKS: '2', PMI_RANK: '0', PMI_SIZE: '2' }
    assert.is(
      opened(srun),
      `ConfigError ranks: srun started this process, and there are two MPI libraries, ${open?.version} (${open?.path}) and ` +
        `${mpich?.version} (${mpich?.path}): set KERNELGRAD_MPI to openmpi, mpich, or a path`,
    )
    const two = { PMI_RANK: '0', PMI_SIZE: '2' }
    assert.match(
      opened({ ...two, KERNELGRAD_MPI: 'openmpi' }),
      /names Open MPI .*, which cannot be reached by it/,
    )
    assert.match(
      opened({ ...two, KERNELGRAD_MPI: '/no/such.so' }),
      /^ConfigError KERNELGRAD_MPI: \/no\/such.so is no MPI library/,
    )
    assert.match(
      opened({ ...two, KERNELGRAD_MPI: 'libm.so.6' }),
      /^ConfigError KERNELGRAD_MPI: libm.so.6 is no MPI library/,
    )
  })

test.run()
