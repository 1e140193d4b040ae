// A block of code with its button.

import { make } from "../dom.js";
import { button, t } from "../language.js";
import { announce } from "../live.js";

export function codeBlock(text, name) {
  const copier = button("copy", "plain", () => copy(copier));
  return make("div", "code", make("div", "head", make("span", "", name), copier), make("pre", "", make("code", "", text)));
}

async function copy(copier) {
  const code = copier.closest(".code").querySelector("code");
  try {
    await navigator.clipboard.writeText(code.textContent);
  } catch {
    // Without a secure origin there is only the selection.
    getSelection().selectAllChildren(code);
    document.execCommand("copy");
    getSelection().removeAllRanges();
  }
  copier.dataset.t = "copied";
  copier.textContent = t("copied");
  announce(t("copied"));
  setTimeout(() => { copier.dataset.t = "copy"; copier.textContent = t("copy"); }, 2000);
}
