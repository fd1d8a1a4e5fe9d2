// Which files are meant: paths, folders of part files as Spark and DuckDB write them, and patterns, in an order that is always the same.
import { files } from '#files'
import { shown } from '../check.ts'
import { ArgumentError, DataError } from '../errors.ts'
import { reason } from './files.ts'

const ENDING = /\.(parquet|parq|pq)$/i
const PATTERN = /[*?[{]/

/** Names that writers keep for themselves (`_SUCCESS`, `_metadata`, `_temporary`, `.part.crc`); `_day=3` is a partition like any other. */
const isHidden = (name: string): boolean =>
  name.startsWith('.') || (name.startsWith('_') && !name.includes('='))

/**
 * The Parquet files that are meant, each source's in the order of their paths (by code units, so that it is the same everywhere). A folder
 * stands for all files below it that end in .parquet, .parq or .pq, without names that begin with `.` or `_`. A pattern (`*`, `?`, `[ab]`, `{a,b}`,
 * and `**` for any folders) stands for the files and folders it matches; a path that is there as it stands is no pattern. A file is taken as often as it
 * is named by itself, and once by folders and patterns.
 * @param sources Paths, folders and patterns.
 * @param where What they are, for messages.
 * @throws ArgumentError for what is no list of paths; DataError naming the source that is not there, or that holds no such file, or a file that two sources name.
 *
 * @example
 * ```ts
 * import { parquetFiles } from 'kernelgrad/data'
 *
 * const paths = await parquetFiles(['clicks/', 'more/day=2024-1*'])
 * ```
 */
export async function parquetFiles(
  sources: string | readonly string[],
  where = 'parquetFiles',
): Promise<string[]> {
  const all = typeof sources === 'string' ? [sources] : sources
  if (!Array.isArray(all)) throw new ArgumentError(`${where}: sources is ${shown(sources)}, expected paths`)
  const found: string[] = []
  /** By identity: the source, and whether it stands for several files. */
  const seen = new Map<string, { source: string; many: boolean }>()
  for (const [i, source] of all.entries())
    if (typeof source !== 'string' || source === '')
      throw new ArgumentError(`${where}: source ${i} is ${shown(source)}, expected a path that is not empty`)
  for (const source of all) {
    const { paths, many } = await filesOf(source)
    for (const path of paths) {
      const id = (await files.identity(path)) ?? path
      const before = seen.get(id)
      if (before && (many || before.many))
        throw new DataError(
          before.source === source
            ? `${path} is found twice in ${source}, by a link, expected each file once`
            : `${path} is named by ${before.source} and by ${source}, expected each file once`,
        )
      seen.set(id, { source, many })
      found.push(path)
    }
  }
  return found
}

async function filesOf(source: string): Promise<{ paths: string[]; many: boolean }> {
  const info = await files.stat(source).catch(error => {
    if (files.isMissing(error) && PATTERN.test(source)) return undefined
    throw new DataError(`${source}: ${reason(error)}`, { cause: error })
  })
  if (info && !info.isFolder) return { paths: [source], many: false }
  const named = info ? await below(source, []) : await matching(source)
  const paths = named.sort(byCodeUnits)
  if (paths.length) return { paths, many: true }
  throw new DataError(
    info
      ? `${source} is a folder without Parquet files, expected names that end in .parquet, .parq or .pq; those that begin with . or _ are passed over`
      : `${source}: no file matches the pattern, expected at least one Parquet file`,
  )
}

const byCodeUnits = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

/** Names in a folder, without hidden ones. */
async function namesIn(folder: string): Promise<string[]> {
  const names = await files.list(folder || '.').catch(error => {
    throw new DataError(`cannot read the folder ${folder || '.'}: ${reason(error)}`, { cause: error })
  })
  return names.filter(name => !isHidden(name))
}

const isFolder = async (path: string): Promise<boolean> =>
  files.stat(path).then(
    info => info.isFolder,
    error => {
      throw new DataError(`${path}: ${reason(error)}`, { cause: error })
    },
  )

/** All Parquet files below a folder; `above` are the folders it is in, which a link may lead back to. */
async function below(folder: string, above: readonly string[]): Promise<string[]> {
  const id = (await files.identity(folder)) ?? folder
  if (above.includes(id)) throw new DataError(`${folder} is a link to a folder that it is in, expected none`)
  const found: string[] = []
  for (const name of await namesIn(folder)) {
    const path = files.join(folder, name)
    if (await isFolder(path)) found.push(...(await below(path, [...above, id])))
    else if (ENDING.test(name)) found.push(path)
  }
  return found
}

/** The files that a pattern matches, and those below folders that it matches. */
async function matching(pattern: string): Promise<string[]> {
  const parts = pattern.split('/').filter((part, i) => part !== '' || i === 0)
  const anyName = !parts.at(-1)!.includes('.')
  const found: string[] = []
  const walk = async (at: string, [part, ...rest]: readonly string[]): Promise<void> => {
    const end = rest.length === 0
    if (part === undefined) return
    const joined = (name: string) => (at === '' ? name : at === '/' ? `/${name}` : files.join(at, name))
    if (part === '**') {
      if (!end) await walk(at, rest)
      for (const name of await namesIn(at)) {
        const path = joined(name)
        if (await isFolder(path)) await walk(path, [part, ...rest])
        else if (end && ENDING.test(name)) found.push(path)
      }
      return
    }
    if (!PATTERN.test(part)) return reach(part === '' ? '/' : joined(part), rest)
    const matches = matcherOf(part, pattern)
    for (const name of await namesIn(at)) {
      if (!matches.test(name)) continue
      if (!end || !anyName || ENDING.test(name) || (await isFolder(joined(name))))
        await reach(joined(name), rest)
    }
  }
  const reach = async (path: string, rest: readonly string[]): Promise<void> => {
    const info = await files.stat(path).catch(error => {
      if (files.isMissing(error)) return undefined
      throw new DataError(`${path}: ${reason(error)}`, { cause: error })
    })
    if (!info) return
    if (!rest.length) found.push(...(info.isFolder ? await below(path, []) : [path]))
    else if (info.isFolder) await walk(path, rest)
  }
  await walk('', parts)
  return [...new Set(found)]
}

/** A part of a pattern, between two slashes. @throws DataError for brackets that do not close */
function matcherOf(part: string, pattern: string): RegExp {
  let text = ''
  let depth = 0
  for (let i = 0; i < part.length; i++) {
    const c = part[i]!
    if (c === '*') text += '.*'
    else if (c === '?') text += '.'
    else if (c === '[') {
      const end = part.indexOf(']', i + 2)
      if (end < 0)
        throw new DataError(`${pattern}: '[' is not closed, expected a pattern as part-[0-4]*.parquet`)
      const set = part.slice(i + 1, end).replace(/[\\\]^]/g, '\\$&')
      text += `[${set.replace(/^!/, '^')}]`
      i = end
    } else if (c === '{') {
      text += '(?:'
      depth++
    } else if (c === '}' && depth) {
      text += ')'
      depth--
    } else if (c === ',' && depth) text += '|'
    else text += c.replace(/[\\^$.|+(){}\]]/g, '\\$&')
  }
  if (depth)
    throw new DataError(`${pattern}: '{' is not closed, expected a pattern as {train,more}/*.parquet`)
  try {
    return new RegExp(`^${text}$`, 'su')
  } catch (error) {
    throw new DataError(`${pattern} is no pattern that can be read: ${(error as Error).message}`, {
      cause: error,
    })
  }
}

/** What Hive's writers put for a value that is null. */
const NULL = '__HIVE_DEFAULT_PARTITION__'

/** The columns that a path's folders stand for, as `day=3/`: text as it stands there, null for none. */
export function partitionOf(path: string): Record<string, string | null> {
  const found: Record<string, string | null> = Object.create(null)
  for (const part of path.split(/[/\\]/).slice(0, -1)) {
    const at = part.indexOf('=')
    if (at <= 0) continue
    const value = unescaped(part.slice(at + 1))
    found[unescaped(part.slice(0, at))] = value === NULL ? null : value
  }
  return found
}

/** Writers escape what paths cannot hold as %2F; a lone % stands for itself. */
const unescaped = (text: string): string =>
  text.replace(/(%[0-9A-Fa-f]{2})+/g, escaped => {
    try {
      return decodeURIComponent(escaped)
    } catch {
      return escaped // not UTF-8: it was no escape
    }
  })
