// The conversation on the screen. Elements are kept by node, so focus and selection outlive what happens elsewhere.
import { AnswerBody } from "./answer.js";
import { branch, path } from "./conversation.js";
import { copyButton, iconButton, make, textButton } from "./dom.js";
import { EnterSender } from "./ime.js";
import { t, TEXT } from "./text.js";

const NOTES = new Set(["stopped", "length", "cut"]);

export function errorText({ kind, retryAfter }) {
	if (kind === "cut") return t("cut");
	if (kind === "busy" && retryAfter) return t("error_busyFor", { seconds: retryAfter });
	return t(`error_${kind}` in TEXT ? `error_${kind}` : "error_server");
}

export class Transcript {
	// `actions`: edit(node, text), regenerate(node, answer), retry(node, answer), choose(node, step), resume(text), key()
	constructor(list, actions) {
		this.list = list;
		this.actions = actions;
		this.clear();
	}

	clear() {
		this.elements = new Map(); // by node
		this.answers = new Map(); // what is shown of an answer
		this.conversation = null;
		this.list.replaceChildren();
	}

	show(conversation) {
		if (conversation !== this.conversation) this.clear();
		this.conversation = conversation;
		const nodes = path(conversation);
		nodes.forEach((node, index) => {
			const element = this.elements.get(node.id) ?? (node.role === "user" ? this.question(node) : this.reply(node));
			this.elements.set(node.id, element);
			const there = this.list.children[index];
			if (there !== element) this.list.insertBefore(element, there ?? null);
			this.showBranch(element, node);
		});
		while (this.list.children.length > nodes.length) this.list.lastElementChild.remove();
	}

	showBranch(element, node) {
		const [number, count] = branch(this.conversation, node);
		const switcher = element.querySelector(".branch");
		switcher.hidden = count < 2;
		switcher.querySelector("span").textContent = `${number}/${count}`;
		switcher.querySelector("span").setAttribute("aria-label", t("branch", { number, count }));
		const [previous, next] = switcher.querySelectorAll("button");
		previous.setAttribute("aria-disabled", number === 1);
		next.setAttribute("aria-disabled", number === count);
	}

	switcher(node) {
		const go = (step) => {
			const shown = this.actions.choose(node, step);
			const buttons = this.elements.get(shown.id).querySelectorAll(".branch button");
			buttons[step < 0 ? 0 : 1].focus();
		};
		return make("div", { class: "branch", role: "group" }, iconButton("left", t("previous"), () => go(-1)),
			make("span", { role: "img" }), iconButton("right", t("next"), () => go(1)));
	}

	question(node) {
		const bubble = make("div", { class: "bubble" }, node.text);
		const edit = iconButton("edit", t("edit"), () => this.editing(node, article), { class: "icon edit" });
		const tools = make("div", { class: "tools" }, this.switcher(node), copyButton("copy", () => node.text), edit);
		const article = make("article", { class: "question", "aria-label": t("question") }, bubble, tools);
		return article;
	}

	editing(node, article) {
		const field = make("textarea", { "aria-label": t("edit"), rows: Math.min(node.text.split("\n").length + 1, 12) }, node.text);
		const done = () => {
			form.replaceWith(...kept);
			article.classList.remove("editing");
		};
		const cancel = () => {
			done();
			article.querySelector(".edit").focus();
		};
		const sender = new EnterSender(field, () => {
			if (!field.value.trim() || !form.isConnected) return;
			const text = field.value;
			done();
			this.actions.edit(node, text);
		}, { newline: this.actions.touch });
		const form = make("div", { class: "form" }, field, make("div", { class: "row" }, textButton(t("cancel"), cancel),
			textButton(t("send"), () => sender.submit(), { class: "primary" })));
		field.addEventListener("keydown", (event) => {
			if (event.key !== "Escape" || event.isComposing) return;
			event.stopPropagation();
			cancel();
		});
		const kept = [...article.children];
		article.replaceChildren(form);
		article.classList.add("editing");
		field.focus();
	}

	reply(node) {
		const answers = node.answers.map((answer) => this.answer(node, answer));
		const section = make("div", { class: "reply", "data-count": node.answers.length }, ...answers);
		if (answers.length === 1) answers[0].querySelector(".tools").prepend(this.switcher(node));
		else section.append(make("div", { class: "tools whole" }, this.switcher(node)));
		return section;
	}

	mark({ model }) {
		return this.actions.marked() ? `\n\n${t("answerOf", { model })}, ${new Date().toLocaleDateString("sv")}` : "";
	}

	answer(node, answer) {
		const body = make("div", { class: answer.chat ? "body" : "body plain" });
		const state = make("div", { class: "state" });
		const stats = make("span", { class: "stats" });
		const tools = make("div", { class: "tools" }, copyButton("copy", () => answer.text + this.mark(answer)),
			iconButton("again", t("regenerate"), () => this.actions.regenerate(node, answer), { class: "icon again" }),
			answer.chat ? null : iconButton("continue", t("continue"), () => this.actions.resume(node, answer)), stats);
		const name = make("div", { class: "name" }, make("span", {}, answer.model), make("span", { class: "ai" }, "AI"));
		const article = make("article", { class: "answer", "aria-label": t("answerOf", { model: answer.model }) },
			name, body, state, tools);
		const prompt = answer.chat ? null : this.conversation.nodes.get(node.parent).text;
		const shown = { article, body: new AnswerBody(body, prompt), state, stats };
		this.answers.set(answer, shown);
		shown.body.finish(answer.text);
		this.settled(node, answer);
		return article;
	}

	push(answer, piece) {
		const shown = this.answers.get(answer);
		if (!shown) return;
		if (shown.state.firstChild) shown.state.replaceChildren();
		shown.body.push(piece);
	}

	// Show how an answer stands: waiting, written, ended, failed.
	settled(node, answer) {
		const shown = this.answers.get(answer);
		if (!shown) return;
		const streaming = answer.state === "streaming";
		shown.article.classList.toggle("streaming", streaming);
		shown.article.setAttribute("aria-busy", streaming);
		if (!streaming || !answer.text) shown.body.finish(answer.text);
		shown.stats.textContent = statsText(answer.stats);
		shown.state.replaceChildren();
		shown.state.className = answer.error ? "state error" : "state";
		if (streaming && !answer.text) shown.state.append(waiting());
		else if (answer.error) shown.state.append(...this.failure(node, answer));
		else if (NOTES.has(answer.state)) shown.state.append(make("p", {}, t(answer.state)));
	}

	failure(node, answer) {
		const { kind, detail } = answer.error;
		const words = make("p", {}, errorText(answer.error));
		if (detail && kind !== "network") words.append(make("small", { lang: "en" }, detail));
		const buttons = [textButton(t("retry"), () => this.actions.retry(node, answer))];
		if (kind === "key") buttons.unshift(textButton(t("enterKey"), () => this.actions.key()));
		return [words, make("div", { class: "row" }, ...buttons)];
	}
}

const waiting = () => make("p", { class: "waiting" }, make("span", { class: "unseen" }, t("thinking")),
	...[1, 2, 3].map(() => make("i", { "aria-hidden": "true" })));

function statsText(stats) {
	if (!stats) return "";
	const fixed = (value, digits) => Number(value).toFixed(value >= 100 ? 0 : digits);
	const parts = [];
	if (stats.first != null) parts.push(t("statFirst", { seconds: fixed(stats.first, 2) }));
	if (stats.rate != null) parts.push(t("statRate", { rate: fixed(stats.rate, 1) }));
	parts.push(stats.tokens != null ? t("statTokens", { tokens: stats.tokens }) : t("statSeconds", { seconds: fixed(stats.seconds, 1) }));
	return parts.join(" · ");
}
