/**
 * Several processes that train one model.
 * @module
 */
export { alone, type Ranks } from './ranks.ts'
