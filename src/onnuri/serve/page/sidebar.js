// The chats that this browser keeps: by day, searched, renamed, deleted, exported, imported.
import { fromFile, MAX_FILE_BYTES, toFile } from "./conversation.js";
import { $, confirmed, download, icon, make, on, toast } from "./dom.js";
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
  // `actions`: open(id), current(), removed(ids or null for all), renamed(id, title), notice(), flush()
  constructor(history, actions) {
    this.history = history;
    this.actions = actions;
    this.round = 0; // of searches: a late one is dropped
    on("search", "input", () => this.show());
    on("export-all", "click", () => this.export());
    on("delete-all", "click", () => this.clear());
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
    const groups = new Map();
    for (const each of list) {
      const name = group(each.updated);
      if (!groups.has(name)) groups.set(name, []);
      groups.get(name).push(this.item(each));
    }
    const nodes = [...groups].flatMap(([name, items]) => [make("h2", {}, t(name)), make("ul", {}, ...items)]);
    $("chats").replaceChildren(...(nodes.length ? nodes : [make("p", {}, t(words ? "noneFound" : "noHistory"))]));
    if (focused) document.querySelector(`#chats li[data-id="${focused}"] button`)?.focus();
  }

  item({ id, title }) {
    const shown = title || t("untitled");
    const open = make("button", { type: "button", class: "chat", title: shown, onclick: () => this.actions.open(id) }, shown);
    if (id === this.actions.current()) open.setAttribute("aria-current", "true");
    const menu = make("details", { class: "menu" });
    const act = (name, run) => make("button", { type: "button", onclick: () => {
      menu.open = false;
      run();
    } }, t(name));
    const label = t("actionsOf", { title: shown });
    menu.append(make("summary", { class: "icon", "aria-label": label, title: label }, icon("more")),
      make("div", { class: "card" }, act("rename", () => this.rename(item, id, title)),
        act("export", () => this.export(id)), act("delete", () => this.remove(id, shown))));
    const item = make("li", { "data-id": id }, open, menu);
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

  async remove(id, title) {
    if (!(await confirmed(t("askDelete", { title }), t("delete")))) return;
    await this.actions.removed(id);
    await this.history.remove(id);
    await this.show();
    $("new").focus();
  }

  async clear() {
    if (!(await confirmed(t("askDeleteAll"), t("deleteAll")))) return;
    await this.actions.removed(null);
    await this.history.clear();
    await this.show();
  }

  async export(id = null) {
    await this.actions.flush();
    const found = [];
    if (id) found.push(await this.history.get(id));
    else await this.history.each((each) => found.push(each));
    const name = `onnuri-chat-${new Date().toISOString().slice(0, 10)}.json`;
    download(name, JSON.stringify(toFile(found.filter(Boolean), this.actions.notice()), null, 1));
  }

  async import(input) {
    const [file] = input.files;
    input.value = "";
    if (!file) return;
    if (file.size > MAX_FILE_BYTES) {
      toast(t("bigFile", { limit: MAX_FILE_BYTES / 2 ** 20 }));
      return;
    }
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
