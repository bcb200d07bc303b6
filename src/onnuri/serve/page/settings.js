// What the reader chose, kept in this browser. The API key is kept for the window alone unless they say otherwise.
import { $, make, on } from "./dom.js";
import { language, setLanguage, t, translate } from "./text.js";

const NAME = "onnuri-settings";
const KEY = "onnuri-api-key";
// Name, least, most, and whether it is a whole number.
const KNOBS = [["temperature", 0, 2], ["top_p", 0, 1], ["top_k", 0, 1000, 1], ["min_p", 0, 1],
  ["max_tokens", 1, 1_000_000, 1], ["seed", 0, 2 ** 53 - 1, 1]];
const SHORTCUTS = [["Enter", "send"], ["Shift Enter", "keyNewline"], ["Esc", "keyStop"], ["↑", "keyEditLast"],
  ["Ctrl Shift O", "newChat"], ["Ctrl K", "search"], ["Ctrl /", "keyFocus"], ["Ctrl B", "keySide"]];

function read(storage, name) {
  try {
    return storage().getItem(name);
  } catch {
    return null; // storage is blocked
  }
}

function write(storage, name, value) {
  try {
    if (value === null) storage().removeItem(name);
    else storage().setItem(name, value);
  } catch {
    // storage is blocked or full: the choice lasts as long as the page
  }
}

const session = () => sessionStorage;
const local = () => localStorage;

export class Settings {
  constructor() {
    let saved = {};
    try {
      saved = JSON.parse(read(local, NAME)) ?? {};
    } catch {
      // not ours
    }
    this.theme = ["light", "dark"].includes(saved.theme) ? saved.theme : "";
    this.language = ["ko", "en"].includes(saved.language) ? saved.language : "";
    this.keep = saved.keep !== false;
    this.compare = saved.compare === true;
    this.side = saved.side !== false;
    this.system = typeof saved.system === "string" ? saved.system : "";
    this.models = Array.isArray(saved.models) ? saved.models.map(String) : [];
    this.sampling = {};
    for (const [name] of KNOBS)
      if (Number.isFinite(saved.sampling?.[name])) this.sampling[name] = saved.sampling[name];
    this.key = read(session, KEY) ?? read(local, KEY) ?? "";
    this.keyKept = read(local, KEY) !== null;
  }

  save() {
    const { theme, language, keep, compare, side, system, models, sampling } = this;
    write(local, NAME, JSON.stringify({ theme, language, keep, compare, side, system: keep ? system : "", models, sampling }));
  }

  saveKey(key, kept) {
    this.key = key;
    this.keyKept = kept;
    write(session, KEY, key && !kept ? key : null);
    write(local, KEY, key && kept ? key : null);
  }

  isDark() {
    return this.theme ? this.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  }

  apply() {
    document.documentElement.dataset.theme = this.isDark() ? "dark" : "light";
    setLanguage(this.language || (navigator.language.startsWith("ko") ? "ko" : "en"));
    translate();
    const label = t(this.isDark() ? "toLight" : "toDark");
    $("theme").setAttribute("aria-label", label);
    $("theme").title = label;
  }
}

// Wire the dialog. `actions`: system() and setSystem(text) of the shown chat, changed(), keyChanged()
export function settingsDialog(settings, actions) {
  const dialog = $("settings");
  const change = () => {
    settings.save();
    settings.apply();
    actions.changed();
  };
  const knobs = KNOBS.map(([name, min, max, step = "any"]) => {
    const field = make("input", { type: "number", id: name, min, max, step, "data-t-hint": "byDefault" });
    $("knobs").append(make("label", {}, make("span", { "data-t": name }), field));
    field.addEventListener("input", () => {
      const value = field.valueAsNumber;
      const good = Number.isFinite(value) && field.validity.valid;
      field.setAttribute("aria-invalid", field.value !== "" && !good);
      if (good) settings.sampling[name] = value;
      else delete settings.sampling[name];
      settings.save();
    });
    return [name, field];
  });
  $("keys").append(...SHORTCUTS.map(([keys, name]) => make("div", {}, make("dt", {}, ...keys.split(" ").map((key) => make("kbd", {}, key))),
    make("dd", { "data-t": name }))));
  translate($("settings"));
  on("system", "input", () => actions.setSystem($("system").value));
  const keyInput = () => {
    settings.saveKey($("key").value.trim(), $("key-keep").checked);
    showKeyHelp();
  };
  const showKeyHelp = () => ($("key-help").hidden = settings.keyKept);
  on("key", "input", keyInput);
  on("key-keep", "change", keyInput);
  on("key", "change", () => actions.keyChanged());
  on("keep", "change", () => {
    settings.keep = $("keep").checked;
    change();
  });
  on("choose-theme", "change", () => {
    settings.theme = $("choose-theme").value;
    change();
  });
  on("choose-language", "change", () => {
    settings.language = $("choose-language").value;
    change();
  });
  on("theme", "click", () => {
    settings.theme = settings.isDark() ? "light" : "dark";
    change();
  });
  return (focus = null) => {
    for (const [name, field] of knobs) field.value = settings.sampling[name] ?? "";
    $("system").value = actions.system();
    $("key").value = settings.key;
    $("key-keep").checked = settings.keyKept;
    $("keep").checked = settings.keep;
    $("choose-theme").value = settings.theme;
    $("choose-language").value = language();
    showKeyHelp();
    dialog.showModal();
    if (focus) $(focus).focus();
    else dialog.scrollTop = 0;
  };
}
