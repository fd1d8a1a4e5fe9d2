// KDD Cup 2012's rows, and the lists they make.
import { basename } from 'node:path'
import { type KddListKey, type KddRow, kddLists } from '../../src/datasets/kdd/index.ts'
import type { Finding } from './report.ts'
import { equal } from './ultr-files-case.ts'

const KEYS = ['display', 'query_user', 'query'] as const

export type ListsCase = { rows: KddRow[] } & Record<KddListKey, unknown[]>

export const isLists = (frozen: Record<string, unknown>): boolean =>
  [...KEYS, 'rows'].every(key => Array.isArray(frozen[key]))

export const checkListsCase = (folder: string, frozen: ListsCase): Finding[] =>
  KEYS.flatMap(key => equal(`${basename(folder)}/${key}`, kddLists(frozen.rows, key), frozen[key]))
