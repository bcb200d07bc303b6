// The chats that this browser keeps: by day, searched, renamed, deleted, exported, imported.
import { fromFile, MAX_FILE_BYTES, toFile } from "./conversation.js";
import { $, confirmed, download, icon, make, on, textButton, toast } from "./dom.js";
import { EnterSender } from "./ime.js";
import { t } from "./text.js";

const DAY = 86_400_000;

function group(time) {
	const midnight = new Date().setHours(0, 0, 0, 0);
	if (time >= midnight) return "today";
	if (time >= midnight - DAY) return "yesterday";
	return time >= midnight - 7 * DAY ? "week" : "earlier";
}

export class Sidebar {
	// `actions`: open(id), current(), removed(id or null for all), renamed(id, title), notice(), flush()
	constructor(history, actions) {
		this.history = history;
		this.actions = actions;
		this.round = 0; // of searches: a late one is dropped
		on("search", "input", () => this.show());
		on("export-all", "click", () => this.export());
		on("delete-all", "click", () => this.remove());
		on("import", "click", () => $("import-file").click());
		on("import-file", "change", (event) => this.import(event.target));
	}

	async show() {
		const round = (this.round += 1);
		const words = $("search").value.trim();
		const found = words ? await this.history.search(words) : null;
		const list = (await this.history.list()).filter(({ id }) => !found || found.has(id));
		if (round !== this.round) return;
		const focused = document.activeElement?.closest?.("#chats li")?.dataset.id;
		const groups = new Map(list.map(({ updated }) => [group(updated), make("ul")]));
		for (const each of list) groups.get(group(each.updated)).append(this.item(each));
		const nodes = [...groups].flatMap(([name, items]) => [make("h2", {}, t(name)), items]);
		if (!nodes.length) nodes.push(make("p", {}, t(words ? "noneFound" : "noHistory")));
		$("chats").replaceChildren(...nodes);
		if (focused) document.querySelector(`#chats li[data-id="${focused}"] button`)?.focus();
	}

	item({ id, title }) {
		const shown = title || t("newChat");
		const open = textButton(shown, () => this.actions.open(id), { class: "chat", title: shown });
		if (id === this.actions.current()) open.setAttribute("aria-current", "true");
		const menu = make("details", { class: "menu" });
		const item = make("li", { "data-id": id }, open, menu);
		const act = (name, run) => textButton(t(name), () => {
			menu.open = false;
			run();
		});
		const label = t("actionsOf", { title: shown });
		menu.append(make("summary", { class: "icon", "aria-label": label, title: label }, icon("more")),
			make("div", { class: "card" }, act("rename", () => this.rename(item, id, title)),
				act("export", () => this.export(id)), act("delete", () => this.remove(id, shown))));
		return item;
	}

	rename(item, id, title) {
		const field = make("input", { "aria-label": t("newName"), maxlength: 200 });
		field.value = title;
		let done = false;
		const finish = async (save) => {
			if (done) return;
			done = true; // removing the field ends its focus, and comes here again
			field.remove();
			if (save && field.value.trim()) await this.actions.renamed(id, field.value.trim());
			await this.show();
			document.querySelector(`#chats li[data-id="${id}"] .chat`)?.focus();
		};
		new EnterSender(field, () => finish(true));
		field.addEventListener("blur", () => finish(true));
		field.addEventListener("keydown", (event) => {
			if (event.key !== "Escape" || event.isComposing) return;
			event.stopPropagation();
			finish(false);
		});
		item.replaceChildren(field);
		field.select();
	}

	async remove(id = null, title = "") {
		const name = id ? "delete" : "deleteAll";
		if (!(await confirmed(t(id ? "askDelete" : "askDeleteAll", { title }), t(name)))) return;
		this.actions.removed(id);
		await this.history.remove(id);
		await this.show();
		if (id) $("new").focus();
	}

	async export(id = null) {
		await this.actions.flush();
		const found = [];
		for await (const each of this.history.all()) if (!id || each.id === id) found.push(each);
		const name = `onnuri-chat-${new Date().toISOString().slice(0, 10)}.json`;
		download(name, JSON.stringify(toFile(found, this.actions.notice()), null, 1));
	}

	async import(input) {
		const [file] = input.files;
		input.value = "";
		if (!file) return;
		if (file.size > MAX_FILE_BYTES) return toast(t("bigFile", { limit: MAX_FILE_BYTES / 2 ** 20 }));
		try {
			const found = fromFile(await file.text());
			for (const conversation of found) await this.history.put(conversation);
			toast(t("imported", { count: found.length }));
		} catch (error) {
			toast(t("badFile", { what: error.message }));
		}
		await this.show();
	}
}
