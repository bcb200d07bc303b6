"""What the page adds to the look of corpus reports."""

EVALUATION_STYLE = """
body { overflow-wrap: anywhere } :root { color-scheme: light dark }
.en::before { content: " · " }
.switch { float: right; border: 1px solid var(--line); border-radius: 8px; padding: .2rem .7rem;
  margin: 0 0 0 1rem; font-size: .85rem } .switch label { cursor: pointer; margin-right: .5rem }
@supports selector(:has(*)) {
  .en::before { content: "" }
  body:has(#show-ko:checked) .en, body:has(#show-en:checked) .ko { display: none } }
section { overflow-wrap: normal }
.scroll { --far: color-mix(in srgb, var(--ink) 35%, transparent); overflow-x: auto;
  background: linear-gradient(90deg, var(--card) .8rem, transparent) left / 2rem 100% no-repeat local,
    linear-gradient(270deg, var(--card) .8rem, transparent) right / 2rem 100% no-repeat local,
    linear-gradient(90deg, var(--far), transparent) left / .7rem 100% no-repeat,
    linear-gradient(270deg, var(--far), transparent) right / .7rem 100% no-repeat }
.scroll + .scroll { margin-top: 1.1rem }
section > p { margin: .3rem 0 .8rem; color: var(--soft); font-size: .9rem }
th { white-space: nowrap; vertical-align: bottom; padding-right: .9rem } td { padding-right: .9rem }
td small { white-space: nowrap } code { font: .85em ui-monospace, "D2Coding", monospace }
svg { display: block; max-width: none; font-size: 12px; fill: currentColor }
svg .soft { fill: var(--soft) } svg .grid { stroke: var(--line) }
svg .chance { stroke: var(--ink); stroke-dasharray: 2 3 }
svg .control { stroke: var(--soft); stroke-dasharray: 7 3 2 3 }
svg .halo { paint-order: stroke; stroke: var(--card); stroke-width: 3px }
.plots { display: flex; flex-wrap: wrap; gap: 1.2rem 1.5rem } figure { margin: 0; max-width: 100% }
figcaption { font-size: .85rem; color: var(--soft); max-width: 490px } figcaption b { color: var(--ink) }
.legend svg { display: inline-block; vertical-align: -3px; margin-right: .35rem }
.heat { width: auto; margin-bottom: 1rem } .heat td { border: 0; font-variant-numeric: tabular-nums }
.heat th, .heat td { padding: .12rem .35rem; text-align: right; font-size: .82rem }
.heat td:first-child, .heat th:first-child { text-align: left; white-space: nowrap; padding-right: .8rem }
.heat tr.tier td { font-weight: 600; padding-top: .6rem }
details.task { margin: .5rem 0 } details.task > summary { font-weight: 600 }
.facts td { overflow-wrap: anywhere } .facts td:first-child { width: 11rem; white-space: nowrap }
.text { white-space: pre-wrap; overflow-wrap: anywhere; max-height: 16rem; overflow-y: auto }
.text i { color: var(--soft); font-style: normal } .item { margin: .9rem 0 1.3rem }
.options td:first-child { white-space: nowrap; width: 9em } .options td:nth-child(2) { min-width: 15em }
.options td.n { width: 5.5em } .item > b { font-size: .9rem }
ul { margin: .3rem 0; padding-left: 1.2rem } li { margin: .25rem 0 }
@media (max-width: 600px) { body { padding: 0 .6rem; margin: 1rem auto } section { padding: .8rem }
  .switch { float: none; display: inline-block; margin: 0 0 .6rem } .options td:first-child { width: auto }
  .plots svg { width: 100%; height: auto; font-size: 16px } }
@media print {
  :root { --ink: #000; --soft: #333; --line: #bbb; --ground: #fff; --card: #fff; --c0: #1f4e70;
    --c1: #8a4a1f; --c2: #2f6b48; --c3: #7a3155 }
  body { max-width: none; margin: 0; padding: 0; font-size: 10px } .switch { display: none }
  section { overflow: visible; border-width: 1px 0 0; border-radius: 0; padding: .6rem 0 }
  .scroll { overflow: visible; background: none } td small, th { white-space: normal }
  .text { max-height: none }
  h2, summary { break-after: avoid } svg, tr, .figures { break-inside: avoid }
  .options tr { break-inside: auto } svg { max-width: 100%; height: auto }
  details::details-content { content-visibility: visible; display: block }
  .heat td { print-color-adjust: exact; -webkit-print-color-adjust: exact } }
"""
