// What is around the conversation: scrolling, the list of chats, menus, keys.
import { $, on } from "./dom.js";

const narrow = matchMedia("(max-width: 800px)"); // there the list lies over the page
const root = document.documentElement;

export class Frame {
	constructor(settings) {
		this.settings = settings;
		this.stick = true; // the end stays in view while the reader is there
		this.size = 0; // a change of it scrolls too, without the reader
		const scroll = $("scroll");
		on("scroll", "scroll", () => {
			if (this.size === scroll.scrollHeight + scroll.clientHeight)
				this.stick = scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < 60;
			$("to-bottom").hidden = this.stick;
		});
		on("to-bottom", "click", () => {
			this.toEnd();
			$("field").focus();
		});
		const resized = new ResizeObserver(() => this.follow());
		for (const id of ["turns", "scroll"]) resized.observe($(id));
		const reset = () => this.showSide(!narrow.matches && settings.side);
		narrow.addEventListener("change", reset);
		reset();
		on("side-open", "click", () => this.toggleSide(true));
		for (const id of ["side-close", "scrim"]) on(id, "click", () => this.toggleSide(false));
		document.addEventListener("click", ({ target }) => {
			for (const menu of document.querySelectorAll("details.menu[open]")) if (!menu.contains(target)) menu.open = false;
		});
	}

	follow() {
		const scroll = $("scroll");
		this.size = scroll.scrollHeight + scroll.clientHeight;
		if (this.stick) scroll.scrollTop = scroll.scrollHeight;
	}

	toEnd() {
		this.stick = true;
		this.follow();
	}

	showSide(open) {
		root.classList.toggle("side", open);
		$("side-open").setAttribute("aria-expanded", open);
		document.querySelector("main").inert = open && narrow.matches;
		if (narrow.matches) return;
		this.settings.side = open;
		this.settings.save();
	}

	toggleSide(open = !root.classList.contains("side")) {
		this.showSide(open);
		$(open ? "side-close" : "side-open").focus();
	}

	closeDrawer() {
		if (narrow.matches) this.showSide(false);
	}

	// Close what is open; false where nothing was.
	escape() {
		const menu = document.querySelector("details.menu[open]");
		if (menu) {
			menu.open = false;
			menu.querySelector("summary").focus();
		} else if (narrow.matches && root.classList.contains("side")) {
			this.toggleSide(false);
		} else {
			return false;
		}
		return true;
	}
}

// Actions by the code of a key, with Ctrl or Command; `escape()` for Escape.
export function shortcuts(plain, shifted, escape) {
	document.addEventListener("keydown", (event) => {
		if (event.isComposing || event.defaultPrevented || document.querySelector("dialog[open]")) return;
		if (event.key === "Escape") escape();
		if (!(event.ctrlKey || event.metaKey) || event.altKey) return;
		const act = (event.shiftKey ? shifted : plain)[event.code];
		if (!act) return;
		event.preventDefault();
		act();
	});
}
