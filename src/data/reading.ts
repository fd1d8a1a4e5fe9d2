// What is to be read, checked where a program hands it over.
import {
  COUNT,
  expectFlag,
  expectFunction,
  expectNumber,
  expectOneOf,
  expectOptions,
  shown,
} from '../check.ts'
import { featureInputs } from '../config/index.ts'
import { ArgumentError, ConfigError } from '../errors.ts'
import { checkInputs } from '../inputs.ts'
import type { FeatureReadOptions, ReadOptions } from './dataset.ts'
import { TRAIN_ONLY } from './read-plan.ts'

const BY_INPUTS = ['inputs', 'trainOnly', 'tokenize', 'tokenizers']
const BY_FEATURES = ['features', 'label', 'requireLabels', 'numLabels', 'vocabSize', 'tokenize']

type Options = (ReadOptions | FeatureReadOptions) & { extra?: unknown }

/** The options by inputs, checked. */
export function readingOf(where: string, options: Options): ReadOptions {
  const byFeatures = typeof options === 'object' && options !== null && 'features' in options
  const known = byFeatures ? BY_FEATURES : BY_INPUTS
  expectOptions(`${where}: options`, options, where === 'streamChunks' ? [...known, 'extra'] : known)
  const { tokenize, extra } = options
  if (tokenize !== undefined) expectFunction(`${where}: tokenize`, tokenize)
  if (extra !== undefined && !Array.isArray(extra))
    throw new ArgumentError(`${where}: extra is ${shown(extra)}, expected an array of column names`)
  if (byFeatures) return { ...inputsOf(where, options as FeatureReadOptions), tokenize }
  const { inputs, trainOnly, tokenizers } = options as ReadOptions
  checkInputs(where, inputs)
  for (const [name, one] of Object.entries(tokenizers ?? {}))
    expectFunction(`${where}: tokenizers.${name}`, one)
  if (trainOnly !== undefined) expectOneOf(`${where}: trainOnly`, trainOnly, TRAIN_ONLY)
  return { inputs, trainOnly, tokenize, tokenizers }
}

function inputsOf(where: string, options: FeatureReadOptions): ReadOptions {
  const { features, label = 'label', requireLabels = true, numLabels = 2, vocabSize = 2 ** 32 } = options
  if (typeof features !== 'object' || features === null || Array.isArray(features))
    throw new ArgumentError(`${where}: features is ${shown(features)}, expected features by name`)
  if (label !== null && typeof label !== 'string')
    throw new ConfigError(`${where}: label is ${shown(label)}, expected a column's name or null`)
  expectFlag(`${where}: requireLabels`, requireLabels)
  expectNumber(`${where}: numLabels`, numLabels, COUNT)
  expectNumber(`${where}: vocabSize`, vocabSize, COUNT)
  const inputs = featureInputs(features, { label: label ?? 'label', numLabels, vocabSize })
  checkInputs(where, inputs)
  return { inputs, trainOnly: label === null ? 'none' : requireLabels ? 'required' : 'optional' }
}
