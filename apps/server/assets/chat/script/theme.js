// Light or dark: chosen by the person, else by the system.

import { store } from "./storage.js";

export function chooseTheme() {
  const root = document.documentElement;
  const chosen = store.get("openclaw.theme");
  if (chosen === "light" || chosen === "dark") root.dataset.theme = chosen;
  else delete root.dataset.theme;
}
