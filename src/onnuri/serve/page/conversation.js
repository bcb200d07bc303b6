// A conversation is a tree of questions and replies; a reply has one answer of each model that was asked. Editing a
// question or regenerating an answer adds a branch; nothing is overwritten.
export const ROOT = "root";
export const FORMAT = "onnuri-chat";
export const MAX_FILE_BYTES = 64 * 2 ** 20;
const MAX_TEXT = 2 ** 20;
const MAX_COUNT = 5000; // conversations of a file, nodes of a conversation
const ID = /^[a-z0-9]{10,24}$/;
const CUT = { state: "cut", error: { kind: "cut", detail: "" } };
const STATES = new Set(["done", "length", "stopped", "cut", "error"]);

export function newId() {
	// Not randomUUID: browsers have it on https alone, and a ministry's server may be http in its own network.
	return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => (byte % 36).toString(36)).join("");
}

export function newConversation(system = "") {
	const now = Date.now();
	const root = { id: ROOT, parent: null, role: "root", children: [], active: 0 };
	return { id: newId(), title: "", system, created: now, updated: now, nodes: new Map([[ROOT, root]]) };
}

export const isEmpty = (conversation) => conversation.nodes.size === 1;

function attach(conversation, data) {
	const node = { ...data, children: [], active: 0 };
	const parent = conversation.nodes.get(node.parent);
	parent.children.push(node.id);
	parent.active = parent.children.length - 1;
	conversation.nodes.set(node.id, node);
	conversation.updated = Date.now();
	return node;
}

export function addQuestion(conversation, parent, text) {
	if (isEmpty(conversation) && !conversation.title) conversation.title = titleOf(text);
	return attach(conversation, { id: newId(), parent, role: "user", text, time: Date.now() });
}

export const newAnswer = (model, chat) => ({ model, chat, text: "", state: "streaming", error: null, stats: null });

export function addReply(conversation, question, answers) {
	return attach(conversation, { id: newId(), parent: question, role: "reply", answers, time: Date.now() });
}

export function titleOf(text) {
	const letters = Array.from(text.trim().split("\n")[0].trim());
	return letters.length > 60 ? `${letters.slice(0, 59).join("")}…` : letters.join("");
}

// The nodes that are shown, from the first question to the last reply.
export function path(conversation) {
	const found = [];
	for (let node = conversation.nodes.get(ROOT); node.children.length; ) {
		node = conversation.nodes.get(node.children[node.active]);
		found.push(node);
	}
	return found;
}

// What the next question hangs on.
export const leaf = (conversation) => path(conversation).findLast(({ role }) => role === "reply")?.id ?? ROOT;

// Which of its parent's branches a node is: [number from 1, how many].
export function branch(conversation, node) {
	const { children } = conversation.nodes.get(node.parent);
	return [children.indexOf(node.id) + 1, children.length];
}

// Show the next or the previous branch; gives its node.
export function choose(conversation, node, step) {
	const parent = conversation.nodes.get(node.parent);
	const wanted = Math.min(Math.max(parent.children.indexOf(node.id) + step, 0), parent.children.length - 1);
	parent.active = wanted;
	return conversation.nodes.get(parent.children[wanted]);
}

// What a model gets for a reply: the system prompt and every turn up to the reply's question, with the answers
// that this model gave where it gave one. A turn that was never answered is left out.
export function messages(conversation, reply, model) {
	const question = conversation.nodes.get(reply.parent);
	const found = [{ role: "user", content: question.text }];
	for (let node = conversation.nodes.get(question.parent); node.id !== ROOT; ) {
		const asked = conversation.nodes.get(node.parent);
		const answer = node.answers.find((each) => each.model === model && each.text) ??
			node.answers.find((each) => each.text);
		if (answer) found.unshift({ role: "user", content: asked.text }, { role: "assistant", content: answer.text });
		node = conversation.nodes.get(asked.parent);
	}
	if (conversation.system.trim()) found.unshift({ role: "system", content: conversation.system });
	return found;
}

// An answer that was being written when the page went away.
export function settle(conversation, live = new Set()) {
	for (const node of conversation.nodes.values())
		for (const answer of node.answers ?? [])
			if (answer.state === "streaming" && !live.has(answer)) Object.assign(answer, CUT);
	return conversation;
}

// Add the branches that another tab saved meanwhile.
export function merge(conversation, other) {
	for (const node of other.nodes.values()) {
		if (conversation.nodes.has(node.id) || !conversation.nodes.has(node.parent)) continue;
		conversation.nodes.set(node.id, structuredClone({ ...node, children: [], active: 0 }));
		conversation.nodes.get(node.parent).children.push(node.id);
	}
	return conversation;
}

export function toFile(conversations, notice) {
	return { format: FORMAT, version: 1, exported: new Date().toISOString(), notice, conversations: conversations.map(
		({ nodes, ...rest }) => ({ ...rest, nodes: [...nodes.values()].filter((node) => node.id !== ROOT) }),
	) };
}

class Wrong extends Error {}

function need(condition, what) {
	if (!condition) throw new Wrong(what);
}

const text = (value, what, limit = MAX_TEXT) => {
	need(typeof value === "string" && value.length <= limit, what);
	return value;
};
const number = (value, what) => {
	need(typeof value === "number" && Number.isFinite(value) && value >= 0, what);
	return value;
};

// Conversations of an exported file, rebuilt field by field; throws an error that says what is wrong.
export function fromFile(source) {
	let data;
	try {
		data = JSON.parse(source);
	} catch {
		throw new Wrong("JSON");
	}
	need(data?.format === FORMAT && data.version === 1, "format, version");
	need(Array.isArray(data.conversations) && data.conversations.length <= MAX_COUNT, "conversations");
	return data.conversations.map(readConversation);
}

function readConversation(data) {
	need(data !== null && typeof data === "object" && ID.test(data.id), "id");
	need(Array.isArray(data.nodes) && data.nodes.length <= MAX_COUNT, "nodes");
	const conversation = {
		...newConversation(text(data.system, "system")),
		id: data.id,
		title: text(data.title, "title", 500),
		created: number(data.created, "created"),
		updated: number(data.updated, "updated"),
	};
	const actives = new Map();
	for (const node of data.nodes) {
		need(node !== null && typeof node === "object" && ID.test(node.id), "nodes.id");
		const parent = conversation.nodes.get(node.parent);
		need(parent && !conversation.nodes.has(node.id), "nodes.parent");
		need(node.role === (parent.role === "user" ? "reply" : "user"), "nodes.role");
		const own = node.role === "user" ? { text: text(node.text, "text") } : { answers: readAnswers(node.answers) };
		const { id, role } = node;
		const time = number(node.time, "time");
		attach(conversation, { id, parent: parent.id, role, ...own, time });
		actives.set(node.id, node.active);
	}
	for (const [id, active] of actives) {
		const node = conversation.nodes.get(id);
		if (Number.isInteger(active) && active >= 0 && active < node.children.length) node.active = active;
	}
	return { ...conversation, updated: data.updated };
}

function readAnswers(answers) {
	need(Array.isArray(answers) && answers.length >= 1 && answers.length <= 3, "answers");
	return answers.map((answer) => {
		need(answer !== null && typeof answer === "object", "answers");
		const state = answer.state === "streaming" ? "cut" : answer.state;
		need(STATES.has(state), "state");
		const { stats, error } = answer;
		return {
			model: text(answer.model, "model", 500),
			chat: answer.chat !== false,
			text: text(answer.text, "text"),
			state,
			error: error ? { kind: text(error.kind, "error", 30), detail: text(error.detail, "error", 5000) } : null,
			stats: stats ? Object.fromEntries(["first", "seconds", "tokens", "rate"].filter((name) => stats[name] != null)
				.map((name) => [name, number(stats[name], "stats")])) : null,
		};
	});
}
