// A block of code with its button.

import { make, on } from "../dom.js";
import { said, t } from "../language.js";
import { announce } from "../live.js";

export function codeBlock(text, name) {
  const button = said("button", "copy");
  button.type = "button";
  button.className = "plain";
  on(button, "click", () => copy(button));
  return make("div", "code", make("div", "head", make("span", "", name), button), make("pre", "", make("code", "", text)));
}

async function copy(button) {
  const code = button.closest(".code").querySelector("code");
  try {
    await navigator.clipboard.writeText(code.textContent);
  } catch {
    // Without a secure origin there is only the selection.
    getSelection().selectAllChildren(code);
    document.execCommand("copy");
    getSelection().removeAllRanges();
  }
  button.dataset.t = "copied";
  button.textContent = t("copied");
  announce(t("copied"));
  setTimeout(() => { button.dataset.t = "copy"; button.textContent = t("copy"); }, 2000);
}
