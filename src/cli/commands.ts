import { type CommandSpec, type OptionSpec, wholeNumber } from './command.ts'

const ADAPTER: OptionSpec = {
  flags: '--adapter <kind>',
  description: 'which adapter to use (default: KERNELGRAD_ADAPTER, or auto)',
  choices: ['auto', 'hardware', 'system', 'embedded'],
}

/** A saved model to score with. */
const MODEL: readonly OptionSpec[] = [
  { flags: '--model <folder>', description: 'folder with config.json and weights', required: true },
  { flags: '--batch-size <rows>', description: 'rows a batch', default: 256, parse: wholeNumber(1) },
  { flags: '--truncate', description: 'cut texts longer than the encoder reads' },
]

const JSON_LINE: OptionSpec = {
  flags: '--json',
  description: 'print the result as one line of JSON, everything else to stderr',
}

/** The subcommands, in the order that --help lists them. */
export const COMMANDS: readonly CommandSpec[] = [
  {
    name: 'info',
    description: 'show the WebGPU adapter in use, its features and limits',
    options: [ADAPTER, { flags: '--json', description: 'print JSON' }],
    load: () => import('./commands/info.ts'),
  },
  {
    name: 'train',
    description: 'train a model on Parquet files',
    options: [
      { flags: '--config <file>', description: 'model and trainer configuration, JSON', required: true },
      { flags: '--train <files...>', description: 'Parquet files to train on', required: true },
      { flags: '--eval <files...>', description: 'Parquet files to evaluate on' },
      { flags: '--out <folder>', description: 'new folder for checkpoints and the model', required: true },
      {
        flags: '--resume [folder]',
        description: "go on from a checkpoint (default: the newest whole one in --out's folder)",
      },
      ADAPTER,
      {
        flags: '--json',
        description: 'print each log entry as a line of JSON, then the result; everything else to stderr',
      },
    ],
    load: () => import('./commands/train.ts'),
  },
  {
    name: 'predict',
    description: 'write the click probability of every row of a Parquet file',
    options: [
      ...MODEL,
      { flags: '--data <file>', description: 'Parquet file to read; labels are optional', required: true },
      { flags: '--out <file>', description: 'Parquet file to write', required: true },
      ADAPTER,
      JSON_LINE,
    ],
    load: () => import('./commands/predict.ts'),
  },
  {
    name: 'evaluate',
    description: 'tell how good a model is on a labelled Parquet file',
    options: [
      ...MODEL,
      { flags: '--data <file>', description: 'Parquet file with labels', required: true },
      { flags: '--group-by <column>', description: 'also the AUC within groups, such as those of a user' },
      ADAPTER,
      JSON_LINE,
    ],
    load: () => import('./commands/evaluate.ts'),
  },
  {
    name: 'report',
    description: 'write one page that compares training runs',
    arguments: [
      { name: 'runs', description: 'folders of training runs, or report.json files', variadic: true },
    ],
    options: [{ flags: '--out <file>', description: 'HTML file to write', default: 'report.html' }],
    load: () => import('./commands/report.ts'),
  },
  {
    name: 'tune',
    description: 'time the kernel forms for a model and its batches, and keep the fastest',
    options: [
      { flags: '--config <file>', description: 'model and trainer configuration, JSON', required: true },
      { flags: '--data <file>', description: 'Parquet file whose first rows make the batch', required: true },
      ADAPTER,
      JSON_LINE,
    ],
    load: () => import('./commands/tune.ts'),
  },
  {
    name: 'demo',
    description: 'make click data, train with and without the tabular features, and compare',
    options: [
      { flags: '--out <folder>', description: 'folder for data and models', default: 'runs/demo' },
      { flags: '--rows <count>', description: 'training rows', default: 24_000, parse: wholeNumber(64) },
      { flags: '--seed <number>', description: 'seed of data and models', default: 0, parse: wholeNumber(0) },
      ADAPTER,
      JSON_LINE,
    ],
    load: () => import('./commands/demo.ts'),
  },
  {
    name: 'parity',
    description: 'check every case folder of frozen PyTorch values against the adapter in use',
    arguments: [{ name: 'folder', description: 'a folder of case folders, or one of them' }],
    options: [
      ADAPTER,
      { flags: '--fp16', description: 'train planted cases in mixed precision too' },
      { flags: '--json', description: 'print JSON' },
    ],
    load: () => import('./commands/parity.ts'),
  },
]
