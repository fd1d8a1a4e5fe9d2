// MPI's C interface, of the two libraries whose binary interfaces there are. In mpi.h of MPICH 4 handles are numbers that stand in the
// file itself, and MPI's Forum has fixed them for all libraries derived from it (Intel MPI, Cray, MVAPICH); in Open MPI's they are the
// addresses of variables. Addresses are given as numbers: memory belongs to whoever hands it over, and stays until the request has ended.
import type koffi from 'koffi'
import { RankError } from '../errors.ts'
import type { Family } from './launcher.ts'

type Koffi = typeof koffi

/** A handle: a number for MPICH, an address for Open MPI. */
type Handle = number | bigint

interface Abi {
  /** Names that the dynamic loader knows it by, the likeliest first. */
  names: readonly string[]
  /** C's type of a handle, and what holds some. */
  handle: 'int' | 'intptr'
  handles: typeof Int32Array | typeof BigInt64Array
  /** Where a handle is: a number, or a variable's name. */
  world: number | string
  byte: number | string
  errorsReturn: number | string
  anySource: number
  /** The address that stands for a status nobody wants. */
  ignored: bigint
  /** Bytes from a status's start. */
  source: number
  tag: number
}

const mac = process.platform === 'darwin'

const ABIS: Record<Family, Abi> = {
  'Open MPI': {
    names: mac ? ['libmpi.40.dylib'] : ['libmpi.so.40'],
    handle: 'intptr',
    handles: BigInt64Array,
    world: 'ompi_mpi_comm_world',
    byte: 'ompi_mpi_byte',
    errorsReturn: 'ompi_mpi_errors_return',
    anySource: -1,
    ignored: 0n,
    source: 0,
    tag: 4,
  },
  MPICH: {
    names: mac ? ['libmpi.12.dylib'] : ['libmpich.so.12', 'libmpi.so.12'],
    handle: 'int',
    handles: Int32Array,
    world: 0x44000000,
    byte: 0x4c00010d,
    errorsReturn: 0x54000001,
    anySource: -2,
    ignored: 1n,
    source: 8,
    tag: 12,
  },
}

export const FAMILIES = Object.keys(ABIS) as Family[]

/** The names a family's library may have. */
export const libraryNames = (family: Family): readonly string[] => ABIS[family].names

/** What a library says it is: `Open MPI v4.1.4`, `MPICH 4.0.2`. May be asked before anything else. */
export function versionOf(koffi: Koffi, path: string): { family: Family | undefined; version: string } {
  // By itself, so that two may be looked at: their functions have the same names.
  const library = koffi.load(path, { lazy: true })
  const [text, length] = [memory(8192), new Int32Array(memory(4).buffer)]
  library.func('MPI_Get_library_version', 'int', ['void *', 'void *'])(text, length)
  const said = new TextDecoder().decode(text.subarray(0, length[0])).replace(/\0.*$/s, '')
  const family =
    FAMILIES.find(name => said.includes(name)) ?? (/intel|mvapich/i.test(said) ? 'MPICH' : undefined)
  const [line = ''] = said.split('\n')
  return {
    family,
    version: line
      .replace(/,.*$/, '')
      .replace(/ Version:\s*/, ' ')
      .trim(),
  }
}

/** Memory outside V8's heap, which stays where it is. */
export function memory(bytes: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array(new ArrayBuffer(bytes))
}

const FUNNELED = 1
const ANY_TAG = -1

/**
 * Loads the library; nothing of it has run yet. Its calls are made by one thread, and throw a RankError with MPI's own words where MPI
 * refuses.
 */
export function openMpi(koffi: Koffi, family: Family, path: string) {
  const abi = ABIS[family]
  // Open MPI's own parts look for its symbols in the whole process.
  const library = koffi.load(path, { global: true })
  const P = 'void *'
  const H = abi.handle
  const at = (where: number | string): Handle => (typeof where === 'string' ? library.symbol(where) : where)
  const [world, byte, errorsReturn] = [at(abi.world), at(abi.byte), at(abi.errorsReturn)]
  const c = (name: string, types: string[]): ((...values: unknown[]) => number) =>
    library.func(name, 'int', types)

  const init = c('MPI_Init_thread', [P, P, 'int', P])
  const rankOf = c('MPI_Comm_rank', [H, P])
  const sizeOf = c('MPI_Comm_size', [H, P])
  const dup = c('MPI_Comm_dup', [H, P])
  const setErrhandler = c('MPI_Comm_set_errhandler', [H, H])
  const allgather = c('MPI_Allgather', [P, 'int', H, P, 'int', H, H])
  const isend = c('MPI_Isend', [P, 'int', H, 'int', 'int', H, P])
  const irecv = c('MPI_Irecv', [P, 'int', H, 'int', 'int', H, P])
  const recv = c('MPI_Recv', [P, 'int', H, 'int', 'int', H, P])
  const iprobe = c('MPI_Iprobe', ['int', 'int', H, P, P])
  const getCount = c('MPI_Get_count', [P, H, P])
  const testsome = c('MPI_Testsome', ['int', P, P, P, P])
  const abort = c('MPI_Abort', [H, 'int'])
  const finalize = c('MPI_Finalize', [])
  const errorString = c('MPI_Error_string', ['int', P, P])

  const number = new Int32Array(memory(4).buffer)
  const status = memory(64)
  const fields = new DataView(status.buffer)

  function errorText(code: number): string {
    const text = memory(512)
    errorString(code, text, number)
    return new TextDecoder().decode(text.subarray(0, number[0])).trim()
  }
  function ok(what: string, code: number): void {
    if (code !== 0) throw new RankError(`${what} failed: ${errorText(code)}`)
  }
  const read = (call: (...values: unknown[]) => number, what: string, comm: Handle) => {
    ok(what, call(comm, number))
    return number[0] as number
  }

  return {
    /** Waits for all ranks. */
    init(): { rank: number; size: number } {
      ok('MPI_Init_thread', init(null, null, FUNNELED, number))
      ok('MPI_Comm_set_errhandler', setErrhandler(world, errorsReturn))
      return { rank: read(rankOf, 'MPI_Comm_rank', world), size: read(sizeOf, 'MPI_Comm_size', world) }
    },
    /** Messages of which none is taken for one of another such channel. Waits for all ranks. */
    channel(): Handle {
      const made = new abi.handles(1)
      ok('MPI_Comm_dup', dup(world, made))
      const comm = made[0] as Handle
      ok('MPI_Comm_set_errhandler', setErrhandler(comm, errorsReturn))
      return comm
    },
    /** As many bytes of every rank. Waits for all ranks. */
    allgather(mine: Uint8Array, all: Uint8Array): void {
      ok('MPI_Allgather', allgather(mine, mine.length, byte, all, mine.length, byte, world))
    },
    /** What holds requests: one that has ended is nothing any more. */
    requests: (count: number) => new abi.handles(count),
    send(address: bigint, bytes: number, to: number, tag: number, comm: Handle, request: bigint): void {
      ok('MPI_Isend', isend(address, bytes, byte, to, tag, comm, request))
    },
    receive(address: bigint, bytes: number, from: number, tag: number, comm: Handle, request: bigint): void {
      ok('MPI_Irecv', irecv(address, bytes, byte, from, tag, comm, request))
    },
    /** How many of the requests have ended since the last look; below 0 where none is left. */
    ended(count: number, requests: ArrayBufferView, indices: Int32Array): number {
      ok('MPI_Testsome', testsome(count, requests, number, indices, abi.ignored))
      return number[0] as number
    },
    /** A message that has come, of any rank; undefined where none has. */
    take(comm: Handle): { from: number; tag: number; bytes: Uint8Array } | undefined {
      ok('MPI_Iprobe', iprobe(abi.anySource, ANY_TAG, comm, number, status))
      if (!number[0]) return undefined
      const [from, tag] = [fields.getInt32(abi.source, true), fields.getInt32(abi.tag, true)]
      ok('MPI_Get_count', getCount(status, byte, number))
      const bytes = memory(number[0] as number)
      ok('MPI_Recv', recv(bytes, bytes.length, byte, from, tag, comm, abi.ignored))
      return { from, tag, bytes }
    },
    /** Ends every rank, this one too. */
    abort: (code: number) => abort(world, code),
    /** Waits for all ranks. */
    finalize: () => ok('MPI_Finalize', finalize()),
  }
}
