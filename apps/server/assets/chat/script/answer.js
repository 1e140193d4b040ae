// Questions and answers in the transcript, from the first dots to the end of a turn.

import { $, make, on } from "./dom.js";
import { said, t } from "./language.js";
import { announce } from "./live.js";
import { Writing } from "./markdown/writing.js";
import { state, turns } from "./state.js";

export function article(label, className) {
  const element = make("article", className);
  element.dataset.label = label;
  element.setAttribute("aria-label", t(label));
  $.thread.append(element);
  return element;
}

export function showQuestion(text) {
  const element = article("you", "mine");
  element.append(text);
  return element;
}

/** An answer that is still to come. */
export function openAnswer(question, mine) {
  const element = article("assistant", "answer");
  const body = element.appendChild(make("div", "body"));
  const turn = { id: null, question, mine, element, body, writing: new Writing(body), note: null };
  clearText(turn);
  return turn;
}

export function clearText(turn) {
  turn.writing.reset();
  turn.body.className = "body";
  turn.body.replaceChildren(make("span", "dots", make("i"), make("i"), make("i")));
}

export function addText(turn, text) {
  if (!text) return;
  if (!turn.writing.text) {
    turn.body.className = "body raw";
    note(turn, null);
  }
  turn.writing.add(text);
}

export function replaceText(turn, text) {
  if (text) turn.writing.reset(); else clearText(turn);
  addText(turn, text);
}

function endText(turn, text) {
  turn.writing.end(text);
  // Whoever watches the growing text has seen the last of it by then.
  queueMicrotask(() => { turn.body.className = "body"; });
}

/** Says that a message waits, and for what. */
export function tellWaiting(turn, { place, paused }) {
  const isBehind = [...turns.values(), state.posting, ...state.outgoing].find(Boolean) !== turn;
  note(turn, paused ? said("span", "paused") : place > 1 ? said("span", "place", place - 1) : said("span", isBehind ? "behind" : "next"));
}

export function note(turn, content, retry) {
  turn.note?.remove();
  turn.note = null;
  if (!content) return;
  turn.note = make("p", "note", content);
  if (retry && turn.question) {
    const button = said("button", "retry");
    button.type = "button";
    on(button, "click", () => {
      const makeRoom = () => {
        // What failed makes room for what is tried again; what was said stays.
        if (turn.element.classList.contains("failed")) { turn.element.remove(); turn.mine?.remove(); } else button.remove();
      };
      $.composer.dispatchEvent(new CustomEvent("again", { detail: { question: turn.question, makeRoom } }));
    });
    turn.note.append(button);
  }
  turn.element.append(turn.note);
}

function settle(turn) {
  if (turn.id) turns.delete(turn.id);
  if (turns.size === 0) state.stopping = false;
}

/** The words for an answer that is not whole, if it is not. */
export function cutShort(reason) {
  return { stopped: "stopped", length: "length", content_filter: "filtered" }[reason] || null;
}

export function finish(turn, text, reason) {
  settle(turn);
  endText(turn, text);
  const words = cutShort(reason) || (text ? null : "noAnswer");
  note(turn, words && said("span", words), words !== null);
  const spoken = [...turn.body.children].map((part) => (part.classList.contains("code") ? t("codeBlock") : part.innerText));
  if (words) spoken.push(t(words));
  announce(spoken.join("\n"));
}

export function fail(turn, problem) {
  settle(turn);
  const words = problem?.detail || t("failed");
  const kept = turn.writing.text.trim();
  // The words are streamed too, for readers who know nothing of failures.
  endText(turn, kept.endsWith(words) ? kept.slice(0, -words.length) : kept);
  turn.element.classList.add("failed");
  note(turn, make("span", "", words), true);
  announce(words);
}
