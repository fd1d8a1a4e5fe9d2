import { isBert, type ResolvedEncoderConfig } from '../config/index.ts'
import { BertModel } from './bert.ts'
import { DistilBertModel } from './distilbert.ts'

/** From packed tokens to hidden states. */
export type Encoder = DistilBertModel | BertModel

/** The encoder that a configuration describes; it has no memory yet. */
export function createEncoder(config: ResolvedEncoderConfig): Encoder {
  return isBert(config) ? new BertModel(config) : new DistilBertModel(config)
}
