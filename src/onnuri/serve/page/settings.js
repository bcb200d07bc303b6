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

// What storage gives; null where a browser blocks it, and a choice lasts as long as the page.
function attempt(act) {
	try {
		return act();
	} catch {
		return null;
	}
}

const write = (storage, name, value) => (value ? storage.setItem(name, value) : storage.removeItem(name));

export class Settings {
	constructor() {
		const saved = attempt(() => JSON.parse(localStorage.getItem(NAME))) ?? {};
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
		const kept = attempt(() => localStorage.getItem(KEY));
		this.key = kept ?? attempt(() => sessionStorage.getItem(KEY)) ?? "";
		this.keyKept = kept !== null;
	}

	save() {
		const { theme, language, keep, compare, side, system, models, sampling } = this;
		const text = JSON.stringify({ theme, language, keep, compare, side, system: keep ? system : "", models, sampling });
		attempt(() => localStorage.setItem(NAME, text));
	}

	saveKey(key, kept) {
		this.key = key;
		this.keyKept = kept;
		attempt(() => write(sessionStorage, KEY, kept ? "" : key));
		attempt(() => write(localStorage, KEY, kept ? key : ""));
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
	for (const [keys, name] of SHORTCUTS) {
		const caps = keys.split(" ").map((key) => make("kbd", {}, key));
		$("keys").append(make("div", {}, make("dt", {}, ...caps), make("dd", { "data-t": name })));
	}
	translate($("settings"));
	on("system", "input", () => actions.setSystem($("system").value));
	const showKeyHelp = () => ($("key-help").hidden = settings.keyKept);
	const keyInput = () => {
		settings.saveKey($("key").value.trim(), $("key-keep").checked);
		showKeyHelp();
	};
	on("key", "input", keyInput);
	on("key-keep", "change", keyInput);
	on("key", "change", () => actions.keyChanged());
	const choice = (name, event, id, value) => on(id, event, () => {
		settings[name] = value($(id));
		settings.save();
		settings.apply();
		actions.changed();
	});
	choice("keep", "change", "keep", (box) => box.checked);
	choice("theme", "change", "choose-theme", (list) => list.value);
	choice("language", "change", "choose-language", (list) => list.value);
	choice("theme", "click", "theme", () => (settings.isDark() ? "light" : "dark"));
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
