/** The page's style: one column on a phone, two where there is room; light and dark by the reader's setting. */
export const STYLE = `
:root {
  color-scheme: light dark;
  --bg: #f6f7f9; --card: #ffffff; --line: #d9dde3; --text: #1b2330; --soft: #586273; --accent: #1d5fd1; --good: #0b6b3a;
  --run-0: #1d5fd1; --run-1: #c2570c; --run-2: #0b7a4b; --run-3: #a21caf; --run-4: #0e7490; --run-5: #b4232f; --run-6: #6d4ad1; --run-7: #6b6a12;
  --part-0: #3b76db; --part-1: #d9813f; --part-2: #3a9b70; --part-3: #b05cbb; --part-4: #3d94ab; --part-5: #c9575f; --part-6: #8a93a3; --part-7: #94923c;
}
@media (prefers-color-scheme: dark) {
  :root {
    --bg: #12151b; --card: #1b2029; --line: #343c4a; --text: #e7ebf2; --soft: #a3adbd; --accent: #86b1ff; --good: #6fd6a0;
    --run-0: #7aa9ff; --run-1: #ffa766; --run-2: #63d19d; --run-3: #e796f0; --run-4: #67d0e6; --run-5: #ff8f97; --run-6: #b8a1ff; --run-7: #d6d46a;
    --part-0: #5f8fe6; --part-1: #d98f55; --part-2: #4fae84; --part-3: #c17ecb; --part-4: #52abc1; --part-5: #d9717a; --part-6: #7c8696; --part-7: #abaa52;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--bg); color: var(--text); font: 16px/1.5 system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif; overflow-wrap: break-word; }
header, main, footer { max-width: 1180px; margin: 0 auto; padding: 0 16px; }
header { padding-top: 24px; }
footer { padding-top: 16px; padding-bottom: 32px; color: var(--soft); font-size: 0.875rem; }
h1, h3, caption, .soft, .stack th, .stack td, fieldset label, .legend li { overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 4px; }
h2 { font-size: 1.2rem; margin: 36px 0 12px; }
h3 { font-size: 1rem; margin: 0 0 2px; }
p { margin: 0 0 8px; }
.soft { color: var(--soft); font-size: 0.875rem; }
.skip { position: absolute; left: -9999px; }
.skip:focus { left: 16px; top: 8px; background: var(--card); padding: 8px 12px; z-index: 2; }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; border-radius: 4px; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 14px 16px; min-width: 0; }
.halves { display: grid; gap: 8px 32px; grid-template-columns: minmax(0, 1fr); }
.grid { display: grid; gap: 16px; grid-template-columns: minmax(0, 1fr); }
@media (min-width: 760px) { .grid { grid-template-columns: repeat(2, minmax(0, 1fr)); } .wide { grid-column: 1 / -1; } .wide .halves { grid-template-columns: repeat(2, minmax(0, 1fr)); } }
figure { margin: 0; }
.plot { position: relative; height: 300px; margin-top: 8px; }
.plot canvas { display: block; max-width: 100%; }
.legend { display: flex; flex-wrap: wrap; gap: 4px 14px; list-style: none; margin: 4px 0 0; padding: 0; font-size: 0.875rem; color: var(--soft); }
.legend svg { width: 26px; height: 10px; margin-right: 6px; vertical-align: middle; overflow: visible; }
fieldset { border: 0; margin: 16px 0 0; padding: 8px 0; display: flex; flex-wrap: wrap; gap: 4px 18px; position: sticky; top: 0; background: var(--bg); z-index: 1; }
fieldset legend { float: left; padding: 0; margin-right: 12px; font-weight: 600; line-height: 32px; }
fieldset label { display: inline-flex; align-items: center; gap: 8px; min-height: 32px; cursor: pointer; }
input[type='checkbox'] { width: 18px; height: 18px; margin: 0; accent-color: var(--accent); }
.swatch { width: 14px; height: 14px; border-radius: 3px; display: inline-block; flex: none; }
table { border-collapse: collapse; width: 100%; font-size: 0.9375rem; }
caption { text-align: left; font-weight: 600; padding-bottom: 6px; }
th, td { text-align: left; padding: 6px 12px 6px 0; border-bottom: 1px solid var(--line); vertical-align: top; }
tr:last-child > th, tr:last-child > td { border-bottom: 0; }
thead th { color: var(--soft); font-weight: 600; font-size: 0.8125rem; }
tbody th { font-weight: 600; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
td.number:last-child, th.number:last-child { padding-right: 0; }
.best { color: var(--good); font-weight: 700; }
.best::before { content: '\\2605  '; font-size: 0.75em; vertical-align: 0.1em; }
.facts th { width: 45%; font-weight: 400; color: var(--soft); }
.facts td { font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; max-width: 100%; }
.scroll + .scroll, .facts + .scroll, .scroll + .facts { margin-top: 16px; }
.confusion { width: auto; }
.confusion td { padding: 6px 16px 6px 0; white-space: nowrap; }
.legend .swatch { margin-right: 6px; vertical-align: -2px; }
.bars td:nth-child(2) { width: 45%; vertical-align: middle; }
.bars .number { white-space: nowrap; }
.bar { display: block; height: 12px; border-radius: 2px; background: var(--run-0); min-width: 1px; }
.narrow caption { position: sticky; left: 0; max-width: calc(100vw - 68px); }
.narrow { font-size: 0.8125rem; }
.narrow td { white-space: nowrap; }
.confusion td[style] { background: color-mix(in srgb, var(--run-1) var(--share), transparent); padding: 6px 8px; }
.confusion td.right { background: color-mix(in srgb, var(--run-0) var(--share), transparent); }
.live label { display: block; font-weight: 600; }
.live output { font-variant-numeric: tabular-nums; margin-left: 4px; }
input[type='range'] { display: block; width: 100%; height: 32px; margin: 0; accent-color: var(--accent); }
.live { margin-bottom: 12px; }
details { margin-top: 12px; }
summary { cursor: pointer; font-weight: 600; padding: 6px 0; }
.card + .card, .card + .grid, .grid + .card { margin-top: 16px; }
.grid > .card { margin-top: 0; }
pre { white-space: pre-wrap; font-size: 0.8125rem; margin: 0; }
@media (max-width: 640px) {
  .stack, .stack caption, .stack tbody, .stack tr, .stack td, .stack th { display: block; }
  .stack thead { position: absolute; left: -9999px; }
  .stack tr { padding: 8px 0; border-bottom: 1px solid var(--line); }
  .stack tr:last-child { border-bottom: 0; }
  .stack td, .stack th, .stack td.number { border: 0; padding: 2px 0; display: flex; justify-content: space-between; gap: 12px; text-align: right; }
  .stack tbody th { justify-content: flex-start; text-align: left; }
  .stack td::before { content: attr(data-label); color: var(--soft); text-align: left; }
  .stack td.empty { display: none; }
  .settings, .settings tbody, .settings tr, .settings th, .settings td { display: block; width: auto; }
  .settings caption { display: block; }
  .bars td:nth-child(2) { width: 28%; }
  .settings tr { padding: 6px 0; border-bottom: 1px solid var(--line); }
  .settings th, .settings td { border: 0; padding: 0; }
}
.visually-hidden { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
@media print { fieldset, .skip { display: none; } .card { break-inside: avoid; } }
`
