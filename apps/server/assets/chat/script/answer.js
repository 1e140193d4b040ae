// Questions and answers in the transcript, from the first dots to the end of a turn.

import { $, make } from "./dom.js";
import { button, languageOf, said, t } from "./language.js";
import { announce } from "./live.js";
import { Writing } from "./markdown/writing.js";
import { offerRating } from "./rating.js";
import { state, turns } from "./state.js";

export function article(label, className) {
  const element = make("article", className);
  element.dataset.label = label;
  element.setAttribute("aria-label", t(label));
  $.thread.append(element);
  return element;
}

/** Says in which language the text of an element is, so that it is pronounced right. */
function inLanguage(element) {
  element.lang = languageOf(element.textContent);
  return element;
}

/** The same of all that an answer is made of. A block of code is in none, its button in that of the page. */
export function nameLanguages(body) {
  for (const part of body.children) if (part.className !== "code") inLanguage(part);
}

export function showQuestion(text) {
  const element = article("you", "mine");
  // Its name is in the language of the page.
  element.append(inLanguage(make("span", "", text)));
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
  nameLanguages(turn.body);
  // Whoever watches the growing text has seen the last of it by then.
  queueMicrotask(() => { turn.body.className = "body"; });
}

/** Says that a message waits, for what, and for how long where that is known. */
export function tellWaiting(turn, { place, paused, expectedWaitMs }) {
  const isBehind = [...turns.values(), state.posting, ...state.outgoing].find(Boolean) !== turn;
  const words = [paused ? said("span", "paused") : place > 1 ? said("span", "place", place - 1) : said("span", isBehind ? "behind" : "next")];
  if (expectedWaitMs >= 60000) words.push(said("span", "minutes", Math.ceil(expectedWaitMs / 60000)));
  else if (expectedWaitMs != null) words.push(said("span", "seconds", Math.max(5, Math.ceil(expectedWaitMs / 5000) * 5)));
  // Where a line moves, only its words change.
  if (!turn.note?.matches(".waits")) {
    note(turn, " ");
    turn.note.className += " waits";
  }
  turn.note.replaceChildren(...words);
}

export function note(turn, content, retry) {
  turn.note?.remove();
  turn.note = null;
  if (!content) return;
  turn.note = make("p", "note", content);
  if (retry && turn.question) {
    const again = button("retry", "", () => {
      const makeRoom = () => {
        // What failed makes room for what is tried again; what was said stays.
        if (turn.element.classList.contains("failed")) { turn.element.remove(); turn.mine?.remove(); } else again.remove();
      };
      $.composer.dispatchEvent(new CustomEvent("again", { detail: { question: turn.question, makeRoom } }));
    });
    turn.note.append(again);
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

/** How an answer ends that is read again; others are told once. */
const RATED = ["stop", "length", "content_filter", "tool_calls", "stopped"];

export function finish(turn, text, reason) {
  settle(turn);
  endText(turn, text);
  const words = cutShort(reason) || (text ? null : "noAnswer");
  note(turn, words && said("span", words), words !== null);
  if (text && RATED.includes(reason)) offerRating(turn.element, turn.id);
  const spoken = [...turn.body.children].map((part) =>
    (part.className === "code" ? t("codeBlock") : inLanguage(make("span", "", part.innerText))));
  if (words) spoken.push(t(words));
  announce(...spoken.flatMap((part) => ["\n", part]).slice(1));
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
