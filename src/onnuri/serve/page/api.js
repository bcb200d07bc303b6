// The server's API: what it serves, and answers as they are written.
const MAX_LINE = 4 * 2 ** 20;

// `kind` names the message of text.js; `detail` is what the server wrote, in English.
export class ServerError extends Error {
	constructor(kind, detail = "", retryAfter = null) {
		super(detail || kind);
		Object.assign(this, { kind, detail, retryAfter });
	}
}

const KINDS = { 401: "key", 404: "model", 413: "large", 429: "busy", 503: "unavailable" };

async function call(path, key, options = {}) {
	const headers = { ...options.headers };
	if (/[^!-~]/.test(key ?? "")) throw new ServerError("key"); // a header cannot carry it
	if (key) headers.authorization = `Bearer ${key}`;
	let response;
	try {
		response = await fetch(path, { ...options, headers, cache: "no-store" });
	} catch (error) {
		if (error.name === "AbortError") throw error;
		throw new ServerError("network");
	}
	if (response.ok) return response;
	const { status } = response;
	const retryAfter = parseInt(response.headers.get("retry-after"), 10);
	let detail = `HTTP ${status}`;
	let kind = KINDS[status] ?? (status >= 500 ? "server" : "refused");
	try {
		const { error } = await response.json();
		detail = String(error.message).slice(0, 2000);
		if (error.code === "context_length_exceeded") kind = "large";
	} catch {
		// not this server's JSON: a proxy in between
	}
	throw new ServerError(kind, detail, retryAfter || null);
}

// {models: [{id, chat}], key_needed, notice: {ko, en}, mark}
export async function pageInfo() {
	const { models, key_needed: keyNeeded, notice, mark } = await (await call("page/info")).json();
	return { models: models.map(({ id, chat }) => ({ id, chat: chat !== false })), keyNeeded, notice: notice ?? {}, mark };
}

// Data of server-sent events. Bytes may be cut anywhere, within a syllable too.
export async function* events(body) {
	const reader = body.getReader();
	const decoder = new TextDecoder();
	let rest = "";
	let data = [];
	try {
		for (;;) {
			const { value, done } = await reader.read();
			rest += done ? decoder.decode() : decoder.decode(value, { stream: true });
			if (rest.length > MAX_LINE) throw new ServerError("strange", "event too long");
			const lines = rest.split(/\r\n|\n|\r(?!$)/);
			rest = lines.pop();
			for (const line of lines) {
				if (line.startsWith("data:")) data.push(line.slice(line[5] === " " ? 6 : 5));
				else if (line === "" && data.length) {
					yield data.join("\n");
					data = [];
				}
			}
			if (done) return;
		}
	} finally {
		reader.cancel().catch(() => {});
	}
}

// Pieces of an answer, {text, finish, tokens}. Throws ServerError("cut") where the server goes away midway.
export async function* answer(request, chat, key, signal) {
	const body = { ...request, stream: true, stream_options: { include_usage: true } };
	const response = await call(chat ? "v1/chat/completions" : "v1/completions", key, {
		method: "POST",
		headers: { "content-type": "application/json" },
		body: JSON.stringify(body),
		signal,
	});
	let finished = false;
	try {
		for await (const data of events(response.body)) {
			if (data === "[DONE]") return;
			const piece = readPiece(data, chat);
			finished ||= Boolean(piece.finish);
			yield piece;
		}
	} catch (error) {
		if (error.name === "AbortError" || error instanceof ServerError) throw error;
		throw new ServerError("cut");
	}
	if (!finished) throw new ServerError("cut");
}

function readPiece(data, chat) {
	let event;
	try {
		event = JSON.parse(data);
	} catch {
		throw new ServerError("strange", data.slice(0, 200));
	}
	if (event.error) throw new ServerError("server", String(event.error.message ?? event.error).slice(0, 2000));
	const choice = event.choices?.[0];
	const text = (chat ? choice?.delta?.content : choice?.text) ?? "";
	return { text: String(text), finish: choice?.finish_reason ?? null, tokens: event.usage?.completion_tokens ?? null };
}
