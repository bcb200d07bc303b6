// What a screen reader gets of an answer: finished sentences, never single tokens.
const END = /[.!?。！？…][)"'”’」』\]]*\s|\n/g;

// Where the last finished sentence of a text ends.
export function finished(text, from) {
  let end = from;
  END.lastIndex = from;
  while (END.exec(text)) end = END.lastIndex;
  return end;
}

const plain = (text) => text.replace(/^\s*(#{1,6}|>|[-*+]) +/gm, "").replace(/[*_`|~]+/g, "").replace(/\s+/g, " ").trim();

export class Speaker {
  constructor(region) {
    this.region = region;
  }

  say(text) {
    const words = plain(text);
    if (!words) return;
    const line = document.createElement("p");
    line.textContent = words;
    this.region.append(line);
    while (this.region.childElementCount > 30) this.region.firstElementChild.remove();
  }
}
