// The text that an encoder is given is checked whole before any of it is uploaded.
import { type PackedRows, tensor } from '../autograd/index.ts'
import { checkPacked, expectRows } from '../autograd/ops/packed-rows.ts'
import { shown, toUints } from '../check.ts'
import { ArgumentError, ShapeError } from '../errors.ts'
import type { Gpu } from '../gpu/index.ts'
import { type GroupedIds, isGrouped } from '../ids.ts'
import type { PackedTokens } from '../inputs.ts'

/** Ids of n rows or tokens; the lookup checks them against its table. */
export function checkIds(where: string, ids: unknown, n: number, of: string): Uint32Array | GroupedIds {
  const given = isGrouped(ids) ? ids.ids : toUints(where, ids)
  if (given.length !== n)
    throw new ShapeError(`${where} has ${given.length} ids, expected ${n}, one per ${of}`)
  return isGrouped(ids) ? ids : given
}

/** Ids in batch order, whichever way they come. */
export const plainIds = (ids: unknown, where = 'ids'): Uint32Array =>
  isGrouped(ids) ? ids.ids : toUints(where, ids)

/** Packed tokens, with their numbers in typed arrays; `name` is what they are called in a batch. */
export function checkText(where: string, text: PackedTokens, name = 'text'): PackedTokens {
  if (typeof text !== 'object' || text === null || Array.isArray(text) || ArrayBuffer.isView(text))
    throw new ArgumentError(
      `${where}: ${name} is ${shown(text)}, expected packed tokens, as batch.${name} of collate()`,
    )
  const keyMask = toUints(`${where}: ${name}.keyMask`, text.keyMask)
  const cuSeqlens = toUints(`${where}: ${name}.cuSeqlens`, text.cuSeqlens)
  const rowIds = toUints(`${where}: ${name}.rowIds`, text.rowIds)
  const T = keyMask.length
  if (rowIds.length !== T)
    throw new ShapeError(`${where}: ${name}.rowIds has ${rowIds.length} values, expected ${T}, one per token`)
  if (cuSeqlens.length < 1) throw new ShapeError(`${where}: ${name}.cuSeqlens is empty, expected [B + 1]`)
  const inputIds = checkIds(`${where}: ${name}.inputIds`, text.inputIds, T, 'token')
  const positionIds = checkIds(`${where}: ${name}.positionIds`, text.positionIds, T, 'token')
  checkPacked(`${where}: ${name}`, { keyMask, cuSeqlens, rowIds }, T)
  const checked = { ...text, inputIds, positionIds, keyMask, cuSeqlens, rowIds }
  if (text.typeIds === undefined) return checked
  const typeIds = toUints(`${where}: ${name}.typeIds`, text.typeIds)
  if (typeIds.length !== T)
    throw new ShapeError(
      `${where}: ${name}.typeIds has ${typeIds.length} values, expected ${T}, one per token`,
    )
  return { ...checked, typeIds }
}

/** Where the rows of a checked batch lie, on the device. */
export function uploadRows(gpu: Gpu, { keyMask, cuSeqlens, rowIds }: PackedTokens): PackedRows {
  const rows = {
    keyMask: tensor(gpu, keyMask),
    cuSeqlens: tensor(gpu, cuSeqlens),
    rowIds: tensor(gpu, rowIds),
  }
  expectRows('text', rows, rows.keyMask) // and is not looked at again by every layer
  return rows
}
