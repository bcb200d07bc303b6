// Conversations in the browser's own database; in memory where the browser has none (a private window).
import { merge } from "./conversation.js";

const STORES = ["list", "conversations"]; // what the list of chats shows; all of it

const result = (request) =>
	new Promise((resolve, reject) => {
		request.onsuccess = () => resolve(request.result);
		request.onerror = () => reject(request.error);
	});

const entry = ({ id, title, updated }) => ({ id, title, updated });

export class History {
	constructor(database) {
		this.database = database; // null: nothing outlives the page
		this.memory = new Map();
	}

	static async open() {
		try {
			const request = indexedDB.open("onnuri-chat", 1);
			request.onupgradeneeded = () => {
				for (const name of STORES) request.result.createObjectStore(name, { keyPath: "id" });
			};
			return new History(await result(request));
		} catch {
			return new History(null);
		}
	}

	// Run `work` on both stores in one transaction and wait until it is on disk.
	async transaction(mode, work) {
		const transaction = this.database.transaction(STORES, mode);
		const done = new Promise((resolve, reject) => {
			transaction.oncomplete = resolve;
			transaction.onabort = () => reject(transaction.error);
		});
		const value = await work(...STORES.map((name) => transaction.objectStore(name)));
		await done;
		return value;
	}

	// {id, title, updated} of every conversation, newest first.
	async list() {
		const found = this.database ? await this.transaction("readonly", (list) => result(list.getAll()))
			: [...this.memory.values()].map(entry);
		return found.sort((one, other) => other.updated - one.updated);
	}

	async get(id) {
		if (!this.database) return this.memory.get(id);
		return this.transaction("readonly", (_, conversations) => result(conversations.get(id)));
	}

	// Save; branches that another tab saved are added to `conversation` first.
	async put(conversation) {
		if (!this.database) {
			this.memory.set(conversation.id, conversation);
			return;
		}
		await this.transaction("readwrite", async (list, conversations) => {
			const saved = await result(conversations.get(conversation.id));
			if (saved) merge(conversation, saved);
			conversations.put(conversation);
			list.put(entry(conversation));
		});
	}

	// One conversation, or all.
	async remove(id = null) {
		if (id) this.memory.delete(id);
		else this.memory.clear();
		if (!this.database) return;
		await this.transaction("readwrite", (...stores) => stores.forEach((each) => (id ? each.delete(id) : each.clear())));
	}

	// Every conversation, one after the other.
	async *all() {
		for (const { id } of await this.list()) {
			const found = await this.get(id);
			if (found) yield found;
		}
	}

	// Ids of the conversations whose title or text has every word.
	async search(words) {
		const wanted = words.normalize().toLowerCase().split(/\s+/).filter(Boolean);
		const found = new Set();
		for await (const { id, title, nodes } of this.all()) {
			const parts = [...nodes.values()].flatMap((node) => [node, ...(node.answers ?? [])]).map((each) => each.text ?? "");
			const text = [title, ...parts].join("\n").normalize().toLowerCase();
			if (wanted.every((word) => text.includes(word))) found.add(id);
		}
		return found;
	}
}
