// The body of an answer: Markdown as DOM nodes. While it is written, text is appended to one text node; the block
// that is open is laid out anew at the end of a line, a sentence or a mark, and finished blocks are never touched.
import { copyButton, make } from "./dom.js";
import { parse } from "./markdown.js";
import { t } from "./text.js";

function inlineNodes(nodes) {
	return nodes.map((node) => {
		if (typeof node === "string") return document.createTextNode(node);
		if (node.type === "break") return make("br");
		if (node.type === "code") return make("code", {}, node.text);
		if (node.type === "link") return link(node);
		if (node.type === "image") return make("span", { class: "image" }, `[${t("image")}: ${node.text} ${node.href}]`);
		return make(node.type, {}, ...inlineNodes(node.nodes));
	});
}

// The whole address is shown, as the browser understands it.
function link({ text, href }) {
	let url;
	try {
		url = new URL(href).href;
	} catch {
		return document.createTextNode(text || href);
	}
	const anchor = make("a", { href: url, rel: "noreferrer noopener", target: "_blank" }, url);
	if (!text || text === href || text === url) return anchor;
	return make("span", {}, `${text} (`, anchor, ")");
}

// What may scroll sideways is reached with the keyboard.
const region = (name) => ({ tabindex: "0", role: "region", "aria-label": name });

function codeBlock({ language, text }) {
	const code = make("code", {}, text);
	const name = language || t("code");
	const head = make("div", { class: "code-head" }, make("span", {}, name), copyButton("copyCode", () => code.textContent));
	return make("div", { class: "code" }, head, make("pre", region(name), code));
}

function tableNode({ align, head, rows }) {
	const row = (tag, cells) => make("tr", {}, ...cells.map((cell, column) => make(tag, {
		class: align[column] === "start" ? null : `to-${align[column]}`, scope: tag === "th" ? "col" : null,
	}, ...inlineNodes(cell))));
	const table = make("table", {}, make("thead", {}, row("th", head)), make("tbody", {}, ...rows.map((each) => row("td", each))));
	return make("div", { class: "table", ...region(t("table")) }, table);
}

function listNode({ ordered, start, loose, items }) {
	return make(ordered ? "ol" : "ul", { start: ordered && start !== 1 ? start : null }, ...items.map((blocks) => {
		const nodes = blocks.flatMap((block) => (block.type === "paragraph" && !loose ? inlineNodes(block.inline) : [blockNode(block)]));
		return make("li", {}, ...nodes);
	}));
}

function blockNode(block) {
	switch (block.type) {
		case "heading": // under the page's own headings
			return make(`h${Math.min(block.level + 1, 6)}`, { class: `level-${block.level}` }, ...inlineNodes(block.inline));
		case "code":
			return codeBlock(block);
		case "rule":
			return make("hr");
		case "quote":
			return make("blockquote", {}, ...block.blocks.map(blockNode));
		case "list":
			return listNode(block);
		case "table":
			return tableNode(block);
		default:
			return make("p", {}, ...inlineNodes(block.inline));
	}
}

const TURNS = /[\n*`|~]|[.!?。…][)"'”’」』]?\s/;
const INSIDE = new Set(["P", "LI", "UL", "OL", "BLOCKQUOTE", "DIV", "PRE", "CODE", "H2", "H3", "H4", "H5", "H6"]);

export class AnswerBody {
	// A base model's text is shown as it is, after the text that it continues.
	constructor(element, prompt = null) {
		Object.assign(this, { element, prompt, markdown: prompt === null });
		this.finish("");
	}

	push(piece) {
		const before = this.text;
		this.text += piece.replaceAll("\r", "");
		if (this.markdown && TURNS.test(before.slice(-2) + piece)) this.layout();
		else this.grow(piece, before.endsWith("\n"));
	}

	grow(piece, newLine) {
		if (!this.tail) {
			this.tail = document.createTextNode("");
			this.home(newLine).append(this.tail);
		}
		this.tail.appendData(piece);
	}

	// Where new text belongs: the end of the open block, or a new line below it.
	home(newLine) {
		let last = this.open.at(-1);
		if (!last || (newLine && !this.inCode)) {
			last = make("p", {}, this.prompt && make("span", {}, this.prompt));
			this.open.push(last);
			this.element.append(last);
			return last;
		}
		for (let next = last; next && INSIDE.has(next.tagName); next = next.lastElementChild) last = next;
		return last;
	}

	layout(whole = false) {
		for (const element of this.open) element.remove();
		this.tail = null;
		const rest = this.text.slice(this.closed);
		// A line that is not complete yet may still change which block it belongs to.
		const settled = whole ? [] : parse(rest.slice(0, rest.lastIndexOf("\n") + 1));
		if (settled.length > 1) {
			this.element.append(...settled.slice(0, -1).map(blockNode));
			this.closed += offset(rest, settled.at(-1).line);
		}
		const blocks = parse(this.text.slice(this.closed));
		this.inCode = endsInCode(blocks);
		this.open = blocks.map(blockNode);
		this.element.append(...this.open);
	}

	// Lay out a whole text, as it will be from now on.
	finish(text = this.text) {
		this.text = text.replaceAll("\r", "");
		this.closed = 0; // blocks before this offset are laid out for good
		this.open = []; // elements of the rest
		this.tail = null; // the text node that grows
		this.inCode = false;
		this.element.replaceChildren();
		if (this.markdown) this.layout(true);
		else if (this.text) this.grow(this.text, false);
	}
}

function endsInCode(blocks) {
	const last = blocks?.at(-1);
	if (!last) return false;
	return last.type === "code" ? last.open : endsInCode(last.blocks ?? last.items?.at(-1));
}

function offset(text, line) {
	let at = 0;
	for (let count = 0; count < line; count += 1) at = text.indexOf("\n", at) + 1;
	return at;
}
