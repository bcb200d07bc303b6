// What the reader chose, kept in this browser. The API key is kept for the window alone unless they say otherwise.
import { $ } from "./dom.js";
import { language, setLanguage, t, translate } from "./text.js";

const NAME = "onnuri-settings";
const KEY = "onnuri-api-key";
const KNOBS = { temperature: [0, 2, 0.1], top_p: [0, 1, 0.05], top_k: [0, 1000, 1], min_p: [0, 1, 0.01],
  max_tokens: [1, 1_000_000, 1], seed: [0, 2 ** 53 - 1, 1] };

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
    for (const name of Object.keys(KNOBS))
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
    if (this.theme) document.documentElement.dataset.theme = this.theme;
    else delete document.documentElement.dataset.theme;
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
  const knobs = Object.entries(KNOBS).map(([name, [min, max, step]]) => {
    const field = $(`knob-${name}`);
    Object.assign(field, { min, max, step: step < 1 ? "any" : step });
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
  $("system").addEventListener("input", () => actions.setSystem($("system").value));
  const keyInput = () => {
    settings.saveKey($("key").value.trim(), $("key-keep").checked);
    showKeyHelp();
  };
  const showKeyHelp = () => ($("key-help").hidden = settings.keyKept);
  $("key").addEventListener("input", keyInput);
  $("key-keep").addEventListener("change", keyInput);
  $("key").addEventListener("change", () => actions.keyChanged());
  $("keep").addEventListener("change", () => {
    settings.keep = $("keep").checked;
    change();
  });
  $("choose-theme").addEventListener("change", () => {
    settings.theme = $("choose-theme").value;
    change();
  });
  $("choose-language").addEventListener("change", () => {
    settings.language = $("choose-language").value;
    change();
  });
  $("theme").addEventListener("click", () => {
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
