// Models that the command line is told of: `--architecture` names a module whose default export is a model class.
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { UsageError } from '../errors.ts'
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
    throw new UsageError(`--architecture ${module} cannot be loaded: ${(error as Error).message}`, {
      cause: error,
    })
  }
  if (loaded.default === undefined)
    throw new UsageError(
      `--architecture ${module} has no default export, expected a class that extends Model`,
    )
  registerModel(loaded.default as ModelClass)
  return (loaded.default as ModelClass).architecture
}

function addressOf(module: string): string {
  const path = resolve(module)
  if (existsSync(path) || /^[./]/.test(module)) return pathToFileURL(path).href
  // A package is looked up from where the command runs, not from where this library lies.
  return pathToFileURL(createRequire(join(process.cwd(), 'package.json')).resolve(module)).href
}
