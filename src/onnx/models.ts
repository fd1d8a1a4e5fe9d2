// The models that are written as graphs, each by its parts. A model is found by its class: a subclass may compute something else.
import { type FeaturesConfig, namesByDtype, ownerOf } from '../config/index.ts'
import type { TextInput } from '../inputs.ts'
import type { Crossing } from '../models/crossing.ts'
import {
  CrossEncoder,
  DistilBertForSequenceClassification,
  LateFusionModel,
  type Model,
  type SideName,
  TabularModel,
  TabularRanker,
  TextTabularModel,
  TwinModel,
} from '../models/index.ts'
import type { Tower } from '../models/towers.ts'
import { SIDES } from '../models/two-sided.ts'
import type { Embedding, Linear, ModuleDict, Sequential } from '../nn/index.ts'
import { combine } from './combiner.ts'
import type { Graph, Value } from './graph.ts'
import { batchNorm, concat, layer, linear, lookup, relu, sum } from './layers.ts'
import { encode, firstOf, meanPooled, readText, type Text, textNames, weightedPooled } from './text.ts'

/** A model as a graph. */
interface Written<M> {
  /** The names of what goes in and comes out, all of them. */
  names(model: M): string[]
  /** Puts it together. */
  write(g: Graph, model: M): void
}
// biome-ignore lint/suspicious/noExplicitAny: each entry takes the model that it stands for
type AnyWritten = Written<any>

const CLASSES = ['logits', 'probabilities']

/** Probabilities [B, C] beside logits [B, columns]; of one logit, those of two classes. */
function classes(g: Graph, logits: Value, labels: number, columns = labels): void {
  g.output('logits', logits, ['batch', columns])
  g.output('probabilities', columns > 1 ? softmax(g, logits) : ofOneLogit(g, logits), ['batch', labels])
}

const softmax = (g: Graph, x: Value): Value => g.node('Softmax', [x], { axis: -1 })

function ofOneLogit(g: Graph, logit: Value): Value {
  const p = g.node('Sigmoid', [logit])
  return concat(g, [g.node('Sub', [g.float(1), p]), p])
}

/** One output [B] a column of scores that `predict` writes. */
function scores(g: Graph, names: readonly string[], columns: readonly Value[]): void {
  for (const [i, name] of names.entries())
    g.output(name, g.node('Squeeze', [columns[i]!, g.ints([1])]), ['batch'])
}

const namedScores = (model: Model): string[] => model.scoreNames().filter(name => name !== null)

/** Columns of the table that a model of these features reads. */
const tableNames = (features: FeaturesConfig): string[] => [
  ...namesByDtype(features, 'categorical'),
  ...namesByDtype(features, 'numerical'),
]

/** The table's parts, [B, …] each, in the order that they are concatenated. */
function table(
  g: Graph,
  features: FeaturesConfig,
  tables: ModuleDict<Embedding>,
): { categorical: Value[]; numerical: Value[] } {
  return {
    categorical: namesByDtype(features, 'categorical').map(name =>
      lookup(g, tables.get(`${ownerOf(features, name)}_embedding`), g.input(name, 'int64', ['batch'])),
    ),
    numerical: namesByDtype(features, 'numerical').map(name =>
      g.node('Unsqueeze', [g.input(name, 'float32', ['batch']), g.ints([1])]),
    ),
  }
}

/** Through the MLP, where there is one, and the head. */
const through = (g: Graph, x: Value, { mlp, head }: { mlp: Sequential | undefined; head: Linear }): Value =>
  linear(g, mlp ? layer(g, x, mlp) : x, head)

const textTabular: Written<TextTabularModel> = {
  names: ({ inputs }) => [
    ...textNames('', inputs.text),
    ...Object.keys(inputs.categorical.columns),
    ...inputs.numerical.columns,
    ...CLASSES,
  ],
  write(g, model) {
    const { config, inputs, bert, tabular_combiner, categorical_embeddings } = model
    const text = readText(g, '', inputs.text)
    const pooled = meanPooled(g, encode(g, text, bert), text)
    const textOnly = config.fusion?.method === 'text_only'
    const parts = table(g, textOnly ? {} : config.features_config, categorical_embeddings)
    const part = (columns: Value[]) => (columns.length ? concat(g, columns) : undefined)
    const joined = tabular_combiner
      ? combine(g, tabular_combiner, config.fusion!, {
          text: pooled,
          categorical: part(parts.categorical),
          numerical: part(parts.numerical),
        })
      : concat(g, [pooled, ...parts.categorical, ...parts.numerical])
    classes(g, through(g, joined, model), config.num_labels)
  },
}

const sequenceClassifier: Written<DistilBertForSequenceClassification> = {
  names: ({ inputs }) => [...textNames('', inputs.text), ...CLASSES],
  write(g, { config, inputs, distilbert, pre_classifier, classifier }) {
    const text = readText(g, '', inputs.text)
    const first = firstOf(g, encode(g, text, distilbert))
    classes(g, linear(g, relu(g, linear(g, first, pre_classifier)), classifier), config.num_labels)
  },
}

const tabular: Written<TabularModel> = {
  names: ({ config }) => [...tableNames(config.features_config), ...CLASSES],
  write(g, model) {
    const { features_config, num_labels } = model.config
    const { categorical, numerical } = table(g, features_config, model.categorical_embeddings)
    classes(g, through(g, concat(g, [...categorical, ...numerical]), model), num_labels)
  },
}

const tabularRanker: Written<TabularRanker> = {
  names: model => [...tableNames(model.config.features_config), ...namedScores(model)],
  write(g, model) {
    const { categorical, numerical } = table(g, model.config.features_config, model.categorical_embeddings)
    scores(g, namedScores(model), [through(g, concat(g, [...categorical, ...numerical]), model)])
  },
}

const crossEncoder: Written<CrossEncoder> = {
  names: model => [...textNames('', model.inputs.text), ...namedScores(model)],
  write(g, model) {
    const text = readText(g, '', model.inputs.text)
    const first = firstOf(g, encode(g, text, model.bert))
    const heads = [model.click_head, model.skip_head, model.dwell_head].filter(head => head !== undefined)
    scores(
      g,
      namedScores(model),
      heads.map(head => linear(g, first, head)),
    )
  },
}

/** The parts of one side, which are the model's own under their names. */
function towerOf(model: object, tied: boolean, side: SideName): Tower {
  const own = model as Record<string, unknown>
  const at = (name: string) => own[tied ? name : `${side}_${name}`]
  return { bert: at('bert'), pooler: at('pooler'), downscale: at('downscale') } as Tower
}

function pooledOf(g: Graph, hidden: Value, text: Text, { pooler }: Tower, pooling: string): Value {
  if (pooler) return weightedPooled(g, hidden, text, pooler.weighting)
  return pooling === 'mean' ? meanPooled(g, hidden, text) : g.node('Mul', [firstOf(g, hidden), text.any])
}

/** Both vectors, [B, E]. */
function vectors(
  g: Graph,
  model: { sides: Record<SideName, TextInput>; config: { tied: boolean } },
  pooling: string,
): Record<SideName, Value> {
  const vector = (side: SideName) => {
    const tower = towerOf(model, model.config.tied, side)
    const text = readText(g, `${side}_`, model.sides[side])
    const pooled = pooledOf(g, encode(g, text, tower.bert), text, tower, pooling)
    return tower.downscale ? g.node('Tanh', [linear(g, pooled, tower.downscale)]) : pooled
  }
  return { query: vector('query'), ad: vector('ad') }
}

const sideNames = (sides: Record<SideName, TextInput>): string[] =>
  SIDES.flatMap(side => textNames(`${side}_`, sides[side]))

/** Lengths count as this at least. */
const LEAST_NORM = 1e-6

function crossed(g: Graph, { query, ad }: Record<SideName, Value>, model: TwinModel): Value {
  const { crossing, config } = model
  if (config.crossing.type === 'cosine') {
    const squares = (x: Value, y: Value) => sum(g, g.node('Mul', [x, y]), 1, true)
    const length = (x: Value) => g.node('Sqrt', [g.node('Max', [squares(x, x), g.float(LEAST_NORM ** 2)])])
    const cosine = g.node('Div', [squares(query, ad), g.node('Mul', [length(query), length(ad)])])
    return linear(g, cosine, crossing.logistic)
  }
  const x = config.crossing.merge === 'max' ? g.node('Max', [query, ad]) : concat(g, [query, ad])
  return linear(g, residual(g, x, crossing), crossing.logistic)
}

function residual(g: Graph, x: Value, { ff_dense0, ff_norm0, ff_dense1, ff_norm1 }: Crossing): Value {
  const inner = linear(g, x, ff_dense0!)
  const outer = linear(g, relu(g, ff_norm0 ? batchNorm(g, inner, ff_norm0) : inner), ff_dense1!)
  return relu(g, g.node('Add', [ff_norm1 ? batchNorm(g, outer, ff_norm1) : outer, x]))
}

const twin: Written<TwinModel> = {
  names: ({ sides }) => [...sideNames(sides), ...CLASSES],
  write(g, model) {
    const { pooling, crossing, num_labels } = model.config
    const logits = crossed(g, vectors(g, model, pooling), model)
    classes(g, logits, num_labels, crossing.type === 'cosine' ? 1 : num_labels)
  },
}

const lateFusion: Written<LateFusionModel> = {
  names: ({ sides, config }) => [...sideNames(sides), ...tableNames(config.features_config), ...CLASSES],
  write(g, model) {
    const { query, ad } = vectors(g, model, 'mean')
    const { features_config, num_labels } = model.config
    const { categorical, numerical } = table(g, features_config, model.categorical_embeddings)
    const joined = [query, ad, g.node('Mul', [query, ad]), ...categorical, ...numerical]
    classes(g, through(g, concat(g, joined), model), num_labels)
  },
}

/** By their classes. */
export const WRITTEN: ReadonlyMap<unknown, AnyWritten> = new Map<unknown, AnyWritten>([
  [TextTabularModel, textTabular],
  [DistilBertForSequenceClassification, sequenceClassifier],
  [TabularModel, tabular],
  [TabularRanker, tabularRanker],
  [CrossEncoder, crossEncoder],
  [TwinModel, twin],
  [LateFusionModel, lateFusion],
])
