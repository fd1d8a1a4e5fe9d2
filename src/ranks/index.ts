/**
 * Several processes that train one model.
 * @module
 */
export { type Agreed, agree } from './agree.ts'
export { localRanks, runLocal } from './local.ts'
export { failedTogether, openRanks, type RanksOptions } from './open.ts'
export { alone, type Ranks } from './ranks.ts'
