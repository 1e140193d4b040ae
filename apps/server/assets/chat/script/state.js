// What the page knows of its chat.

/** Turns without an end, by id. */
export const turns = new Map();

export const state = {
  /** The chat's id; null until the first message. */
  chat: null,
  /** The turn whose message is on its way to the server. */
  posting: null,
  /** Events that came meanwhile: only the server's answer says whose they are. */
  deferred: [],
  /** Turns whose messages are still to go there, behind that one. */
  outgoing: [],
  stopping: false,
};

export const latestTurn = () => state.posting || [...turns.values()].at(-1) || null;
