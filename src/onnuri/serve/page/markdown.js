// Markdown to a tree of plain objects. Nothing here knows of HTML, so nothing in a text can become HTML.
// Bold needs no punctuation rule: `**한국(Korea)**은` is bold here, though not in CommonMark, because a Korean
// particle follows its word at once. Depth and lookahead are bounded, so hostile text costs linear time.
const MAX_DEPTH = 12;
const MAX_OPEN = 24;
const MAX_COLUMNS = 40;
const FENCE = /^ {0,3}(`{3,}|~{3,})([^`]*)$/;
const HEADING = /^ {0,3}(#{1,6})(?: +|$)(.*)$/;
const ITEM = /^( {0,3})([-*+]|\d{1,9}[.)])( {1,4}(?! )| *$| +)/;
const QUOTE = /^ {0,3}> ?/;
const SAFE_URL = /^(https?:\/\/|mailto:)[^\s<>"'`]+$/i;

const blank = (line) => line.trim() === "";
const indent = (line) => line.length - line.trimStart().length;
const isRule = (line) => /^ {0,3}([-*_])( *\1){2,} *$/.test(line);

// Blocks of a text, each with `line`, the index of its first line.
export function parse(text) {
	return blocks(text.replace(/\r\n?/g, "\n").replaceAll("\t", "    ").split("\n"), 0);
}

function blocks(lines, depth) {
	const found = [];
	let at = 0;
	while (at < lines.length) {
		if (blank(lines[at])) {
			at += 1;
			continue;
		}
		const [block, next] = oneBlock(lines, at, depth);
		block.line = at;
		found.push(block);
		at = next;
	}
	return found;
}

function oneBlock(lines, at, depth) {
	const line = lines[at];
	const fence = FENCE.exec(line);
	if (fence) return codeBlock(lines, at, fence);
	const heading = HEADING.exec(line);
	if (heading) {
		const title = heading[2].trimEnd().replace(/(^| )#+$/, "");
		return [{ type: "heading", level: heading[1].length, inline: inline(title) }, at + 1];
	}
	if (isRule(line)) return [{ type: "rule" }, at + 1];
	if (depth < MAX_DEPTH) {
		if (QUOTE.test(line)) return quote(lines, at, depth);
		if (ITEM.test(line)) return list(lines, at, depth);
	}
	const table = tableHead(lines, at);
	return table ? tableBlock(lines, at, table) : paragraph(lines, at);
}

function codeBlock(lines, at, [, mark, info]) {
	const margin = indent(lines[at]);
	const body = [];
	let next = at + 1;
	let open = true;
	for (; next < lines.length && open; next += 1) {
		const end = FENCE.exec(lines[next]);
		open = !(end && end[1][0] === mark[0] && end[1].length >= mark.length && end[2].trim() === "");
		if (open) body.push(lines[next].slice(Math.min(margin, indent(lines[next]))));
	}
	const language = info.trim().split(/\s/)[0].slice(0, 30);
	return [{ type: "code", language, text: body.join("\n"), open }, next];
}

function quote(lines, at, depth) {
	const inner = [];
	let next = at;
	while (next < lines.length && (QUOTE.test(lines[next]) || !(blank(lines[next]) || startsBlock(lines, next)))) {
		inner.push(lines[next].replace(QUOTE, ""));
		next += 1;
	}
	return [{ type: "quote", blocks: blocks(inner, depth + 1) }, next];
}

const startsBlock = (lines, at) =>
	FENCE.test(lines[at]) || HEADING.test(lines[at]) || isRule(lines[at]) || QUOTE.test(lines[at]) ||
	ITEM.test(lines[at]) || tableHead(lines, at) !== null;

function list(lines, at, depth) {
	const first = ITEM.exec(lines[at])[2];
	const ordered = first.length > 1;
	const kind = first.at(-1);
	const items = [];
	let loose = false;
	let next = at;
	for (;;) {
		const item = next < lines.length && !isRule(lines[next]) ? ITEM.exec(lines[next]) : null;
		if (!item || item[2].at(-1) !== kind) break;
		const [inner, after, spaced] = itemLines(lines, next, item[0].length);
		items.push(blocks(inner, depth + 1));
		next = after;
		const more = next < lines.length ? ITEM.exec(lines[next]) : null;
		loose ||= spaced && Boolean(more && more[2].at(-1) === kind);
	}
	return [{ type: "list", ordered, start: ordered ? parseInt(first, 10) : 1, loose, items }, next];
}

// Lines of an item without its margin; two spaces are enough for what belongs to it, as models write it.
function itemLines(lines, at, width) {
	const inner = [lines[at].slice(width)];
	let next = at + 1;
	let end = next;
	for (; next < lines.length; next += 1) {
		const line = lines[next];
		if (blank(line)) {
			inner.push("");
			continue;
		}
		const margin = indent(line);
		const lazy = end === next && !startsBlock(lines, next);
		if (margin < Math.min(width, 2) && !lazy) break;
		inner.push(line.slice(Math.min(margin, width)));
		end = next + 1;
	}
	return [inner.slice(0, end - at), next, next > end];
}

function cells(line) {
	const found = [];
	let cell = "";
	const row = line.trim().replace(/^\|/, "");
	for (let at = 0; at < row.length; at += 1) {
		if (row[at] === "\\" && row[at + 1] === "|") {
			cell += "|";
			at += 1;
		} else if (row[at] === "|") {
			found.push(cell.trim());
			cell = "";
		} else {
			cell += row[at];
		}
	}
	if (cell.trim() !== "" || found.length === 0) found.push(cell.trim());
	return found.slice(0, MAX_COLUMNS);
}

// How the columns of a table that begins here are aligned, or null.
function tableHead(lines, at) {
	if (at + 1 >= lines.length || !lines[at].includes("|") || !/^[\s|:-]*-[\s|:-]*$/.test(lines[at + 1])) return null;
	const marks = cells(lines[at + 1]);
	if (!lines[at + 1].includes("|") && marks.length < 2) return null;
	if (!marks.every((mark) => /^:?-+:?$/.test(mark)) || marks.length !== cells(lines[at]).length) return null;
	return marks.map((mark) => (mark.endsWith(":") ? (mark.startsWith(":") ? "center" : "end") : "start"));
}

function tableBlock(lines, at, align) {
	const rows = [];
	let next = at + 2;
	for (; next < lines.length && !blank(lines[next]) && lines[next].includes("|"); next += 1) {
		const row = cells(lines[next]);
		rows.push(align.map((_, column) => inline(row[column] ?? "")));
	}
	return [{ type: "table", align, head: cells(lines[at]).map(inline), rows }, next];
}

function paragraph(lines, at) {
	let next = at + 1;
	while (next < lines.length && !blank(lines[next]) && !startsBlock(lines, next)) next += 1;
	const text = lines.slice(at, next).map((line) => line.trim()).join("\n");
	return [{ type: "paragraph", inline: inline(text) }, next];
}

const NEXT = /[\\`*_~[!\n]|https?:\/\//gi;
const ESCAPED = /[!-/:-@[-`{-~]/;
const LINK = /!?\[([^[\]\n]{0,500})\]\(\s*<?([^\s()<>]{1,2000}(?:\([^\s()<>]{0,200}\)[^\s()<>]{0,2000})?)>?(?:\s+["'][^"'\n]{0,300}["'])?\s*\)/y;
const BARE = /https?:\/\/[^\s<>"'`*|\\^{}\uac00-\ud7a3\u3000-\u303f]{1,2000}/iy;

const match = (pattern, text, at) => {
	pattern.lastIndex = at;
	return pattern.exec(text);
};

// Text with marks to a list of strings and nodes. Open marks wait on a stack for the mark that closes them.
export function inline(text) {
	const open = [{ mark: "", nodes: [] }];
	const missing = new Set(); // lengths of backtick runs that nothing closes from here on
	const add = (node) => {
		const { nodes } = open.at(-1);
		if (typeof node === "string" && typeof nodes.at(-1) === "string") nodes[nodes.length - 1] += node;
		else if (node !== "") nodes.push(node);
	};
	let at = 0;
	while (at < text.length) {
		const here = match(NEXT, text, at)?.index ?? text.length;
		add(text.slice(at, here));
		at = here < text.length ? mark(text, here, open, add, missing) : here;
	}
	while (open.length > 1) unwind(open, add);
	return open[0].nodes;
}

// A mark that nothing closed is text again.
function unwind(open, add) {
	const { mark: text, nodes } = open.pop();
	add(text);
	nodes.forEach(add);
}

function mark(text, at, open, add, missing) {
	const sign = text[at];
	if (sign === "\n") {
		add({ type: "break" });
		return at + 1;
	}
	if (sign === "\\") {
		const escaped = at + 1 < text.length && ESCAPED.test(text[at + 1]);
		add(escaped ? text[at + 1] : "\\");
		return at + 1 + Number(escaped);
	}
	if (sign === "`") return codeSpan(text, at, add, missing);
	if (sign === "*" || sign === "_" || sign === "~") return emphasis(text, at, open, add);
	const found = match(LINK, text, at);
	if (found) {
		const image = sign === "!";
		if (image) add({ type: "image", text: found[1], href: found[2] });
		else if (SAFE_URL.test(found[2])) add({ type: "link", text: found[1], href: found[2] });
		else add(found[0]);
		return at + found[0].length;
	}
	const href = match(BARE, text, at)?.[0].replace(/[.,;:!?)\]]+$/, "");
	add(href ? { type: "link", text: "", href } : sign);
	return at + (href ?? sign).length;
}

function codeSpan(text, at, add, missing) {
	let end = at;
	while (text[end] === "`") end += 1;
	const length = end - at;
	for (let from = end; !missing.has(length); ) {
		const start = text.indexOf("`", from);
		if (start < 0) missing.add(length);
		let stop = start;
		while (start >= 0 && text[stop] === "`") stop += 1;
		if (start >= 0 && stop - start === length) {
			const body = text.slice(end, start).replaceAll("\n", " ");
			add({ type: "code", text: /^ .*[^ ].* $/.test(body) ? body.slice(1, -1) : body });
			return stop;
		}
		from = stop;
	}
	add(text.slice(at, end));
	return end;
}

const KIND = { "*": "em", _: "em", "**": "strong", __: "strong", "~~": "del" };

function emphasis(text, at, open, add) {
	const sign = text[at];
	let end = at;
	while (text[end] === sign && end - at < 3) end += 1;
	const before = text[at - 1] ?? " ";
	const after = text[end] ?? " ";
	const inWord = sign === "_" && /[A-Za-z0-9_]/.test(before) && /[A-Za-z0-9_]/.test(after);
	let left = end - at;
	while (left > 0 && !/\s/.test(before) && !inWord) {
		// The innermost open mark of this sign that is short enough closes; marks inside it were text.
		const from = open.findLastIndex((each) => each.mark[0] === sign && each.mark.length <= left);
		if (from < 1) break;
		while (open.length > from + 1) unwind(open, add);
		const { mark: closed, nodes } = open.pop();
		add({ type: KIND[closed], nodes });
		left -= closed.length;
	}
	const lengths = left === 3 ? [2, 1] : [left];
	for (const length of lengths.filter(Boolean)) {
		const opens = sign.repeat(length) in KIND && !/\s/.test(after) && !inWord && open.length < MAX_OPEN;
		if (opens) open.push({ mark: sign.repeat(length), nodes: [] });
		else add(sign.repeat(length));
	}
	return end;
}
