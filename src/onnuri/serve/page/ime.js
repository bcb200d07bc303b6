// Enter sends once and whole, whatever the input method.
//
// Hangul has no candidate window: Enter while the last syllable is being composed means "send". The field
// still lacks that syllable then, so the text is read in the task after `compositionend`. Japanese and Chinese
// use Enter to choose a candidate: there it never sends. What is being composed is known from its text.
//
//   Chrome, Firefox   keydown (229, composing), compositionend, [keydown 13 on macOS]
//   Safari            compositionend, keydown (229, no longer composing)
const HANGUL = /[\u1100-\u11ff\u3130-\u318f\ua960-\ua97f\uac00-\ud7ff]/;
const MODIFIERS = new Set(["Shift", "Control", "Alt", "Meta", "CapsLock"]);

const isEnter = (event) => event.key === "Enter" || event.code === "Enter" || event.code === "NumpadEnter";

export class EnterSender {
	// An Enter that has been used up until its key goes up; shared, as the focus may move to another field.
	static spent = false;

	// `send` gets no argument and reads the field; `newline()` says that Enter is a new line (touch keyboards).
	constructor(field, send, { later = (run) => setTimeout(run, 0), newline = () => false } = {}) {
		Object.assign(this, { field, send, later, newline });
		this.composing = false; // between compositionstart and compositionend
		this.hangul = false; // what is composed now, or was last
		this.pending = false; // send when the composition ends
		this.forced = false; // a button was pressed: send whatever was composed
		this.waiting = false; // a send is due in the next task
		const on = (name, handle) => field.addEventListener(name, (event) => handle.call(this, event));
		on("compositionstart", this.started);
		on("compositionupdate", this.updated);
		on("compositionend", this.ended);
		on("keydown", this.pressed);
		on("keyup", EnterSender.released);
		on("beforeinput", this.inserting);
	}

	static released(event) {
		if (isEnter(event)) EnterSender.spent = false;
	}

	// Send from a button: what is still being composed ends first and is sent too.
	submit() {
		if (!this.composing) return this.request();
		this.pending = this.forced = true;
		this.field.blur();
		this.later(() => this.pending && this.ended({ data: "" }));
	}

	started() {
		this.composing = true;
		this.hangul = EnterSender.spent = false;
	}

	updated(event) {
		if (event.data) this.hangul = HANGUL.test(event.data);
	}

	ended(event) {
		this.composing = false;
		// A Hanja that was chosen with Enter ends a Hangul composition too, and is no Hangul.
		if (event.data) this.hangul = HANGUL.test(event.data);
		const wanted = this.pending && (this.hangul || this.forced);
		this.pending = this.forced = false;
		if (wanted) this.request();
	}

	pressed(event) {
		if (!isEnter(event)) {
			if (!MODIFIERS.has(event.key)) this.pending = EnterSender.spent = false;
			return;
		}
		if (event.shiftKey) {
			this.pending = false;
			return;
		}
		if (this.newline() && !event.ctrlKey && !event.metaKey) return;
		if (this.composing || event.isComposing) {
			if (!this.hangul) return;
			this.pending = true;
		} else if (event.keyCode === 229 && !this.hangul) {
			return; // Safari: this Enter chose a candidate
		} else if (!EnterSender.spent) {
			this.request();
		}
		EnterSender.spent = true;
		event.preventDefault();
	}

	inserting(event) {
		const breaks = event.inputType === "insertLineBreak" || event.inputType === "insertParagraph";
		if (breaks && (this.waiting || EnterSender.spent)) event.preventDefault();
	}

	request() {
		if (this.waiting) return;
		this.waiting = true;
		this.later(() => {
			this.waiting = false;
			this.send();
		});
	}
}

// The field may be gone when the key goes up.
globalThis.addEventListener?.("keyup", EnterSender.released, true);
