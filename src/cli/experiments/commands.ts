// The experiments, each with options of its own.
import { type BodySpec, type OptionSpec, wholeNumber } from '../command.ts'
import { ADAPTER, JSON_LINE } from '../options.ts'

/** What the experiments on planted rows take. */
const PLANTED: readonly OptionSpec[] = [
  {
    flags: '--out <folder>',
    description: 'new folder for data, models, results.json and report.html',
    required: true,
  },
  {
    flags: '--seed <number>',
    description: 'the first seed, of rows and models',
    default: 1,
    parse: wholeNumber(0),
  },
  {
    flags: '--seeds <count>',
    description: 'how many seeds, one after the other',
    default: 3,
    parse: wholeNumber(1),
  },
  { flags: '--quick', description: 'a small form that shows that everything runs, with bounds of its own' },
  ADAPTER,
  JSON_LINE,
]

/** In the order that --help lists them. */
export const EXPERIMENTS: readonly BodySpec[] = [
  {
    name: 'notebook',
    description:
      'text + tabular against text only at the notebook’s settings (its own ROC AUC: 0.709 and 0.679); what runs where no name is given',
    isDefault: true,
    options: [
      { flags: '--train <files...>', description: 'Parquet files to train on', required: true },
      { flags: '--eval <files...>', description: 'Parquet files to evaluate on', required: true },
      { flags: '--features <file>', description: 'features.json of preprocess', required: true },
      { flags: '--out <folder>', description: 'folder for both models and results.json', required: true },
      {
        flags: '--size <name>',
        description: 'the notebook’s 143.6 M parameters, or the demo’s models to try it out',
        default: 'notebook',
        choices: ['notebook', 'demo'],
      },
      {
        flags: '--max-steps <count>',
        description: 'stop each model after so many optimizer steps',
        parse: wholeNumber(1),
      },
      { flags: '--seed <number>', description: 'seed of both models', default: 42, parse: wholeNumber(0) },
      ADAPTER,
      JSON_LINE,
    ],
    example:
      'kernelgrad experiment notebook --train data/train.parquet --eval data/test.parquet --features data/features.json --out runs/notebook',
    load: () => import('./notebook.ts'),
  },
  {
    name: 'pretrain',
    description: 'click models from scratch and from an encoder that was pretrained on texts without labels',
    options: PLANTED,
    example: 'kernelgrad experiment pretrain --quick --out runs/pretrain',
    load: () => import('./pretrain.ts'),
  },
  {
    name: 'fusion',
    description: 'eight ways for text and table to meet in one model',
    options: PLANTED,
    example: 'kernelgrad experiment fusion --quick --out runs/fusion',
    load: () => import('./fusion.ts'),
  },
  {
    name: 'distill',
    description: 'a student with towers of its own, on clicks and on the scores of its teacher',
    options: PLANTED,
    example: 'kernelgrad experiment distill --quick --out runs/distill',
    load: () => import('./distill.ts'),
  },
  {
    name: 'debias',
    description:
      'rankers that learn from clicks which places distort, against those that take clicks at their word',
    options: PLANTED,
    example: 'kernelgrad experiment debias --quick --out runs/debias',
    load: () => import('./debias.ts'),
  },
  {
    name: 'ultr',
    description:
      'a cross encoder on search sessions of Baidu-ULTR’s format, by loss, against the best order there is',
    options: PLANTED,
    example: 'kernelgrad experiment ultr --quick --out runs/ultr',
    load: () => import('./ultr.ts'),
  },
  {
    name: 'npass',
    description: 'a student that looks at every candidate, and its teacher for those that it puts first',
    options: PLANTED,
    example: 'kernelgrad experiment npass --quick --out runs/npass',
    load: () => import('./npass.ts'),
  },
  {
    name: 'losses',
    description: 'losses over lists: which orders documents, and which predicts clicks',
    options: PLANTED,
    example: 'kernelgrad experiment losses --quick --out runs/losses',
    load: () => import('./losses.ts'),
  },
]
