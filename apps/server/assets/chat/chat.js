// The chat page: a client of the native API. What a model writes is only ever text: it becomes elements made here one by
// one, never markup, and nothing it names is loaded.
"use strict";
(() => {

// --- words -----------------------------------------------------------------------------------------------------------

const CATALOGUE = {
  en: {
    newChat: "New chat",
    settings: "Settings",
    language: "Language",
    theme: "Appearance",
    auto: "Automatic",
    light: "Light",
    dark: "Dark",
    download: "Download this chat",
    deleteChat: "Delete this chat",
    deleteAsk: "Delete this chat? All its messages are erased on the server. This cannot be undone.",
    deleteYes: "Delete",
    deleted: "The chat has been erased.",
    cancel: "Cancel",
    conversation: "Conversation",
    latest: "To the latest message",
    earlier: "Earlier messages",
    hello: "What’s on your mind?",
    privacy: "Nothing is stored before your first message.",
    message: "Message",
    placeholder: "Write a message",
    send: "Send",
    stop: "Stop the answer",
    hint: "Enter sends · Shift+Enter starts a new line · ↑ recalls your last message · Esc stops",
    you: "You",
    assistant: "OpenClaw",
    next: "You are next in line.",
    behind: "Will be answered after the message before it.",
    paused: "Answering is paused. Your message is kept and will be answered later.",
    place: "Waiting in line. Before you: {n}.",
    tool: "Using a tool: {n}",
    stopped: "Stopped.",
    length: "The answer was cut off: it reached its length limit.",
    filtered: "The answer was withheld by the model’s provider.",
    noAnswer: "There is no answer to this message.",
    failed: "Something went wrong. Try again.",
    retry: "Try again",
    lost: "Connection lost. Reconnecting…",
    back: "Connected again.",
    offline: "You are offline. Messages can be sent once the connection is back.",
    gone: "This chat no longer exists. Your next message starts a new one.",
    copy: "Copy",
    copied: "Copied",
    codeBlock: "Code block.",
  },
  ru: {
    newChat: "Новый чат",
    settings: "Настройки",
    language: "Язык",
    theme: "Оформление",
    auto: "Автоматически",
    light: "Светлое",
    dark: "Тёмное",
    download: "Скачать этот чат",
    deleteChat: "Удалить этот чат",
    deleteAsk: "Удалить этот чат? Все его сообщения будут стёрты на сервере. Отменить это нельзя.",
    deleteYes: "Удалить",
    deleted: "Чат стёрт.",
    cancel: "Отмена",
    conversation: "Разговор",
    latest: "К последнему сообщению",
    earlier: "Более ранние сообщения",
    hello: "О чём поговорим?",
    privacy: "До первого сообщения ничего не сохраняется.",
    message: "Сообщение",
    placeholder: "Напишите сообщение",
    send: "Отправить",
    stop: "Остановить ответ",
    hint: "Enter — отправить · Shift+Enter — новая строка · ↑ — вернуть последнее сообщение · Esc — стоп",
    you: "Вы",
    assistant: "OpenClaw",
    next: "Вы следующий в очереди.",
    behind: "Ответ будет после предыдущего.",
    paused: "Ответы приостановлены. Сообщение сохранено, ответ будет позже.",
    place: "Сообщение ждёт в очереди. Перед вами: {n}.",
    tool: "Использую инструмент: {n}",
    stopped: "Остановлено.",
    length: "Ответ обрезан: достигнут предел его длины.",
    filtered: "Ответ скрыт провайдером модели.",
    noAnswer: "На это сообщение ответа нет.",
    failed: "Что-то пошло не так. Повторите.",
    retry: "Повторить",
    lost: "Связь потеряна. Подключаюсь снова…",
    back: "Связь восстановлена.",
    offline: "Нет сети. Отправить сообщение можно будет, когда она появится.",
    gone: "Этого чата больше нет. Следующее сообщение начнёт новый.",
    copy: "Копировать",
    copied: "Скопировано",
    codeBlock: "Блок кода.",
  },
};

const store = {
  get(key, area = "localStorage") { try { return window[area].getItem(key); } catch { return null; } },
  set(key, value, area = "localStorage") { try { value === null ? window[area].removeItem(key) : window[area].setItem(key, value); } catch {} },
};

const root = document.documentElement;
// What the server speaks to whose browser speaks neither.
const own = root.lang;
let language = own;

function t(key, n) { return CATALOGUE[language][key].replace("{n}", n); }

function localize(within) {
  for (const e of within.querySelectorAll("[data-t]")) e.textContent = t(e.dataset.t, e.dataset.n);
  for (const e of within.querySelectorAll("[data-label]")) {
    e.setAttribute("aria-label", t(e.dataset.label));
    if (e.matches("button, summary")) e.title = t(e.dataset.label);
  }
  for (const e of within.querySelectorAll("[data-placeholder]")) e.placeholder = t(e.dataset.placeholder);
}

function chooseLanguage() {
  const chosen = store.get("openclaw.language");
  language = [chosen, ...navigator.languages, own].map((tag) => `${tag}`.slice(0, 2)).find((tag) => tag in CATALOGUE);
  root.lang = language;
}

function chooseTheme() {
  const chosen = store.get("openclaw.theme");
  if (chosen === "light" || chosen === "dark") root.dataset.theme = chosen;
  else delete root.dataset.theme;
}

// Before the body is there, so that the page never flashes in the other theme.
chooseTheme();
chooseLanguage();

const on = (target, name, act, options) => target.addEventListener(name, act, options);

function make(name, className, ...children) {
  const element = document.createElement(name);
  if (className) element.className = className;
  element.append(...children);
  return element;
}

/** An element whose text follows the language. */
function said(name, key, n) {
  const element = make(name, "", t(key, n));
  element.dataset.t = key;
  if (n !== undefined) element.dataset.n = n;
  return element;
}

// --- Markdown --------------------------------------------------------------------------------------------------------
// Every search remembers that it failed, nesting is bounded, and in a pattern nothing that repeats without bound stands
// beside another such that takes the same characters: the work stays linear in the text, whatever it is.

const MAX_DEPTH = 8;
const FENCE = /^ {0,3}(`{3,}|~{3,})([^`]*)$/;
const HEADING = /^ {0,3}(#{1,6})\s+(.*)$/s;
const RULE = /^ {0,3}([-*_])(?:[ \t]*\1){2,}[ \t]*$/;
const QUOTE = /^ {0,3}> ?/;
const ITEM = /^( *)([-*+]|\d{1,9}[.)])(?: +(.*)|)$/s;
const COLUMNS = /^ *(?:\| *)?:?-+:?(?: *\| *:?-+:?)*(?: *\|)? *$/;

/** Stands where the text so far ends, while more of it is to come: what is open there is shown as if it were closed. */
const EDGE = "\0";
const ended = (text) => text.replace(EDGE, "");
/** A last line that is marks only does not say yet what it will be; nor does a row of a table before its end. */
const UNDECIDED = /^(?:[-*+_#=~`|:>!\\[\s]*|[-*+>\s]*\d{1,9}[.)]?|\s*[-*+]\s+\[[ xX]?\]?|\s*\|.*)\0$/;
/** Marks at the very end that may open something yet, and the address of a link whose label is known. */
const OPENING = /(?:!?\[([^[\]\n]*)(?:\](?:\([^\s()]*)?)?|[*_~`\\<]+)$/;
/** How far from the end marks are looked for. */
const NEAR = 300;
/** Up to so many characters of open text are rendered with every frame; more of it only after it has grown by a part. */
const CHEAP = 4096;
const GROWTH = 16;
const PATIENCE = 250;

// Renders a text that grows. Blocks that are finished are left alone; the open one is rendered again and what has
// changed of it is changed in place, so that selection and scrolling stay. In the end everything is as if it had been
// rendered at once: a block is finished when the line after it is.
class Writing {
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

function markdown(text) {
  const fragment = document.createDocumentFragment();
  new Writing(fragment).end(text);
  return fragment;
}

function startsBlock(line) {
  if (FENCE.test(line) || HEADING.test(line) || RULE.test(line) || QUOTE.test(line)) return true;
  const item = ITEM.exec(line);
  return item !== null && item[3] !== undefined && (item[2].length === 1 || parseInt(item[2], 10) === 1);
}

function blocks(lines, parent, depth, tight, finished) {
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

function codeBlock(text, name) {
  const button = said("button", "copy");
  button.type = "button";
  button.className = "plain";
  on(button, "click", () => copy(button));
  return make("div", "code", make("div", "head", make("span", "", name), button), make("pre", "", make("code", "", text)));
}

const isSpace = (character) => character === undefined || /\s/.test(character);
const isWord = (character) => character !== undefined && /[\p{L}\p{N}]/u.test(character);
const MARKS = [["***", "em", "strong"], ["**", "strong"], ["__", "strong"], ["~~", "s"], ["*", "em"], ["_", "em"]];

function inline(text, parent, depth) {
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

async function copy(button) {
  const code = button.closest(".code").querySelector("code");
  try {
    await navigator.clipboard.writeText(code.textContent);
  } catch {
    // Without a secure origin there is only the selection.
    getSelection().selectAllChildren(code);
    document.execCommand("copy");
    getSelection().removeAllRanges();
  }
  button.dataset.t = "copied";
  button.textContent = t("copied");
  announce(t("copied"));
  setTimeout(() => { button.dataset.t = "copy"; button.textContent = t("copy"); }, 2000);
}

// --- the conversation ------------------------------------------------------------------------------------------------

const API = "/api/v1/chats";
const EVENTS = ["turn.started", "text.delta", "text.replace", "tool.started", "tool.finished", "notice", "turn.finished", "turn.failed", "reset"];
const BANNER_AFTER = 2000;

const $ = {};
/** The chat's id; null until the first message. */
let chat = null;
let source = null;
/** The id of the newest event seen. */
let position = "";
/** Counts the loads, so that only the latest one has a say. */
let loads = 0;
/** Turns without an end, by id. */
const turns = new Map();
/** The turn whose message is on its way to the server. */
let posting = null;
/** Events that came meanwhile: only the server's answer says whose they are. */
let deferred = [];
/** Turns whose messages are still to go there, behind that one. */
let outgoing = [];
let stopping = false;
let pinned = true;
let bannerTimer = 0;
let reconnectTimer = 0;
let attempts = 0;
let hiddenAt = 0;

const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
const latestTurn = () => posting || [...turns.values()].at(-1) || null;

function announce(text) { $.live.replaceChildren(make("p", "", text)); }

function banner(key) {
  clearTimeout(bannerTimer);
  bannerTimer = 0;
  const same = $.banner.dataset.t === key && !$.banner.hidden;
  $.banner.hidden = !key;
  if (!key || same) return;
  $.banner.dataset.t = key;
  $.banner.textContent = t(key);
  announce(t(key));
}

function follow() {
  if (pinned) $.transcript.scrollTop = $.transcript.scrollHeight;
  $.latest.hidden = pinned;
}

function refresh() {
  const busy = latestTurn() !== null;
  const empty = $.thread.childElementCount === 0;
  $.transcript.setAttribute("aria-busy", String(busy));
  $.hello.hidden = !empty;
  $.new.hidden = empty;
  $.download.hidden = $.delete.hidden = chat === null;
  // The focused button must not vanish under the person's hands.
  const focused = document.activeElement;
  const blank = $.text.value.trim() === "";
  $.send.hidden = busy && blank;
  $.stop.hidden = !busy;
  $.send.setAttribute("aria-disabled", String(blank || !navigator.onLine));
  $.stop.setAttribute("aria-disabled", String(stopping));
  if (focused === (busy ? $.send : $.stop) && focused.hidden) $.text.focus();
  follow();
}

function fit() {
  $.text.style.height = "auto";
  $.text.style.height = $.text.scrollHeight + "px";
}

function article(label, className) {
  const element = make("article", className);
  element.dataset.label = label;
  element.setAttribute("aria-label", t(label));
  $.thread.append(element);
  return element;
}

function showQuestion(text) {
  const element = article("you", "mine");
  element.append(text);
  return element;
}

/** An answer that is still to come. */
function openAnswer(question, mine) {
  const element = article("assistant", "answer");
  const body = element.appendChild(make("div", "body"));
  const turn = { id: null, question, mine, element, body, writing: new Writing(body), note: null };
  clearText(turn);
  return turn;
}

function clearText(turn) {
  turn.writing.reset();
  turn.body.className = "body";
  turn.body.replaceChildren(make("span", "dots", make("i"), make("i"), make("i")));
}

function addText(turn, text) {
  if (!text) return;
  if (!turn.writing.text) {
    turn.body.className = "body raw";
    note(turn, null);
  }
  turn.writing.add(text);
}

function replaceText(turn, text) {
  if (text) turn.writing.reset(); else clearText(turn);
  addText(turn, text);
}

function endText(turn, text) {
  turn.writing.end(text);
  // Whoever watches the growing text has seen the last of it by then.
  queueMicrotask(() => { turn.body.className = "body"; });
}

/** Says that a message waits, and for what. */
function tellWaiting(turn, { place, paused }) {
  const isBehind = [...turns.values(), posting, ...outgoing].find(Boolean) !== turn;
  note(turn, paused ? said("span", "paused") : place > 1 ? said("span", "place", place - 1) : said("span", isBehind ? "behind" : "next"));
}

function note(turn, content, retry) {
  turn.note?.remove();
  turn.note = null;
  if (!content) return;
  turn.note = make("p", "note", content);
  if (retry && turn.question) {
    const button = said("button", "retry");
    button.type = "button";
    on(button, "click", () => {
      if (isOffline()) return;
      // What failed makes room for what is tried again; what was said stays.
      if (turn.element.classList.contains("failed")) { turn.element.remove(); turn.mine?.remove(); } else button.remove();
      $.text.focus();
      send(turn.question);
    });
    turn.note.append(button);
  }
  turn.element.append(turn.note);
}

function settle(turn) {
  if (turn.id) turns.delete(turn.id);
  if (turns.size === 0) stopping = false;
}

/** The words for an answer that is not whole, if it is not. */
function cutShort(reason) {
  return { stopped: "stopped", length: "length", content_filter: "filtered" }[reason] || null;
}

function finish(turn, text, reason) {
  settle(turn);
  endText(turn, text);
  const words = cutShort(reason) || (text ? null : "noAnswer");
  note(turn, words && said("span", words), words !== null);
  const spoken = [...turn.body.children].map((part) => (part.classList.contains("code") ? t("codeBlock") : part.innerText));
  if (words) spoken.push(t(words));
  announce(spoken.join("\n"));
}

function fail(turn, problem) {
  settle(turn);
  const words = problem?.detail || t("failed");
  const kept = turn.writing.text.trim();
  // The words are streamed too, for readers who know nothing of failures.
  endText(turn, kept.endsWith(words) ? kept.slice(0, -words.length) : kept);
  turn.element.classList.add("failed");
  note(turn, make("span", "", words), true);
  announce(words);
}

function take(name, data) {
  const turn = turns.get(data.turnId);
  if (posting && !turn) { deferred.push([name, data]); return; }
  if (name === "reset") { rebuild(data.snapshot); return; }
  // Another tab began it, or this page slept through its beginning: the server knows the question.
  if (!turn) { load(); return; }
  switch (name) {
    case "turn.started": clearText(turn); note(turn, null); break;
    case "text.delta": addText(turn, data.text); return;
    case "text.replace": replaceText(turn, data.text); break;
    case "tool.started": note(turn, said("span", "tool", data.name)); break;
    case "tool.finished": note(turn, null); break;
    case "notice": tellWaiting(turn, data); break;
    case "turn.finished": finish(turn, data.text, data.finishReason); break;
    case "turn.failed": fail(turn, data.problem); break;
  }
  refresh();
}

/** The question that was shown last, and its element; none where the page of messages begins behind it. */
let asked = {};

function showMessage(message) {
  if (message.role === "user") {
    asked = { question: message.text, mine: showQuestion(message.text) };
    return;
  }
  const element = article("assistant", "answer");
  if (message.unanswered) {
    element.classList.toggle("failed", message.unanswered !== "stopped");
    note({ ...asked, element }, make("span", "", message.text), true);
  } else {
    element.append(make("div", "body", markdown(message.text)));
    const words = cutShort(message.finishReason);
    if (words) note({ ...asked, element }, said("span", words), true);
  }
}

/** Shows what the server knows, in place of what is shown. */
function rebuild(snapshot) {
  const waited = new Map(turns);
  turns.clear();
  $.thread.replaceChildren();
  offerEarlier(snapshot.next);
  asked = {};
  for (const message of snapshot.messages) showMessage(message);
  for (const { turnId, text } of snapshot.pending) {
    const mine = showQuestion(text);
    const turn = openAnswer(text, mine);
    turn.id = turnId;
    turns.set(turnId, turn);
    waited.delete(turnId);
    if (snapshot.live?.turnId === turnId) addText(turn, snapshot.live.text);
    else if (turns.size > 1) tellWaiting(turn, {});
  }
  if (turns.size === 0) stopping = false;
  // What ended while nobody listened is told now.
  for (const turn of waited.values()) {
    if (snapshot.messages.some((message) => message.text === turn.question)) {
      announce([...$.thread.querySelectorAll(".answer")].at(-1)?.innerText || "");
    } else if (turn.mine) {
      $.thread.append(turn.mine, turn.element);
      fail(turn);
    }
  }
  for (const turn of outgoing) $.thread.append(turn.mine, turn.element);
  refresh();
}

function offerEarlier(before) {
  if (!before) return;
  const button = said("button", "earlier");
  button.type = "button";
  const line = make("p", "note earlier", button);
  on(button, "click", async () => {
    const answer = await call("GET", `${path()}/messages?limit=50&before=${before}`).catch(() => null);
    if (!answer?.ok || !line.isConnected) return;
    const shown = [...$.thread.childNodes].slice(1);
    const height = $.transcript.scrollHeight;
    pinned = false;
    line.remove();
    offerEarlier(answer.content.next);
    asked = {};
    for (const message of answer.content.messages) showMessage(message);
    $.thread.append(...shown);
    $.transcript.scrollTop += $.transcript.scrollHeight - height;
    $.transcript.focus();
  });
  $.thread.append(line);
}

// --- the connection --------------------------------------------------------------------------------------------------

async function call(method, path, body, headers) {
  const response = await fetch(API + path, {
    method,
    headers: { "Accept-Language": language, ...(body ? { "Content-Type": "application/json" } : {}), ...headers },
    body: body && JSON.stringify(body),
  });
  const content = response.status === 204 ? null : await response.json().catch(() => null);
  return { status: response.status, ok: response.ok, content, retryAfter: Number(response.headers.get("Retry-After")) || 0 };
}

const isGone = (answer) => [401, 404].includes(answer?.status);
const path = () => "/" + encodeURIComponent(chat);

function disconnect() {
  clearTimeout(reconnectTimer);
  source?.close();
  source = null;
}

/** Listens to the chat from `position` on. */
function connect() {
  disconnect();
  const mine = new EventSource(`${API}${path()}/events?lastEventId=${position}`);
  source = mine;
  on(mine, "open", () => {
    attempts = 0;
    if (!$.banner.hidden && navigator.onLine) announce(t("back"));
    banner(navigator.onLine ? null : "offline");
  });
  on(mine, "error", () => {
    if (source !== mine) return;
    if (!bannerTimer && $.banner.hidden) bannerTimer = setTimeout(banner, BANNER_AFTER, navigator.onLine ? "lost" : "offline");
    // After a refusal the browser does not try again by itself.
    if (mine.readyState === EventSource.CLOSED) later();
  });
  for (const name of EVENTS) {
    on(mine, name, (event) => {
      if (source !== mine) return;
      if (event.lastEventId) position = event.lastEventId;
      take(name, JSON.parse(event.data));
    });
  }
}

/** Takes the conversation from the server and listens on from there. */
async function load() {
  disconnect();
  loads += 1;
  const mine = loads;
  const answer = await call("GET", `${path()}/messages?limit=50`).catch(() => null);
  if (mine !== loads || chat === null) return;
  if (answer?.ok) {
    position = answer.content.lastEventId;
    if (!posting) rebuild(answer.content);
    connect();
  } else if (isGone(answer)) {
    leave();
    banner("gone");
  } else {
    later();
  }
}

function resume() {
  if (chat !== null) (position ? connect : load)();
}

/** Tries again after a while; spread out, so that not all pages of a restarted server come back at once. */
function later() {
  disconnect();
  if (!bannerTimer && $.banner.hidden) bannerTimer = setTimeout(banner, BANNER_AFTER, "lost");
  attempts += 1;
  reconnectTimer = setTimeout(load, Math.min(500 * 2 ** attempts, 15000) * (0.5 + Math.random() / 2));
}

function leave() {
  disconnect();
  turns.clear();
  posting = null;
  outgoing = [];
  deferred = [];
  stopping = false;
  chat = null;
  position = "";
  loads += 1;
  pinned = true;
  store.set("openclaw.chat", null);
  keepDraft();
  $.thread.replaceChildren();
  banner(null);
  refresh();
}

/** Sends until the server has said yes or no; the key makes a second try of the same message harmless. */
async function deliver(turn) {
  const key = crypto.getRandomValues(new Uint32Array(4)).join("-");
  for (let tries = 0; ; tries += 1) {
    let answer = null;
    try {
      if (chat === null) {
        answer = await call("POST", "", {});
        if (answer.ok && posting === turn) {
          chat = answer.content.chatId;
          store.set("openclaw.chat", chat);
          // Listening begins before there is anything to hear.
          await load();
        }
      }
      if (posting !== turn) return null;
      if (chat !== null) answer = await call("POST", `${path()}/messages`, { text: turn.question }, { "Idempotency-Key": `"${key}"` });
    } catch {
      answer = null;
    }
    if (posting !== turn) return null;
    // An answer that was cut short is none.
    if (answer?.ok && !answer.content) answer = null;
    if (answer?.ok) { banner(null); return answer.content.turnId; }
    // The chat is gone, or the cookie that opened it: the message begins a new one.
    if (isGone(answer) && chat !== null && tries < 3) {
      disconnect();
      chat = null;
      turns.forEach((one) => fail(one));
      continue;
    }
    if (![undefined, 409, 502, 503].includes(answer?.status) || tries >= 6) throw answer?.content || {};
    if (answer === null) banner(navigator.onLine ? "lost" : "offline");
    await pause(Math.max(answer?.retryAfter * 1000 || 0, Math.min(500 * 2 ** tries, 8000)));
  }
}

/** Shows a message and sends it, after those that are on their way. */
async function send(question) {
  pinned = true;
  const turn = openAnswer(question, null);
  turn.mine = showQuestion(question);
  turn.element.before(turn.mine);
  if (latestTurn()) tellWaiting(turn, {});
  outgoing.push(turn);
  while (outgoing.length && !posting) await post(outgoing.shift());
  refresh();
}

async function post(turn) {
  posting = turn;
  refresh();
  try {
    const id = await deliver(turn);
    if (posting !== turn) return;
    turn.id = id;
    turns.set(id, turn);
  } catch (problem) {
    if (posting !== turn) return;
    fail(turn, problem);
  }
  posting = null;
  const events = deferred;
  deferred = [];
  // A new chat is not listened to yet; a snapshot may be older than the message.
  if (chat !== null && (source === null || events.some(([name]) => name === "reset"))) await load();
  else for (const [name, data] of events) take(name, data);
  if (stopping) stop();
  refresh();
}

async function stop() {
  if (!latestTurn()) return;
  for (const turn of outgoing.splice(0)) finish(turn, "", "stopped");
  stopping = true;
  refresh();
  if (posting) return;
  const answer = await call("POST", path() + "/stop").catch(() => null);
  if (!answer?.ok) { stopping = false; refresh(); }
}

/** Hands over everything the server can still read of the chat, oldest first. */
async function download() {
  const said = [];
  for (let older = ""; older !== null;) {
    const answer = await call("GET", `${path()}/messages?limit=200${older}`).catch(() => null);
    if (!answer?.ok) { banner("failed"); return; }
    said.unshift(...answer.content.messages.map(({ role, at, text }) =>
      `## ${t(role === "user" ? "you" : "assistant")}, ${new Date(at).toLocaleString(language)}\n\n${text}\n`));
    older = answer.content.next && `&before=${answer.content.next}`;
  }
  const link = make("a");
  link.href = URL.createObjectURL(new Blob([said.join("\n")]));
  link.download = "openclaw-chat.md";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

async function erase() {
  const answer = await call("DELETE", path()).catch(() => null);
  if (answer?.ok || isGone(answer)) {
    leave();
    announce(t("deleted"));
  } else {
    banner("failed");
  }
  $.text.focus();
}

// --- the person ------------------------------------------------------------------------------------------------------

function isOffline() {
  if (!navigator.onLine) banner("offline");
  return !navigator.onLine;
}

/** Keeps what stands in the box for this tab's next page. Before the first message nothing is stored, nor is a draft. */
function keepDraft() {
  store.set("openclaw.draft", (chat !== null && $.text.value) || null, "sessionStorage");
}

function takeDraft() {
  $.text.value ||= store.get("openclaw.draft", "sessionStorage") || "";
  store.set("openclaw.draft", null, "sessionStorage");
}

/** Puts the last message into the empty box, to be changed and sent as a new one. */
function takeBack() {
  $.text.value = [...$.thread.querySelectorAll(".mine")].at(-1)?.textContent || "";
  fit();
  refresh();
}

function submit() {
  const question = $.text.value.trim();
  if (!question || isOffline()) return;
  $.text.value = "";
  keepDraft();
  fit();
  send(question);
}

function closeMenu() {
  if (!$.menu.open) return false;
  const inside = $.menu.contains(document.activeElement);
  $.menu.open = false;
  if (inside) $.menu.querySelector("summary").focus();
  return true;
}

function listen() {
  on($.composer, "submit", (event) => { event.preventDefault(); submit(); });
  on($.text, "input", () => { fit(); refresh(); });
  on($.text, "keydown", (event) => {
    // While a word is being composed, the keys choose it.
    if (event.shiftKey || event.isComposing || event.keyCode === 229) return;
    if (event.key === "Enter") submit();
    else if (event.key === "ArrowUp" && !$.text.value) takeBack();
    else return;
    event.preventDefault();
  });
  on(document, "keydown", (event) => {
    if (event.key !== "Escape" || $.confirm.open || event.isComposing) return;
    if (!closeMenu()) { stop(); $.text.focus(); }
  });
  on(document, "pointerdown", (event) => { if (!$.menu.contains(event.target)) $.menu.open = false; });
  on($.stop, "click", () => { stop(); $.text.focus(); });
  on($.new, "click", () => { leave(); $.text.focus(); });
  on($.download, "click", () => { closeMenu(); download(); });
  on($.delete, "click", () => { $.menu.open = false; $.confirm.returnValue = ""; $.confirm.showModal(); });
  on($.confirm, "close", () => { if ($.confirm.returnValue === "yes" && chat !== null) erase(); else $.text.focus(); });
  on($.latest, "click", () => { pinned = true; follow(); $.text.focus(); });
  on($.transcript, "scroll", () => {
    pinned = $.transcript.scrollHeight - $.transcript.scrollTop - $.transcript.clientHeight < 60;
    $.latest.hidden = pinned;
  }, { passive: true });
  for (const [name, apply] of [["language", chooseLanguage], ["theme", chooseTheme]]) {
    const chosen = store.get("openclaw." + name);
    for (const input of document.getElementsByName(name)) {
      input.checked = input.value === (chosen || "auto");
      on(input, "change", () => {
        store.set("openclaw." + name, input.value === "auto" ? null : input.value);
        apply();
        localize(document);
      });
    }
  }
  on(window, "offline", () => { banner("offline"); refresh(); });
  on(window, "online", () => { banner(null); resume(); refresh(); });
  on(document, "visibilitychange", () => {
    if (document.hidden) {
      hiddenAt = Date.now();
      // Also when the page is left: no later event is sure to come.
      keepDraft();
      // A browser has six connections to a server for all tabs; an idle one in the background needs none.
      if (!latestTurn()) disconnect();
    } else if (source === null || Date.now() - hiddenAt > 60000) {
      // A connection that slept through a suspended machine looks open and is dead.
      resume();
    }
  });
  on(window, "resize", () => { fit(); follow(); });
}

on(document, "DOMContentLoaded", () => {
  for (const element of document.querySelectorAll("[id]")) $[element.id] = element;
  localize(document);
  listen();
  takeDraft();
  fit();
  refresh();
  chat = store.get("openclaw.chat");
  if (chat !== null) load();
  if (!matchMedia("(pointer: coarse)").matches) $.text.focus();
});

})();
