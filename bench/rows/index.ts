import type { Row } from '../row.ts'
import type { Size } from '../size.ts'
import { attentionRows } from './attention.ts'
import { axisReduceRows } from './axis_reduce.ts'
import { bmmRows } from './bmm.ts'
import { castRows } from './cast.ts'
import { concatRows } from './concat.ts'
import { conv1dMaxRows } from './conv1d_max.ts'
import { crossAttentionRows } from './cross_attention.ts'
import { crossEntropyRows } from './cross_entropy.ts'
import { dropoutRows } from './dropout.ts'
import { elementwiseRows } from './elementwise.ts'
import { embeddingRows } from './embedding.ts'
import { gatherRows } from './gather.ts'
import { geluRows } from './gelu.ts'
import { layernormRows } from './layernorm.ts'
import { lstmRows } from './lstm.ts'
import { matmulRows } from './matmul.ts'
import { meanPoolRows } from './mean_pool.ts'
import { optimizerRowsOf } from './optimizer.ts'
import { pointwiseRows } from './pointwise.ts'
import { randomRows } from './random.ts'
import { reduceRows } from './reduce.ts'
import { reluRows } from './relu.ts'
import { scalerRows } from './scaler.ts'
import { segmentRows } from './segment.ts'
import { segmentPairsRows } from './segment_pairs.ts'
import { slicedCrossEntropyRows } from './sliced_cross_entropy.ts'
import { softmaxRows } from './softmax.ts'
import { stridedRows } from './strided.ts'
import { topkRows } from './topk.ts'
import { transposeRows } from './transpose.ts'
import { vectorScoresRows } from './vector_scores.ts'

/** The rows of every kernel family, named as its file in src/kernels. */
export const FAMILIES: Record<string, (size: Size) => Row[]> = {
  matmul: matmulRows,
  attention: attentionRows,
  layernorm: layernormRows,
  gelu: geluRows,
  relu: reluRows,
  embedding: embeddingRows,
  mean_pool: meanPoolRows,
  concat: concatRows,
  dropout: dropoutRows,
  cross_entropy: crossEntropyRows,
  sliced_cross_entropy: slicedCrossEntropyRows,
  softmax: softmaxRows,
  optimizer: optimizerRowsOf,
  reduce: reduceRows,
  elementwise: elementwiseRows,
  pointwise: pointwiseRows,
  axis_reduce: axisReduceRows,
  strided: stridedRows,
  segment: segmentRows,
  segment_pairs: segmentPairsRows,
  gather: gatherRows,
  topk: topkRows,
  bmm: bmmRows,
  cross_attention: crossAttentionRows,
  conv1d_max: conv1dMaxRows,
  lstm: lstmRows,
  cast: castRows,
  transpose: transposeRows,
  scaler: scalerRows,
  random: randomRows,
  vector_scores: vectorScoresRows,
}
