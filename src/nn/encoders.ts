import { shown } from '../check.ts'
import { isBert, type ResolvedEncoderConfig } from '../config/index.ts'
import { ConfigError } from '../errors.ts'
import { BertModel } from './bert.ts'
import { DistilBertModel } from './distilbert.ts'

/** From packed tokens to hidden states. */
export type Encoder = DistilBertModel | BertModel

/**
 * The encoder that a configuration describes; it has no memory yet.
 *
 * @example
 * ```ts
 * import { nn, parseEncoderConfig } from 'kernelgrad'
 *
 * const config = parseEncoderConfig({ vocab_size: 1000, dim: 64, n_heads: 4, n_layers: 2, hidden_dim: 128 }, 'the encoder')
 * const encoder = nn.createEncoder(config).to(gpu)
 * const { hidden } = encoder.forward(batch.text!) // [T, 64]
 * ```
 */
export function createEncoder(config: ResolvedEncoderConfig): Encoder {
  if (typeof config !== 'object' || config === null)
    throw new ConfigError(
      `createEncoder: config is ${shown(config)}, expected what parseEncoderConfig() gives`,
    )
  return isBert(config) ? new BertModel(config) : new DistilBertModel(config)
}
