// LinkedIn's DeText: a ranker of texts, ids and numbers, put together by configuration. Guo and others, CIKM 2020, arXiv 2008.02460;
// github.com/linkedin/detext.
import {
  add,
  cast,
  concat,
  concatColumns,
  type Ids,
  mul,
  reshape,
  type Tensor,
  takeRows,
  tanh,
  tensor,
} from '../autograd/index.ts'
import { rowOfEach } from '../autograd/ops/segments.ts'
import { expectNumber, NATURAL, shown, toFloats, toUints } from '../check.ts'
import { ArgumentError, ConfigError, DataError, ShapeError } from '../errors.ts'
import type { AnyBatch, Inputs, PackedTokens } from '../inputs.ts'
import type { Metric } from '../metrics/index.ts'
import { checkText } from '../nn/check-text.ts'
import { Embedding, type Encoder, Linear, ModuleList } from '../nn/index.ts'
import { type DetextConfig, parseDetext, type ResolvedDetextConfig, taskShares } from './detext/config.ts'
import { makeTextEncoder, type TextEncoder, type TextField } from './detext/encoders.ts'
import { DetextEvaluation } from './detext/evaluation.ts'
import { type Categorical, inputsOf, startsOf, textName } from './detext/inputs.ts'
import { similarities, WIDTHS } from './detext/interaction.ts'
import { detextLoss } from './detext/loss.ts'
import { type BatchLists, idsOfLists, textOfLists } from './detext/texts.ts'
import { DenseNorm, denseValues, idsOf, idTables, lookedUp } from './detext/wide.ts'
import { Model } from './model.ts'

/** Every stage of a {@link DetextModel} by itself. */
export interface DetextParts {
  /** [lists, U, E], the user fields and behind them the query; one vector with `user_projection`. */
  users: Tensor
  /** [N, D, E], the fields of each document; one vector with `doc_projection`. */
  docs: Tensor
  /** [N, S], what the two sides make of each other. */
  similarities: Tensor
  /** [N, M], the numbers; nothing where there are none. */
  wide?: Tensor
  /** [N, F], what enters the layers: similarities, numbers, sparse ids. */
  features: Tensor
  /** [N, 1]. */
  scores: Tensor
}

/**
 * DeText: the documents of a query in order. Texts of the query, of who asks and of each document become vectors (BERT, CNN or LSTM), the vectors
 * similarities; beside numbers and sparse ids they go through layers with tanh to one score. Lists of several tasks have layers of their own.
 *
 * @example
 * ```ts
 * import { DetextModel } from 'kernelgrad'
 *
 * const ranker = new DetextModel({
 *   features_config: {
 *     search: { dtype: 'token_id' },
 *     title: { dtype: 'token_id' },
 *     clicks: { dtype: 'numerical' },
 *     seller: { dtype: 'categorical', vocab_size: 50, embedding_size: 4 },
 *   },
 *   query: 'search',
 *   doc_fields: ['title'],
 *   encoder: { type: 'cnn', vocab_size: 1000, word_size: 32, windows: [1, 2, 3], filters: 20 },
 *   lists: ['query_id'],
 *   loss: 'softmax',
 * }).to(gpu, { seed: 1 })
 * ```
 */
export class DetextModel extends Model {
  static readonly architecture = 'DetextModel'
  /** Checks a configuration and fills in the defaults. */
  static readonly parse = parseDetext

  /** The configuration with every default. */
  readonly config: ResolvedDetextConfig
  readonly inputs: Inputs
  /** Tables of the fields that are ids, by feature. Declared alone, as what follows: the texts' encoder stands before them. */
  declare readonly id_embeddings: ModuleList<Embedding>
  /** From those to vectors. */
  declare readonly id2text: ModuleList<Linear>
  /** Absent without `user_projection`. */
  declare readonly user_projection?: Linear
  /** Absent without `doc_projection`. */
  declare readonly doc_projection?: Linear
  /** A table per sparse feature. */
  declare readonly sparse_embeddings: ModuleList<Embedding>
  /** A weight per id of each shallow feature. */
  declare readonly shallow_tower: ModuleList<Embedding>
  /** Layers of each task. */
  declare readonly mlps: ModuleList<ModuleList<Linear>>
  /** Of each task, to the score. */
  declare readonly final_projections: ModuleList<Linear>
  readonly #texts: TextEncoder
  readonly #dense: DenseNorm | undefined
  readonly #idFields: string[]
  /** How much the lists of each task count. */
  readonly #shares: number[]

  /** @throws ConfigError naming the key that is wrong */
  constructor(config: DetextConfig) {
    super()
    const resolved = parseDetext(config, 'the model configuration')
    this.config = resolved
    const { user_fields, doc_fields, dense, sparse, shallow, hidden_sizes } = resolved
    this.#shares = taskShares(resolved)
    this.inputs = inputsOf(resolved)
    const isText = (name: string) => resolved.features_config[name]!.dtype !== 'categorical'
    const counts = { user: user_fields.filter(isText).length, doc: doc_fields.filter(isText).length }
    this.#texts = makeTextEncoder(resolved.encoder, resolved.pretrained_model_config, counts)
    Object.assign(this, this.#texts.fields)
    const E = this.#texts.units
    this.#idFields = [...user_fields, ...doc_fields].filter(name => !isText(name))
    const table = (name: string) => resolved.features_config[name] as Categorical
    const sizes = (name: string) => ({ rows: table(name).vocab_size, width: table(name).embedding_size! })
    if (this.#idFields.length) {
      const of = this.#idFields.map(sizes)
      this.id_embeddings = new ModuleList(of.map(({ rows, width }) => new Embedding(rows, width)))
      this.id2text = new ModuleList(of.map(({ width }) => new Linear(width, E)))
    }
    const [users, docs] = [user_fields.length + 1, doc_fields.length]
    if (resolved.user_projection) this.user_projection = new Linear(users * E, E)
    if (resolved.doc_projection) this.doc_projection = new Linear(docs * E, E)
    this.#dense = dense.length ? new DenseNorm(dense.length) : undefined
    Object.assign(this, { ...this.#dense })
    const embedded = sparse.map(sizes)
    this.sparse_embeddings = idTables(embedded)
    this.shallow_tower = idTables(shallow.map(name => ({ rows: table(name).vocab_size, width: 1 })))
    const [U, D] = [resolved.user_projection ? 1 : users, resolved.doc_projection ? 1 : docs]
    const meeting = resolved.similarities.reduce((sum, name) => sum + WIDTHS[name](U, D, E), 0)
    const merged = embedded.reduce(
      (sum, { width }) => (resolved.sparse_merge === 'sum' ? width : sum + width),
      0,
    )
    const widths = [meeting + dense.length + merged, ...hidden_sizes]
    const layers = () => new ModuleList(hidden_sizes.map((size, i) => new Linear(widths[i]!, size)))
    this.mlps = new ModuleList(this.#shares.map(layers))
    this.final_projections = new ModuleList(this.#shares.map(() => new Linear(widths.at(-1)!, 1)))
  }

  /**
   * [1], the loss of the lists.
   *
   * @throws ConfigError for a batch without lists or labels, or without what the model reads; DataError naming the row of a value that differs
   * within its list
   */
  loss(batch: AnyBatch): Tensor {
    const { labels, starts, tasks } = this.#judged(batch)
    return detextLoss(this.config.loss, this.parts(batch).scores, { labels, starts, tasks }, this.#shares)
  }

  /** [N, 1]: the greater, the further in front. With the loss 'pointwise', the logit of a click. */
  scores(batch: AnyBatch): Tensor {
    return this.parts(batch).scores
  }

  metrics({ also }: { also?: readonly string[] } = {}): Metric {
    const shares = this.#shares
    const judged = (batch: AnyBatch) => {
      const { labels, starts, tasks } = this.#judged(batch)
      const weights = Array.from({ length: starts.length - 1 }, (_, list) =>
        tasks ? shares[tasks[list]!]! : 1,
      )
      return { labels, starts, weights }
    }
    return new DetextEvaluation(this.config.loss, judged, also)
  }

  scoreNames(): string[] {
    return ['score']
  }

  override encoders(): Record<string, Encoder> {
    return this.#texts.encoders
  }

  /** Every stage by itself. User fields and the query of a batch may have a row a document, or a row a list. */
  parts(batch: AnyBatch): DetextParts {
    const lists = this.#lists(batch)
    const { users, docs } = this.#vectors(batch, lists)
    const [U, E] = users.shape.slice(1) as [number, number]
    const { N, B } = lists
    const owner = rowOfEach(lists.starts)
    const each = reshape(takeRows(reshape(users, [B, U * E]), owner), [N, U, E])
    const meeting = similarities(this.config.similarities, each, docs)
    const { wide, sparse } = this.#table(batch, lists)
    const parts = [meeting, wide, sparse].filter(part => part !== undefined)
    const features = parts.length > 1 ? concatColumns(parts) : meeting
    const scores = this.#score(features, this.#tasks(batch, lists), batch, lists)
    return { users, docs, similarities: meeting, ...(wide ? { wide } : {}), features, scores }
  }

  /** The vectors of both sides, those of the user side once a list. */
  #vectors(batch: AnyBatch, lists: BatchLists): { users: Tensor; docs: Tensor } {
    const { query, user_fields, doc_fields } = this.config
    const E = this.#texts.units
    const texts: TextField[] = []
    const ids: { name: string; values: Ids }[] = []
    /** Where each field's rows begin among those of all texts, or of all ids behind them. */
    const places: { side: 'user' | 'doc'; text: boolean; rows: number }[] = []
    const read = (side: 'user' | 'doc', name: string, asked: 'query' | 'user' | 'doc') => {
      const rows = side === 'user' ? lists.B : lists.N
      const text = this.config.features_config[name]!.dtype !== 'categorical'
      places.push({ side, text, rows })
      if (text) {
        const given = this.#text(batch, textName(asked, name), side, lists)
        texts.push({ side: asked, index: texts.filter(one => one.side === asked).length, text: given })
      } else ids.push({ name, values: this.#fieldIds(batch, name, side, lists) })
    }
    for (const name of user_fields) read('user', name, 'user')
    read('user', query, 'query')
    for (const name of doc_fields) read('doc', name, 'doc')
    const vectors = [
      this.#texts.forward(texts),
      ...ids.map(({ name, values }) => this.#idVectors(name, values)),
    ]
    const all = vectors.length > 1 ? concat(vectors, 0) : vectors[0]!
    const starts = startsOf(places)
    const side = (which: 'user' | 'doc', rows: number, projection: Linear | undefined) => {
      const own = starts.filter((_, i) => places[i]!.side === which)
      const taken = Uint32Array.from(
        { length: rows * own.length },
        (_, i) => own[i % own.length]! + Math.floor(i / own.length),
      )
      const joined = reshape(takeRows(all, taken), [rows, own.length * E])
      return projection
        ? reshape(tanh(cast(projection.forward(joined), 'f32')), [rows, 1, E])
        : reshape(joined, [rows, own.length, E])
    }
    return {
      users: side('user', lists.B, this.user_projection),
      docs: side('doc', lists.N, this.doc_projection),
    }
  }

  #idVectors(name: string, ids: Ids): Tensor {
    const at = this.#idFields.indexOf(name)
    return cast([...this.id2text][at]!.forward([...this.id_embeddings][at]!.forward(ids)), 'f32')
  }

  #text(batch: AnyBatch, name: string, side: 'user' | 'doc', lists: BatchLists): PackedTokens {
    const where = `DetextModel: batch.${name}`
    const given = this.#need(batch[name], `the text '${name}'`)
    const text = checkText('DetextModel', given as PackedTokens, `batch.${name}`)
    if (side === 'user') return textOfLists(where, text, lists)
    const rows = text.cuSeqlens.length - 1
    if (rows !== lists.N)
      throw new ShapeError(`${where} has ${rows} rows, expected ${lists.N}, the batch's size`)
    return text
  }

  #fieldIds(batch: AnyBatch, name: string, side: 'user' | 'doc', lists: BatchLists): Ids {
    const columns = this.#need(batch.ids, 'ids') as Record<string, Ids>
    if (side === 'doc') return idsOf('DetextModel', columns, name, lists.N)
    return idsOfLists(`DetextModel: column '${name}'`, columns[name], lists)
  }

  /** What the table gives: numbers [N, M] and sparse ids [N, W]. */
  #table(
    batch: AnyBatch,
    { N, rowOf }: BatchLists,
  ): { wide: Tensor | undefined; sparse: Tensor | undefined } {
    const { sparse, sparse_merge } = this.config
    const wide = this.#dense?.forward(
      denseValues(
        'DetextModel',
        this.config,
        this.#need(batch.dense, 'dense') as Record<string, Float32Array>,
        N,
        rowOf,
      ),
    )
    if (!sparse.length) return { wide, sparse: undefined }
    return { wide, sparse: lookedUp(this.sparse_embeddings, this.#ids(batch, sparse, N), sparse_merge) }
  }

  #ids(batch: AnyBatch, names: string[], N: number): Ids[] {
    const columns = this.#need(batch.ids, 'ids') as Record<string, Ids>
    return names.map(name => idsOf('DetextModel', columns, name, N))
  }

  #score(
    features: Tensor,
    tasks: Uint32Array | undefined,
    batch: AnyBatch,
    { N, starts }: BatchLists,
  ): Tensor {
    const of = tasks && rowOfEach(starts).map(list => tasks[list]!)
    const heads = [...this.final_projections]
    const each = [...this.mlps].map((layers, task) => {
      let x = features
      for (const layer of layers) x = tanh(cast(layer.forward(x), 'f32'))
      const score = heads[task]!.forward(x)
      if (!of) return score
      return mul(
        score,
        tensor(
          this.gpu,
          Float32Array.from(of, one => Number(one === task)),
          [N, 1],
        ),
      )
    })
    const { shallow } = this.config
    if (shallow.length) each.push(lookedUp(this.shallow_tower, this.#ids(batch, shallow, N), 'sum'))
    return each.reduce((sum, one) => add(sum, one))
  }

  /** The lists of a batch; without them each row is one. */
  #lists(batch: AnyBatch): BatchLists {
    if (typeof batch !== 'object' || batch === null || Array.isArray(batch))
      throw new ArgumentError(
        `DetextModel: batch is ${shown(batch)}, expected { size, … }, as collate() gives`,
      )
    const { size: N, rows } = batch
    expectNumber('DetextModel: batch.size', N, NATURAL)
    const rowOf = (row: number) => rows?.[row] ?? row
    const given = batch.lists
    if (given === undefined || given === null)
      return { starts: Uint32Array.from({ length: N + 1 }, (_, row) => row), B: N, N, rowOf }
    const starts = toUints('DetextModel: batch.lists', given)
    const falls = starts.findIndex((start, i) => i > 0 && start <= starts[i - 1]!)
    if (falls > 0)
      throw new DataError(
        `DetextModel: batch.lists[${falls}] is ${starts[falls]} and the one before ${starts[falls - 1]}, expected a document or more a list`,
      )
    if (starts[0] !== 0 || starts.at(-1) !== N)
      throw new ShapeError(
        `DetextModel: batch.lists goes from ${starts[0]} to ${starts.at(-1)}, expected 0 to ${N}, the batch's size`,
      )
    return { starts, B: starts.length - 1, N, rowOf }
  }

  /** The task of each list, where there are several. */
  #tasks(batch: AnyBatch, lists: BatchLists): Uint32Array | undefined {
    const { task } = this.config
    if (task === undefined) return undefined
    const where = `DetextModel: column '${task}'`
    const tasks = idsOfLists(where, this.#need(batch.task, `the column '${task}'`), lists)
    const wrong = tasks.findIndex(one => one >= this.#shares.length)
    if (wrong >= 0)
      throw new DataError(
        `${where}, row ${lists.rowOf(lists.starts[wrong]!)}: task ${tasks[wrong]}, expected 0 to ${this.#shares.length - 1}, as task_weights has them`,
      )
    return tasks
  }

  #judged(batch: AnyBatch) {
    const lists = this.#lists(batch)
    const { label } = this.config
    this.#need(batch.lists, `the lists of ${this.config.lists.columns.join(', ')}`)
    const given = (this.#need(batch.labels, 'labels') as Record<string, unknown>)[label]
    const labels = toFloats(`DetextModel: column '${label}'`, this.#need(given, `the column '${label}'`))
    return { labels: Float32Array.from(labels), starts: lists.starts, tasks: this.#tasks(batch, lists) }
  }

  #need(value: unknown, what: string): unknown {
    if (value !== undefined && value !== null) return value
    throw new ConfigError(`DetextModel: the batch lacks ${what}, as collate() gives of the model's inputs`)
  }
}
