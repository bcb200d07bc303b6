"""How reports look."""

NUM_COLOURS = 9
STYLE = """
:root { --ink: #1b2330; --soft: #5c6878; --line: #e1e6ec; --ground: #fff; --card: #f7f9fb; --lost: #d9dee5;
  --c0: #2f6f9f; --c1: #e07b39; --c2: #4a9d6b; --c3: #b4507f; --c4: #8a7cc4; --c5: #c9a227; --c6: #5fb3b3;
  --c7: #a5673f; --c8: #8894a3 }
@media (prefers-color-scheme: dark) { :root { --ink: #e6eaf0; --soft: #9aa7b6; --line: #2f3844;
  --ground: #12161c; --card: #1a2028; --lost: #39424e; --c0: #6fb1e0; --c2: #6cc48f; --c3: #d67ba6 } }
* { box-sizing: border-box }
body { font: 15px/1.55 system-ui, "Noto Sans KR", "Apple SD Gothic Neo", "Malgun Gothic", "NanumGothic",
  sans-serif; color: var(--ink); background: var(--ground); max-width: 1120px; margin: 2rem auto;
  padding: 0 1.2rem; word-break: keep-all }
h1 { font-size: 1.7rem; margin: 0 } h2 { font-size: 1.1rem; margin: 0 0 .7rem }
p.lead, small, td.soft, .note { color: var(--soft) } .note { font-size: .85rem; margin: .6rem 0 0 }
section { background: var(--card); border: 1px solid var(--line); border-radius: 10px;
  padding: 1.1rem 1.3rem; margin: 1.1rem 0; overflow-x: auto }
.grid { columns: 2 420px; column-gap: 1.1rem } .grid section { break-inside: avoid; margin: 0 0 1.1rem }
.grid td, summary, td.soft { white-space: nowrap }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; padding: .28rem .7rem .28rem 0; border-bottom: 1px solid var(--line);
  vertical-align: top } tr:last-child > td { border-bottom: 0 }
th { font-weight: 600; font-size: .82rem; color: var(--soft) }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap }
td.bar { width: 42%; min-width: 110px; vertical-align: middle }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 1rem;
  margin: 1.3rem 0 .2rem }
.figures b { display: block; font-size: 1.55rem; line-height: 1.2; font-variant-numeric: tabular-nums }
.track { height: .85rem; border-radius: 3px; overflow: hidden; display: flex; background: none }
.track + .track { margin-top: 3px; height: .5rem; opacity: .75 }
.track i { height: 100%; flex: none } .lost { background: var(--lost) }
.legend { display: flex; flex-wrap: wrap; gap: .2rem 1.1rem; font-size: .82rem; color: var(--soft);
  margin: .8rem 0 0 } .legend i { display: inline-block; width: .75rem; height: .75rem; border-radius: 2px;
  margin-right: .35rem; vertical-align: -1px }
details { margin: 0 } summary { cursor: pointer }
blockquote { margin: .4rem 0 .4rem .4rem; color: var(--soft); border-left: 3px solid var(--line);
  padding-left: .7rem; white-space: pre-wrap; overflow-wrap: anywhere; font-size: .9rem }
.warn { color: var(--c1); font-weight: 600 }
""" + "\n".join(f".c{i} {{ background: var(--c{i}) }}" for i in range(NUM_COLOURS))
