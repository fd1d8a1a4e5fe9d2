// Numbers and dates that are written as nothing here reads them: they are told, lest they become categories in silence.

const THOUSANDS = String.raw`\d{1,3}(?:[,.'’\s]\d{3})+(?:[.,]\d+)?`
const MONEY = String.raw`[$€£¥]`
const NUMBER = new RegExp(
  String.raw`^[+-]?\s?${MONEY}?\s?[+-]?(?:${THOUSANDS}|\d+(?:[.,]\d+)?)\s?(?:%|${MONEY})?$`,
)
const MONTH = '(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\\.?'
const DATES = [
  // 5 Jan 2024, 05-Jan-24, Mon, 5 January 2024 10:00
  String.raw`(?:[a-z]{3,9},?\s+)?\d{1,2}[\s./-]${MONTH}[\s.,/-]+\d{2,4}`,
  // Jan 5, 2024
  String.raw`(?:[a-z]{3,9},?\s+)?${MONTH}\s+\d{1,2},?\s+\d{4}`,
  // 06 22, 2024
  String.raw`\d{1,2} \d{1,2}, \d{4}`,
  // 5/1/24
  String.raw`\d{1,2}([./-])\d{1,2}\1\d{2}`,
]
const CLOCK = String.raw`(?:,?\s+\d{1,2}:\d{2}(?::\d{2})?(?:\s*[ap]\.?m\.?)?(?:\s*[a-z+-][\w:+/-]*)?)?`
const DATE = new RegExp(`^(?:${DATES.join('|')})${CLOCK}$`, 'i')
/** Dates whose day is written well, and whose time is not: of twelve hours, or with a zone by name. */
const TIME =
  /^\d{1,4}[./-]\d{1,2}[./-]\d{1,4}[T,\s]+\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?\s*(?:[ap]\.?m\.?|[a-z][a-z/_]+)$/i

/** Whether a text that is not read as a number is one to people: 1,234.5, 0,5, $12, 7 %. */
export const looksNumber = (text: string): boolean => text.length < 40 && NUMBER.test(text.trim())

/** Whether a text that is not read as a date is one to people: 5 Jan 2024, 5/1/24, 1/5/2024 10:00 PM. */
export const looksDate = (text: string): boolean =>
  text.length < 60 && (DATE.test(text.trim()) || TIME.test(text.trim()))
