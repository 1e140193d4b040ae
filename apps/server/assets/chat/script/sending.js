// Messages on their way to the server, one after the other.

import { fail, finish, openAnswer, showQuestion, tellWaiting } from "./answer.js";
import { call, isGone, path } from "./api.js";
import { disconnect, isListening, load, take } from "./connection.js";
import { pause } from "./dom.js";
import { banner } from "./live.js";
import { pin } from "./scroll.js";
import { latestTurn, state, turns } from "./state.js";
import { store } from "./storage.js";
import { refresh } from "./view.js";

/** Sends until the server has said yes or no; the key makes a second try of the same message harmless. */
async function deliver(turn) {
  const key = crypto.getRandomValues(new Uint32Array(4)).join("-");
  for (let tries = 0; ; tries += 1) {
    let answer = null;
    try {
      if (state.chat === null) {
        answer = await call("POST", "", {});
        if (answer.ok && state.posting === turn) {
          state.chat = answer.content.chatId;
          store.set("openclaw.chat", state.chat);
          // Listening begins before there is anything to hear.
          await load();
        }
      }
      if (state.posting !== turn) return null;
      if (state.chat !== null) answer = await call("POST", `${path()}/messages`, { text: turn.question }, { "Idempotency-Key": `"${key}"` });
    } catch {
      answer = null;
    }
    if (state.posting !== turn) return null;
    // An answer that was cut short is none.
    if (answer?.ok && !answer.content) answer = null;
    if (answer?.ok) { banner(null); return answer.content.turnId; }
    // The chat is gone, or the cookie that opened it: the message begins a new one.
    if (isGone(answer) && state.chat !== null && tries < 3) {
      disconnect();
      state.chat = null;
      turns.forEach((one) => fail(one));
      continue;
    }
    if (![undefined, 409, 502, 503].includes(answer?.status) || tries >= 6) throw answer?.content || {};
    if (answer === null) banner(navigator.onLine ? "lost" : "offline");
    await pause(Math.max(answer?.retryAfter * 1000 || 0, Math.min(500 * 2 ** tries, 8000)));
  }
}

/** Shows a message and sends it, after those that are on their way. */
export async function send(question) {
  pin(true);
  const turn = openAnswer(question, null);
  turn.mine = showQuestion(question);
  turn.element.before(turn.mine);
  if (latestTurn()) tellWaiting(turn, {});
  state.outgoing.push(turn);
  while (state.outgoing.length && !state.posting) await post(state.outgoing.shift());
  refresh();
}

async function post(turn) {
  state.posting = turn;
  refresh();
  try {
    const id = await deliver(turn);
    if (state.posting !== turn) return;
    turn.id = id;
    turns.set(id, turn);
  } catch (problem) {
    if (state.posting !== turn) return;
    fail(turn, problem);
  }
  state.posting = null;
  const events = state.deferred;
  state.deferred = [];
  // A new chat is not listened to yet; a snapshot may be older than the message.
  if (state.chat !== null && (!isListening() || events.some(([name]) => name === "reset"))) await load();
  else for (const [name, data] of events) take(name, data);
  if (state.stopping) stop();
  refresh();
}

export async function stop() {
  if (!latestTurn()) return;
  for (const turn of state.outgoing.splice(0)) finish(turn, "", "stopped");
  state.stopping = true;
  refresh();
  if (state.posting) return;
  const answer = await call("POST", path() + "/stop").catch(() => null);
  if (!answer?.ok) { state.stopping = false; refresh(); }
}
