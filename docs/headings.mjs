// The headings of a page of the site: one h1, and no level left out on the way down, as screen readers and outlines take them.

const HEADING = /<h([1-6])\b([^>]*)>([\s\S]*?)<\/h\1>/g

/** Levels of a page's headings, in order. */
export const levelsOf = html => [...html.matchAll(HEADING)].map(([, level]) => Number(level))

/** What is wrong with them, in words; nothing where nothing is. */
export function headingFault(html) {
  const levels = levelsOf(html)
  const tops = levels.filter(level => level === 1).length
  if (tops !== 1) return `${tops} headings of the first level, expected one`
  const skips = levels.findIndex((level, i) => level > (levels[i - 1] ?? 0) + 1)
  return skips < 0
    ? undefined
    : `heading ${skips + 1} is of level ${levels[skips]}, behind ${levels[skips - 1] ?? 'none'}`
}

/** The page with a second h1 of the same words left out, and each heading at most one level below the one before; it keeps its looks by a class. */
export function orderedHeadings(html) {
  let [before, title] = [0, '']
  const wordsOf = inner => inner.replace(/<[^>]*>/g, '').trim()
  return html.replace(HEADING, (whole, given, attributes, inner) => {
    if (given === '1' && title && wordsOf(inner) === title) return ''
    if (given === '1') title ||= wordsOf(inner)
    // A page's own headings come first; those of the panels beside it begin anew.
    const panel = /^\s*(<svg|Settings|On This Page)/.test(inner)
    const level = panel ? 2 : Math.min(Number(given), before + 1)
    before = level
    if (level === Number(given)) return whole
    const looks = ` looks-h${given}`
    const named = /class="/.test(attributes)
      ? attributes.replace('class="', `class="looks-h${given} `)
      : `${attributes} class="${looks.trim()}"`
    return `<h${level}${named}>${inner}</h${level}>`
  })
}
