// What stands in the box and is not sent yet.

import { $ } from "./dom.js";
import { state } from "./state.js";
import { store } from "./storage.js";

/** Keeps what stands in the box for this tab's next page. Before the first message nothing is stored, nor is a draft. */
export function keepDraft() {
  store.set("openclaw.draft", (state.chat !== null && $.text.value) || null, "sessionStorage");
}

export function takeDraft() {
  $.text.value ||= store.get("openclaw.draft", "sessionStorage") || "";
  store.set("openclaw.draft", null, "sessionStorage");
}
