// One chat completion through the official SDK. Reads a request as JSON from standard input, prints the outcome.

import { createRequire } from "node:module";
import { text as read } from "node:stream/consumers";

const require = createRequire(`${process.env.OPENCLAW_TEST_NODE_MODULES}/`);
const { OpenAI, APIError } = require("openai");
const asked = JSON.parse(await read(process.stdin));
const client = new OpenAI({
  baseURL: asked.base_url, apiKey: asked.api_key, maxRetries: asked.max_retries, timeout: 30_000,
});
try {
  let text = "", pieces = 0, usage = null, finish_reason = null;
  const answer = await client.chat.completions.create(asked.body);
  if (asked.body.stream) {
    for await (const chunk of answer) {
      usage = chunk.usage ?? usage;
      for (const choice of chunk.choices) {
        finish_reason = choice.finish_reason ?? finish_reason;
        if (choice.delta.content) {
          text += choice.delta.content;
          pieces += 1;
        }
      }
    }
  } else {
    ({ usage } = answer);
    text = answer.choices[0].message.content;
    ({ finish_reason } = answer.choices[0]);
    pieces = 1;
  }
  usage &&= { prompt_tokens: usage.prompt_tokens, completion_tokens: usage.completion_tokens };
  console.log(JSON.stringify({ text, pieces, finish_reason, usage }));
} catch (error) {
  if (!(error instanceof APIError)) throw error;
  const { status = null, code = null, type = null, message } = error;
  console.log(JSON.stringify({ error: { class: error.constructor.name, status, code, type, message } }));
}
