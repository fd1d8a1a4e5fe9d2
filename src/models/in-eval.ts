import type { Model } from './model.ts'

/**
 * Runs `body`, which records work and waits for nothing, with the model in evaluation mode, and leaves every module as it was: between
 * two batches, others may train the model or predict with it.
 */
export function inEval<T>(model: Pick<Model, 'namedModules'>, body: () => T): T {
  const training = [...model.namedModules()].map(([, module]) => module).filter(module => module.training)
  for (const module of training) module.training = false
  try {
    return body()
  } finally {
    for (const module of training) module.training = true
  }
}
