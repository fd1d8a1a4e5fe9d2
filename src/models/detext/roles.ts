// Which feature of a DetextModel plays which part: each of the right kind, none twice, none without one.
import { closest } from '../../check.ts'
import { type FeatureConfig, type FeaturesConfig, namesByDtype } from '../../config/index.ts'
import { ConfigError } from '../../errors.ts'

/** The parts that a configuration names. */
interface Named {
  query: string
  user_fields: string[]
  doc_fields: string[]
  dense?: string[] | undefined
  sparse?: string[] | undefined
  sparse_merge: 'sum' | 'concat'
  shallow: string[]
}

interface Roles {
  dense: string[]
  sparse: string[]
}

/** @throws ConfigError naming part, feature and what was expected */
export function rolesOf(raw: Named, features: FeaturesConfig, where: string): Roles {
  const { query, user_fields, doc_fields, shallow } = raw
  const dense = raw.dense ?? namesByDtype(features, 'numerical')
  const taken = [...user_fields, ...doc_fields, ...shallow]
  const sparse = raw.sparse ?? namesByDtype(features, 'categorical').filter(name => !taken.includes(name))
  const parts = { query: [query], user_fields, doc_fields, dense, sparse, shallow }
  const fields = new Map<string, string>()
  for (const [part, named] of Object.entries(parts)) {
    const kinds = KINDS[part]!
    for (const [i, name] of named.entries()) {
      const feature = Object.hasOwn(features, name) ? features[name]! : undefined
      if (!feature)
        throw new ConfigError(
          `${where}: ${part}: '${name}' is no feature of features_config; ${known(features, kinds, name)}`,
        )
      if (!kinds.includes(feature.dtype))
        throw new ConfigError(
          `${where}: ${part}: feature '${name}' has dtype '${feature.dtype}', expected ${kinds.map(kind => `'${kind}'`).join(' or ')}`,
        )
      if (named.indexOf(name) < i) throw new ConfigError(`${where}: ${part}: '${name}' is named twice`)
      if (
        feature.dtype === 'categorical' &&
        feature.share_embedding !== undefined &&
        feature.share_embedding !== name
      )
        throw new ConfigError(
          `${where}: features_config.${name}: share_embedding: every feature of a DetextModel has a table of its own; leave it out`,
        )
      if (!FIELDS.includes(part)) continue
      const other = fields.get(name)
      if (other)
        throw new ConfigError(`${where}: ${part}: '${name}' is in ${other} too, expected it in one of them`)
      fields.set(name, part)
    }
  }
  const used = new Set(Object.values(parts).flat())
  const idle = Object.keys(features).find(name => !used.has(name))
  if (idle !== undefined)
    throw new ConfigError(
      `${where}: feature '${idle}' plays no part: name it in query, user_fields, doc_fields, dense, sparse or shallow, or take it out of features_config`,
    )
  checkSizes(raw, sparse, features, where)
  return { dense, sparse }
}

const TEXT: FeatureConfig['dtype'][] = ['token_id', 'text']
const KINDS: Record<string, FeatureConfig['dtype'][]> = {
  query: TEXT,
  user_fields: [...TEXT, 'categorical'],
  doc_fields: [...TEXT, 'categorical'],
  dense: ['numerical'],
  sparse: ['categorical'],
  shallow: ['categorical'],
}
/** A feature is in one of these. */
const FIELDS = ['query', 'user_fields', 'doc_fields']

function known(features: FeaturesConfig, kinds: readonly string[], name: string): string {
  const fitting = Object.keys(features).filter(one => kinds.includes(features[one]!.dtype))
  const near = closest(name, fitting)
  return `${kinds.join(' or ')} features: ${fitting.map(one => `'${one}'`).join(', ') || 'none'}${near ? `; did you mean '${near}'?` : ''}`
}

const sizeOf = (features: FeaturesConfig, name: string): number =>
  (features[name] as Extract<FeatureConfig, { dtype: 'categorical' }>).embedding_size!

function checkSizes(
  { sparse_merge }: Named,
  sparse: string[],
  features: FeaturesConfig,
  where: string,
): void {
  const other = sparse.find(name => sizeOf(features, name) !== sizeOf(features, sparse[0]!))
  if (sparse_merge === 'sum' && other !== undefined)
    throw new ConfigError(
      `${where}: sparse: '${other}' has embedding_size ${sizeOf(features, other)} and '${sparse[0]}' ${sizeOf(features, sparse[0]!)}, expected one size where they are added up; sparse_merge 'concat' takes several`,
    )
}

/** A number for each dense feature. @throws ConfigError for another number of them */
export function ofEach(
  given: number[] | undefined,
  dense: string[],
  otherwise: number,
  key: string,
  where: string,
): number[] {
  if (!given) return dense.map(() => otherwise)
  if (given.length !== dense.length)
    throw new ConfigError(
      `${where}: ${key} has ${given.length} values, expected ${dense.length}, one for each of dense: ${dense.join(', ') || 'none'}`,
    )
  return given
}
