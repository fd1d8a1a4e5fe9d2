// What a model can read, as plain data, and the batch that comes of it. Reader, worker, collate, checkpoints and command line
// follow a model's declaration; none of them asks which model it is.
import { shown } from './check.ts'
import { ConfigError } from './errors.ts'
import type { GroupedIds } from './ids.ts'

/** A column of a text: a list of token ids, or a string for the tokenizer. */
export interface TextColumn {
  /** Name in the file. */
  name: string
  /** `token_id`: lists of ids; `text`: strings. */
  dtype: 'token_id' | 'text'
  /** Rows of the word table that this column may name, where fewer than the input's `rows`. */
  rows?: number
  /** Token type of its tokens and of the separator behind them, of a text that is `joined`; 0 unless given. */
  segment?: number
}

/**
 * Tokens of one text a row, packed: {@link PackedTokens}. Several columns are one text, in the order given: token lists joined, the
 * strings joined by a space and tokenized as one, at the place of the first string.
 */
export interface TextInput {
  kind: 'text'
  columns: TextColumn[]
  /** Rows of the word table: token ids are below it. */
  rows: number
  /** Tokens equal to it are masked: an out-of-vocabulary token carries it too. */
  padTokenId: number
  /** Most tokens of a row. */
  maxPositions: number
  /** Which of the reader's `tokenizers` turns its strings into ids, where it is not the model's own. */
  tokenizer?: string
  /**
   * Keeps position 0 of every row even where it is masked or the row is empty (then as one padding token), with keyMask 0: for
   * models that read the first token.
   */
  keepFirst?: boolean
  /**
   * Special tokens around the columns: `first` at the beginning, `separator` behind each column, so that a cross encoder reads
   * [CLS] query [SEP] document [SEP]. Strings are tokenized column by column, without special tokens; tokens know their `segment`.
   */
  joined?: { first: number; separator: number }
}

/** Ids for embedding tables, one a row and column: {@link GroupedIds} by column. */
export interface IdsInput {
  kind: 'ids'
  /** Rows of the table that each column's ids are looked up in. */
  columns: Record<string, number>
}

/** Finite numbers, one a row and column: Float32Array [B] by column. */
export interface FloatsInput {
  kind: 'floats'
  columns: string[]
  /** No value is below it, as a grade is not below 0; any unless given. */
  least?: number
  /** 'nan': a null is read as NaN and NaN is let through, for models that know what to make of it; refused unless given. */
  missing?: 'nan'
}

/** A class a row: Uint32Array [B]. */
export interface ClassesInput {
  kind: 'classes'
  column: string
  /** Classes are 0 to this less one. */
  classes: number
}

/**
 * Tokens of a text input hidden for masked-language training: {@link MaskedTokens}. Drawn by seed, epoch and row, so that every epoch
 * hides others and a resumed run the same.
 */
export interface MaskedInput {
  kind: 'masked'
  /** Name of the text input. */
  of: string
  /** Share of the tokens that are to be predicted. */
  probability: number
  /** What 80% of them are replaced by; 10% become a random token, 10% stay. */
  maskTokenId: number
  /** Tokens that are never chosen, nor put in another's place, beside padding and mask. */
  specialTokenIds: number[]
  /** Chosen tokens are always replaced by the mask, none by a random token or itself. */
  alwaysMask?: boolean
  /** Only tokens of these segments are chosen, of a text that is `joined`; all unless given. */
  segments?: number[]
}

/**
 * Lists of rows, as the documents of a query: rows with the same whole numbers in `columns` are of one. Batches never split a list and batch
 * sizes count lists, so a model has one such input at most. Uint32Array [lists + 1] where each starts, for the segment operations.
 */
export interface ListInput {
  kind: 'list'
  columns: string[]
  /** Most rows of a list, unless it may have any number. */
  longest?: number
  /**
   * Of a longer list: 'refuse' it (default), or 'cut' it to its first rows where it is trained on. What is predicted or evaluated has all of its
   * rows in any case.
   */
  longer?: 'refuse' | 'cut'
}

/** One thing that a model reads. */
export type Input = (TextInput | IdsInput | FloatsInput | ClassesInput | MaskedInput | ListInput) & {
  /** Read for the loss alone: a file to predict need not have it. */
  trainOnly?: boolean
  /** Of what is `trainOnly`: what the model is judged by does without, so that a file to evaluate on need not have it either. */
  lossOnly?: boolean
}

/** What a model reads, by the names its batches have it under. */
export type Inputs = Record<string, Input>

/** The kept tokens of a batch, packed row after row: no padding between texts. */
export interface PackedTokens {
  /** Word ids [T], grouped; the padding id is left out of the groups, since its row gets no gradient. */
  inputIds: Uint32Array | GroupedIds
  /** Position ids [T], grouped: a token's index in its text, counting the masked tokens before it. */
  positionIds: Uint32Array | GroupedIds
  /** [T] 1 where the token may be attended to and pooled; 0 only at a kept first position that is padding. */
  keyMask: Uint32Array
  /** [B + 1] row b owns the packed tokens cuSeqlens[b] … cuSeqlens[b + 1] - 1. */
  cuSeqlens: Uint32Array
  /** [T] the batch row of each packed token. */
  rowIds: Uint32Array
  /** [T] token types, of BERT's; all are 0 where there are none. */
  typeIds?: Uint32Array
}

/** {@link PackedTokens} as `collate` makes them: ids grouped, tokens counted. */
export interface CollatedTokens extends PackedTokens {
  /** T, the number of packed tokens; 0 is allowed. */
  tokens: number
  inputIds: GroupedIds
  positionIds: GroupedIds
}

/** Which tokens of a batch are to be predicted, and the ids that stand in their places. */
export interface MaskedTokens {
  /** [T] word ids with the chosen tokens replaced; grouped as the text's. */
  inputIds: GroupedIds
  /** [n] packed positions of the chosen tokens, ascending. */
  positions: Uint32Array
  /** [n] the tokens that stood there. */
  labels: Uint32Array
}

/** What a batch holds for an input. */
export type ValueOf<I> = I extends { kind: 'text' }
  ? CollatedTokens
  : I extends { kind: 'ids' }
    ? Record<string, GroupedIds>
    : I extends { kind: 'floats' }
      ? Record<string, Float32Array>
      : I extends { kind: 'classes' | 'list' }
        ? Uint32Array
        : I extends { kind: 'masked' }
          ? MaskedTokens
          : never

/** Rows of a batch, and where they came from. */
export type BatchRows = {
  /** B, the number of rows. */
  size: number
  /** [B] source row numbers, for error messages. */
  rows: number[]
}

/** What one forward pass takes: typed arrays only, ready for upload. What is read for the loss alone may be missing. */
export type BatchOf<I extends object> = string extends keyof I
  ? AnyBatch
  : BatchRows & {
      [K in keyof I as I[K] extends { trainOnly: true } ? never : K]: ValueOf<I[K]>
    } & {
      [K in keyof I as I[K] extends { trainOnly: true } ? K : never]?: ValueOf<I[K]>
    }

/** A batch of whatever a model declares. */
export type AnyBatch = BatchRows & Record<string, unknown>

/** Names that stand for something else in a batch. */
const RESERVED = ['size', 'rows']

/**
 * Checks what a model declares, before anything is read.
 * @param model what to call it in messages.
 * @throws ConfigError naming model, input and what is wrong with it.
 */
export function checkInputs(model: string, inputs: Inputs): void {
  if (typeof inputs !== 'object' || inputs === null || !Object.keys(inputs).length)
    throw new ConfigError(`${model} declares no inputs, expected an object of inputs by name`)
  for (const [name, input] of Object.entries(inputs)) {
    const fail = (what: string): never => {
      throw new ConfigError(`${model}: input '${name}' ${what}`)
    }
    if (RESERVED.includes(name)) fail(`cannot be called that: a batch has its own '${name}'`)
    const kind: unknown = (input as Input | undefined)?.kind
    if (!Object.hasOwn(CHECKS, String(kind)))
      fail(`has kind ${JSON.stringify(kind)}, expected one of ${Object.keys(CHECKS).join(', ')}`)
    const check = CHECKS[input.kind]
    check(input as never, fail, inputs)
    if (input.lossOnly && !input.trainOnly) fail('is lossOnly and not trainOnly, expected both')
  }
  const [, second] = Object.entries(inputs).filter(([, { kind }]) => kind === 'list')
  if (second) throw new ConfigError(`${model}: input '${second[0]}' is a second list, expected one at most`)
}

type Fail = (what: string) => never

function expectOnce(names: string[], fail: Fail): void {
  const twice = names.find((name, i) => names.indexOf(name) < i)
  if (twice !== undefined) fail(`names column '${twice}' twice`)
}
const isCount = (x: unknown, least = 1) => Number.isSafeInteger(x) && (x as number) >= least
const isName = (x: unknown): x is string => typeof x === 'string' && x !== ''

const CHECKS: {
  [K in Input['kind']]: (input: Extract<Input, { kind: K }>, fail: Fail, inputs: Inputs) => void
} = {
  text({ columns, rows, padTokenId, maxPositions, joined }, fail) {
    if (!Array.isArray(columns) || !columns.length) fail('names no columns')
    for (const column of columns) {
      if (!isName(column?.name)) fail(`has the column ${JSON.stringify(column)}, expected { name, dtype }`)
      if (column.dtype !== 'token_id' && column.dtype !== 'text')
        fail(
          `reads column '${column.name}' as ${JSON.stringify(column.dtype)}, expected 'token_id' or 'text'`,
        )
    }
    expectOnce(
      columns.map(({ name }) => name),
      fail,
    )
    if (!isCount(rows)) fail(`has rows ${rows}, expected the rows of its word table`)
    if (!isCount(padTokenId, 0)) fail(`has padTokenId ${padTokenId}, expected a token id`)
    if (!isCount(maxPositions)) fail(`has maxPositions ${maxPositions}, expected the most tokens of a row`)
    if (joined !== undefined) checkJoined(joined, columns, { rows, padTokenId }, fail)
    const placed = columns.find(({ segment = 0 }) => segment !== 0)
    if (placed && !joined) fail(`has column '${placed.name}' in a segment, and is not joined`)
  },
  ids({ columns }, fail) {
    if (typeof columns !== 'object' || columns === null || Array.isArray(columns))
      fail('needs columns: an object of table rows by column')
    for (const [column, rows] of Object.entries(columns))
      if (!isCount(rows)) fail(`has ${rows} rows for column '${column}', expected those of its table`)
  },
  floats({ columns, least, missing }, fail) {
    if (!Array.isArray(columns) || !columns.every(isName)) fail('needs columns: a list of names')
    if (missing !== undefined && missing !== 'nan')
      fail(`has missing ${shown(missing)}, expected 'nan' or none`)
    expectOnce(columns, fail)
    if (least !== undefined && !Number.isFinite(least)) fail(`has least ${shown(least)}, expected a number`)
  },
  classes({ column, classes }, fail) {
    if (!isName(column)) fail(`has the column ${JSON.stringify(column)}, expected a name`)
    if (!isCount(classes, 2)) fail(`has ${classes} classes, expected at least 2`)
  },
  list({ columns, longest, longer }, fail) {
    if (!Array.isArray(columns) || !columns.length || !columns.every(isName))
      fail('needs columns: a list of names')
    expectOnce(columns, fail)
    if (longest !== undefined && !isCount(longest))
      fail(`has longest ${shown(longest)}, expected the most rows of a list`)
    if (longer !== undefined && longer !== 'refuse' && longer !== 'cut')
      fail(`has longer ${shown(longer)}, expected 'refuse' or 'cut'`)
    if (longer !== undefined && longest === undefined) fail(`has longer '${longer}' and no longest`)
  },
  masked({ of, probability, maskTokenId, specialTokenIds, trainOnly, alwaysMask, segments }, fail, inputs) {
    if (!Object.hasOwn(inputs, of) || inputs[of]!.kind !== 'text')
      fail(`masks '${of}', which is no text input`)
    if (inputs[of]!.trainOnly && !trainOnly)
      fail(`masks '${of}', which is for the loss alone; expected trainOnly here too`)
    if (!(probability > 0 && probability < 1)) fail(`has probability ${probability}, expected one in (0, 1)`)
    if (!isCount(maskTokenId, 0)) fail(`has maskTokenId ${maskTokenId}, expected a token id`)
    if (!Array.isArray(specialTokenIds) || !specialTokenIds.every(id => isCount(id, 0)))
      fail('needs specialTokenIds: a list of token ids')
    if (alwaysMask !== undefined && typeof alwaysMask !== 'boolean')
      fail(`has alwaysMask ${shown(alwaysMask)}, expected true or false`)
    if (segments === undefined) return
    const text = inputs[of] as TextInput
    const known = text.joined ? text.columns.map(({ segment = 0 }) => segment) : []
    if (!Array.isArray(segments) || !segments.length || !segments.every(one => known.includes(one)))
      fail(
        `has segments ${JSON.stringify(segments)}, expected some of those of '${of}': ${[...new Set(known)].join(', ') || 'none'}`,
      )
  },
}

function checkJoined(
  joined: unknown,
  columns: TextColumn[],
  { rows, padTokenId }: Pick<TextInput, 'rows' | 'padTokenId'>,
  fail: Fail,
): void {
  const { first, separator } = (joined ?? {}) as Record<string, unknown>
  for (const [name, id] of Object.entries({ first, separator }))
    if (!isCount(id, 0) || (id as number) >= rows || id === padTokenId)
      fail(`has joined.${name} ${shown(id)}, expected a token id below ${rows} that is not padding`)
  for (const { name, segment = 0 } of columns)
    if (!isCount(segment, 0)) fail(`has column '${name}' in segment ${shown(segment)}, expected a token type`)
}

/** Tokens that a text has beside those of its columns. */
export const joinedTokens = ({ joined, columns }: TextInput): number => (joined ? 1 + columns.length : 0)

/**
 * The lists that make up a text, in order: token lists by column, the strings of several columns under their names joined. Of a text with tokens
 * between its columns, every column is a list.
 */
export function textLists({
  columns,
  tokenizer,
  joined,
}: TextInput): { key: string; columns: TextColumn[] }[] {
  if (joined)
    return columns.map(column => {
      const own = column.dtype === 'text' && tokenizer !== undefined ? ` (${tokenizer})` : ''
      return { key: `${column.name}${own}`, columns: [column] }
    })
  const strings = columns.filter(({ dtype }) => dtype === 'text')
  const names = strings.map(({ name }) => name).join(' ')
  const key = tokenizer === undefined ? names : `${names} (${tokenizer})`
  return columns.flatMap(column => {
    if (column.dtype === 'token_id') return [{ key: column.name, columns: [column] }]
    return column === strings[0] ? [{ key, columns: strings }] : []
  })
}

/** Names of the columns that an input is read from. */
export function columnsOf(input: Input): string[] {
  switch (input.kind) {
    case 'text':
      return input.columns.map(({ name }) => name)
    case 'ids':
      return Object.keys(input.columns)
    case 'floats':
    case 'list':
      return input.columns
    case 'classes':
      return [input.column]
    case 'masked':
      return []
  }
}
