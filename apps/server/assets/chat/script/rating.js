// What a person thinks of an answer: one opinion, which can be changed, and a few words if they like.

import { call, path } from "./api.js";
import { $, make, on } from "./dom.js";
import { localize, said, t } from "./language.js";
import { announce, banner } from "./live.js";

/** Lets the answer of a turn be rated; `given` is what was thought of it before. */
export function offerRating(element, turnId, given) {
  let rating = given?.rating;
  const words = make("input");
  words.maxLength = 2000;
  words.dataset.label = words.dataset.placeholder = "why";
  words.value = given?.text || "";
  words.hidden = true;
  const buttons = ["up", "down"].map((own) => {
    // Not every machine has a thumb among its letters.
    const one = make("button", "plain " + own, $.thumb.content.cloneNode(true), said("span", own));
    one.type = "button";
    one.value = own;
    on(one, "click", () => { words.hidden = false; rate(own); });
    return one;
  });
  const form = make("form", "rate", ...buttons, words);
  const show = () => buttons.forEach((one) => one.setAttribute("aria-pressed", one.value === rating));
  const rate = async (chosen) => {
    const answer = await call("POST", path() + "/feedback", { turnId, rating: chosen, text: words.value }).catch(() => null);
    if (!answer?.ok) { banner("failed"); return; }
    rating = chosen;
    show();
    announce(t("thanks"));
    return true;
  };
  on(form, "submit", async (event) => {
    event.preventDefault();
    if (!await rate(rating)) return;
    words.hidden = true;
    buttons.find((one) => one.value === rating).focus();
  });
  show();
  localize(form);
  element.append(form);
}
