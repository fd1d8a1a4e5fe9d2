import type { GroupedIds } from '../ids.ts'

/** The kept tokens of a batch, packed row after row: no padding between texts. */
export interface TokenBatch {
  /** T, the number of packed tokens; 0 is allowed. */
  tokens: number
  /** Word ids [T], grouped; the padding id is left out of the groups, since its row gets no gradient. */
  inputIds: GroupedIds
  /** Position ids [T], grouped: a token's index in its text, counting the masked tokens before it. */
  positionIds: GroupedIds
  /** [T] 1 where the token may be attended to and pooled; 0 only at a kept first position that is padding. */
  keyMask: Uint32Array
  /** [B + 1] row b owns the packed tokens cuSeqlens[b] … cuSeqlens[b + 1] - 1. */
  cuSeqlens: Uint32Array
  /** [T] the batch row of each packed token. */
  rowIds: Uint32Array
}

/** What one forward pass takes: typed arrays only, ready for upload. */
export interface Batch {
  /** B, the number of rows. */
  size: number
  /** Absent where no feature holds text. */
  text?: TokenBatch
  /** One entry per categorical feature [B], in the order of the features config. */
  categorical: Record<string, GroupedIds>
  /** One entry per numerical feature [B], in the order of the features config. */
  numerical: Record<string, Float32Array>
  /** [B] class of each row. */
  labels?: Uint32Array
  /** [B] source row numbers, for error messages. */
  rows: number[]
}
