// The language the page speaks: chosen by the person, else by the browser, else by the server.

import { make, on } from "./dom.js";
import { store } from "./storage.js";
import { LANGUAGES, WORDS } from "./words.js";

const root = document.documentElement;
// What the server speaks to whose browser speaks neither.
const own = root.lang;
export let language = own;

const FORMS = { one: 0, few: 1, many: 2 };

export function t(key, n) {
  let text = WORDS[key][LANGUAGES.indexOf(language)];
  if (Array.isArray(text)) text = text[FORMS[new Intl.PluralRules(language).select(n)]] ?? text.at(-1);
  return text.replace("{n}", n);
}

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

/** The language of a text whose letters tell it, else none: which one Latin letters are of is not known. */
export function languageOf(text) {
  const count = (letters) => text.match(letters)?.length || 0;
  const russian = count(/[а-яё]/gi);
  // Who writes with all of these and more writes another language; so does who puts the hard sign before a consonant.
  const isOther = count(/\p{Script=Cyrillic}/gu) > russian || /ъ(?![еёюя])/i.test(text);
  return !isOther && russian * 2 > count(/\p{L}/gu) ? "ru" : "";
}

/** An element whose text follows the language. */
export function said(name, key, n) {
  const element = make(name, "", t(key, n));
  element.dataset.t = key;
  if (n !== undefined) element.dataset.n = n;
  return element;
}

/** A button whose words follow the language. */
export function button(key, className, act) {
  const element = said("button", key);
  element.type = "button";
  element.className = className;
  on(element, "click", act);
  return element;
}
