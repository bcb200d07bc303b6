// Conversations in the browser's own database; in memory where the browser has none (a private window).
import { merge } from "./conversation.js";

const NAME = "onnuri-chat";

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
      const request = indexedDB.open(NAME, 1);
      request.onupgradeneeded = () => {
        request.result.createObjectStore("list", { keyPath: "id" });
        request.result.createObjectStore("conversations", { keyPath: "id" });
      };
      return new History(await result(request));
    } catch {
      return new History(null);
    }
  }

  // Run `work` on both stores in one transaction and wait until it is on disk.
  async transaction(mode, work) {
    const transaction = this.database.transaction(["list", "conversations"], mode);
    const done = new Promise((resolve, reject) => {
      transaction.oncomplete = resolve;
      transaction.onerror = transaction.onabort = () => reject(transaction.error);
    });
    const value = await work(transaction.objectStore("list"), transaction.objectStore("conversations"));
    await done;
    return value;
  }

  // {id, title, updated} of every conversation, newest first.
  async list() {
    const found = this.database
      ? await this.transaction("readonly", (list) => result(list.getAll()))
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

  async remove(id) {
    this.memory.delete(id);
    if (this.database) await this.transaction("readwrite", async (...stores) => stores.forEach((each) => each.delete(id)));
  }

  async clear() {
    this.memory.clear();
    if (this.database) await this.transaction("readwrite", async (...stores) => stores.forEach((each) => each.clear()));
  }

  // Every conversation, one after the other, while `see` does not return false.
  async each(see) {
    if (!this.database) {
      for (const conversation of this.memory.values()) if (see(conversation) === false) return;
      return;
    }
    await this.transaction("readonly", (_, conversations) =>
      new Promise((resolve, reject) => {
        const request = conversations.openCursor();
        request.onerror = () => reject(request.error);
        request.onsuccess = () => {
          const cursor = request.result;
          if (!cursor || see(cursor.value) === false) resolve();
          else cursor.continue();
        };
      }));
  }

  // Ids of the conversations whose title or text has every word.
  async search(words) {
    const wanted = words.normalize().toLowerCase().split(/\s+/).filter(Boolean);
    const found = new Set();
    await this.each((conversation) => {
      const parts = [conversation.title];
      for (const node of conversation.nodes.values())
        parts.push(node.text ?? "", ...(node.answers ?? []).map((answer) => answer.text));
      const text = parts.join("\n").normalize().toLowerCase();
      if (wanted.every((word) => text.includes(word))) found.add(conversation.id);
    });
    return found;
  }
}
