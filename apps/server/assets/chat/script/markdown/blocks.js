// Markdown's blocks. Every search remembers that it failed, nesting is bounded, and in a pattern nothing that repeats
// without bound stands beside another such that takes the same characters: the work stays linear in the text, whatever
// it is.

import { make } from "../dom.js";
import { codeBlock } from "./code.js";
import { ended, inline, MAX_DEPTH } from "./inline.js";

const FENCE = /^ {0,3}(`{3,}|~{3,})([^`]*)$/;
const HEADING = /^ {0,3}(#{1,6})\s+(.*)$/s;
const RULE = /^ {0,3}([-*_])(?:[ \t]*\1){2,}[ \t]*$/;
const QUOTE = /^ {0,3}> ?/;
const ITEM = /^( *)([-*+]|\d{1,9}[.)])(?: +(.*)|)$/s;
const COLUMNS = /^ *(?:\| *)?:?-+:?(?: *\| *:?-+:?)*(?: *\|)? *$/;

function startsBlock(line) {
  if (FENCE.test(line) || HEADING.test(line) || RULE.test(line) || QUOTE.test(line)) return true;
  const item = ITEM.exec(line);
  return item !== null && item[3] !== undefined && (item[2].length === 1 || parseInt(item[2], 10) === 1);
}

export function blocks(lines, parent, depth, tight, finished) {
  let at = 0;
  while (at < lines.length) {
    // The line at which the block before has ended is whole.
    if (finished && at < finished.end) { finished.line = at; finished.nodes = parent.childNodes.length; }
    const line = lines[at];
    let match;
    if (line.trim() === "") {
      at += 1;
    } else if ((match = FENCE.exec(line))) {
      const indent = line.length - line.trimStart().length;
      const fence = match[1];
      const code = [];
      at += 1;
      while (at < lines.length) {
        const end = lines[at].trim();
        at += 1;
        if (end.length >= fence.length && end === fence[0].repeat(end.length)) break;
        const body = lines[at - 1];
        code.push(body.slice(Math.min(indent, body.length - body.trimStart().length)));
      }
      parent.append(codeBlock(ended(code.join("\n")), ended(match[2]).trim().split(/[\s{]/)[0]));
    } else if ((match = HEADING.exec(line))) {
      const heading = make("h" + match[1].length);
      inline(match[2].trimEnd().replace(/(^|\s)#+$/, ""), heading, 0);
      parent.append(heading);
      at += 1;
    } else if (RULE.test(line)) {
      parent.append(make("hr"));
      at += 1;
    } else if (QUOTE.test(line) && depth < MAX_DEPTH) {
      const inner = [];
      while (at < lines.length && QUOTE.test(lines[at])) inner.push(lines[at++].replace(QUOTE, ""));
      const quote = make("blockquote");
      blocks(inner, quote, depth + 1, false);
      parent.append(quote);
    } else if (ITEM.test(line) && depth < MAX_DEPTH) {
      at = list(lines, at, parent, depth);
    } else if (line.includes("|") && (lines[at + 1] || "").includes("|") && COLUMNS.test(lines[at + 1])) {
      at = table(lines, at, parent);
    } else {
      const first = at;
      at += 1;
      while (at < lines.length && lines[at].trim() !== "" && !startsBlock(lines[at])) at += 1;
      const target = tight ? parent : make("p");
      inline(lines.slice(first, at).map((one) => one.trim()).join("\n"), target, 0);
      if (!tight) parent.append(target);
    }
  }
}

function list(lines, at, parent, depth) {
  const [, lead, marker] = ITEM.exec(lines[at]);
  const ordered = marker.length > 1;
  const element = make(ordered ? "ol" : "ul");
  if (ordered && parseInt(marker, 10) !== 1) element.start = parseInt(marker, 10);
  const items = [];
  let loose = false;
  let blank = false;
  for (; at < lines.length; at += 1) {
    const line = lines[at].replace(/^\s+/, (white) => white.replace(/\t/g, "    "));
    if (line.trim() === "") { blank = true; items.at(-1).lines.push(""); continue; }
    const indent = line.length - line.trimStart().length;
    const match = RULE.test(line) ? null : ITEM.exec(line);
    if (match && indent < lead.length + 2) {
      if ((match[2].length > 1) !== ordered || indent + 1 < lead.length) break;
      if (blank) loose = true;
      items.push({ width: indent + match[2].length + 1, lines: [match[3] || ""] });
    } else if (items.length && indent >= lead.length + 2) {
      if (blank && !match) loose = true;
      items.at(-1).lines.push(line.slice(Math.min(indent, items.at(-1).width)));
    } else if (!blank && !startsBlock(line)) {
      items.at(-1).lines.push(line);
    } else {
      break;
    }
    blank = false;
  }
  for (const item of items) {
    const entry = make("li");
    item.lines[0] = item.lines[0].replace(/^\[ \] /, "☐ ").replace(/^\[[xX]\] /, "☑ ");
    blocks(item.lines, entry, depth + 1, !loose);
    element.append(entry);
  }
  parent.append(element);
  return at;
}

function cells(line) {
  const text = line.trim().replace(/^\|/, "").replace(/\|$/, "");
  const found = [""];
  for (let at = 0; at < text.length; at += 1) {
    if (text[at] === "\\" && text[at + 1] === "|") { found[found.length - 1] += "|"; at += 1; }
    else if (text[at] === "|") found.push("");
    else found[found.length - 1] += text[at];
  }
  return found.map((cell) => cell.trim());
}

function table(lines, at, parent) {
  const sides = cells(lines[at + 1]).map((cell) =>
    cell.endsWith(":") ? (cell.startsWith(":") ? "center" : "right") : "");
  const row = (line, name) => {
    const values = cells(line);
    // One cell for all that are missing: many columns and many short rows would make more of them than there is text.
    const blank = values.length < sides.length ? [make(name)] : [];
    for (const cell of blank) cell.colSpan = sides.length - values.length;
    return make("tr", "", ...sides.slice(0, values.length).map((side, column) => {
      const cell = make(name, side);
      inline(values[column], cell, 0);
      return cell;
    }), ...blank);
  };
  const head = make("thead", "", row(lines[at], "th"));
  const body = make("tbody");
  for (at += 2; at < lines.length && lines[at].includes("|"); at += 1) body.append(row(lines[at], "td"));
  parent.append(make("div", "wide", make("table", "", head, body)));
  return at;
}
