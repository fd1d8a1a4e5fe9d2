// Ranks over MPI, as the training thread sees them. MPI is called by a thread of its own (mpi-worker-node.ts).
import { fstatSync, writeSync } from 'node:fs'
import { Worker } from 'node:worker_threads'
import { ConfigError, RankError } from '../errors.ts'
import { VERSION } from '../wgsl/version.ts'
import { ranksOver } from './collectives.ts'
import { type Asked, askedFor, type Family, type Launched, launchedBy } from './launcher.ts'
import type { Link } from './link.ts'
import { FAMILIES, libraryNames, versionOf } from './mpi-library.ts'
import { type Answer, LAST, type Order, type Span, type Start } from './mpi-thread.ts'
import type { Ranks } from './ranks.ts'

type Koffi = typeof import('koffi').default

/** A library that was found. */
export interface MpiLibrary {
  family: Family
  /** `Open MPI v4.1.4` */
  version: string
  /** The name or path it is loaded by. */
  path: string
}

/**
 * What MPI's transports are told before they are loaded, unless the user has told them otherwise. They watch memory by writing jumps into
 * libc's mmap, munmap and sbrk, while other threads of this process run them, and take over SIGSEGV, which V8 uses: either can crash it.
 */
const CALM: Record<string, string> = {
  UCX_MEM_EVENTS: 'n',
  UCX_MEM_MMAP_HOOK_MODE: 'none',
  UCX_HANDLE_ERRORS: 'none',
  UCX_ERROR_SIGNALS: '',
  OMPI_MCA_memory: '^patcher',
}

/** What is known of MPI without starting it. */
export interface MpiFound {
  libraries: MpiLibrary[]
  /** Why none can be loaded, where that is so. */
  trouble: string | undefined
  launched: Launched | undefined
}

/** How to get one, by the names of Debian's packages. */
const install = (families: readonly Family[]) => {
  const names = families.map(of => `apt install ${of === 'MPICH' ? 'mpich' : 'openmpi-bin'}`)
  return `install it, on Debian with ${names.join(' or ')}`
}

/** koffi, and an environment in which what it loads leaves the process as it is. */
async function loadKoffi(): Promise<Koffi> {
  for (const [name, value] of Object.entries(CALM)) process.env[name] ??= value
  try {
    return (await import('koffi')).default
  } catch (error) {
    throw new ConfigError(
      `ranks: koffi, which calls MPI, could not be loaded: npm install koffi (${error instanceof Error ? error.message.split('\n')[0] : error})`,
    )
  }
}

/** @throws ConfigError where a named library cannot be loaded */
function librariesOf(koffi: Koffi, asked: Asked, family: Family | undefined): MpiLibrary[] {
  if (typeof asked === 'object') {
    let found: ReturnType<typeof versionOf>
    try {
      found = versionOf(koffi, asked.path)
    } catch (error) {
      throw new ConfigError(`KERNELGRAD_MPI: ${asked.path} is no MPI library: ${(error as Error).message}`)
    }
    if (!found.family)
      throw new ConfigError(
        `KERNELGRAD_MPI: ${asked.path} is ${found.version}, expected Open MPI, or a library with MPICH's binary interface`,
      )
    return [{ family: found.family, version: found.version, path: asked.path }]
  }
  const wanted = typeof asked === 'string' ? asked : family
  const found: MpiLibrary[] = []
  for (const of of FAMILIES)
    for (const path of wanted && of !== wanted ? [] : libraryNames(of)) {
      let one: ReturnType<typeof versionOf>
      try {
        one = versionOf(koffi, path)
      } catch {
        continue // not there under this name
      }
      const known = found.some(other => other.family === of && other.version === one.version)
      if (one.family === of && !known) found.push({ family: of, version: one.version, path })
    }
  return found
}

/** What MPI there is, for whoever asks; nothing is started. */
export async function findMpi(
  env: Readonly<Record<string, string | undefined>> = process.env,
): Promise<MpiFound> {
  const found: MpiFound = { libraries: [], launched: undefined, trouble: undefined }
  try {
    found.libraries = librariesOf(await loadKoffi(), askedFor(env.KERNELGRAD_MPI), undefined)
    found.launched = launchedBy(env)
    if (!found.libraries.length) found.trouble = `no MPI library was found: ${install(FAMILIES)}`
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    found.trouble = error.message
  }
  return found
}

/** The one library to use. */
function choose(koffi: Koffi, asked: Asked, { launcher, family }: Launched): MpiLibrary {
  const found = librariesOf(koffi, asked, family)
  const [library, another] = found
  if (!library) {
    const families = FAMILIES.filter(of => !family || of === family)
    const names = families.flatMap(libraryNames).join(', ')
    throw new ConfigError(
      `ranks: ${launcher} started this process, and the MPI library that belongs to it was not found (${names}): ` +
        `${install(families)}, or name its path in KERNELGRAD_MPI`,
    )
  }
  if (another)
    throw new ConfigError(
      `ranks: ${launcher} started this process, and there are two MPI libraries, ${library.version} (${library.path}) and ` +
        `${another.version} (${another.path}): set KERNELGRAD_MPI to openmpi, mpich, or a path`,
    )
  if (family && library.family !== family)
    throw new ConfigError(
      `ranks: ${launcher} started this process, and KERNELGRAD_MPI names ${library.version}, which cannot be reached by it; ` +
        `start with the mpiexec of ${library.family}`,
    )
  return library
}

/** Seconds: how long a rank may give no sign of life, may let the others wait, and all may take to start. */
export interface Deadlines {
  lost: number
  wait: number
  start: number
}

/** What started this process; undefined where it is alone. */
export function launched(): Launched | undefined {
  return askedFor(process.env.KERNELGRAD_MPI) === 'off' ? undefined : launchedBy(process.env)
}

/** The same for whoever only wants to know which process this is: what is wrong with the environment is told by `launched`. */
export function started(
  env: Readonly<Record<string, string | undefined>> = process.env,
): Launched | undefined {
  try {
    return env.KERNELGRAD_MPI === 'off' ? undefined : launchedBy(env)
  } catch {
    return undefined
  }
}

/** The socket on which `mpiexec` of MPICH and its process speak, by PMI 1; undefined where this process was not given it. */
function lineOf(launched: Launched | undefined): number | undefined {
  const fd = process.env.PMI_FD
  if (launched?.launcher !== 'mpiexec of MPICH' || fd === undefined) return undefined
  try {
    return fstatSync(Number(fd)).isSocket() ? Number(fd) : undefined
  } catch {
    return undefined // closed by what stands between mpiexec and this process
  }
}

/**
 * Where this process fails before MPI has started, its end is to be that of all. Open MPI's `mpiexec` sees to it by itself, MPICH's has to be
 * told, or the others wait, or say the same once more.
 */
export function endOthersAtExit(): void {
  const line = lineOf(started())
  if (line === undefined) return
  process.once('exit', code => {
    if (!code) return
    // mpiexec drops what it has not yet passed on of what this process said.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1000)
    writeSync(line, `cmd=abort exitcode=${code}\n`)
  })
}

/** @throws RankError where MPI could not reach the launcher that started this process */
function expectLine(launched: Launched): void {
  if (launched.launcher !== 'mpiexec of MPICH' || process.env.PMI_FD === undefined) return
  if (lineOf(launched) === undefined)
    throw new RankError(
      `ranks: ${launched.launcher} started this process, and file descriptor ${process.env.PMI_FD} (PMI_FD), by which they speak, is closed: ` +
        'npx, npm and other programs between the two do not hand it on; start node_modules/.bin/kernelgrad or node itself, or mpiexec with -pmi-port',
      { rank: launched.rank, speaks: launched.rank === 0 },
    )
}

/** Environment variables, for deadlines that nobody gave. */
export const setting = (name: string): string | undefined => process.env[name]

/** Joins the others. */
export async function openMpiRanks(launched: Launched, { lost, wait, start }: Deadlines): Promise<Ranks> {
  const koffi = await loadKoffi()
  const library = choose(koffi, askedFor(process.env.KERNELGRAD_MPI), launched)
  expectLine(launched)
  const last = new SharedArrayBuffer(LAST.text + LAST.bytes)
  const given: Start = {
    family: library.family,
    path: library.path,
    version: `kernelgrad ${VERSION} with ${library.version}`,
    ...{ lost, wait, last },
  }
  const worker = new Worker(new URL('./mpi-worker-node.js', import.meta.url), {
    workerData: given,
    execArgv: [],
  })
  return new Promise((resolve, reject) => {
    // MPI's start cannot be called off: where a rank does not come, this process has to go.
    const timer = setTimeout(
      () => endNow(koffi, `rank ${launched.rank}: not all ranks have started MPI within ${start} seconds`),
      start * 1000,
    )
    const first = (answer: Answer) => {
      clearTimeout(timer)
      worker.off('message', first)
      if (answer.type === 'failed') return reject(errorOf(answer))
      if (answer.type !== 'ready')
        return reject(new RankError(`ranks: MPI's thread began with ${answer.type}`))
      const { rank, size } = answer
      if (launched.size !== undefined && launched.size !== size)
        endNow(
          koffi,
          `ranks: ${launched.launcher} started ${launched.size} processes, and ${library.version} knows of ${size}: it belongs to ` +
            'another launcher; set KERNELGRAD_MPI, or start with its own mpiexec',
        )
      resolve(ranksOver(linkTo(worker, koffi, rank, size)))
    }
    worker.on('message', first)
    worker.once('error', error => {
      clearTimeout(timer)
      reject(new RankError(`rank ${launched.rank}: ${error.message}`, { rank: launched.rank }))
    })
    watchEnd(last, worker)
  })
}

const errorOf = ({ rank, message, speaks }: Answer & { type: 'failed' }) =>
  new RankError(message, { rank, speaks })

/** Ends the process although a thread of it may be stuck in MPI. The launcher ends the others. */
function endNow(koffi: Koffi, message: string): never {
  writeSync(2, `error: ${message}\n`)
  return koffi.load(null).func('_exit', 'void', ['int'])(1) as never
}

/** Where this process ends before the ranks were closed, for whatever reason, the others are told. */
function watchEnd(last: SharedArrayBuffer, worker: Worker): void {
  const flags = new Int32Array(last, 0, 4)
  const told = (error: Error) => {
    const text = new TextEncoder().encode(String(error?.message ?? error)).subarray(0, LAST.bytes)
    new Uint8Array(last, LAST.text).set(text)
    flags[LAST.length] = text.length
  }
  process.on('uncaughtExceptionMonitor', told)
  const onExit = (code: number) => {
    if (Atomics.load(flags, LAST.seen)) return
    flags[LAST.code] = code
    Atomics.store(flags, LAST.ended, 1)
    // The thread ends the process; where it cannot, the launcher has to.
    Atomics.wait(flags, LAST.seen, 0, 15_000)
  }
  process.on('exit', onExit)
  worker.once('exit', () => {
    process.off('exit', onExit)
    process.off('uncaughtExceptionMonitor', told)
  })
}

function linkTo(worker: Worker, koffi: Koffi, rank: number, size: number): Link {
  let failed: RankError | undefined
  let under:
    | { resolve: (parts: (Uint8Array | undefined)[]) => void; reject: (error: RankError) => void }
    | undefined
  let gone: (() => void) | undefined
  /** What a failed trade may still write into or read from. */
  const held: unknown[] = []
  const onFailed = new Set<(error: RankError) => void>()

  worker.on('message', (answer: Answer) => {
    if (answer.type === 'traded') under?.resolve(answer.parts)
    else if (answer.type === 'left') gone?.()
    else if (answer.type === 'failed') {
      failed ??= errorOf(answer)
      under?.reject(failed)
      for (const tell of onFailed) tell(failed)
    }
  })
  worker.on('error', error => {
    failed ??= new RankError(`rank ${rank}: ${error.message}`, { rank })
    under?.reject(failed)
  })
  // The thread keeps no process alive that has nothing to wait for.
  worker.unref()
  const order = (what: Order) => worker.postMessage(what)
  const span = (part: Uint8Array): Span =>
    part.byteLength === 0
      ? { address: 0n, bytes: 0 }
      : { address: koffi.address(part), bytes: part.byteLength }

  return {
    rank,
    size,
    async trade({ call, operation, length }, parts, into = []) {
      if (failed) throw failed
      // Short typed arrays may lie in V8's own heap, where they move: asking for the buffer takes them out.
      const [from, to] = [parts.map(out), into.map(place => place && out(place))]
      const came = await waitFor<(Uint8Array | undefined)[]>((resolve, reject) => {
        under = { resolve, reject }
        order({
          ...{ type: 'trade', call, operation, length, parts: from.map(span) },
          into: Array.from({ length: size }, (_, of) => {
            const place = of === rank ? undefined : to[of]
            return place && span(place)
          }),
        })
      }).catch(error => {
        held.push(from, to)
        throw error
      })
      return came.map((part, of) => (of === rank ? parts[of] : (part ?? into[of])) as Uint8Array)
    },
    fail(reason) {
      order({ type: 'fail', reason: `rank ${rank}: ${reason}` })
      failed ??= new RankError(`rank ${rank}: ${reason}`, { rank, speaks: rank === 0 })
      under?.reject(failed)
      return failed
    },
    leave: () =>
      waitFor<void>((resolve, reject) => {
        onFailed.add(reject)
        gone = resolve
        order({ type: 'leave' })
      }).then(() => void worker.terminate()),
  }

  /** The process stays for what is waited for. */
  async function waitFor<T>(
    begin: (resolve: (value: T) => void, reject: (error: RankError) => void) => void,
  ) {
    worker.ref()
    try {
      return await new Promise<T>(begin)
    } finally {
      worker.unref()
      under = undefined
    }
  }
}

const out = ({ buffer, byteOffset, byteLength }: Uint8Array) => new Uint8Array(buffer, byteOffset, byteLength)
