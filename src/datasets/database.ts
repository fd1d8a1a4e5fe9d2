/** DuckDB with a bound on its memory, what does not fit in a folder of its own, and progress. Node only. */
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import type { DuckDBConnection, DuckDBInstance } from '@duckdb/node-api'
import { DataError, KernelgradError } from '../errors.ts'

export interface DatabaseOptions {
  /** An existing folder, for the tables and what is spilled. The caller removes it. */
  folder: string
  /** What DuckDB may hold in memory. */
  memoryMiB: number
  signal?: AbortSignal
  /** Of a refusal that is none of memory or disk: what follows DuckDB's reason. */
  otherwise?: string
}

/** One row of a result: whole numbers are numbers or, from 64-bit columns, bigints. */
type ResultRow = Record<string, unknown>

/** A temporary database; statements run one after the other. */
export interface Database {
  /**
   * Runs one statement.
   * @param onProgress called a few times a second with the share that DuckDB thinks is done.
   * @throws DataError with DuckDB's reason; the signal's reason once it was aborted.
   */
  run(sql: string, onProgress?: (share: number) => void): Promise<ResultRow[]>
  /** The values of a statement's columns, some thousand rows at a time. */
  stream(sql: string): AsyncGenerator<unknown[][]>
  /** Whether rows keep their order from source to target from now on; at first they need not, which takes less memory. */
  keepOrder(keep: boolean): Promise<void>
  close(): void
}

/** What DuckDB refused or had no room for. */
export class DatabaseError extends DataError {
  override name = 'DataError'
}

// Each thread holds buffers of its own, some beyond the limit; more threads want a higher one. Two of them within 64 MiB run out
// of memory or not as the system schedules them.
const MAX_THREADS = 2
const THREAD_MIB = 128

/** @throws DataError naming the command that installs DuckDB where it is missing. */
export async function openDatabase(options: DatabaseOptions): Promise<Database> {
  const { folder, memoryMiB, signal } = options
  const { DuckDBInstance: Instance } = await loadDuckDb()
  const instance: DuckDBInstance = await Instance.create(join(folder, 'work.duckdb'), {
    memory_limit: `${memoryMiB}MiB`,
    temp_directory: join(folder, 'spill'),
    threads: String(
      Math.max(1, Math.min(MAX_THREADS, availableParallelism(), Math.floor(memoryMiB / THREAD_MIB))),
    ),
    preserve_insertion_order: 'false',
    autoinstall_known_extensions: 'false',
  }).catch(error => {
    throw failure(error, options)
  })
  const connection = await instance.connect().catch(error => {
    throw failure(error, options)
  })
  await connection.run('SET enable_progress_bar = true; SET enable_progress_bar_print = false')
  // Joins run as written, the small table on the right: the optimizer may build several hash tables of the large one.
  await connection.run("SET disabled_optimizers = 'join_order,build_side_probe_side'")
  const interrupt = () => connection.interrupt()
  signal?.addEventListener('abort', interrupt)
  return {
    async run(sql, onProgress) {
      signal?.throwIfAborted()
      const timer = onProgress && setInterval(() => report(connection, onProgress), 200)
      try {
        return (await connection.runAndReadAll(sql)).getRowObjectsJS()
      } catch (error) {
        signal?.throwIfAborted()
        throw failure(error, options)
      } finally {
        clearInterval(timer)
      }
    },
    async *stream(sql) {
      signal?.throwIfAborted()
      try {
        const result = await connection.stream(sql)
        for (;;) {
          const chunk = await result.fetchChunk()
          signal?.throwIfAborted()
          if (!chunk || chunk.rowCount === 0) return
          yield chunk.getColumns() as unknown[][]
        }
      } catch (error) {
        signal?.throwIfAborted()
        throw error instanceof KernelgradError ? error : failure(error, options)
      }
    },
    async keepOrder(keep) {
      await connection.run(`SET preserve_insertion_order = ${keep}`)
    },
    close() {
      signal?.removeEventListener('abort', interrupt)
      connection.closeSync()
      instance.closeSync()
    },
  }
}

/** The raw files were read by their own check first. */
const OWN_FAULT = '; the raw files passed their check, so this is a fault of the program: please report it'

function failure(
  error: unknown,
  { memoryMiB, folder, otherwise = OWN_FAULT }: DatabaseOptions,
): DatabaseError {
  const [why] = (error as Error).message.split('\n') // The rest is advice about settings that are not the user's.
  let more = ''
  if (/^Out of Memory/.test(why!)) more = `; give it more than ${memoryMiB} MiB`
  else if (/No space left|disk/i.test(why!)) more = `; make room on the disk of ${folder}, or write elsewhere`
  else if (/^(IO|Permission) Error/.test(why!)) more = `; it works in ${folder}`
  else more = otherwise
  return new DatabaseError(`DuckDB failed: ${why}${more}`, { cause: error })
}

function report(connection: DuckDBConnection, onProgress: (share: number) => void): void {
  const { percentage } = connection.progress // -1 until it is known
  if (percentage > 0) onProgress(percentage / 100)
}

async function loadDuckDb(): Promise<typeof import('@duckdb/node-api')> {
  try {
    return await import('@duckdb/node-api')
  } catch (error) {
    const [why] = (error as Error).message.split('\n')
    throw new DataError(
      `preprocessing needs DuckDB, which cannot be loaded (${why}); install it with: npm install @duckdb/node-api`,
      { cause: error },
    )
  }
}

/** A text as an SQL literal. */
export const quoted = (text: string): string => `'${text.replaceAll("'", "''")}'`
