// What a screen reader gets of an answer: finished sentences, never single tokens.
import { $, make } from "./dom.js";

const END = /[.!?。！？…][)"'”’」』\]]*\s|\n/g;

// Where the last finished sentence of a text ends.
export function finished(text, from) {
	let end = from;
	END.lastIndex = from;
	while (END.exec(text)) end = END.lastIndex;
	return end;
}

const plain = (text) => text.replace(/^\s*(#{1,6}|>|[-*+]) +/gm, "").replace(/[*_`|~]+/g, "").replace(/\s+/g, " ").trim();

export function say(text) {
	const words = plain(text);
	if (!words) return;
	const region = $("live");
	region.append(make("p", {}, words));
	if (region.childElementCount > 30) region.firstElementChild.remove();
}
