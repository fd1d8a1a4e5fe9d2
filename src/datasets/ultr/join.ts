/** A query and a document as the one text that a cross encoder reads. */
import { COUNT, expectNumber } from '../../check.ts'

/** Ids that mean something, and by how much the files' token ids are moved to make room for them. */
export interface UltrSpecialIds {
  pad: number
  sep: number
  cls: number
  mask: number
  /** Added to a file's token id. */
  offset: number
}

/** The ids of the models in the Unbiased-LTR reproduction of Hager and others (SIGIR 2024). */
export const ULTR_IDS: UltrSpecialIds = { pad: 0, sep: 1, cls: 2, mask: 3, offset: 10 }

/** Rows of the word table for the files' tokens, special ids included. */
export const ULTR_VOCAB_SIZE = 22_000

/**
 * [CLS] query [SEP] title [SEP] abstract [SEP], cut at `longest` and padded to it.
 * @param options.longest tokens, default 128.
 * @returns the ids, and the segments: 0 up to the first [SEP], 1 behind it and on padding.
 */
export function joinTexts(
  {
    query,
    title,
    abstract,
  }: { query: readonly number[]; title: readonly number[]; abstract: readonly number[] },
  { longest = 128, ids = ULTR_IDS }: { longest?: number; ids?: UltrSpecialIds } = {},
): { ids: number[]; segments: number[] } {
  expectNumber('joinTexts: longest', longest, COUNT)
  const { pad, sep, cls, offset } = ids
  const moved = (tokens: readonly number[]) => tokens.map(token => token + offset)
  const first = [cls, ...moved(query), sep]
  const second = [...moved(title), sep, ...moved(abstract), sep]
  const all = [...first, ...second].slice(0, longest)
  const room = longest - all.length
  return {
    ids: [...all, ...new Array<number>(room).fill(pad)],
    segments: Array.from({ length: longest }, (_, i) => (i < first.length ? 0 : 1)),
  }
}
