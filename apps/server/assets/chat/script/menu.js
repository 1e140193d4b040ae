// The menu: language, appearance, and what can be done with the whole chat.

import { call, isGone, path } from "./api.js";
import { leave } from "./connection.js";
import { $, make, on } from "./dom.js";
import { chooseLanguage, language, localize, t } from "./language.js";
import { announce, banner } from "./live.js";
import { state } from "./state.js";
import { store } from "./storage.js";
import { chooseTheme } from "./theme.js";

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
  on($.download, "click", () => { closeMenu(); download(); });
  on($.delete, "click", () => { $.menu.open = false; $.confirm.returnValue = ""; $.confirm.showModal(); });
  on($.confirm, "close", () => { if ($.confirm.returnValue === "yes" && state.chat !== null) erase(); else $.text.focus(); });
  listenToChoices();
}
