import { files } from '#files'
import { closest, expectNumber, expectOneOf, expectOptions, NATURAL, shown } from '../check.ts'
import type { FeatureConfig, FeaturesConfig } from '../config/index.ts'
import { isThere, readJson } from '../data/files.ts'
import { type Columns, loadTokenizer, type ParquetFile } from '../data/index.ts'
import { ArgumentError, ConfigError, DataError } from '../errors.ts'
import {
  type LearnedColumn,
  namesOf,
  PREPARATION_FILE,
  type PreparationDocument,
  parseDocument,
} from './document.ts'
import { type Encode, encoderOf, expectExact, type Made, type RawColumn } from './encode.ts'

/** The folder beside preparation.json that has its tokenizer. */
export const TOKENIZER_FOLDER = 'tokenizer'

/** How rows are made ready. */
export interface ApplyOptions {
  /**
   * What is read for training alone, classes and weights: 'none' (default) leaves them, 'optional' takes them where every row or column
   * has them, 'required' refuses rows without.
   */
  labels?: 'none' | 'optional' | 'required'
  /** Number of the first row in its source, default 0. */
  rowStart?: number
  /** What messages call the rows' source, as a file's name. */
  source?: string
}

const OPTIONS = ['labels', 'rowStart', 'source']
const LABELS = ['none', 'optional', 'required']

/** A column that a prepared file has, and its raw one. */
export interface PreparedColumn {
  name: string
  kind: 'ids' | 'floats' | 'lists'
  /** Of ids: codes are below it. */
  size?: number
  /** Name of the raw column. */
  of: string
}

/**
 * What was learned from a table: `kernelgrad prepare` writes it, a model trained on the prepared rows keeps it in its folder, and
 * `apply` makes of raw rows what prepare made of its own, bit for bit: the same code does both.
 *
 * @example
 * ```ts
 * import { Preparation } from 'kernelgrad/prepare'
 *
 * const preparation = await Preparation.read('runs/mine')
 * const columns = preparation.apply([{ city: 'Paris', price: 12.5, title: 'red shoes', sold: '2024-05-01' }])
 * ```
 */
export class Preparation {
  /** What preparation.json holds. */
  readonly document: PreparationDocument
  readonly #encoders: ReadonlyMap<string, Encode>

  /**
   * @param tokenize token ids of a text, cut to so many; needed where a column is text.
   * @throws ConfigError naming the column and key that is wrong.
   */
  constructor(
    document: PreparationDocument,
    tokenize?: (maxTokens: number) => (text: string) => number[],
    where = PREPARATION_FILE,
  ) {
    this.document = parseDocument(document, where)
    const { columns, missing } = this.document
    const shared = {
      missing: new Set(missing),
      tokenize: tokenize ?? noTokenizer,
    }
    const encoders = Object.entries(columns).flatMap(([name, column]): [string, Encode][] => {
      const encode = encoderOf(column, shared)
      return encode ? [[name, encode]] : []
    })
    this.#encoders = new Map(encoders)
  }

  /**
   * Reads preparation.json, and the tokenizer that its texts need, of a prepared folder or of a model trained on it.
   * @throws ConfigError naming file, column and key, or the folder where there is none.
   */
  static async read(folder: string): Promise<Preparation> {
    if (typeof folder !== 'string')
      throw new ArgumentError(`Preparation.read: folder is ${shown(folder)}, expected a path`)
    const path = files.join(folder, PREPARATION_FILE)
    if (!(await isThere(path)))
      throw new ConfigError(
        `${folder} has no ${PREPARATION_FILE}, expected a folder that kernelgrad prepare wrote, or of a model trained on one`,
      )
    const document = parseDocument(await readJson(path), path)
    const encoders = new Map<number, (text: string) => number[]>()
    for (const column of Object.values(document.columns)) {
      if (column.role !== 'text' || encoders.has(column.max_tokens)) continue
      const limits = { maxPositions: column.max_tokens, vocabSize: document.vocab_size! }
      const tokenizer = await loadTokenizer(files.join(folder, TOKENIZER_FOLDER), limits)
      const { tokenizer: of = hashOf(JSON.stringify(tokenizer.files)) } = document
      if (of !== hashOf(JSON.stringify(tokenizer.files)))
        throw new ConfigError(
          `${files.join(folder, TOKENIZER_FOLDER)} is not the tokenizer that ${path} was learned with; put that one back, or prepare again`,
        )
      encoders.set(column.max_tokens, tokenizer.encode)
    }
    return new Preparation(document, maxTokens => encoders.get(maxTokens)!, path)
  }

  /** The raw columns that are read, in order, but for label and weight. */
  get fields(): string[] {
    return [...this.#encoders.keys()].filter(name => !this.#forTraining(name))
  }

  /** Name of the raw column of classes; nothing where the table has none. */
  get label(): string | undefined {
    return this.#named('label')
  }

  /** Name of the raw column of weights, where there is one. */
  get weight(): string | undefined {
    return this.#named('weight')
  }

  /** The classes' keys, in order: what probability n is of. */
  get classes(): readonly string[] {
    const { label } = this
    const column = label === undefined ? undefined : this.document.columns[label]
    return column?.role === 'label' ? column.classes : []
  }

  /** The columns that a prepared file has, but for label and weight: texts, then ids, then numbers. */
  get prepared(): PreparedColumn[] {
    const all = Object.entries(this.document.columns).flatMap(([name, column]) => preparedOf(name, column))
    const order = ['lists', 'ids', 'floats']
    return all.sort((a, b) => order.indexOf(a.kind) - order.indexOf(b.kind))
  }

  /** The prepared columns as a model's `features_config`; `embeddingSize` says how wide a table of so many codes is. */
  features(embeddingSize: (codes: number) => number = defaultEmbeddingSize): FeaturesConfig {
    return Object.fromEntries(
      this.prepared.map(({ name, kind, size }): [string, FeatureConfig] => {
        if (kind === 'lists') return [name, { dtype: 'token_id' }]
        if (kind === 'floats') return [name, { dtype: 'numerical' }]
        return [name, { dtype: 'categorical', vocab_size: size!, embedding_size: embeddingSize(size!) }]
      }),
    )
  }

  /**
   * Rows of raw values as typed arrays, as prepare writes them: texts, numbers and truth values in the types of any reader, a missing value
   * by the rule that was learned, a category that was not seen as the unknown one. Fields that were left out are not looked at.
   *
   * @param rows raw values by column name; bigints and Dates count.
   * @throws ArgumentError for what is no list of rows; DataError naming row, field, value and what was expected.
   */
  apply(rows: readonly Record<string, unknown>[], options: ApplyOptions = {}): Columns {
    if (!Array.isArray(rows))
      throw new ArgumentError(`Preparation.apply: rows is ${shown(rows)}, expected an array of objects`)
    const how = this.#options(options)
    const at = (i: number) => `${how.source}row ${how.rowStart + i}`
    for (let i = 0; i < rows.length; i++) this.#checkRow(rows[i], at(i))
    const columns: RawColumn[] = []
    for (const name of this.#encoders.keys()) {
      if (this.#forTraining(name) && !takes(how.labels, rows, name)) continue
      const values = rows.map(row => (Object.hasOwn(row, name) ? row[name] : undefined))
      const column = { name, at, values }
      expectExact(this.document.columns[name]!, column)
      columns.push(column)
    }
    return this.#encode(columns, rows.length, how.rowStart)
  }

  /**
   * The same of columns of raw values, all as long.
   * @param options.at Where a value stands, for messages.
   */
  applyColumns(
    values: Readonly<Record<string, readonly unknown[]>>,
    options: Omit<ApplyOptions, 'source'> & { at?: (index: number) => string } = {},
  ): Columns {
    const { at, ...others } = options
    const how = this.#options(others)
    const place = at ?? ((i: number) => `row ${how.rowStart + i}`)
    const names = Object.keys(values)
    const length = names.length ? values[names[0]!]!.length : 0
    const columns: RawColumn[] = []
    for (const name of this.#encoders.keys()) {
      const there = Object.hasOwn(values, name)
      if (this.#forTraining(name) && (how.labels === 'none' || (how.labels === 'optional' && !there)))
        continue
      if (!there) throw new DataError(this.#noColumn(name, names))
      if (values[name]!.length !== length)
        throw new DataError(`column '${name}' has ${values[name]!.length} values, expected ${length}`)
      columns.push({ name, at: place, values: values[name]! })
    }
    return this.#encode(columns, length, how.rowStart)
  }

  #encode(columns: readonly RawColumn[], length: number, rowStart: number): Columns {
    const made: Made = { lists: {}, ids: {}, floats: {} }
    for (const column of columns) this.#encoders.get(column.name)!(column, made)
    return { length, rowStart, ...made }
  }

  #options(options: ApplyOptions) {
    expectOptions('Preparation.apply: options', options, OPTIONS)
    const { labels = 'none', rowStart = 0, source } = options
    expectOneOf('Preparation.apply: labels', labels, LABELS)
    expectNumber('Preparation.apply: rowStart', rowStart, NATURAL)
    return { labels, rowStart, source: source === undefined ? '' : `${source}, ` }
  }

  /** A row is an object that has a field at least; one that has none of a name but one much like it is misspelt. */
  #checkRow(row: unknown, at: string): void {
    if (typeof row !== 'object' || row === null || Array.isArray(row) || ArrayBuffer.isView(row))
      throw new DataError(`${at} is ${shown(row)}, expected an object of values by field`)
    const { columns } = this.document
    const absent = this.fields.filter(name => !Object.hasOwn(row, name))
    if (!absent.length) return
    const unknown = Object.keys(row).filter(name => !Object.hasOwn(columns, name))
    for (const name of unknown) {
      const meant = closest(name, absent)
      if (meant !== undefined)
        throw new DataError(
          `${at}: field '${name}' is unknown, did you mean '${meant}'? expected ${this.#said}`,
        )
    }
    if (absent.length === this.fields.length) {
      const wraps = unknown.find(
        name => typeof row[name as never] === 'object' && row[name as never] !== null,
      )
      const hint = wraps === undefined ? '' : `; what stands under '${wraps}' is to come without it`
      throw new DataError(`${at} has none of the fields, expected ${this.#said}${hint}`)
    }
  }

  get #said(): string {
    return this.fields.map(name => `'${name}'`).join(', ')
  }

  #noColumn(name: string, there: readonly string[]): string {
    const near = closest(name, there)
    return `no column '${name}'${near === undefined ? '' : `; the nearest is '${near}'`}; there are ${there.map(one => `'${one}'`).join(', ')}`
  }

  #named(role: LearnedColumn['role']): string | undefined {
    const { columns } = this.document
    return Object.keys(columns).find(name => columns[name]!.role === role)
  }

  #forTraining(name: string): boolean {
    const { role } = this.document.columns[name]!
    return role === 'label' || role === 'weight'
  }
}

const noTokenizer = (): never => {
  throw new ConfigError('Preparation: a column is text, expected a tokenizer; Preparation.read finds it')
}

/** Whether rows' classes or weights are read. */
function takes(
  labels: ApplyOptions['labels'],
  rows: readonly Record<string, unknown>[],
  name: string,
): boolean {
  if (labels !== 'optional') return labels === 'required'
  return rows.length > 0 && rows.every(row => Object.hasOwn(row, name))
}

/** Wide enough for what few codes can say, 64 at most. */
function defaultEmbeddingSize(codes: number): number {
  return Math.max(4, Math.min(64, 4 * Math.ceil((1.6 * codes ** 0.56) / 4)))
}

function preparedOf(of: string, column: LearnedColumn): PreparedColumn[] {
  const ids = (name: string, size: number): PreparedColumn => ({ name, kind: 'ids', size, of })
  const floats = (name: string | undefined): PreparedColumn[] =>
    name === undefined ? [] : [{ name, kind: 'floats', of }]
  switch (column.role) {
    case 'text':
      return [{ name: column.out, kind: 'lists', of }]
    case 'category': {
      const codes = (column.codes?.length ?? column.hash_buckets!) + 1
      return [ids(column.out, Math.max(codes, column.missing_code + 1))]
    }
    case 'number':
      return [...floats(column.out), ...floats(column.indicator)]
    case 'date':
      return [
        ...floats(column.out),
        ids(column.month, 13),
        ids(column.weekday, 8),
        ...(column.hour === undefined ? [] : [ids(column.hour, 25)]),
        ...floats(column.indicator),
      ]
    default:
      return namesOf(column).flatMap(floats)
  }
}

/** Under this key a prepared Parquet file says which preparation made it. */
export const PREPARED_KEY = 'kernelgrad.preparation'

/** A text that two preparations share only where they do the same. */
export function fingerprintOf({ split: _, ...document }: PreparationDocument): string {
  return hashOf(JSON.stringify(document))
}

/** SHA-256 of a text. */
export function hashOf(text: string): string {
  const hash = files.sha256()
  hash.update(new TextEncoder().encode(text))
  return hash.digest('hex')
}

/** Which preparation made a Parquet file, or nothing where none did. */
export const preparedBy = ({ metadata }: Pick<ParquetFile, 'metadata'>): string | undefined =>
  metadata.key_value_metadata?.find(({ key }) => key === PREPARED_KEY)?.value
