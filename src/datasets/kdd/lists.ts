/** KDD Cup 2012's rows as lists of documents. */
import { expectNumber, expectOneOf, NATURAL, shown } from '../../check.ts'
import { ArgumentError, DataError } from '../../errors.ts'

/** What of a row lists are made by. A row sums up all displays with the same user, ad, query, depth and position. */
export interface KddRow {
  click: number
  impression: number
  ad_id: number
  /** Ads on the page. */
  depth: number
  /** Place on the page, from 1. */
  position: number
  query_id: number
  /** 0 stands for many people. */
  user_id: number
}

/**
 * What makes a list: `display`, a page (query, user and depth), in the order of positions; `query_user`, all ads that a user saw for a query;
 * `query`, all ads of a query over all users.
 */
export type KddListKey = 'display' | 'query_user' | 'query'

/** A document of a list. */
export interface KddDocument {
  /** Number of its first row. */
  row: number
  /** Clicks and displays of all its rows. */
  click: number
  impression: number
}

const FIELDS = ['click', 'impression', 'ad_id', 'depth', 'position', 'query_id', 'user_id'] as const
export const KDD_LIST_KEYS: readonly KddListKey[] = ['display', 'query_user', 'query']

/**
 * Groups rows, in any order, into lists, in the order of their first rows. Rows of user 0 are in no page and in no list of a user. A page is kept
 * where its positions are distinct and lie in 1 to its depth; rows of one ad are one document of the other lists, clicks and displays added up.
 * @throws DataError naming row, field and value of one that is no whole number, or has more clicks than displays.
 */
export function kddLists(rows: readonly KddRow[], key: KddListKey): KddDocument[][] {
  if (!Array.isArray(rows))
    throw new ArgumentError(`kddLists: rows is ${shown(rows)}, expected an array of rows`)
  expectOneOf('kddLists: key', key, KDD_LIST_KEYS)
  const lists = new Map<string, Map<number, KddDocument>>()
  for (const [row, given] of rows.entries()) {
    for (const field of FIELDS) expectNumber(`kddLists: row ${row}: ${field}`, given?.[field], NATURAL)
    const { click, impression, ad_id, depth, query_id, user_id } = given
    if (click > impression)
      throw new DataError(
        `kddLists: row ${row} has ${click} clicks, expected at most ${impression}, its displays`,
      )
    if (key !== 'query' && user_id === 0) continue
    const name = {
      display: `${query_id} ${user_id} ${depth}`,
      query_user: `${query_id} ${user_id}`,
      query: `${query_id}`,
    }[key]
    const list = lists.get(name) ?? new Map<number, KddDocument>()
    lists.set(name, list)
    const id = key === 'display' ? row : ad_id
    const document = list.get(id) ?? { row, click: 0, impression: 0 }
    list.set(id, document)
    document.click += click
    document.impression += impression
  }
  const made = Array.from(lists.values(), list => [...list.values()])
  if (key !== 'display') return made
  const place = ({ row }: KddDocument) => rows[row]!.position
  return made
    .filter(page => isPage(page.map(place), rows[page[0]!.row]!.depth))
    .map(page => page.sort((a, b) => place(a) - place(b)))
}

const isPage = (places: number[], depth: number) =>
  new Set(places).size === places.length && places.every(place => place >= 1 && place <= depth)
