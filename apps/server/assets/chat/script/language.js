// The language the page speaks: chosen by the person, else by the browser, else by the server.

import { make } from "./dom.js";
import { store } from "./storage.js";
import { LANGUAGES, WORDS } from "./words.js";

const root = document.documentElement;
// What the server speaks to whose browser speaks neither.
const own = root.lang;
export let language = own;

export function t(key, n) { return WORDS[key][LANGUAGES.indexOf(language)].replace("{n}", n); }

export function localize(within) {
  for (const e of within.querySelectorAll("[data-t]")) e.textContent = t(e.dataset.t, e.dataset.n);
  for (const e of within.querySelectorAll("[data-label]")) {
    e.setAttribute("aria-label", t(e.dataset.label));
    if (e.matches("button, summary")) e.title = t(e.dataset.label);
  }
  for (const e of within.querySelectorAll("[data-placeholder]")) e.placeholder = t(e.dataset.placeholder);
}

export function chooseLanguage() {
  const chosen = store.get("openclaw.language");
  language = [chosen, ...navigator.languages, own].map((tag) => `${tag}`.slice(0, 2)).find((tag) => LANGUAGES.includes(tag));
  root.lang = language;
}

/** An element whose text follows the language. */
export function said(name, key, n) {
  const element = make(name, "", t(key, n));
  element.dataset.t = key;
  if (n !== undefined) element.dataset.n = n;
  return element;
}
