// What each loss over lists is a mean over: batches of several processes count by it.
import { pairsOf } from '../losses/ranking.ts'
import type { RankingLossName } from './ranking-config.ts'

/** Documents, lists, positive labels or pairs of a batch; 'sum' for a loss that is no mean. */
export function countOf(name: RankingLossName, labels: Float32Array, starts: Uint32Array): number | 'sum' {
  const B = starts.length - 1
  switch (name) {
    case 'pointwise':
    case 'ips_pointwise':
    case 'two_tower':
    case 'pbm':
    case 'regression_em':
      return labels.length
    case 'pointwise_lists':
    case 'lambdarank':
    case 'listnet':
      return B
    case 'listwise':
      return labels.filter(label => label > 0).length
    case 'listwise_normed':
    case 'ips_listwise':
    case 'dla': {
      const has = (list: number) => labels.subarray(starts[list], starts[list + 1]).some(label => label > 0)
      return Array.from({ length: B }, (_, list) => list).filter(has).length
    }
    case 'pairwise':
      return pairsOf({ labels, starts, B })
    case 'pair_debias':
      return 'sum'
  }
}
