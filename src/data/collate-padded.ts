/** Batches from padded id arrays and a mask, the form other libraries hand over. */
import { COUNT, expectFlag, expectNumber, expectOptions, shown, UINT32 } from '../check.ts'
import type { FeatureBatch } from '../config/index.ts'
import { ArgumentError, DataError, ShapeError } from '../errors.ts'
import { groupIds } from '../ids.ts'
import { badValue, checkIds } from './check-columns.ts'
import { packText, textRoom } from './collate-text.ts'

/** Row-major [B, S] integers: nested rows of one length, or flat data with its shape. */
export type PaddedIds = number[][] | { data: ArrayLike<number | bigint>; shape: readonly number[] }

/** A padded batch. Categorical, numerical and label arrays have one value per row. */
export interface PaddedBatch {
  /** [B, S] token ids. */
  inputIds?: PaddedIds
  /** [B, S], 1 keeps a token, 0 masks it; holes may stand anywhere. Default: every id but padTokenId is kept. */
  attentionMask?: PaddedIds
  /** [B, S] token types of BERT's; all are 0 where there are none. */
  tokenTypeIds?: PaddedIds
  /** [B] ids of each categorical feature. */
  categorical?: Record<string, ArrayLike<number | bigint>>
  /** [B] values of each numerical feature. */
  numerical?: Record<string, ArrayLike<number>>
  /** [B] class of each row. */
  labels?: ArrayLike<number | bigint>
}

/** Sizes to check ids against; what is left out is not checked. */
export interface PaddedOptions {
  /** Tokens equal to it are masked unless there is an attention mask. */
  padTokenId: number
  /** Rows of the word table. */
  vocabSize?: number
  /** Rows of each categorical table. */
  categories?: Record<string, number>
  /** Number of classes. */
  numLabels?: number
  /** Keeps position 0 of every row, with keyMask 0 where it is masked. */
  keepFirst?: boolean
  /** S is at most this, default 512. */
  maxPositions?: number
}

/**
 * Packs a padded batch: masked positions are left out, the others keep their column as position id.
 * @throws ShapeError where arrays disagree in their number of rows; DataError naming feature, row and value of a bad id.
 */
export function collatePadded(padded: PaddedBatch, options: PaddedOptions): FeatureBatch {
  checkOptions(options)
  const {
    padTokenId,
    vocabSize = 2 ** 32,
    categories = {},
    numLabels = 2 ** 32,
    maxPositions = 512,
  } = options
  if (typeof padded !== 'object' || padded === null)
    throw new ArgumentError(`collatePadded: batch is ${shown(padded)}, expected { inputIds, … }`)
  expectOptions('collatePadded: batch', padded, [
    'inputIds',
    'attentionMask',
    'tokenTypeIds',
    'categorical',
    'numerical',
    'labels',
  ])
  const { categorical = {}, numerical = {}, labels } = padded
  const ids = padded.inputIds && flatten(padded.inputIds, 'inputIds')
  const size = ids?.rows ?? (labels ?? Object.values({ ...categorical, ...numerical })[0])?.length ?? 0
  const expectRows = (name: string, length: number) => {
    if (length !== size) throw new ShapeError(`${name} has ${length} rows, the batch has ${size}`)
  }
  const batch: FeatureBatch = {
    size,
    categorical: {},
    numerical: {},
    rows: Array.from({ length: size }, (_, b) => b),
  }
  for (const [name, values] of Object.entries(categorical)) {
    expectRows(name, values.length)
    const numbers = plain(name, values)
    checkIds(numbers, categories[name] ?? 2 ** 32, name, b => b)
    batch.categorical[name] = groupIds(Uint32Array.from(numbers))
  }
  for (const [name, values] of Object.entries(numerical)) {
    expectRows(name, values.length)
    const all = plain(name, values)
    batch.numerical[name] = Float32Array.from(all)
    const bad = batch.numerical[name].findIndex(value => !Number.isFinite(value))
    if (bad >= 0)
      throw new DataError(`feature ${name}, row ${bad}: value ${all[bad]}, expected a finite number`)
  }
  if (labels) {
    expectRows('labels', labels.length)
    const numbers = plain('labels', labels)
    checkIds(numbers, numLabels, 'labels', b => b)
    batch.labels = Uint32Array.from(numbers)
  }
  if (!ids) return batch
  const { width } = ids
  if (width > maxPositions)
    throw new DataError(`the batch has texts of ${width} tokens, expected at most ${maxPositions}`)
  const mask = padded.attentionMask && flatten(padded.attentionMask, 'attentionMask')
  if (mask && (mask.rows !== size || mask.width !== width))
    throw new ShapeError(`attentionMask is [${mask.rows}, ${mask.width}], inputIds is [${size}, ${width}]`)
  if (mask) checkIds(mask.data, 2, 'attentionMask', i => Math.floor(i / width))
  const types = padded.tokenTypeIds && flatten(padded.tokenTypeIds, 'tokenTypeIds')
  if (types && (types.rows !== size || types.width !== width))
    throw new ShapeError(`tokenTypeIds is [${types.rows}, ${types.width}], inputIds is [${size}, ${width}]`)
  if (types) checkIds(types.data, 2 ** 32, 'tokenTypeIds', i => Math.floor(i / width))
  checkIds(ids.data, vocabSize, 'inputIds', i => Math.floor(i / width))
  const longest = size * Math.max(width, options.keepFirst ? 1 : 0)
  const room = textRoom(size, longest, undefined, { types: types !== undefined })
  let tokens = 0
  const push = (b: number, s: number, id: number, keep: 0 | 1) => {
    room.ids[tokens] = id
    room.positions[tokens] = s
    room.keyMask[tokens] = keep
    if (types && room.typeIds) room.typeIds[tokens] = types.data[b * width + s] ?? 0
    room.rowIds[tokens++] = b
  }
  for (let b = 0; b < size; b++) {
    for (let s = 0; s < width; s++) {
      const id = ids.data[b * width + s]!
      const kept = mask ? mask.data[b * width + s] !== 0 : id !== padTokenId
      if (kept) push(b, s, id, 1)
      else if (options.keepFirst && s === 0) push(b, s, id, 0)
    }
    if (options.keepFirst && width === 0) push(b, 0, padTokenId, 0)
    room.cuSeqlens[b + 1] = tokens
  }
  batch.text = packText(room, padTokenId)
  return batch
}

function checkOptions(options: PaddedOptions): void {
  const known = ['padTokenId', 'vocabSize', 'categories', 'numLabels', 'keepFirst', 'maxPositions']
  expectOptions('collatePadded: options', options, known)
  const { padTokenId, vocabSize, categories, numLabels, keepFirst, maxPositions } = options
  expectNumber('collatePadded: padTokenId', padTokenId, UINT32)
  const counts = Object.entries({ vocabSize, numLabels, maxPositions, ...categories })
  for (const [name, count] of counts)
    if (count !== undefined) expectNumber(`collatePadded: ${name}`, count, COUNT)
  if (keepFirst !== undefined) expectFlag('collatePadded: keepFirst', keepFirst)
}

/** Numbers, of bigints too; what is neither, such as a text or a hole, stays what it is and is refused by what reads it. */
function plain(name: string, values: ArrayLike<number | bigint>): number[] {
  if (typeof values !== 'object' || values === null || !('length' in values))
    throw new ArgumentError(`${name} is ${shown(values)}, expected an array`)
  return Array.from(values, (value, row) => {
    if (typeof value === 'bigint') return Number(value)
    if (typeof value !== 'number') badValue(name, row, value, 'a number')
    return value
  })
}

function flatten(ids: PaddedIds, name: string): { data: number[]; rows: number; width: number } {
  if (Array.isArray(ids)) {
    const flat = ids.findIndex(row => !Array.isArray(row) && !ArrayBuffer.isView(row))
    if (flat >= 0)
      throw new ArgumentError(`${name} row ${flat} is ${shown(ids[flat])}, expected an array of ids`)
    const width = ids[0]?.length ?? 0
    const uneven = ids.findIndex(row => row.length !== width)
    if (uneven >= 0)
      throw new ShapeError(
        `${name} row ${uneven} has ${ids[uneven]!.length} ids, expected ${width} as in row 0`,
      )
    return { data: plain(name, ids.flat()), rows: ids.length, width }
  }
  if (
    typeof ids !== 'object' ||
    !Array.isArray(ids.shape) ||
    typeof ids.data !== 'object' ||
    ids.data === null
  )
    throw new ArgumentError(`${name} is ${shown(ids)}, expected nested arrays, or { data, shape }`)
  const [rows = 0, width = 0] = ids.shape
  if (ids.shape.length !== 2 || ids.data.length !== rows * width)
    throw new ShapeError(
      `${name} has ${ids.data.length} ids for shape [${ids.shape.join(', ')}], expected [B, S]`,
    )
  return { data: plain(name, ids.data), rows, width }
}
