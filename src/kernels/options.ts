// The names of every launcher's options: one that is misspelt would be left out without a word.
import { expectOptions } from '../check.ts'

const NAMES: Record<string, string> = {
  add: 'a b out n storage',
  addInto: 'x into n storage',
  attention: 'qkv keyMask cuSeqlens out lse T A D scale p rng storage longest',
  attentionBackward: 'qkv keyMask cuSeqlens out lse T A D scale p rng storage longest dout dqkv',
  axisReduce: 'kind x shape axes out storage factor',
  bmm: 'a b c M N K layout batches aBatches bBatches',
  cast: 'x y n to',
  castBlocks: 'x places y n',
  columnSum: 'x out rows C accumulate storage',
  conv1dMax: 'x weight bias cuSeqlens y at B T I F W',
  conv1dMaxBackward: 'x weight rowIds at dy dx dweight dbias addTo B T I F W',
  copyColumns: 'source sourceWidth sourceColumn target targetWidth targetColumn width rows',
  crossAttention: 'q k v index out lse B Tq Tk A D causal masked scale',
  crossAttentionBackward: 'q k v index out lse B Tq Tk A D causal masked scale dout dq dk dv',
  crossEntropy: 'logits labels losses probs loss rows C',
  crossEntropyBackward: 'probs labels dloss dlogits rows C',
  dropout: 'x y p rng n storage',
  dropoutBackward: 'dy dx p rng n storage',
  embedding: 'table ids out n H position storage',
  embeddingBackward: 'dy offsets positions grad U H accumulate storage',
  fill: 'out value n',
  finishSlices: 'stats own losses tops right rows slices',
  firstToken: 'x cuSeqlens out B H storage',
  firstTokenBackward: 'dy cuSeqlens rowIds dx T H storage',
  foldLogits: 'z first C bias labels rows V stats own slice slices',
  gather: 'x indices y O R I K',
  gatherBackward: 'dy indices dx O R I K',
  gelu: 'x y n storage',
  geluBackward: 'x dy dx n storage',
  gradNorm: 'parts maxNorm norm coefficient',
  joinColumns: 'parts target targetWidth rows',
  joinLookups: 'parts index target targetWidth rows',
  layerNorm: 'x weight bias y mean rstd rows H eps activation storage residual sum dropout outputDropout',
  layerNormBackward:
    'dy x weight mean rstd dx dweight dbias rows H accumulate y dropout outputDropout storage ' + 'form',
  logSoftmax: 'x y rows C',
  logSoftmaxBackward: 'y dy dx rows C',
  lookupGradients: 'parts index dy dyWidth storage',
  lstm: 'gatesIn weight bias cuSeqlens h gates cell before B T H reverse',
  lstmBackward: 'weight cuSeqlens gates cell dh dgates carry B T H reverse',
  matmul: 'a b c bias pre activation dropout residual accumulate stored sums form splits M N K layout',
  meanPool: 'x keyMask cuSeqlens out counts B H outWidth outColumn storage',
  meanPoolBackward: 'dy keyMask rowIds counts dx T H dyWidth dyColumn storage',
  normalFill: 'out n seed stream offset mean std',
  optimizerByRow: 'entries firstEntry n width group w states history clip groups step g lanes',
  optimizerDense: 'w states history clip groups g slots blocks step',
  optimizerRows: 'entries firstEntry n width group w states history clip groups until g steps',
  pointwise: 'name operands p q out',
  relu: 'x y n storage',
  reluBackward: 'y dy dx n storage',
  scale: 'x y factor n storage',
  scaleBy: 'x y factor n storage',
  scalerUpdate:
    'growthFactor backoffFactor growthInterval norm coefficient state history step groups ' + 'maxNorm',
  scatterAddRows: 'source map target n H',
  segment: 'kind starts B I x y',
  segmentBackward: 'kind starts B I x y dy dx',
  segmentDiscounts: 'starts B N longest k x y',
  segmentPairs: 'kind starts B N longest x labels values y',
  segmentPairsBackward: 'kind starts B N longest x labels values dy dx',
  sliceGradient: 'z first C bias labels rows V tops dlosses',
  softmax: 'x y rows C',
  softmaxBackward: 'y dy dx rows C',
  splitColumns: 'parts source sourceWidth rows',
  strided: 'x y shape from to storage',
  sum: 'x out n factor',
  topK: 'x indices O R I k',
  transpose: 'x y R C',
  uniformFill: 'out n seed stream offset low high',
  vectorScores: 'query vectors scores scale first N E bytes',
}

/** By launcher: its names, and those of the last call, in their order. Most calls are as the one before, and comparing is cheap. */
const known = new Map<string, { names: ReadonlySet<string>; last: string[] }>()

/** @throws ConfigError for a name that is none of the launcher's options, with the nearest that is */
export function expectNames(op: string, options: object): void {
  let found = known.get(op)
  if (!found) {
    found = { names: new Set(NAMES[op]!.split(' ')), last: [] }
    known.set(op, found)
  }
  let i = 0
  for (const name in options)
    if (name !== found.last[i++]) {
      compare(op, options, found)
      return
    }
}

function compare(op: string, options: object, found: { names: ReadonlySet<string>; last: string[] }): void {
  const last: string[] = []
  for (const name in options) {
    if (!found.names.has(name)) expectOptions(op, options, [...found.names])
    last.push(name)
  }
  found.last = last
}
