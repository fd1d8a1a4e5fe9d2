// Post-processors of tokenizer.json: the special tokens around a text.
import { byType, flagAt, idAt, type Json, listAt, objectAt, refuse, textAt } from './json-reader.ts'

/** Ids that stand before a text's and behind them. */
export interface Frame {
  before: number[]
  after: number[]
}

/** A special token as `[token, id]`. */
function tokenAt(value: unknown, where: string): number {
  const pair = listAt(value, where)
  if (pair.length !== 2) refuse(where, `expected a token and its id, got ${pair.length} values`)
  textAt(pair[0], `${where}[0]`)
  return idAt(pair[1], `${where}[1]`)
}

const around = (json: Json, where: string): Frame => ({
  before: [tokenAt(json.cls, `${where}.cls`)],
  after: [tokenAt(json.sep, `${where}.sep`)],
})

/** What a template's special tokens stand for. */
function specialTokens(json: Json, where: string): Map<string, number[]> {
  const tokens = objectAt(json.special_tokens, `${where}.special_tokens`)
  return new Map(
    Object.entries(tokens).map(([name, token]) => {
      const place = `${where}.special_tokens[${JSON.stringify(name)}]`
      const { ids } = objectAt(token, place)
      return [name, listAt(ids, `${place}.ids`).map((id, i) => idAt(id, `${place}.ids[${i}]`))]
    }),
  )
}

function template(json: Json, where: string): Frame {
  const special = specialTokens(json, where)
  const [before, after]: [number[], number[]] = [[], []]
  let sequences = 0
  for (const [i, piece] of listAt(json.single, `${where}.single`).entries()) {
    const place = `${where}.single[${i}]`
    const [kind, ...more] = Object.keys(objectAt(piece, place))
    if (more.length || (kind !== 'Sequence' && kind !== 'SpecialToken'))
      refuse(place, 'expected an object with one key, Sequence or SpecialToken')
    const { id, type_id } = objectAt((piece as Json)[kind!], `${place}.${kind}`)
    if (idAt(type_id, `${place}.${kind}.type_id`) !== 0)
      refuse(`${place}.${kind}.type_id`, `only token type 0 is supported, got ${type_id}`)
    const name = textAt(id, `${place}.${kind}.id`)
    if (kind === 'SpecialToken') {
      const ids = special.get(name) ?? refuse(place, `'${name}' is not among special_tokens`)
      ;(sequences ? after : before).push(...ids)
    } else if (name === 'A') sequences++
    else refuse(place, `expected sequence A, got '${name}'`)
  }
  if (sequences !== 1) refuse(`${where}.single`, `expected sequence A once, got it ${sequences} times`)
  return { before, after }
}

const postProcessors: Record<string, (json: Json, where: string) => Frame | undefined> = {
  BertProcessing: around,
  ByteLevel: () => undefined,
  RobertaProcessing: (json, where) => {
    flagAt(json.trim_offsets, `${where}.trim_offsets`)
    flagAt(json.add_prefix_space, `${where}.add_prefix_space`)
    return around(json, where)
  },
  Sequence: (json, where) => {
    const frames = listAt(json.processors, `${where}.processors`).flatMap(
      (step, i) => build(step, `${where}.processors[${i}]`) ?? [],
    )
    if (frames.length > 1) refuse(where, 'several post-processors that add tokens are not supported')
    return frames[0]
  },
  TemplateProcessing: template,
}

const build = (value: unknown, where: string): Frame | undefined => {
  const json = objectAt(value, where)
  return byType(postProcessors, json, where, 'post-processor')(json, where)
}

/**
 * What the post-processor that JSON describes sets around a single text.
 * @throws ConfigError naming the place, for one that is not supported or would change token types.
 */
export const buildFrame = (value: unknown, where: string): Frame =>
  build(value, where) ?? { before: [], after: [] }
