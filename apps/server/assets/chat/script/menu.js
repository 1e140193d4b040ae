// The menu: language, appearance, and what can be done with the whole chat.

import { call, isGone, path } from "./api.js";
import { leave } from "./connection.js";
import { $, make, on } from "./dom.js";
import { chooseLanguage, language, localize, t } from "./language.js";
import { announce, banner } from "./live.js";
import { state } from "./state.js";
import { store } from "./storage.js";
import { chooseTheme } from "./theme.js";

/** Hands over everything the server can still read of the chat, oldest first: to be read, or as it is. */
async function download(isData) {
  const answer = await call("POST", path() + "/export").catch(() => null);
  if (!answer?.content?.messages) { banner("failed"); return; }
  const text = isData ? JSON.stringify(answer.content, null, 1) : answer.content.messages.map(({ role, at, text }) =>
    `## ${t(role === "user" ? "you" : "assistant")}, ${new Date(at).toLocaleString(language)}\n\n${text}\n`).join("\n");
  const link = make("a");
  link.href = URL.createObjectURL(new Blob([text]));
  link.download = "openclaw-chat." + (isData ? "json" : "md");
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

export function closeMenu() {
  if (!$.menu.open) return false;
  const inside = $.menu.contains(document.activeElement);
  $.menu.open = false;
  if (inside) $.menu.querySelector("summary").focus();
  return true;
}

function listenToChoices() {
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
}

export function listenToMenu() {
  on(document, "pointerdown", (event) => { if (!$.menu.contains(event.target)) $.menu.open = false; });
  on($.new, "click", () => { leave(); $.text.focus(); });
  on($.download, "click", () => { closeMenu(); download(false); });
  on($.data, "click", () => { closeMenu(); download(true); });
  on($.delete, "click", () => { $.menu.open = false; $.confirm.returnValue = ""; $.confirm.showModal(); });
  on($.confirm, "close", () => { if ($.confirm.returnValue === "yes" && state.chat !== null) erase(); else $.text.focus(); });
  listenToChoices();
}
