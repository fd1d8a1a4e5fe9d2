// What a tokenizer is made of; loaded together, on use.
export { stripped } from './normalizers.ts'
export { encoder } from './pipeline.ts'
export { opensAsBert, resolveTokenizer } from './transformers.ts'
