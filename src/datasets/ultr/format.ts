/**
 * Baidu-ULTR's files (Zou, Mao and others, NeurIPS 2022, arXiv 2207.03051; https://github.com/ChuXiaokai/baidu_ultr_dataset).
 * Session files, `part-*.gz`: lines of tab-separated columns, token ids joined by \x01. A line of three columns begins a session, each
 * line of 32 columns below it is a document that was shown. The annotated file has a line for each document that was judged.
 */

/** What a column may hold. */
export type FieldKind = 'place' | 'text' | 'tokens' | 'flag' | 'whole' | 'number' | 'unused'

/** The columns of a document's line, in order, the unused ones under their numbers. */
export const DOCUMENT_COLUMNS: readonly (readonly [name: string, kind: FieldKind])[] = [
  ['position', 'place'],
  ['url md5', 'text'],
  ['title', 'tokens'],
  ['abstract', 'tokens'],
  ['multimedia type', 'whole'],
  ['click', 'flag'],
  ['6', 'unused'],
  ['7', 'unused'],
  ['skip', 'flag'],
  ['SERP height', 'number'],
  ['displayed time', 'number'],
  ['displayed time middle', 'number'],
  ['first click', 'number'],
  ['displayed count', 'number'],
  ['SERP max show height', 'number'],
  ['slipoff count after click', 'number'],
  ['dwelling time', 'number'],
  ['displayed time top', 'number'],
  ['SERP to top', 'number'],
  ['displayed count top', 'number'],
  ['displayed count bottom', 'number'],
  ['slipoff count', 'number'],
  ['22', 'unused'],
  ['final click', 'number'],
  ['displayed time bottom', 'number'],
  ['click count', 'number'],
  ['displayed count', 'number'],
  ['27', 'unused'],
  ['last click', 'number'],
  ['reverse display count', 'number'],
  ['displayed count middle', 'number'],
  ['31', 'unused'],
]

/** Numbers of the columns that become fields of a document. */
export const AT = {
  position: 0,
  url: 1,
  title: 2,
  abstract: 3,
  media: 4,
  click: 5,
  skip: 8,
  serpHeight: 9,
  dwell: 16,
} as const

export const SESSION_COLUMNS = ['qid', 'query', 'reformulation'] as const
export const ANNOTATED_COLUMNS = ['qid', 'query', 'title', 'abstract', 'label', 'bucket'] as const

/** The title of a document without text. It keeps its place, and there is nothing to learn of it. */
export const MISSING_TITLE: readonly number[] = [21429]
/** The title of "what others searched", which is no result and takes no place. */
export const OTHERS_SEARCHED: readonly number[] = [3742, 11492, 12169, 5061, 16905]

/** Places there are on a page of results: 1 to this. */
export const PLACES = 30
/** Labels are 0 to this, from bad to perfect. */
export const MOST_LABEL = 4
/** Frequency buckets are 0 to this, from frequent to rare. */
export const MOST_BUCKET = 9

/** A document that was shown, and what was done with it. */
export interface UltrDocument {
  /** Its place on the page, from 1; documents without text count, "what others searched" does not. */
  position: number
  /** MD5 of its address, hexadecimal. */
  url: string
  title: number[]
  abstract: number[]
  /** The kind of its medium, a number. */
  media: number
  /** 1 where it was clicked. */
  click: number
  /** 1 where it was passed over. */
  skip: number
  /** Seconds spent on it after the click. */
  dwell: number
  /** Height on the page, in pixels. */
  serpHeight: number
}

/** A query and the page that answered it. */
export interface UltrSession {
  qid: bigint
  query: number[]
  /** What the user asked next, empty where nothing. */
  reformulation: number[]
  /** None where all of them are without text. */
  documents: UltrDocument[]
}

/** A document judged by an expert. */
export interface UltrAnnotated {
  /** Not unique: the same number stands for several queries. */
  qid: bigint
  query: number[]
  title: number[]
  abstract: number[]
  /** 0 (bad) to 4 (perfect). */
  label: number
  /** How often the query is asked: 0 (often) to 9 (rarely). */
  bucket: number
  /** Number of the query's list, from 0 in the order that queries first appear. */
  list: number
}

/** Frequency groups by bucket. */
export const frequencyOf = (bucket: number): 'high' | 'middle' | 'tail' =>
  bucket <= 2 ? 'high' : bucket <= 6 ? 'middle' : 'tail'
