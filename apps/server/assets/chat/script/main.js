// The chat page: a client of the native API. What a model writes is only ever text: it becomes elements made here one by
// one, never markup, and nothing it names is loaded. `cargo xtask page` makes one script of this file and what it imports.

import { listenToComposer } from "./composer.js";
import { disconnect, isListening, load, resume } from "./connection.js";
import { $, on } from "./dom.js";
import { keepDraft, takeDraft } from "./draft.js";
import { chooseLanguage, localize } from "./language.js";
import { banner } from "./live.js";
import { listenToMenu } from "./menu.js";
import { follow, pin, scrolled } from "./scroll.js";
import { latestTurn, state } from "./state.js";
import { store } from "./storage.js";
import { chooseTheme } from "./theme.js";
import { fit, refresh } from "./view.js";

// Before the body is there, so that the page never flashes in the other theme.
chooseTheme();
chooseLanguage();

let hiddenAt = 0;

/** Listens to what happens to the page as a whole. */
function listen() {
  on($.latest, "click", () => { pin(true); follow(); $.text.focus(); });
  on($.transcript, "scroll", scrolled, { passive: true });
  on(window, "offline", () => { banner("offline"); refresh(); });
  on(window, "online", () => { banner(null); resume(); refresh(); });
  on(document, "visibilitychange", () => {
    if (document.hidden) {
      hiddenAt = Date.now();
      // Also when the page is left: no later event is sure to come.
      keepDraft();
      // A browser has six connections to a server for all tabs; an idle one in the background needs none.
      if (!latestTurn()) disconnect();
    } else if (!isListening() || Date.now() - hiddenAt > 60000) {
      // A connection that slept through a suspended machine looks open and is dead.
      resume();
    }
  });
  on(window, "resize", () => { fit(); follow(); });
}

on(document, "DOMContentLoaded", () => {
  for (const element of document.querySelectorAll("[id]")) $[element.id] = element;
  localize(document);
  listenToComposer();
  listenToMenu();
  listen();
  takeDraft();
  fit();
  refresh();
  state.chat = store.get("openclaw.chat");
  if (state.chat !== null) load();
  if (!matchMedia("(pointer: coarse)").matches) $.text.focus();
});
