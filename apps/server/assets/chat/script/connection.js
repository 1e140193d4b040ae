// The stream of a chat's events: listened to, lost, picked up again.

import { addText, clearText, fail, finish, note, replaceText, tellWaiting } from "./answer.js";
import { API, call, isGone, path } from "./api.js";
import { rebuild } from "./conversation.js";
import { $, on } from "./dom.js";
import { keepDraft } from "./draft.js";
import { said, t } from "./language.js";
import { announce, banner, bannerLater } from "./live.js";
import { pin } from "./scroll.js";
import { latestTurn, state, turns } from "./state.js";
import { store } from "./storage.js";
import { refresh } from "./view.js";

/** What an event does to its turn, by its name. */
const ACTS = {
  "turn.started": (turn) => { clearText(turn); note(turn, null); },
  "text.delta": (turn, { text }) => addText(turn, text),
  "text.replace": (turn, { text }) => replaceText(turn, text),
  "tool.started": (turn, { name }) => note(turn, said("span", "tool", name)),
  "tool.finished": (turn) => note(turn, null),
  "notice": tellWaiting,
  "turn.finished": (turn, { text, finishReason }) => finish(turn, text, finishReason),
  "turn.failed": (turn, { problem }) => fail(turn, problem),
};

let source = null;
/** The id of the newest event seen. */
let position = "";
/** Counts the loads, so that only the latest one has a say. */
let loads = 0;
let reconnectTimer = 0;
let attempts = 0;

export const isListening = () => source !== null;

export function take(name, data) {
  const turn = turns.get(data.turnId);
  if (state.posting && !turn) { state.deferred.push([name, data]); return; }
  if (name === "reset") { rebuild(data.snapshot); return; }
  // Another tab began it, or this page slept through its beginning: the server knows the question.
  if (!turn) { load(); return; }
  ACTS[name](turn, data);
  if (name !== "text.delta") refresh();
}

export function disconnect() {
  clearTimeout(reconnectTimer);
  source?.close();
  source = null;
}

/** Listens to the chat from `position` on. */
function connect() {
  disconnect();
  const mine = new EventSource(`${API}${path()}/events?lastEventId=${position}`);
  source = mine;
  on(mine, "open", () => {
    attempts = 0;
    if (!$.banner.hidden && navigator.onLine) announce(t("back"));
    banner(navigator.onLine ? null : "offline");
  });
  on(mine, "error", () => {
    if (source !== mine) return;
    bannerLater(navigator.onLine ? "lost" : "offline");
    // After a refusal the browser does not try again by itself.
    if (mine.readyState === EventSource.CLOSED) later();
  });
  for (const name of [...Object.keys(ACTS), "reset"]) {
    on(mine, name, (event) => {
      if (source !== mine) return;
      if (event.lastEventId) position = event.lastEventId;
      take(name, JSON.parse(event.data));
    });
  }
}

/** Takes the conversation from the server and listens on from there. */
export async function load() {
  disconnect();
  loads += 1;
  const mine = loads;
  const answer = await call("GET", `${path()}/messages?limit=50`).catch(() => null);
  if (mine !== loads || state.chat === null) return;
  if (answer?.ok) {
    position = answer.content.lastEventId;
    if (!state.posting) rebuild(answer.content);
    connect();
  } else if (isGone(answer)) {
    leave();
    banner("gone");
  } else {
    later();
  }
}

export function resume() {
  if (state.chat !== null) (position ? connect : load)();
}

/** Tries again after a while; spread out, so that not all pages of a restarted server come back at once. */
function later() {
  disconnect();
  bannerLater("lost");
  attempts += 1;
  reconnectTimer = setTimeout(load, Math.min(500 * 2 ** attempts, 15000) * (0.5 + Math.random() / 2));
}

export function leave() {
  disconnect();
  turns.clear();
  state.posting = null;
  state.outgoing = [];
  state.deferred = [];
  state.stopping = false;
  state.chat = null;
  position = "";
  loads += 1;
  pin(true);
  store.set("openclaw.chat", null);
  keepDraft();
  $.thread.replaceChildren();
  banner(null);
  refresh();
}
