// Models that the command line is told of: `--architecture` names a module whose default export is a model class.
import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { ConfigError, UsageError } from '../errors.ts'
import { architectures, type ModelClass, registerModel } from '../models/index.ts'

/**
 * Makes the model class of a module known.
 * @param module path of a file, as it stands or from the working directory; else the name of a package there; or an architecture
 * that is known already.
 * @returns the name that configurations have for it.
 * @throws UsageError where there is no such module, it fails to load, or has no model class for its default export.
 */
export async function useArchitecture(module: string): Promise<string> {
  if (architectures().includes(module)) return module
  let loaded: { default?: unknown }
  try {
    loaded = (await import(addressOf(module))) as { default?: unknown }
  } catch (error) {
    const why = error instanceof Error ? error.message.split('\nRequire stack')[0] : String(error)
    throw new UsageError(`--architecture ${module} cannot be loaded: ${why}`, { cause: error })
  }
  if (loaded.default === undefined)
    throw new UsageError(
      `--architecture ${module} has no default export, expected a class that extends Model`,
    )
  try {
    registerModel(loaded.default as ModelClass)
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    throw new UsageError(`--architecture ${module}: ${error.message}`, { cause: error })
  }
  return (loaded.default as ModelClass).architecture
}

function addressOf(module: string): string {
  const path = resolve(module)
  if (existsSync(path) || /^[./]/.test(module)) return pathToFileURL(path).href
  return pathToFileURL(entryOf(module)).href
}

/** What `import` takes of a package's conditions. */
const CONDITIONS = ['node', 'import', 'module-sync', 'default']

/** A package's file, looked up from where the command runs, not from where this library lies. */
function entryOf(name: string): string {
  const { resolve } = createRequire(join(process.cwd(), 'package.json'))
  try {
    return resolve(name)
  } catch (error) {
    // What a package has for `import` alone, `require` does not see.
    if ((error as NodeJS.ErrnoException).code !== 'ERR_PACKAGE_PATH_NOT_EXPORTED') throw error
    const folder = resolve
      .paths(name)!
      .map(path => join(path, name))
      .find(path => existsSync(path))
    if (!folder) throw error
    const { exports } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
    let entry: unknown = exports['.'] ?? exports
    while (typeof entry === 'object' && entry !== null)
      entry = Object.entries(entry).find(([condition]) => CONDITIONS.includes(condition))?.[1]
    if (typeof entry !== 'string') throw error
    return join(folder, entry)
  }
}
