// Renders a text that grows. Blocks that are finished are left alone; the open one is rendered again and what has changed
// of it is changed in place, so that selection and scrolling stay. In the end everything is as if it had been rendered at
// once: a block is finished when the line after it is.

import { follow } from "../scroll.js";
import { blocks } from "./blocks.js";
import { EDGE } from "./inline.js";

/** A last line that is marks only does not say yet what it will be; nor does a row of a table before its end. */
const UNDECIDED = /^(?:[-*+_#=~`|:>!\\[\s]*|[-*+>\s]*\d{1,9}[.)]?|\s*[-*+]\s+\[[ xX]?\]?|\s*\|.*)\0$/;
/** Up to so many characters of open text are rendered with every frame; more of it only after it has grown by a part. */
const CHEAP = 4096;
const GROWTH = 16;
const PATIENCE = 250;

export class Writing {
  constructor(body) {
    this.body = body;
    this.reset();
  }

  reset() {
    this.text = "";
    this.carried = "";
    /** What is not finished, and how much of it is shown. */
    this.open = "";
    this.shown = 0;
    /** The last node that is finished. */
    this.last = null;
    this.later();
  }

  /** Plans the next drawing, with the next frame or after a while; takes back what was planned before. */
  later(isDue) {
    cancelAnimationFrame(this.request);
    clearTimeout(this.timer);
    const draw = () => { this.draw(); follow(); };
    this.request = isDue && requestAnimationFrame(draw);
    this.timer = isDue !== undefined && setTimeout(draw, PATIENCE);
  }

  add(text) {
    this.text += text;
    text = this.carried + text;
    // A return may be the first half of a line feed.
    this.carried = text.endsWith("\r") ? "\r" : "";
    this.take(text.slice(0, text.length - this.carried.length));
    const isDue = this.open.length < CHEAP || (this.open.length - this.shown) * GROWTH > this.open.length;
    // Nobody sees a tab in the background, and no frames are drawn of it.
    if (isDue && document.hidden) this.draw();
    else if (isDue ? !this.request : !this.timer) this.later(isDue);
  }

  take(text) {
    this.open += text.replace(/\r\n?/g, "\n").replace(/\0/g, "\uFFFD");
  }

  draw(isDone) {
    this.later();
    if (isDone) { this.take(this.carried); this.carried = ""; }
    const lines = this.open.split("\n");
    const end = lines.length - 1;
    if (!isDone) {
      lines[end] += EDGE;
      if (UNDECIDED.test(lines[end])) lines.pop();
      // A table is one only with the line below its head.
      if (lines.at(-1)?.trim()[0] === "|" && !lines.at(-2)?.includes("|")) lines.pop();
    }
    const fragment = document.createDocumentFragment();
    const finished = { line: 0, nodes: 0, end };
    blocks(lines, fragment, 0, false, finished);
    const next = () => (this.last ? this.last.nextSibling : this.body.firstChild);
    // The sign of waiting stays until there is something to see.
    if (isDone || this.last || fragment.firstChild) patch(this.body, next(), fragment);
    for (; finished.nodes > 0; finished.nodes -= 1) this.last = next();
    this.open = this.open.slice(lines.slice(0, finished.line).reduce((sum, line) => sum + line.length + 1, 0));
    this.shown = this.open.length;
  }

  end(text) {
    if (text !== this.text) { this.reset(); this.add(text); }
    this.draw(true);
  }
}

const isAlike = (one, other) => one.nodeName === other.nodeName && one.attributes?.length === other.attributes?.length &&
  [...one.attributes].every(({ name, value }) => other.getAttribute(name) === value);

/** Makes what stands in `parent` from `old` on equal to what is in `wanted`. */
function patch(parent, old, wanted) {
  for (const fresh of [...wanted.childNodes]) {
    const next = old?.nextSibling;
    if (!old) parent.append(fresh);
    else if (old.nodeType === 3 && fresh.nodeType === 3) {
      if (fresh.data.startsWith(old.data)) old.appendData(fresh.data.slice(old.data.length));
      else old.data = fresh.data;
    } else if (!old.isEqualNode(fresh)) {
      if (isAlike(old, fresh)) patch(old, old.firstChild, fresh); else old.replaceWith(fresh);
    }
    old = next;
  }
  while (old) {
    const next = old.nextSibling;
    old.remove();
    old = next;
  }
}

export function markdown(text) {
  const fragment = document.createDocumentFragment();
  new Writing(fragment).end(text);
  return fragment;
}
