// The transcript follows what is written in it until the person scrolls away.

import { $ } from "./dom.js";

let pinned = true;

/** Follows from now on, or no longer. */
export function pin(value) { pinned = value; }

export function follow() {
  if (pinned) $.transcript.scrollTop = $.transcript.scrollHeight;
  $.latest.hidden = pinned;
}

export function scrolled() {
  pinned = $.transcript.scrollHeight - $.transcript.scrollTop - $.transcript.clientHeight < 60;
  $.latest.hidden = pinned;
}
