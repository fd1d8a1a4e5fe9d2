// What typedoc cannot be told by options.
import { Converter, PageEvent } from 'typedoc'
import { orderedHeadings } from './headings.mjs'

export function load(app) {
  // A destructured argument has no name of its own; comments call it `options`, and so does the site.
  app.converter.on(Converter.EVENT_CREATE_PARAMETER, (_, parameter) => {
    if (parameter.name === '__namedParameters') parameter.name = 'options'
  })
  app.renderer.on(PageEvent.END, page => {
    page.contents = orderedHeadings(page.contents)
  })
  // A schema's key is declared once for what goes in and once for what comes out, with one comment.
  const { warn, info } = app.logger
  const twice = /multiple declarations with a comment|comments for .* are declared at/
  const quiet = log =>
    function (text, ...more) {
      if (!twice.test(text)) log.call(this, text, ...more)
    }
  Object.assign(app.logger, { warn: quiet(warn), info: quiet(info) })
}
