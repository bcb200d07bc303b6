// DOM nodes; text goes in as text nodes only.
import { t } from "./text.js";

export const $ = (id) => document.getElementById(id);
export const on = (id, event, act) => $(id).addEventListener(event, act);

export function make(tag, attributes = {}, ...children) {
	const element = document.createElement(tag);
	for (const [name, value] of Object.entries(attributes)) {
		if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
		else if (value === true) element.setAttribute(name, "");
		else if (value !== false && value != null) element.setAttribute(name, value);
	}
	element.append(...children.filter((child) => child != null));
	return element;
}

const ICONS = {
	again: "M20 11a8 8 0 1 0-2 6M20 5v6h-6",
	close: "M6 6l12 12M18 6L6 18",
	continue: "M4 7h16M4 12h9M4 17h6M15 14l4 3-4 3M19 17h-7",
	copy: "M9 11a2 2 0 0 1 2-2h7a2 2 0 0 1 2 2v7a2 2 0 0 1-2 2h-7a2 2 0 0 1-2-2zM5 15V6a2 2 0 0 1 2-2h9",
	down: "M7 10l5 5 5-5",
	edit: "M4 20l1-4L16 5l3 3L8 19zM14 7l3 3",
	left: "M14 6l-6 6 6 6",
	logo: "M2 12a10 10 0 0 1 20 0 10 10 0 0 1-20 0M8 12a4 4 0 0 1 8 0 4 4 0 0 1-8 0",
	menu: "M4 7h16M4 12h16M4 17h16",
	more: "M6 12h.01M12 12h.01M18 12h.01",
	plus: "M12 5v14M5 12h14",
	right: "M10 6l6 6-6 6",
	send: "M12 19V5M6 11l6-6 6 6",
	settings: "M4 8h9M19 8h1M4 16h1M11 16h9M13 8a3 3 0 0 1 6 0 3 3 0 0 1-6 0M5 16a3 3 0 0 1 6 0 3 3 0 0 1-6 0",
	stop: "M8 8h8v8H8z",
	theme: "M20 14A8 8 0 1 1 10 4a6.5 6.5 0 0 0 10 10z",
};

export function icon(name) {
	const [svg, path] = ["svg", "path"].map((tag) => document.createElementNS("http://www.w3.org/2000/svg", tag));
	svg.setAttribute("viewBox", "0 0 24 24");
	svg.setAttribute("aria-hidden", "true");
	path.setAttribute("d", ICONS[name]);
	svg.append(path);
	return svg;
}

// A button with an icon; its words are its label and tooltip.
export const iconButton = (name, label, onclick, attributes = {}) =>
	make("button", { type: "button", class: "icon", "aria-label": label, title: label, onclick, ...attributes }, icon(name));

export const textButton = (label, onclick, attributes = {}) => make("button", { type: "button", onclick, ...attributes }, label);

async function copy(text) {
	try {
		await navigator.clipboard.writeText(text);
		return true;
	} catch {
		// Without https a browser has no clipboard object; the old command works there.
		const field = make("textarea", { class: "unseen", "aria-hidden": "true" });
		const focused = document.activeElement;
		field.value = text;
		document.body.append(field);
		field.select();
		const done = document.execCommand("copy");
		field.remove();
		focused?.focus();
		return done;
	}
}

// A button that copies what `text()` gives then.
export const copyButton = (name, text) =>
	iconButton("copy", t(name), async () => toast(t((await copy(text())) ? "copied" : "notCopied")));

export function download(name, text) {
	const url = URL.createObjectURL(new Blob([text], { type: "application/json" }));
	const link = make("a", { href: url, download: name });
	document.body.append(link);
	link.click();
	link.remove();
	setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

// An element that reports in passing: read aloud, then gone.
export function toast(text) {
	const region = $("toast");
	region.textContent = text;
	region.hidden = false;
	clearTimeout(toast.timer);
	toast.timer = setTimeout(() => (region.hidden = true), 4000);
}

// Ask before something is lost; true when confirmed.
export function confirmed(question, action) {
	const dialog = $("confirm");
	$("confirm-text").textContent = question;
	$("confirm-yes").textContent = action;
	dialog.returnValue = "";
	dialog.showModal();
	return new Promise((resolve) => {
		dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
	});
}
