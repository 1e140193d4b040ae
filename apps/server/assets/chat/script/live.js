// What is told aloud, and the line across the top of the page.

import { $, make } from "./dom.js";
import { t } from "./language.js";

const BANNER_AFTER = 2000;

let bannerTimer = 0;

export function announce(...text) { $.live.replaceChildren(make("p", "", ...text)); }

export function banner(key) {
  clearTimeout(bannerTimer);
  bannerTimer = 0;
  const same = $.banner.dataset.t === key && !$.banner.hidden;
  $.banner.hidden = !key;
  if (!key || same) return;
  $.banner.dataset.t = key;
  $.banner.textContent = t(key);
  announce(t(key));
}

/** The same after a while, for what may be over by then. */
export function bannerLater(key) {
  if (!bannerTimer && $.banner.hidden) bannerTimer = setTimeout(banner, BANNER_AFTER, key);
}
