// Markdown within a block: emphasis, code, links.

import { make } from "../dom.js";

export const MAX_DEPTH = 8;
/** Stands where the text so far ends, while more of it is to come: what is open there is shown as if it were closed. */
export const EDGE = "\0";
export const ended = (text) => text.replace(EDGE, "");
/** Marks at the very end that may open something yet, and the address of a link whose label is known. */
const OPENING = /(?:!?\[([^[\]\n]*)(?:\](?:\([^\s()]*)?)?|[*_~`\\<]+)$/;
/** How far from the end marks are looked for. */
const NEAR = 300;

const isSpace = (character) => character === undefined || /\s/.test(character);
const isWord = (character) => character !== undefined && /[\p{L}\p{N}]/u.test(character);
const MARKS = [["***", "em", "strong"], ["**", "strong"], ["__", "strong"], ["~~", "s"], ["*", "em"], ["_", "em"]];

export function inline(text, parent, depth) {
  const none = new Set();
  let labels;
  const isOpen = text.endsWith(EDGE);
  if (isOpen) {
    const near = Math.max(0, text.length - NEAR);
    text = text.slice(0, near) + ended(text.slice(near)).replace(OPENING, "$1");
  }
  /** Whether what has begun before `from` may go on to the end of the line that is being written. */
  const goesOn = (from) => isOpen && from < text.length && !text.includes("\n", from);
  let plain = "";
  let at = 0;
  const put = (...nodes) => {
    if (plain) parent.append(plain);
    plain = "";
    parent.append(...nodes);
  };
  while (at < text.length) {
    const next = text[at];
    let done = 0;
    if (next === "\n") {
      put(make("br"));
      done = 1;
    } else if (next === "\\" && /[!-/:-@[-`{-~]/.test(text[at + 1] || "")) {
      plain += text[at + 1];
      done = 2;
    } else if (next === "`") {
      done = codeSpan();
    } else if (next === "[" || (next === "!" && text[at + 1] === "[")) {
      done = link(next === "!" ? at + 1 : at);
    } else if (next === "<") {
      done = angle();
    } else if ((next === "h" || next === "H") && !isWord(text[at - 1])) {
      done = bare();
    } else if (depth < MAX_DEPTH && (next === "*" || next === "_" || next === "~")) {
      done = emphasis();
    }
    if (done === 0) plain += next;
    at += done || 1;
  }
  put();

  function codeSpan() {
    let end = at;
    while (text[end] === "`") end += 1;
    const ticks = text.slice(at, end);
    for (let from = end; !none.has(ticks);) {
      const close = text.indexOf(ticks, from);
      if (close < 0 && goesOn(end)) { put(make("code", "", text.slice(end))); return text.length - at; }
      if (close < 0) { none.add(ticks); break; }
      let after = close;
      while (text[after] === "`") after += 1;
      if (after - close === ticks.length) {
        const code = text.slice(end, close).replace(/\n/g, " ");
        const isPadded = code.startsWith(" ") && code.endsWith(" ") && /[^ ]/.test(code);
        put(make("code", "", isPadded ? code.slice(1, -1) : code));
        return after - at;
      }
      from = after;
    }
    plain += ticks;
    return ticks.length;
  }

  function emphasis() {
    for (const [mark, outer, inner] of MARKS) {
      if (none.has(mark) || !text.startsWith(mark, at) || isSpace(text[at + mark.length])) continue;
      const under = mark[0] === "_";
      // Within a word it is part of a name, or the sign of a product.
      if (mark.length === 1 && isWord(text[at - 1]) && (under || isWord(text[at + 1]))) continue;
      if (under && isWord(text[at - 1])) continue;
      for (let from = at + mark.length; ;) {
        let close = text.indexOf(mark, from);
        const open = close < 0 && goesOn(from) ? EDGE : "";
        if (open) close = text.length;
        if (close < 0) { none.add(mark); break; }
        const after = close + mark.length;
        from = close + 1;
        if (!open) {
          if (isSpace(text[close - 1]) || text[close - 1] === "\\") continue;
          if (under && isWord(text[after])) continue;
          if (text[after] === mark[0]) { if (mark.length === 1) while (text[from] === mark[0]) from += 1; continue; }
          if (mark.length === 1 && text[close - 1] === mark[0]) continue;
          if (close === at + mark.length) continue;
        }
        const element = make(outer);
        const target = inner ? element.appendChild(make(inner)) : element;
        inline(text.slice(at + mark.length, close) + open, target, depth + 1);
        put(element);
        return (open ? close : after) - at;
      }
    }
    return 0;
  }

  function link(open) {
    labels ??= endsOfLabels();
    const close = labels.get(open);
    if (close === undefined || close >= open + 1000) return 0;
    const target = /\(\s{0,99}(?:<([^<>\n]{0,2000})>|((?:[^\s()]|\([^\s()]{0,500}\)){0,2000}))(?:\s{1,99}(?:"[^"]{0,500}"|'[^']{0,500}'))?\s{0,99}\)/y;
    target.lastIndex = close + 1;
    const match = target.exec(text);
    if (!match) return 0;
    const label = text.slice(open + 1, close);
    const address = match[1] ?? match[2];
    // An image is named, not fetched: whoever wrote its address would learn who reads this, and when.
    put(anchor(address, label || address, text[at] !== "!" && depth < MAX_DEPTH));
    return target.lastIndex - at;
  }

  /** Where the labels of links end, by where they begin. */
  function endsOfLabels() {
    const ends = new Map();
    const begun = [];
    if (!text.includes("](")) return ends;
    for (let at = 0; at < text.length; at += 1) {
      if (text[at] === "\\") at += 1;
      else if (text[at] === "[") begun.push(at);
      else if (text[at] === "]") {
        const open = begun.pop();
        if (text[at + 1] === "(") ends.set(open, at);
      }
    }
    return ends;
  }

  function angle() {
    const match = /<((?:https?:\/\/|mailto:)[^\s<>]{1,2000})>|<br ?\/?>/iy;
    match.lastIndex = at;
    const found = match.exec(text);
    if (!found) return 0;
    put(found[1] ? anchor(found[1], found[1], false) : make("br"));
    return found[0].length;
  }

  function bare() {
    const match = /https?:\/\/[^\s<>"'`|]{1,2000}/iy;
    match.lastIndex = at;
    let found = match.exec(text)?.[0];
    if (!found) return 0;
    let end = found.length;
    let surplus = found.split(")").length - found.split("(").length;
    for (; ; end -= 1) {
      const isSurplus = found[end - 1] === ")" && surplus > 0;
      if (isSurplus) surplus -= 1;
      else if (!".,;:!?*_~]}".includes(found[end - 1])) break;
    }
    found = found.slice(0, end);
    put(anchor(found, found, false));
    return found.length;
  }

  function anchor(address, label, styled) {
    let url = null;
    try { url = new URL(address); } catch {}
    const isSafe = url !== null && ["http:", "https:", "mailto:"].includes(url.protocol);
    const element = make(isSafe ? "a" : "span");
    if (isSafe) {
      element.href = url.href;
      element.target = "_blank";
      element.rel = "noopener noreferrer";
      element.title = url.href;
    }
    if (styled) inline(label, element, MAX_DEPTH - 1); else element.append(label);
    return element;
  }
}
