"""The HTML of the rating sheet; {{DATA}} is replaced by the pairs as JSON."""

from __future__ import annotations

PAGE = """<!doctype html>
<html lang="ko">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>KoPairs 평가지</title>
<style>
:root { color-scheme: light dark; --back: #fff; --ink: #111; --line: #555; --accent: #0b4fa8; --on: #fff; }
@media (prefers-color-scheme: dark) {
  :root { --back: #111; --ink: #f4f4f4; --line: #aaa; --accent: #9cc7ff; --on: #111; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 44rem; padding: 1rem; background: var(--back); color: var(--ink);
  font: 1.125rem/1.6 system-ui, sans-serif; word-break: keep-all; overflow-wrap: anywhere; }
h1 { font-size: 1.3rem; margin: 0 0 .5rem; }
label { display: block; margin: .75rem 0; }
input { font: inherit; width: 100%; padding: .5rem; border: 2px solid var(--line); border-radius: .4rem;
  background: var(--back); color: var(--ink); }
button { font: inherit; color: var(--ink); background: var(--back); border: 2px solid var(--line);
  border-radius: .5rem; padding: .8rem 1rem; min-height: 3rem; cursor: pointer; }
.choice { display: block; width: 100%; text-align: left; margin: .6rem 0; }
.row { display: flex; flex-wrap: wrap; gap: .6rem; margin-top: 1rem; }
.main { background: var(--accent); color: var(--on); border-color: var(--accent); }
button:focus-visible, input:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
progress { width: 100%; height: 1rem; accent-color: var(--accent); }
kbd { border: 1px solid var(--line); border-radius: .25rem; padding: 0 .35rem; margin-right: .5rem; }
[hidden] { display: none; }
</style>
</head>
<body>
<main>
<h1>어느 문장이 더 자연스러운 한국어입니까?</h1>
<p id="help">두 문장을 읽고 더 자연스러운 쪽을 고르십시오. 오래 생각하지 말고 느낀 대로 답하십시오.
숫자 키 1, 2, 3으로도 답할 수 있습니다.
답은 이 브라우저에 저장되므로 언제든지 쉬었다가 이어서 할 수 있습니다.</p>
<label>평가자 이름 또는 별명 <input id="rater" autocomplete="off" maxlength="60"></label>
<progress id="bar" aria-label="진행 상황"></progress>
<p id="count" role="status" aria-live="polite"></p>
<section id="pair" aria-label="문장 쌍">
<button class="choice" id="left" type="button"></button>
<button class="choice" id="right" type="button"></button>
<button class="choice" id="unsure" type="button"><kbd>3</kbd>모르겠습니다</button>
</section>
<p id="done" hidden>모두 마쳤습니다. 결과를 내려받아 보내 주십시오. 고맙습니다.</p>
<div class="row">
<button id="back" type="button">이전 쌍으로</button>
<button id="save" type="button" class="main">결과 내려받기</button>
</div>
<noscript>이 평가지는 자바스크립트가 있어야 작동합니다.</noscript>
</main>
<script id="data" type="application/json">{{DATA}}</script>
<script>
"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const key = "kopairs-" + data.identity + "-" + data.seed;
const at = (id) => document.getElementById(id);
let kept = { rater: "", answers: [] };
/* A private window may have no storage: then nothing is kept. */
try { kept = JSON.parse(localStorage.getItem(key)) || kept; } catch (error) {}
const store = () => { try { localStorage.setItem(key, JSON.stringify(kept)); } catch (error) {} };
const fill = (button, digit, sentence) => {
  const mark = document.createElement("kbd");
  mark.textContent = digit;
  button.replaceChildren(mark, sentence);
};
function show() {
  const position = kept.answers.length, total = data.pairs.length, over = position >= total;
  at("bar").max = total;
  at("bar").value = position;
  at("count").textContent = total + "쌍 가운데 " + position + "쌍을 마쳤습니다.";
  at("pair").hidden = over;
  at("done").hidden = !over;
  at("back").disabled = position === 0;
  if (!over) {
    fill(at("left"), "1", data.pairs[position].left);
    fill(at("right"), "2", data.pairs[position].right);
  }
}
function answer(judgement) {
  if (kept.answers.length >= data.pairs.length) return;
  kept.answers.push(judgement);
  store();
  show();
}
function save() {
  if (!kept.rater.trim()) {
    at("count").textContent = "먼저 평가자 이름을 적어 주십시오.";
    at("rater").focus();
    return;
  }
  const lines = kept.answers.map((judgement, index) => JSON.stringify({
    identity: data.identity, seed: data.seed, rater: kept.rater.trim(), item: data.pairs[index].item,
    judgement,
  }));
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([lines.join("\\n") + "\\n"], { type: "application/jsonl" }));
  link.download = "kopairs-ratings.jsonl";
  link.click();
  URL.revokeObjectURL(link.href);
}
for (const side of ["left", "right", "unsure"]) at(side).addEventListener("click", () => answer(side));
at("back").addEventListener("click", () => { kept.answers.pop(); store(); show(); });
at("save").addEventListener("click", save);
at("rater").value = kept.rater;
at("rater").addEventListener("input", () => { kept.rater = at("rater").value; store(); });
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  if (event.target === at("rater")) return;
  const judgement = { 1: "left", 2: "right", 3: "unsure" }[event.key];
  if (judgement) { event.preventDefault(); answer(judgement); }
});
show();
</script>
</body>
</html>
"""
