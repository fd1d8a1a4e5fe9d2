/** The training steps that are compiled: of the notebook's model, the same in mixed precision, and of a model on texts of 256 to 512 tokens. */
export const STEPS = {
  full: { size: 'full', dropout: true },
  f16: { size: 'full', dropout: true, fp16: true },
  long: { size: 'long', dropout: true },
}
