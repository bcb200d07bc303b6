// The page: what is shown, what is asked, and what is kept.
import { answer as streamAnswer, pageInfo, ServerError } from "./api.js";
import * as talk from "./conversation.js";
import { $, textButton } from "./dom.js";
import { EnterSender } from "./ime.js";
import { ModelPicker } from "./models.js";
import { Settings, settingsDialog } from "./settings.js";
import { Sidebar } from "./sidebar.js";
import { finished, Speaker } from "./speech.js";
import { History } from "./store.js";
import { language, t } from "./text.js";
import { errorText, Transcript } from "./transcript.js";

const settings = new Settings();
const history = await History.open();
const speaker = new Speaker($("live"));
const touch = () => matchMedia("(hover: none) and (pointer: coarse)").matches;
const live = new Map(); // answers that are being written: {conversation, stop}
let info = { models: [], keyNeeded: false, notice: {} };
let current = talk.newConversation(settings.system);

settings.apply();

// ---- Keeping

const unsaved = new Map(); // by id: {conversation, timer}

function save(conversation, delay = 0) {
  if (!settings.keep || talk.isEmpty(conversation)) return;
  const before = unsaved.get(conversation.id);
  if (before && delay) return;
  clearTimeout(before?.timer);
  unsaved.set(conversation.id, { conversation, timer: setTimeout(() => void flush(), delay) });
}

async function flush() {
  const all = [...unsaved.values()];
  unsaved.clear();
  try {
    for (const { conversation, timer } of all) {
      clearTimeout(timer);
      await history.put(conversation);
    }
  } catch {
    banner(t("saveFailed"));
  }
}

// ---- Showing

function banner(text, label = "", act = null) {
  $("banner").hidden = !text;
  $("banner-text").textContent = text;
  $("banner-action").replaceWith(textButton(label, act, { id: "banner-action" }));
  $("banner-action").hidden = !act;
}

const models = new ModelPicker(settings, show);
const transcript = new Transcript($("turns"), {
  touch,
  edit: (node, text) => ask(text, node.parent),
  choose(node, step) {
    const shown = talk.choose(current, node, step);
    save(current);
    show();
    return shown;
  },
  regenerate,
  retry,
  resume(node, answer) {
    $("field").value = current.nodes.get(node.parent).text + answer.text;
    grow();
    $("field").focus();
  },
  key: () => openSettings("key"),
});

const liveOf = (id) => [...live.values()].find((each) => each.conversation.id === id)?.conversation;
const isLive = (conversation = current) => Boolean(liveOf(conversation.id));

function show() {
  const empty = talk.isEmpty(current);
  $("welcome").hidden = !empty;
  const bases = models.chosen().filter(({ chat }) => !chat);
  const allBase = bases.length > 0 && bases.length === models.chosen().length;
  $("hello").textContent = t(allBase ? "welcomeBase" : "welcome");
  $("welcome-note").textContent = t(!settings.keep ? "welcomeNoteOff" : history.database ? "welcomeNote" : "notKept");
  $("base-notice").hidden = bases.length === 0;
  $("base-notice").textContent = bases.length ? t("baseNotice", { model: bases.map(({ id }) => id).join(", ") }) : "";
  $("field").placeholder = t(allBase ? "completionHint" : "messageHint");
  $("notice").textContent = String(info.notice[language()] || t("notice"));
  $("title").textContent = current.title;
  document.title = current.title ? `${current.title} · ${t("brand")}` : t("brand");
  transcript.show(current);
  showBusy();
}

function showBusy() {
  const busy = isLive();
  const focused = document.activeElement === $(busy ? "send" : "stop");
  $("send").hidden = busy;
  $("stop").hidden = !busy;
  if (focused) (busy ? $("stop") : $("field")).focus();
  $("send").disabled = !$("field").value.trim();
}

async function open(id) {
  if (id !== current.id) {
    await flush();
    const saved = liveOf(id) ?? (await history.get(id));
    if (!saved) return;
    current = talk.settle(saved, new Set(live.keys()));
  }
  closeDrawer();
  shown();
}

function startNew() {
  if (!talk.isEmpty(current)) current = talk.newConversation(settings.system);
  closeDrawer();
  shown();
  $("field").focus();
}

function shown() {
  const hash = talk.isEmpty(current) ? "" : `#${current.id}`;
  if (location.hash !== hash) window.history.pushState(null, "", hash || location.pathname);
  show();
  stick = true;
  follow();
  void sidebar.show();
}

const sidebar = new Sidebar(history, {
  open,
  current: () => current.id,
  notice: () => ({ ko: info.notice.ko, en: info.notice.en }),
  flush,
  async renamed(id, title) {
    const conversation = liveOf(id) ?? (id === current.id ? current : await history.get(id));
    conversation.title = title;
    await history.put(conversation);
    show();
  },
  removed(id) {
    for (const { conversation, stop } of live.values()) if (!id || conversation.id === id) stop(true);
    for (const each of id ? [id] : [...unsaved.keys()]) {
      clearTimeout(unsaved.get(each)?.timer);
      unsaved.delete(each);
    }
    if (id && id !== current.id) return;
    current = talk.newConversation(settings.system);
    shown();
  },
});

// ---- Asking

function ask(text, parent = talk.leaf(current)) {
  const chosen = models.chosen();
  if (!chosen.length) {
    void refresh();
    return false;
  }
  const question = talk.addQuestion(current, parent, text);
  reply(question.id, chosen.map(({ id, chat }) => talk.newAnswer(id, chat)));
  void sidebar.show();
  return true;
}

function reply(question, answers) {
  const conversation = current;
  const node = talk.addReply(conversation, question, answers);
  const waiting = answers.filter(({ state }) => state === "streaming");
  for (const each of waiting) void writeAnswer(conversation, node, each);
  window.history.replaceState(null, "", `#${conversation.id}`);
  stick = true;
  show();
  save(conversation);
}

// The other models' answers come along into the new branch.
function regenerate(node, answer) {
  if (isLive()) return;
  const known = models.all.find(({ id }) => id === answer.model);
  const { id, chat } = known ?? models.chosen()[0] ?? answer;
  reply(node.parent, node.answers.map((each) => (each === answer ? talk.newAnswer(id, chat) : structuredClone(each))));
}

// An answer of which nothing came is asked for again where it stands; one of which something came stays.
function retry(node, answer) {
  if (answer.text) {
    regenerate(node, answer);
    return;
  }
  if (isLive()) return;
  Object.assign(answer, { state: "streaming", error: null, stats: null });
  void writeAnswer(current, node, answer);
  showBusy();
}

// Have one answer written.
async function writeAnswer(conversation, node, answer) {
  const controller = new AbortController();
  let dropped = false;
  live.set(answer, { conversation, stop: (drop = false) => {
    dropped = drop;
    controller.abort();
  } });
  transcript.settled(node, answer);
  const begun = performance.now();
  const stats = { first: null, seconds: null, tokens: null, rate: null };
  let spoken = 0;
  let last = begun;
  const input = answer.chat
    ? { messages: talk.messages(conversation, node, answer.model) }
    : { prompt: conversation.nodes.get(node.parent).text };
  try {
    const request = { model: answer.model, ...input, ...settings.sampling };
    let state = "done";
    for await (const { text, finish, tokens } of streamAnswer(request, answer.chat, settings.key, controller.signal)) {
      if (text) {
        last = performance.now();
        stats.first ??= (last - begun) / 1000;
        answer.text += text;
        transcript.push(answer, text);
        spoken = speak(conversation, answer, spoken);
        save(conversation, 1000);
      }
      if (finish === "length") state = "length";
      stats.tokens = tokens ?? stats.tokens;
    }
    answer.state = state;
  } catch (error) {
    fail(answer, error);
  }
  stats.seconds = (last - begun) / 1000;
  const writing = stats.seconds - (stats.first ?? 0);
  if (stats.tokens > 1 && writing > 0) stats.rate = (stats.tokens - 1) / writing;
  if (answer.text) answer.stats = stats;
  live.delete(answer);
  if (dropped) return;
  conversation.updated = Date.now();
  await finishAnswer(conversation, node, answer, spoken);
}

function fail(answer, error) {
  if (error.name === "AbortError") {
    answer.state = "stopped";
    return;
  }
  const { kind, detail, retryAfter } = error instanceof ServerError ? error : new ServerError("strange", error.message);
  answer.state = kind === "cut" ? "cut" : "error";
  answer.error = { kind, detail, retryAfter };
}

async function finishAnswer(conversation, node, answer, spoken) {
  transcript.settled(node, answer);
  if (conversation === current) {
    speaker.say(answer.text.slice(spoken));
    speaker.say(answer.error ? errorText(answer.error) : t("finished"));
    showBusy();
  }
  if (answer.error?.kind === "model" || answer.error?.kind === "key") void refresh();
  save(conversation);
  await flush();
  void sidebar.show();
}

function speak(conversation, answer, from) {
  const end = finished(answer.text, from);
  if (end > from && conversation === current) speaker.say(answer.text.slice(from, end));
  return end;
}

function stop() {
  for (const { conversation, stop: end } of live.values()) if (conversation === current) end();
}

// ---- The message box

const field = $("field");

function grow() {
  field.style.height = "auto";
  field.style.height = `${field.scrollHeight + 2}px`;
  $("send").disabled = !field.value.trim();
}

const sender = new EnterSender(field, () => {
  if (!field.value.trim() || isLive() || !ask(field.value)) return;
  field.value = "";
  grow();
  if (!touch()) field.focus();
}, { newline: touch });

field.addEventListener("input", grow);
field.addEventListener("keydown", (event) => {
  if (event.key !== "ArrowUp" || field.value || event.isComposing || isLive()) return;
  const last = [...document.querySelectorAll(".question .edit")].at(-1);
  if (last) event.preventDefault();
  last?.click();
});
$("send").addEventListener("click", () => sender.submit());
$("stop").addEventListener("click", stop);
$("new").addEventListener("click", startNew);

// ---- Scrolling: the end stays in view while the reader is there

let stick = true;
const scroll = $("scroll");
const follow = () => stick && (scroll.scrollTop = scroll.scrollHeight);

scroll.addEventListener("scroll", () => {
  stick = scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < 60;
  $("to-bottom").hidden = stick;
}, { passive: true });
$("to-bottom").addEventListener("click", () => {
  stick = true;
  follow();
  field.focus();
});
const resized = new ResizeObserver(follow);
resized.observe($("turns"));
resized.observe(scroll);

// ---- The list of chats: beside the page, or over it on a phone

const narrow = matchMedia("(max-width: 800px)");
const root = document.documentElement;

function showSide(open) {
  root.classList.toggle("side", open);
  $("side-open").setAttribute("aria-expanded", open);
  document.querySelector("main").inert = open && narrow.matches;
  if (narrow.matches) return;
  settings.side = open;
  settings.save();
}

function toggleSide(open = !root.classList.contains("side")) {
  showSide(open);
  $(open ? "side-close" : "side-open").focus();
}

const closeDrawer = () => narrow.matches && showSide(false);

narrow.addEventListener("change", () => showSide(!narrow.matches && settings.side));
$("side-open").addEventListener("click", () => toggleSide(true));
$("side-close").addEventListener("click", () => toggleSide(false));
$("scrim").addEventListener("click", () => toggleSide(false));

// ---- Dialogs, menus, keys

const openSettings = settingsDialog(settings, {
  system: () => current.system,
  setSystem(text) {
    current.system = settings.system = text;
    settings.save();
    save(current, 1000);
  },
  changed() {
    models.show();
    transcript.clear();
    shown();
  },
  keyChanged: () => void refresh(),
});
$("open-settings").addEventListener("click", () => openSettings());
$("settings-close").addEventListener("click", () => $("settings").close());
$("confirm-no").addEventListener("click", () => $("confirm").close("no"));
$("confirm-yes").addEventListener("click", () => $("confirm").close("yes"));

document.addEventListener("click", ({ target }) => {
  for (const menu of document.querySelectorAll("details.menu[open]")) if (!menu.contains(target)) menu.open = false;
});

// By the position of a key where its letter depends on the keyboard: in Hangul mode K is ㅏ.
const KEYS = { KeyK: () => searchChats(), Slash: () => field.focus(), KeyB: () => toggleSide() };

function searchChats() {
  showSide(true);
  $("search").focus();
}

document.addEventListener("keydown", (event) => {
  if (event.isComposing || event.defaultPrevented || document.querySelector("dialog[open]")) return;
  if (event.key === "Escape") return escape();
  if (!(event.ctrlKey || event.metaKey) || event.altKey) return;
  const act = event.shiftKey ? event.code === "KeyO" && startNew : KEYS[event.code];
  if (!act) return;
  event.preventDefault();
  act();
});

function escape() {
  const menu = document.querySelector("details.menu[open]");
  if (menu) {
    menu.open = false;
    menu.querySelector("summary").focus();
  } else if (narrow.matches && root.classList.contains("side")) {
    toggleSide(false);
  } else {
    stop();
  }
}

// ---- The start

async function refresh() {
  try {
    info = await pageInfo();
    models.set(info.models);
    if (info.keyNeeded && !settings.key) banner(t("keyNeeded"), t("enterKey"), () => openSettings("key"));
    else banner(info.models.length ? "" : t("noModels"), t("retry"), () => void refresh());
  } catch (error) {
    banner(errorText(error), t("retry"), () => void refresh());
  }
  show();
}

window.addEventListener("pagehide", () => void flush());
document.addEventListener("visibilitychange", () => {
  if (document.visibilityState === "hidden") void flush();
  else void sidebar.show();
});
window.addEventListener("popstate", () => {
  const id = location.hash.slice(1);
  if (id) void open(id);
  else startNew();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => settings.apply());

showSide(!narrow.matches && settings.side);
show();
if (location.hash) await open(location.hash.slice(1));
await refresh();
void sidebar.show();
if (!touch()) field.focus();
