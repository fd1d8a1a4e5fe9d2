// What rankers share of their configuration: lists of documents, the column they learn from, the loss by its name with its options, places.
import * as v from 'valibot'
import { count, nonNegative, oneOf, parseStrict, positive, real, strict, text } from '../config/schema.ts'
import { ConfigError } from '../errors.ts'
import type { FloatsInput, IdsInput, ListInput } from '../inputs.ts'
import type { ListLoss } from '../metrics/index.ts'

const unit = real('above 0 and at most 1', x => x > 0 && x <= 1)
const named = <const N extends string, const E extends v.ObjectEntries>(name: N, entries: E) =>
  strict({ name: v.literal(name), ...entries })
const weighted = {
  /** By position from 0. */
  propensities: v.pipe(
    v.array(unit, 'expected a list of numbers above 0 and at most 1, by position'),
    v.minLength(1, 'expected one number a position, got an empty list'),
  ),
  max_weight: v.optional(positive, 10),
}

/** Names of losses over lists. Those from `ips_pointwise` on are of clicks, and read positions. */
export type RankingLossName =
  | 'pointwise'
  | 'pointwise_lists'
  | 'pairwise'
  | 'lambdarank'
  | 'listwise'
  | 'listwise_normed'
  | 'listnet'
  | 'ips_pointwise'
  | 'ips_listwise'
  | 'two_tower'
  | 'pbm'
  | 'dla'
  | 'regression_em'
  | 'pair_debias'

/** By name: the loss's options, and what it asks of the model. */
export const LOSSES = {
  pointwise: { kind: 'pointwise', schema: named('pointwise', {}) },
  pointwise_lists: { kind: 'pointwise', schema: named('pointwise_lists', {}) },
  pairwise: { kind: 'pairwise', schema: named('pairwise', {}) },
  lambdarank: { kind: 'pairwise', schema: named('lambdarank', { k: v.optional(count) }) },
  listwise: { kind: 'listwise', schema: named('listwise', {}) },
  listwise_normed: { kind: 'listwise', schema: named('listwise_normed', {}) },
  listnet: { kind: 'listwise', schema: named('listnet', {}) },
  ips_pointwise: { kind: 'pointwise', schema: named('ips_pointwise', weighted), clicks: true },
  ips_listwise: { kind: 'listwise', schema: named('ips_listwise', weighted), clicks: true },
  two_tower: { kind: 'pointwise', schema: named('two_tower', {}), clicks: true, table: 'logits' },
  pbm: { kind: 'pointwise', schema: named('pbm', {}), clicks: true, table: 'logits' },
  dla: {
    kind: 'listwise',
    schema: named('dla', { max_weight: v.optional(positive, 10) }),
    clicks: true,
    table: 'logits',
  },
  regression_em: { kind: 'pointwise', schema: named('regression_em', {}), clicks: true, table: 'logits' },
  pair_debias: {
    kind: 'pairwise',
    schema: named('pair_debias', {
      rate: v.optional(
        real('from 0 to 1', x => x >= 0 && x <= 1),
        0.05,
      ),
      p: v.optional(nonNegative, 1),
    }),
    clicks: true,
    table: 'biases',
  },
} as const satisfies Record<
  RankingLossName,
  { kind: ListLoss; schema: v.GenericSchema; clicks?: true; table?: 'logits' | 'biases' }
>

/** A loss with its options, by position from 0 where they are lists. */
export type RankingLossConfig =
  | {
      name: Exclude<RankingLossName, 'lambdarank' | 'ips_pointwise' | 'ips_listwise' | 'dla' | 'pair_debias'>
    }
  | { name: 'lambdarank'; k?: number | undefined }
  | { name: 'ips_pointwise' | 'ips_listwise'; propensities: number[]; max_weight: number }
  | { name: 'dla'; max_weight: number }
  | { name: 'pair_debias'; rate: number; p: number }

/** Which rows are a list: columns that tell lists apart, and how long a list may be. */
export interface ListsConfig {
  columns: string[]
  /** Most documents of a list, unless it may have any number. */
  longest?: number
  /** Of a longer list: 'refuse' it (default), or 'cut' it to its first documents where it is trained on. */
  longer?: 'refuse' | 'cut'
}

/** Where a document's place stands. */
export interface PositionConfig {
  /** Its column, places from 0. */
  column: string
  /** Places there are: rows of the table. */
  rows: number
}

/** Keys that rankers have. */
export const rankingEntries = {
  lists: v.optional(v.unknown(), ['list']),
  label: v.optional(text, 'label'),
  loss: v.optional(v.unknown()),
  position: v.optional(v.unknown()),
  /** As a features.json has it; what ranks has no classes. */
  num_labels: v.optional(v.unknown()),
}

/** What they may be, before defaults. */
export interface RankingConfig {
  /** Columns whose values tell lists apart, or these with a length cap; ['list'] unless given. */
  lists?: string[] | ListsConfig
  /** The column that is learned from, numbers of at least 0; 'label' unless given. */
  label?: string
  /** The loss by its name, or with options. */
  loss?: RankingLossName | ({ name: RankingLossName } & Record<string, unknown>)
  /** Where places stand; losses of clicks read them. */
  position?: { column?: string; rows?: number }
}

/** {@link RankingConfig} with every default. */
export interface ResolvedRanking {
  lists: ListsConfig
  label: string
  loss: RankingLossConfig
  /** Absent where the loss reads no places. */
  position?: PositionConfig
}

const listsSchema = strict({
  columns: v.pipe(v.array(text, 'expected a list of columns'), v.minLength(1, 'expected a column or more')),
  longest: v.optional(count),
  longer: v.optional(oneOf(['refuse', 'cut'])),
})
const positionSchema = strict({ column: v.optional(text, 'position'), rows: v.optional(count) })
const nameSchema = v.looseObject({ name: oneOf(Object.keys(LOSSES) as RankingLossName[]) }, 'expected a name')

/**
 * Reads the keys that rankers have.
 * @throws ConfigError naming key, value and what was expected
 */
export function parseRanking(
  raw: { lists: unknown; label: string; loss?: unknown; position?: unknown },
  where: string,
  loss: RankingLossName,
): ResolvedRanking {
  const { lists, label } = raw
  const given = raw.loss ?? loss
  const whole = typeof given === 'string' ? { name: given } : given
  const at = `${where}: loss`
  const { name } = parseStrict(nameSchema, whole, at)
  const { schema, ...needs }: { schema: v.GenericSchema; clicks?: true; table?: string } = LOSSES[name]
  const resolved = parseStrict(schema, whole, at) as RankingLossConfig
  const listed = parseStrict(
    listsSchema,
    Array.isArray(lists) ? { columns: lists } : lists,
    `${where}: lists`,
  )
  if (listed.longer !== undefined && listed.longest === undefined)
    throw new ConfigError(`${where}: lists: longer is '${listed.longer}', expected longest beside it`)
  const twice = listed.columns.find((column, i) => listed.columns.indexOf(column) < i)
  if (twice !== undefined) throw new ConfigError(`${where}: lists: column '${twice}' is named twice`)
  const out: ResolvedRanking = { lists: listed as ListsConfig, label, loss: resolved }
  if (!needs.clicks) {
    if (raw.position !== undefined)
      throw new ConfigError(
        `${where}: position: loss '${name}' reads no places; leave it out, or take one of ${ofClicks().join(', ')}`,
      )
    return out
  }
  const { column, rows } = parseStrict(positionSchema, raw.position ?? {}, `${where}: position`)
  const known = 'propensities' in resolved ? resolved.propensities.length : undefined
  if (rows !== undefined && known !== undefined && rows !== known)
    throw new ConfigError(
      `${where}: position: rows is ${rows}, and loss.propensities has ${known}, expected as many; leave rows out`,
    )
  return { ...out, position: { column, rows: rows ?? known ?? PLACES } }
}

/** Places of a page of results. */
const PLACES = 10
const ofClicks = () => Object.keys(LOSSES).filter(name => 'clicks' in LOSSES[name as RankingLossName])

/** What a ranker's loss reads, beside what its model does. */
export type RankingInputs = {
  lists: ListInput & { trainOnly: true }
  labels: FloatsInput & { trainOnly: true }
  /** Nothing where the loss reads no places. */
  positions: IdsInput & { trainOnly: true; lossOnly: true }
}

/** The inputs of {@link ResolvedRanking}; without `position`, there is no `positions`. */
export function rankingInputs({ lists, label, position }: ResolvedRanking): RankingInputs {
  const inputs: Omit<RankingInputs, 'positions'> & Partial<RankingInputs> = {
    lists: { kind: 'list', ...lists, trainOnly: true },
    labels: { kind: 'floats', columns: [label], least: 0, trainOnly: true },
  }
  if (position) {
    const columns = { [position.column]: position.rows }
    inputs.positions = { kind: 'ids', columns, trainOnly: true, lossOnly: true }
  }
  return inputs as RankingInputs
}
