export { guarded as block } from '../../src/testing/index.ts'
