/**
 * The raw files of KDD Cup 2012 track 2 (https://www.kaggle.com/c/kddcup2012-track2/data): lines of tab-separated whole
 * numbers without a header; texts are token numbers joined by '|'.
 */

/** What a field may be: a number below 2^63 (or 2^64), one that may be missing, or tokens. */
export type FieldKind = 'number' | 'number or empty' | 'number below 2^64' | 'tokens'

/** A raw file's name and its columns in file order. */
export interface RawFile {
  name: string
  columns: Readonly<Record<string, FieldKind>>
}

export const TRAINING = {
  name: 'training.txt',
  columns: {
    click: 'number',
    impression: 'number',
    display_url: 'number below 2^64', // a hash
    ad_id: 'number',
    advertiser_id: 'number or empty',
    depth: 'number or empty',
    position: 'number',
    query_id: 'number',
    keyword_id: 'number',
    title_id: 'number',
    description_id: 'number',
    user_id: 'number or empty',
  },
} as const satisfies RawFile

export const TITLES = {
  name: 'titleid_tokensid.txt',
  columns: { title_id: 'number', tokens: 'tokens' },
} as const satisfies RawFile

export const QUERIES = {
  name: 'queryid_tokensid.txt',
  columns: { query_id: 'number', tokens: 'tokens' },
} as const satisfies RawFile

export const PROFILES = {
  name: 'userid_profile.txt',
  columns: { user_id: 'number', gender: 'number or empty', age: 'number or empty' },
} as const satisfies RawFile
