// What started this process, as far as its environment tells: only then is there anything to load.
import { shown } from '../check.ts'
import { ConfigError } from '../errors.ts'

/** The two binary interfaces that there are: handles of MPICH's are numbers, those of Open MPI's addresses. */
export type Family = 'Open MPI' | 'MPICH'

/** A process that was started as one of several. */
export interface Launched {
  /** In words: `mpiexec of MPICH`. */
  launcher: string
  /** How many processes it has started; undefined where it does not tell. */
  size: number | undefined
  rank: number
  /** Whose library belongs to it; undefined where either may. */
  family: Family | undefined
}

type Environment = Readonly<Record<string, string | undefined>>

interface Launcher {
  launcher: string
  family?: Family
  rank: string
  size?: string
  /** What has to be set besides. */
  besides?: readonly string[]
}

/** The first whose variables are set. Slurm's own come last: `srun` sets those of the plugin that it was told to use, too. */
const LAUNCHERS: readonly Launcher[] = [
  {
    launcher: 'mpiexec of Open MPI',
    family: 'Open MPI',
    rank: 'OMPI_COMM_WORLD_RANK',
    size: 'OMPI_COMM_WORLD_SIZE',
  },
  { launcher: 'srun', rank: 'PMI_RANK', size: 'PMI_SIZE', besides: ['SLURM_STEP_ID'] },
  { launcher: 'srun', rank: 'PMIX_RANK', size: 'SLURM_STEP_NUM_TASKS', besides: ['SLURM_STEP_ID'] },
  { launcher: 'mpiexec of MPICH', family: 'MPICH', rank: 'PMI_RANK', size: 'PMI_SIZE' },
  // With -pmi-port, which tells no size.
  { launcher: 'mpiexec of MPICH', family: 'MPICH', rank: 'PMI_ID', besides: ['PMI_PORT'] },
  { launcher: 'a launcher with PMIx', rank: 'PMIX_RANK' },
]

/**
 * What started this process as one of several; undefined where it is alone, as one that a batch script of Slurm runs by itself is.
 * @throws ConfigError where a variable holds no number, or `srun` started several processes and no MPI for them
 */
export function launchedBy(env: Environment): Launched | undefined {
  for (const { launcher, family, rank, size, besides = [] } of LAUNCHERS) {
    if (env[rank] === undefined || besides.some(name => env[name] === undefined)) continue
    const [at, of] = [numberOf(env, rank, 0), size === undefined ? undefined : numberOf(env, size, 1)]
    if (of !== undefined && at >= of)
      throw new ConfigError(`${rank} is ${at} and ${size} is ${of}; expected ranks from 0 to ${of - 1}`)
    return { launcher, family, rank: at, size: of }
  }
  const tasks = env.SLURM_STEP_ID === undefined ? undefined : env.SLURM_STEP_NUM_TASKS
  if (tasks !== undefined && numberOf(env, 'SLURM_STEP_NUM_TASKS', 1) > 1)
    throw new ConfigError(
      `srun started ${tasks} processes that do not know of each other: start them with srun --mpi=pmix or --mpi=pmi2 ` +
        '(srun --mpi=list tells which there are), or set KERNELGRAD_MPI=off for runs that have nothing to do with each other',
    )
  return undefined
}

function numberOf(env: Environment, name: string, least: number): number {
  const text = env[name]
  const value = Number(text)
  if (/^\d+$/.test(text ?? '') && Number.isSafeInteger(value) && value >= least) return value
  throw new ConfigError(`${name} is ${shown(text)}, expected a whole number of at least ${least}`)
}

/** Which library KERNELGRAD_MPI asks for: none, one of the two, or that at a path. */
export type Asked = 'off' | Family | { path: string } | undefined

/** @throws ConfigError for a word that is none of them */
export function askedFor(setting: string | undefined): Asked {
  if (setting === undefined || setting === '') return undefined
  if (setting === 'off') return 'off'
  if (setting === 'openmpi') return 'Open MPI'
  if (setting === 'mpich') return 'MPICH'
  if (/[/\\.]/.test(setting)) return { path: setting }
  throw new ConfigError(
    `KERNELGRAD_MPI is ${shown(setting)}, expected openmpi, mpich, off, or the path of a library`,
  )
}
