import { UsageError } from '../errors.ts'
import { type CommandSpec, type OptionSpec, wholeNumber } from './command.ts'
import { EXPERIMENTS } from './experiments/commands.ts'
import { EXPORT } from './export-command.ts'
import { LISTS } from './lists-command.ts'
import { ADAPTER, columnNames, JSON_LINE, portNumber, TRAIN_MEMORY } from './options.ts'
import { PREPARE } from './prepare-command.ts'

const TRUNCATE: OptionSpec = {
  flags: '--truncate',
  description: 'cut texts longer than the encoder reads',
}

/** For models that are not this library's. */
const ARCHITECTURE: OptionSpec = {
  flags: '--architecture <module>',
  description:
    'file or package whose default export is the model class, where it is not a model of this library',
}

/** A saved model to score with. */
const MODEL: readonly OptionSpec[] = [
  { flags: '--model <folder>', description: 'folder with config.json and weights', required: true },
  ARCHITECTURE,
  { flags: '--batch-size <rows>', description: 'rows a batch', default: 256, parse: wholeNumber(1) },
  TRUNCATE,
]

/** @throws UsageError for a name that is empty or stands twice */
function predictedColumns(text: string): string[] {
  const names = text.split(',').map(name => name.trim())
  const wrong = names.find((name, i) => !name || names.indexOf(name) < i)
  if (wrong === undefined) return names
  throw new UsageError(
    `--columns ${text}: '${wrong}' ${wrong ? 'stands twice' : 'is unknown'}, expected features, probability, logits, or several with commas between, or columns of the file`,
  )
}

/** Files to score: of a model trained on a prepared folder, raw ones too. */
const DATA = (what: string): OptionSpec => ({
  flags: '--data <files...>',
  description: `${what}: a Parquet file, or raw files as prepare reads them, where the model was trained on a prepared folder`,
  required: true,
})

const FEATURES: OptionSpec = {
  flags: '--features <file>',
  description: 'features.json of preprocess: fills the sizes that the configuration leaves out',
}

/** The subcommands, in the order that --help lists them. */
export const COMMANDS: readonly CommandSpec[] = [
  {
    name: 'info',
    ranks: 'first',
    description: 'show the WebGPU adapter in use, its features and limits, and which MPI there is',
    options: [ADAPTER, { flags: '--json', description: 'print JSON' }],
    example: 'kernelgrad info --adapter system',
    load: () => import('./commands/info.ts'),
  },
  {
    name: 'preprocess',
    description: 'turn raw files into Parquet: KDD Cup 2012 track 2 (needs @duckdb/node-api) or Baidu-ULTR',
    arguments: [
      {
        name: 'folder',
        description:
          'folder with training.txt, the token and the profile files, or with session files part-*.gz and an annotated file',
      },
    ],
    options: [
      {
        flags: '--format <name>',
        description: 'whose files they are',
        default: 'kdd',
        choices: ['kdd', 'ultr'],
      },
      {
        flags: '--out <folder>',
        description: 'folder for train.parquet, test.parquet and features.json',
        required: true,
      },
      {
        flags: '--rows <count>',
        description: 'of kdd: rows read from the start of training.txt (default: 1000000)',
        parse: wholeNumber(1),
      },
      {
        flags: '--lists <key>',
        description: 'of kdd: rows in lists: pages, what a user saw for a query, or all ads of a query',
        choices: ['display', 'query_user', 'query'],
      },
      {
        flags: '--seed <number>',
        description: 'decides which tenth of the rows, or of the queries of ultr and of lists, is the test',
        default: 42,
        parse: wholeNumber(0),
      },
      {
        flags: '--memory <MiB>',
        description: 'of kdd: what DuckDB may hold; the rest is spilled below --out (default: 768)',
        parse: wholeNumber(128),
      },
      JSON_LINE,
    ],
    example: 'kernelgrad preprocess track2 --out data --rows 1000000',
    load: () => import('./commands/preprocess.ts'),
  },
  PREPARE,
  LISTS,
  {
    name: 'train',
    ranks: 'all',
    description: 'train a model on Parquet files',
    arguments: [
      {
        name: 'prepared',
        description:
          'folder of prepare: its model.json, train.parquet and test.parquet stand for --config, --train and --eval',
        optional: true,
      },
    ],
    example: 'kernelgrad train prepared --out runs/mine',
    options: [
      {
        flags: '--config <file>',
        description:
          'model and trainer configuration, JSON; its metric_for_best_model is a figure of the model: loss, roc_auc, or of lists ndcg@10, mrr@5, map@10, recall@10, err@10, …',
      },
      ARCHITECTURE,
      FEATURES,
      {
        flags: '--train <files...>',
        description:
          'Parquet files to train on, folders of them, or patterns in quotes; for all stages that name none of their own',
      },
      { flags: '--eval <files...>', description: 'Parquet files, folders or patterns to evaluate on' },
      {
        flags: '--preparation <folder>',
        description:
          'what prepare learned, kept beside the model to read raw rows by (default: that of the prepared folder)',
      },
      { flags: '--out <folder>', description: 'new folder for checkpoints and the model', required: true },
      {
        flags: '--init-from <folder>',
        description: 'start from all weights of a trained model of the same configuration',
      },
      {
        flags: '--teacher-architecture <module>',
        description: "of distillation's teacher: the file or package of its class, where it is one's own",
      },
      {
        flags: '--resume [folder]',
        description: "go on from a checkpoint (default: the newest whole one in --out's folder)",
      },
      {
        flags: '--group-by <column>',
        description:
          'column of the evaluation files: the report has the figures by group too, or the AUC within groups',
      },
      {
        flags: '--importance <rows>',
        description:
          'evaluation rows that the importance of features is measured on, 0 for none (default: as many as a sixth of the time of training allows, 2000 at most, none for over 200 features)',
        parse: wholeNumber(0),
      },
      {
        flags: '--report-to <name>',
        description: 'write the log as event files for TensorBoard too, in runs below --out',
        choices: ['tensorboard', 'none'],
      },
      TRAIN_MEMORY,
      TRUNCATE,
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
    ranks: 'all',
    description: 'write the scores of every row: the click probability',
    options: [
      ...MODEL,
      DATA('rows to score; labels are optional'),
      {
        flags: '--out <file>',
        description: 'file to write: Parquet, or by its name .csv, .tsv or .ndjson',
        required: true,
      },
      {
        flags: '--vectors <file>',
        description:
          'vectors of one side, from embed: rows take theirs by id, and that side’s texts are not read',
      },
      {
        flags: '--columns <names>',
        description:
          'what is written, separated by commas: probability, logits (logit_0, … for a student), features (all columns of the file, as they stand), or single columns of the rows',
        default: ['probability'],
        parse: predictedColumns,
      },
      ADAPTER,
      JSON_LINE,
    ],
    example:
      'kernelgrad predict --model runs/mine --data test.parquet --columns row_id,probability --out scores.csv',
    load: () => import('./commands/predict.ts'),
  },
  {
    name: 'embed',
    description: 'write the vectors of one side of a two-sided model, to predict and serve with',
    options: [
      ...MODEL,
      { flags: '--side <name>', description: 'which text', required: true, choices: ['query', 'ad'] },
      { flags: '--data <files...>', description: 'Parquet files with that side’s columns', required: true },
      { flags: '--out <file>', description: 'Parquet file of vectors to write', required: true },
      {
        flags: '--id <column>',
        description: 'column that tells the vectors apart, none twice (default: they are numbered by row)',
      },
      {
        flags: '--storage <kind>',
        description: 'float32, or bytes, where a tanh ends the tower: a quarter of the size',
        default: 'float32',
        choices: ['float32', 'bytes'],
      },
      ADAPTER,
      JSON_LINE,
    ],
    example:
      'kernelgrad embed --model runs/student --side ad --data ads.parquet --id ad_id --out ads.vectors.parquet',
    load: () => import('./commands/embed.ts'),
  },
  {
    name: 'serve',
    description:
      'answer HTTP requests with the scores of their rows: POST /predict, GET /health, GET /metrics; ends at SIGTERM',
    options: [
      { flags: '--model <folder>', description: 'folder with config.json and weights', required: true },
      ARCHITECTURE,
      { flags: '--port <number>', description: '0 takes any that is free', default: 8080, parse: portNumber },
      {
        flags: '--host <address>',
        description: 'where to listen; 0.0.0.0 lets other machines in',
        default: '127.0.0.1',
      },
      {
        flags: '--batch-size <rows>',
        description: 'rows of requests that are scored together',
        default: 64,
        parse: wholeNumber(1),
      },
      {
        flags: '--wait <ms>',
        description: 'how long a batch that is not full waits for company',
        default: 0,
        parse: wholeNumber(0),
      },
      {
        flags: '--queue <rows>',
        description: 'rows that may wait; requests beyond are answered 503',
        default: 4096,
        parse: wholeNumber(0),
      },
      { flags: '--max-rows <count>', description: 'rows a request', default: 1000, parse: wholeNumber(1) },
      { flags: '--body-limit <KiB>', description: 'size of a request', default: 1024, parse: wholeNumber(1) },
      {
        flags: '--timeout <seconds>',
        description: 'for a request to come, and again to be answered',
        default: 30,
        parse: wholeNumber(1),
      },
      TRUNCATE,
      ADAPTER,
      JSON_LINE,
    ],
    example: `kernelgrad serve --model runs/mine --port 8080`,
    load: () => import('./commands/serve.ts'),
  },
  {
    name: 'evaluate',
    ranks: 'all',
    description: 'tell how good a model is on labelled rows',
    options: [
      ...MODEL,
      DATA('rows with labels'),
      { flags: '--group-by <column>', description: 'also the AUC within groups, such as those of a user' },
      {
        flags: '--fuse <weights>',
        description:
          'of a model with several heads: order lists by their sum with weights, as score=1,skip_score=-0.5, or fit for those that order these lists best',
      },
      ADAPTER,
      JSON_LINE,
    ],
    example: 'kernelgrad evaluate --model runs/mine --data test.parquet --group-by user_id',
    load: () => import('./commands/evaluate.ts'),
  },
  {
    name: 'rank',
    description:
      'rank candidates of queries by several models in a row: each scores what the one before let through',
    options: [
      {
        flags: '--passes <file>',
        description:
          'JSON: { "keys": ["query_id"], "id": "ad_id", "passes": [{ "model": "runs/student", "vectors": "ads.vectors.parquet", "k": 50 }, { "model": "runs/teacher" }] }',
        required: true,
      },
      {
        flags: '--data <file>',
        description: 'Parquet file, a candidate a row, in any order',
        required: true,
      },
      {
        flags: '--out <file>',
        description: 'Parquet file to write: keys, id, rank, pass reached, score of that pass',
        required: true,
      },
      {
        flags: '--keys <columns...>',
        description: 'columns, separated by commas, that tell queries apart (default: keys of --passes)',
        parse: columnNames,
      },
      {
        flags: '--id <column>',
        description: 'column that names candidates (default: id of --passes, that of the vectors, or row)',
      },
      {
        flags: '--through <pass>',
        description:
          'write instead the rows of --data that this pass lets through, with all their columns: what the next pass is to train on',
        parse: wholeNumber(1),
      },
      {
        flags: '--architecture <modules...>',
        description: 'files or packages whose default exports are model classes that are not this library’s',
      },
      TRUNCATE,
      ADAPTER,
      JSON_LINE,
    ],
    example: `kernelgrad embed --model runs/student --side ad --data ads.parquet --id ad_id --out ads.vectors.parquet
kernelgrad rank --passes passes.json --data candidates.parquet --out ranked.parquet
kernelgrad rank --passes passes.json --data train.parquet --through 1 --out hard.parquet`,
    load: () => import('./commands/rank.ts'),
  },
  EXPORT,
  {
    name: 'report',
    description: 'write one page that compares training runs',
    arguments: [
      { name: 'runs', description: 'folders of training runs, or report.json files', variadic: true },
    ],
    options: [{ flags: '--out <file>', description: 'HTML file to write', default: 'report.html' }],
    example: 'kernelgrad report runs/mine runs/other --out report.html',
    load: () => import('./commands/report.ts'),
  },
  {
    name: 'tune',
    description: 'time the kernel forms for a model and its batches, and keep the fastest',
    options: [
      { flags: '--config <file>', description: 'model and trainer configuration, JSON', required: true },
      ARCHITECTURE,
      FEATURES,
      { flags: '--data <file>', description: 'Parquet file whose first rows make the batch', required: true },
      TRUNCATE,
      ADAPTER,
      JSON_LINE,
    ],
    example: 'kernelgrad tune --config model.json --data train.parquet',
    load: () => import('./commands/tune.ts'),
  },
  {
    name: 'experiment',
    description: 'train models against each other and compare',
    commands: EXPERIMENTS,
  },
  {
    name: 'demo',
    description:
      'make raw click data, preprocess it, train with and without the tabular features, and compare',
    options: [
      { flags: '--out <folder>', description: 'folder for data and models', default: 'runs/demo' },
      { flags: '--rows <count>', description: 'training rows', default: 24_000, parse: wholeNumber(64) },
      { flags: '--seed <number>', description: 'seed of data and models', default: 0, parse: wholeNumber(0) },
      ADAPTER,
      JSON_LINE,
    ],
    example: 'kernelgrad demo --out runs/demo',
    load: () => import('./commands/demo.ts'),
  },
]
