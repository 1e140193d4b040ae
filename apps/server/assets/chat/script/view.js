// What is shown and what can be pressed follows from the state.

import { $ } from "./dom.js";
import { follow } from "./scroll.js";
import { latestTurn, state } from "./state.js";

export function refresh() {
  const busy = latestTurn() !== null;
  const empty = $.thread.childElementCount === 0;
  $.transcript.setAttribute("aria-busy", busy);
  $.hello.hidden = !empty;
  // Of a chat there is, something may be kept though nothing of it is shown.
  $.privacy.hidden = state.chat !== null;
  $.new.hidden = empty;
  $.download.hidden = $.data.hidden = $.delete.hidden = state.chat === null;
  // The focused button must not vanish under the person's hands.
  const focused = document.activeElement;
  const blank = $.text.value.trim() === "";
  $.send.hidden = busy && blank;
  $.stop.hidden = !busy;
  $.send.setAttribute("aria-disabled", blank || !navigator.onLine);
  $.stop.setAttribute("aria-disabled", state.stopping);
  if (focused === (busy ? $.send : $.stop) && focused.hidden) $.text.focus();
  follow();
}

export function fit() {
  $.text.style.height = "auto";
  $.text.style.height = $.text.scrollHeight + "px";
}
