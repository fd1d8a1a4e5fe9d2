// Reports of training runs: a JSON value per run, and a page made of one or several.
export {
  type Propensities,
  parseRunReport,
  type RunReport,
  type RunReportInput,
  runReport,
  type TeacherFigures,
} from './data.ts'
export { type PageScripts, reportHtml } from './html.ts'
export { dataWarning } from './same-data.ts'
export {
  REPORT_HTML,
  REPORT_JSON,
  readRunReport,
  reportPathOf,
  writeReportPage,
  writeRunReport,
} from './write.ts'
