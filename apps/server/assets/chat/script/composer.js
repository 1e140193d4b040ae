// The box a person writes in, and its keys.

import { $, on } from "./dom.js";
import { keepDraft } from "./draft.js";
import { banner } from "./live.js";
import { closeMenu } from "./menu.js";
import { send, stop } from "./sending.js";
import { fit, refresh } from "./view.js";

function isOffline() {
  if (!navigator.onLine) banner("offline");
  return !navigator.onLine;
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

export function listenToComposer() {
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
  on($.stop, "click", () => { stop(); $.text.focus(); });
  // A question whose answer was none, or not whole.
  on($.composer, "again", ({ detail }) => {
    if (isOffline()) return;
    detail.makeRoom();
    $.text.focus();
    send(detail.question);
  });
}
