// The page: what is shown, what is asked, and what is kept.
import { answer as streamAnswer, pageInfo, ServerError } from "./api.js";
import * as talk from "./conversation.js";
import { $, icon, on, textButton } from "./dom.js";
import { Frame, shortcuts } from "./frame.js";
import { EnterSender } from "./ime.js";
import { ModelPicker } from "./models.js";
import { Settings, settingsDialog } from "./settings.js";
import { Sidebar } from "./sidebar.js";
import { finished, say } from "./speech.js";
import { History } from "./store.js";
import { language, t } from "./text.js";
import { errorText, Transcript } from "./transcript.js";

const settings = new Settings();
const field = $("field");
const history = await History.open();
const frame = new Frame(settings);
const touch = () => matchMedia("(hover: none) and (pointer: coarse)").matches;
const live = new Map(); // answers that are being written: {conversation, stop}
let info = { models: [], keyNeeded: false, notice: {} };
let current = talk.newConversation(settings.system);

for (const element of document.querySelectorAll("[data-icon]")) element.prepend(icon(element.dataset.icon));
settings.apply();

// ---- Keeping

const unsaved = new Map(); // by id: {conversation, timer}

function save(conversation, delay = 0) {
	if (!settings.keep || talk.isEmpty(conversation)) return;
	const before = unsaved.get(conversation.id);
	if (before && delay) return;
	clearTimeout(before?.timer);
	unsaved.set(conversation.id, { conversation, timer: setTimeout(() => flush(), delay) });
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
	marked: () => info.mark,
	edit(node, text) {
		stop();
		ask(text, node.parent);
	},
	choose(node, step) {
		const shown = talk.choose(current, node, step);
		save(current);
		show();
		return shown;
	},
	regenerate,
	retry,
	resume(node, answer) {
		field.value = current.nodes.get(node.parent).text + answer.text;
		grow();
		field.focus();
	},
	key: () => openSettings("key"),
});

const liveOf = (id) => [...live.values()].find((each) => each.conversation.id === id)?.conversation;
const isLive = (conversation = current) => Boolean(liveOf(conversation.id));

function show() {
	$("welcome").hidden = !talk.isEmpty(current);
	const chosen = models.chosen();
	const bases = chosen.filter(({ chat }) => !chat).map(({ id }) => id);
	const allBase = bases[0] && bases.length === chosen.length;
	$("hello").textContent = t(allBase ? "welcomeBase" : "welcome");
	$("welcome-note").textContent = t(!settings.keep ? "welcomeNoteOff" : history.database ? "welcomeNote" : "notKept");
	$("base-notice").hidden = !bases[0];
	$("base-notice").textContent = t("baseNotice", { model: bases.join(", ") });
	field.placeholder = t(allBase ? "completionHint" : "messageHint");
	$("notice").textContent = String(info.notice[language()] || t("notice"));
	$("title").textContent = current.title || t("newChat");
	document.title = `${$("title").textContent} · ${t("brand")}`;
	transcript.show(current);
	showBusy();
}

function showBusy() {
	const busy = isLive();
	const focused = document.activeElement === $(busy ? "send" : "stop");
	$("send").hidden = busy;
	$("stop").hidden = !busy;
	if (focused) (busy ? $("stop") : field).focus();
	$("send").disabled = !field.value.trim();
}

async function open(id) {
	if (id !== current.id) {
		await flush();
		const saved = liveOf(id) ?? (await history.get(id));
		if (!saved) return;
		current = talk.settle(saved, new Set(live.keys()));
	}
	frame.closeDrawer();
	shown();
}

function startNew() {
	if (!talk.isEmpty(current)) current = talk.newConversation(settings.system);
	frame.closeDrawer();
	shown();
	field.focus();
}

function shown() {
	const hash = talk.isEmpty(current) ? "" : `#${current.id}`;
	if (location.hash !== hash) window.history.pushState(null, "", hash || location.pathname);
	show();
	frame.toEnd();
	sidebar.show();
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
		refresh();
		return false;
	}
	const question = talk.addQuestion(current, parent, text);
	reply(question.id, chosen.map(({ id, chat }) => talk.newAnswer(id, chat)));
	sidebar.show();
	return true;
}

function reply(question, answers) {
	const conversation = current;
	const node = talk.addReply(conversation, question, answers);
	for (const each of answers) if (each.state === "streaming") writeAnswer(conversation, node, each);
	window.history.replaceState(null, "", `#${conversation.id}`);
	show();
	frame.toEnd();
	save(conversation);
}

// The other models' answers come along.
function regenerate(node, answer) {
	if (isLive()) return;
	const known = models.all.find(({ id }) => id === answer.model);
	const { id, chat } = known ?? models.chosen()[0] ?? answer;
	reply(node.parent, node.answers.map((each) => (each === answer ? talk.newAnswer(id, chat) : structuredClone(each))));
}

// An answer of which nothing came is asked for again where it stands; one of which something came stays.
function retry(node, answer) {
	if (answer.text) return regenerate(node, answer);
	if (isLive()) return;
	Object.assign(answer, { state: "streaming", error: null, stats: null });
	writeAnswer(current, node, answer);
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
				const end = finished(answer.text, spoken);
				if (conversation === current) say(answer.text.slice(spoken, end));
				spoken = end;
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
		say(answer.text.slice(spoken));
		say(answer.error ? errorText(answer.error) : t("finished"));
		showBusy();
	}
	if (answer.error?.kind === "model" || answer.error?.kind === "key") refresh();
	save(conversation);
	await flush();
	sidebar.show();
}

function stop() {
	for (const { conversation, stop: end } of live.values()) if (conversation === current) end();
}

// ---- The message box

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
on("send", "click", () => sender.submit());
on("stop", "click", stop);
on("new", "click", startNew);


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
	keyChanged: () => refresh(),
});
on("open-settings", "click", () => openSettings());
on("settings-close", "click", () => $("settings").close());
on("confirm-no", "click", () => $("confirm").close("no"));
on("confirm-yes", "click", () => $("confirm").close("yes"));

// By the position of a key where its letter depends on the keyboard: in Hangul mode K is ㅏ.
shortcuts({
	KeyK() {
		frame.showSide(true);
		$("search").focus();
	},
	Slash: () => field.focus(),
	KeyB: () => frame.toggleSide(),
}, { KeyO: startNew }, () => frame.escape() || stop());

// ---- The start

async function refresh() {
	try {
		info = await pageInfo();
		models.set(info.models);
		if (info.keyNeeded && !settings.key) banner(t("keyNeeded"), t("enterKey"), () => openSettings("key"));
		else banner(info.models.length ? "" : t("noModels"), t("retry"), () => refresh());
	} catch (error) {
		banner(errorText(error), t("retry"), () => refresh());
	}
	show();
}

window.addEventListener("pagehide", () => flush());
document.addEventListener("visibilitychange", () => {
	if (document.visibilityState === "hidden") flush();
	else sidebar.show();
});
window.addEventListener("popstate", () => {
	const id = location.hash.slice(1);
	if (id) open(id);
	else startNew();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => settings.apply());

show();
if (location.hash) await open(location.hash.slice(1));
await refresh();
sidebar.show();
if (!touch()) field.focus();
