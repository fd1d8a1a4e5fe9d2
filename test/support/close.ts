export { expectClose as assertClose } from '../../src/testing/index.ts'
