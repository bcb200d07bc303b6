// Which models are asked: one, or up to three side by side.
import { $, make, on } from "./dom.js";
import { t } from "./text.js";

const MOST = 3;

export class ModelPicker {
	constructor(settings, changed) {
		Object.assign(this, { settings, changed, all: [] });
		on("compare", "change", () => {
			settings.compare = $("compare").checked;
			this.choose(this.chosen().map(({ id }) => id));
		});
	}

	set(all) {
		this.all = all;
		this.show();
	}

	// {id, chat} of the chosen models that the server has; the first one where it has none of them.
	chosen() {
		const found = this.all.filter(({ id }) => this.settings.models.includes(id));
		return (found.length ? found : this.all).slice(0, this.settings.compare && found.length ? MOST : 1);
	}

	choose(ids) {
		if (ids.length) this.settings.models = ids.slice(0, this.settings.compare ? MOST : 1);
		this.settings.save();
		this.show();
		this.changed();
	}

	show() {
		const chosen = this.chosen().map(({ id }) => id);
		const { compare } = this.settings;
		$("models").hidden = this.all.length === 0;
		$("model-names").textContent = chosen.join(", ");
		$("compare").checked = compare;
		$("compare-row").hidden = this.all.length < 2;
		const focused = document.activeElement?.value;
		$("model-list").replaceChildren(...this.all.map(({ id, chat }) => {
			const box = make("input", { type: compare ? "checkbox" : "radio", name: "model", value: id });
			box.checked = chosen.includes(id);
			box.disabled = compare && chosen.length >= MOST && !box.checked;
			box.addEventListener("change", () => this.choose(
				!compare ? [id] : box.checked ? [...chosen, id] : chosen.filter((each) => each !== id),
			));
			return make("label", {}, box, make("span", {}, id), chat ? null : make("small", {}, t("baseModel")));
		}));
		for (const box of $("model-list").querySelectorAll("input")) if (box.value === focused) box.focus();
	}
}
