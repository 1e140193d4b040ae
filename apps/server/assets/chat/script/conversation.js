// The conversation as the server remembers it.

import { addText, article, cutShort, fail, nameLanguages, note, openAnswer, showQuestion, tellWaiting } from "./answer.js";
import { call, path } from "./api.js";
import { $, make } from "./dom.js";
import { button, said } from "./language.js";
import { announce } from "./live.js";
import { markdown } from "./markdown/writing.js";
import { offerRating } from "./rating.js";
import { pin } from "./scroll.js";
import { state, turns } from "./state.js";
import { refresh } from "./view.js";

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
    const body = make("div", "body", markdown(message.text));
    nameLanguages(body);
    element.append(body);
    const words = cutShort(message.finishReason);
    if (words) note({ ...asked, element }, said("span", words), true);
    if (message.turnId && message.finishReason) offerRating(element, message.turnId, message.feedback);
  }
}

/** Shows what the server knows, in place of what is shown. */
export function rebuild(snapshot) {
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
  if (turns.size === 0) state.stopping = false;
  // What ended while nobody listened is told now.
  for (const turn of waited.values()) {
    if (snapshot.messages.some((message) => message.text === turn.question)) {
      announce([...$.thread.querySelectorAll(".body")].at(-1)?.innerText || "");
    } else if (turn.mine) {
      $.thread.append(turn.mine, turn.element);
      fail(turn);
    }
  }
  for (const turn of state.outgoing) $.thread.append(turn.mine, turn.element);
  refresh();
}

function offerEarlier(before) {
  if (!before) return;
  const line = make("p", "note earlier", button("earlier", "", async () => {
    const answer = await call("GET", `${path()}/messages?limit=50&before=${before}`).catch(() => null);
    if (!answer?.ok || !line.isConnected) return;
    const shown = [...$.thread.childNodes].slice(1);
    const height = $.transcript.scrollHeight;
    pin(false);
    line.remove();
    offerEarlier(answer.content.next);
    asked = {};
    for (const message of answer.content.messages) showMessage(message);
    $.thread.append(...shown);
    $.transcript.scrollTop += $.transcript.scrollHeight - height;
    $.transcript.focus();
  }));
  $.thread.append(line);
}
