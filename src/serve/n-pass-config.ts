// A ranker of several passes as a file declares it.
import * as v from 'valibot'
import { files } from '#files'
import { count, parseStrict, strict, text } from '../config/schema.ts'
import { isThere, readJson } from '../data/files.ts'
import { ConfigError } from '../errors.ts'
import { expectPath } from '../train/checks.ts'

/** One pass: what scores, and how many of a list it hands on. */
export interface PassConfig {
  /** Folder of a saved model. */
  model: string
  /** File of one side's vectors, as `kernelgrad embed` writes it: that side's texts are neither read nor encoded. Of a two-sided model. */
  vectors?: string
  /** With `vectors`: column of the candidates that says which vector is theirs; the name that the vectors file has for it unless given. */
  id?: string
  /** Which of the model's scores ranks, by its name in a file of predictions; needed where there are several. */
  score?: string
  /** How many candidates of each list go on to the next pass; all unless given. Falls from pass to pass. */
  k?: number
  /** Candidates a batch, lists where the model reads lists. Default 256; with vectors 4,096. */
  batch_size?: number
}

/** A ranker of several passes. */
export interface PassesConfig {
  /** Columns of the candidates whose values tell lists apart, as the query; without them all rows are one list, of a single pass. */
  keys?: string[]
  /** Column of the candidates that is written beside each rank; that of the first vectors unless given, or else the row's number as `row`. */
  id?: string
  /** From the first, which scores all, to the last, which scores what the others let through. */
  passes: PassConfig[]
}

const name = v.pipe(text, v.minLength(1, 'expected a name, got an empty string'))
const passSchema = strict({
  model: name,
  vectors: v.optional(name),
  id: v.optional(name),
  score: v.optional(name),
  k: v.optional(count),
  batch_size: v.optional(count),
})
const MOST_PASSES = 255
const ABSOLUTE = /^(?:[/\\]|[a-z]:[/\\])/i

const schema = strict({
  keys: v.optional(v.array(name, 'expected a list of column names')),
  id: v.optional(name),
  passes: v.array(v.unknown(), 'expected a list of passes'),
})

/** What an error says of pass `i`, counted from 0. */
export const passAt = (where: string, i: number): string => `${where}: pass ${i + 1}`

/**
 * Checks what a file of passes says.
 * @param where the file's name, for messages.
 * @throws ConfigError naming file, pass, key, value and what was expected
 */
export function parsePasses(json: unknown, where: string): PassesConfig {
  const { keys, id, passes: given } = parseStrict(schema, json, where)
  if (!given.length) throw new ConfigError(`${where}: passes is empty, expected one pass or more`)
  if (given.length > MOST_PASSES)
    throw new ConfigError(`${where}: there are ${given.length} passes, expected at most ${MOST_PASSES}`)
  const passes = given.map((one, i) => parseStrict(passSchema, one, passAt(where, i)))
  for (const [i, { id: own, vectors }] of passes.entries())
    if (own !== undefined && vectors === undefined)
      throw new ConfigError(
        `${passAt(where, i)}: id is '${own}' without vectors, whose ids it names; expected both or neither`,
      )
  expectFalling(
    where,
    passes.map(({ k }) => k),
  )
  return { ...(keys && { keys }), ...(id !== undefined && { id }), passes } as PassesConfig
}

/** @throws ConfigError where k does not fall from pass to pass */
export function expectFalling(where: string, ks: readonly (number | undefined)[]): void {
  let [last, at] = [Number.POSITIVE_INFINITY, 0]
  for (const [i, k] of ks.entries()) {
    if (k === undefined) continue
    if (k >= last)
      throw new ConfigError(
        `${passAt(where, i)}: k is ${k}, expected fewer than ${last}, the k of pass ${at + 1}: it falls from pass to pass`,
      )
    last = k
    at = i
  }
}

/**
 * Checks the columns that tell lists apart.
 * @throws ConfigError for several passes without keys, or a column that is named twice
 */
export function expectKeys(where: string, keys: readonly string[], passes: number): void {
  const twice = keys.find((key, i) => keys.indexOf(key) < i)
  if (twice !== undefined)
    throw new ConfigError(`${where}: keys names column ${twice} twice, expected each once`)
  if (!keys.length && passes > 1)
    throw new ConfigError(
      `${where}: keys is missing, expected the columns that tell queries apart, as ["query_id"]: ${passes} passes rank the candidates of each query`,
    )
}

/**
 * Reads a file of passes. Paths in it are looked up from the file's own folder, so that a folder can move as a whole; where nothing is there, from the
 * working directory.
 * @throws ConfigError as {@link parsePasses}; naming file, pass and path of a folder or file that is not there
 *
 * @example
 * ```ts
 * import { readPasses } from 'kernelgrad/serve'
 *
 * const { keys, passes } = await readPasses('passes.json')
 * console.log(keys, passes.map(({ model, k }) => `${model}: ${k ?? 'all'}`))
 * ```
 */
export async function readPasses(path: string): Promise<PassesConfig> {
  expectPath('readPasses: path', path)
  const config = parsePasses(await readJson(path), path)
  const folder = files.dirname(path)
  const found = async (i: number, key: string, given: string): Promise<string> => {
    const places = ABSOLUTE.test(given) ? [given] : [...new Set([files.join(folder, given), given])]
    for (const place of places) if (await isThere(place)) return place
    throw new ConfigError(
      `${passAt(path, i)}: ${key} is ${given}: there is no ${places.join(', nor ')}; expected ${key === 'model' ? 'the folder of a saved model' : 'a file that kernelgrad embed wrote'}`,
    )
  }
  const passes: PassConfig[] = []
  for (const [i, pass] of config.passes.entries())
    passes.push({
      ...pass,
      model: await found(i, 'model', pass.model),
      ...(pass.vectors !== undefined && { vectors: await found(i, 'vectors', pass.vectors) }),
    })
  return { ...config, passes }
}
