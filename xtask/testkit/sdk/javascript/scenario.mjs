// What every scenario has: the clients, the check that explains itself, and the runner that reports by name.
//
// A scenario is registered under the name the catalogue of the test has; one that is asked for and not there fails, so
// that nothing is left out unseen.

import { createRequire } from "node:module";
import { isDeepStrictEqual, inspect } from "node:util";
import { text } from "node:stream/consumers";

const require = createRequire(`${process.env.OPENCLAW_TEST_NODE_MODULES}/`);
export const openai = require("openai");

const scenarios = new Map();
let asked = {};

export function scenario(name, body) {
  scenarios.set(name, body);
}

// A client as people make one: where the server is, and a key.
export function client(key = "key", { server = "base_url", ...options } = {}) {
  return new openai.OpenAI({
    baseURL: asked[server], apiKey: asked[key] ?? key, maxRetries: 0, timeout: 60_000, ...options,
  });
}

// A `fetch` that writes down the status of every answer.
export function watched(statuses) {
  return async (url, init) => {
    const response = await fetch(url, init);
    statuses.push(response.status);
    return response;
  };
}

export const user = (content) => [{ role: "user", content }];

export function equal(found, expected, what = "") {
  if (!isDeepStrictEqual(found, expected)) {
    throw new Error(`${what}: ${inspect(found, { depth: 6 })} is not ${inspect(expected, { depth: 6 })}`);
  }
}

export function holds(truth, what) {
  if (!truth) throw new Error(typeof what === "string" ? what : inspect(what));
}

// The SDK must raise exactly this class, with these attributes.
export async function refused(expected, call, attributes = {}) {
  try {
    await call();
  } catch (error) {
    if (!(error instanceof openai.APIError)) throw error;
    equal(error.constructor.name, expected.name, `the class of ${error.message}`);
    for (const [name, value] of Object.entries(attributes)) equal(error[name], value, `${name} of ${error.message}`);
    return error;
  }
  throw new Error(`nothing was raised, not ${expected.name}`);
}

export async function run() {
  asked = JSON.parse(await text(process.stdin));
  for (const name of asked.scenarios) {
    let failure = null;
    try {
      holds(scenarios.has(name), "there is no such scenario");
      await scenarios.get(name)();
    } catch (error) {
      failure = error.stack ?? String(error);
    }
    console.log(JSON.stringify({ scenario: name, failure }));
  }
}
