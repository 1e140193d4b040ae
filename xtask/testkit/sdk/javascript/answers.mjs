// Answers, whole and streamed; models; headers; many at once; streams that their reader leaves.

import { client, equal, holds, openai, scenario, user } from "./scenario.mjs";

const create = (body, options) => client().chat.completions.create(body, options);

async function gathered(stream) {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return chunks;
}

scenario("an_answer_comes_whole", async () => {
  const answer = await create({ model: "mock-echo", messages: user('Привет, "мир"\n') });
  equal(answer.object, "chat.completion");
  holds(answer.id.startsWith("chatcmpl-") && answer.created > 1_700_000_000, answer.id);
  equal([answer.model, answer.choices.length], ["mock-echo", 1]);
  const [choice] = answer.choices;
  equal([choice.index, choice.finish_reason], [0, "stop"]);
  equal(choice.message, { role: "assistant", content: 'echo: Привет, "мир"\n', refusal: null });
  const { usage } = answer;
  holds(usage.prompt_tokens > 0 && usage.completion_tokens > 0, usage);
  equal(usage.total_tokens, usage.prompt_tokens + usage.completion_tokens);
});

scenario("an_answer_comes_streamed", async () => {
  const chunks = await gathered(await create({ model: "mock-c40-d1", messages: user("go"), stream: true }));
  equal(new Set(chunks.map((chunk) => chunk.object)), new Set(["chat.completion.chunk"]));
  equal(new Set(chunks.map(({ id, created, model }) => `${id} ${created} ${model}`)).size, 1, "one identity");
  equal(chunks[0].choices[0].delta.role, "assistant");
  equal(chunks.map((chunk) => chunk.choices[0].delta.content ?? "").join(""), "lorem ipsum ".repeat(20));
  equal(chunks.map((chunk) => chunk.choices[0].finish_reason).filter(Boolean), ["stop"]);
  holds(chunks.every((chunk) => !("usage" in chunk)), "usage that nobody asked for");
});

scenario("usage_ends_a_stream_that_asked_for_it", async () => {
  const messages = user("count");
  const stream_options = { include_usage: true };
  const chunks = await gathered(await create({ model: "usage-7-2", messages, stream: true, stream_options }));
  holds(chunks.slice(0, -1).every((chunk) => chunk.usage === null), "usage before the end");
  equal(chunks.at(-1).choices, []);
  equal(chunks.at(-1).usage, { prompt_tokens: 7, completion_tokens: 2, total_tokens: 9 });
  const whole = await create({ model: "usage-7-2", messages });
  equal(whole.usage, { prompt_tokens: 7, completion_tokens: 2, total_tokens: 9 });
});

scenario("usage_is_told_where_the_provider_says_none", async () => {
  const stream_options = { include_usage: true };
  const chunks = await gathered(
    await create({ model: "no-usage", messages: user("count"), stream: true, stream_options }),
  );
  const { usage } = chunks.at(-1);
  holds(usage.prompt_tokens > 0 && usage.completion_tokens > 0, usage);
  equal(usage.total_tokens, usage.prompt_tokens + usage.completion_tokens);
});

scenario("an_answer_cut_short_by_its_limit_says_length", async () => {
  const answer = await create({ model: "too-long", messages: user("go"), max_tokens: 300 });
  equal([answer.choices[0].finish_reason, answer.choices[0].message.content], ["length", "as far as"]);
});

scenario("models_are_listed_and_retrieved", async () => {
  const listed = [];
  for await (const model of client().models.list()) listed.push(model.id);
  holds(listed.includes("auto") && listed.includes("mock-echo"), listed);
  const model = await client().models.retrieve("auto");
  equal([model.id, model.object, model.owned_by], ["auto", "model", "openclaw"]);
  const answer = await create({ model: "auto", messages: user("hello") });
  equal([answer.model, answer.choices[0].message.content], ["mock-echo", "echo: hello"]);
});

scenario("raw_headers_name_the_request", async () => {
  const { data, response, request_id } = await create({ model: "mock-echo", messages: user("hi") }).withResponse();
  const id = response.headers.get("x-request-id");
  equal([id.length, request_id, data._request_id], [36, id, id]);
  equal(response.headers.get("content-type"), "application/json");
  const streamed = await create({ model: "mock-c2", messages: user("hi"), stream: true }).asResponse();
  holds(streamed.headers.get("content-type").startsWith("text/event-stream"), streamed.headers.get("content-type"));
  equal(streamed.headers.get("x-request-id").length, 36);
  holds(streamed.headers.get("x-request-id") !== id, "two requests of one name");
  await streamed.text();
});

scenario("raw_headers_tell_what_is_left", async () => {
  const ask = () => client("metered").chat.completions.create({ model: "usage-7-2", messages: user("hi") }).asResponse();
  const { headers } = await ask();
  equal(headers.get("x-ratelimit-limit-requests"), "3");
  equal(headers.get("x-ratelimit-remaining-requests"), "2");
  holds(headers.get("x-ratelimit-reset-requests").endsWith("s"), headers.get("x-ratelimit-reset-requests"));
  equal(headers.get("x-ratelimit-limit-tokens"), "100000");
  const left = Number(headers.get("x-ratelimit-remaining-tokens"));
  holds(0 < left && left <= 100_000, "tokens left");
  holds(headers.get("x-ratelimit-reset-tokens").endsWith("s"), headers.get("x-ratelimit-reset-tokens"));
  const again = await ask();
  equal(Number(again.headers.get("x-ratelimit-remaining-tokens")), left - 9, "what the first call cost");
});

scenario("a_whole_conversation_is_passed_on", async () => {
  const answer = await create({
    model: "records-conversation",
    messages: [
      { role: "developer", content: "Be brief." },
      { role: "user", content: [{ type: "text", text: "One " }, { type: "text", text: "two" }] },
      { role: "assistant", content: "Three." },
      { role: "user", content: "Four?", name: "ann" },
    ],
  });
  equal(answer.choices[0].message.content, "noted");
});

scenario("a_long_context_passes", async () => {
  const text = "The quick brown fox jumps. ".repeat(36_000);
  holds(text.length > 950_000, "about two hundred thousand tokens");
  const answer = await create({ model: "records-length", messages: user(text) });
  equal(answer.choices[0].message.content, String(text.length));
});

scenario("an_image_is_passed_on", async () => {
  const part = { type: "image_url", image_url: { url: "data:image/png;base64,iVBORw0KGgo=" } };
  const messages = user([{ type: "text", text: "What is this?" }, part]);
  equal((await create({ model: "records-image", messages })).choices[0].message.content, "noted");
});

scenario("twenty_streams_at_once_do_not_mix", async () => {
  const one = async (number) => {
    const text = `number ${number} `.repeat(20);
    const stream = await client("key", { maxRetries: 5 }).chat.completions.create({
      model: "mock-echo-d2", messages: user(text), stream: true,
    });
    const chunks = await gathered(stream);
    equal(chunks.map((chunk) => chunk.choices[0].delta.content ?? "").join(""), `echo: ${text}`);
  };
  await Promise.all(Array.from({ length: 20 }, (_, number) => one(number)));
});

scenario("leaving_a_stream_ends_the_call", async () => {
  const stream = await create({ model: "mock-c100000-d20-left", messages: user("go"), stream: true });
  let number = 0;
  for await (const _ of stream) if (++number === 4) break;
});

scenario("cancelling_a_stream_ends_the_call", async () => {
  const stream = await create({ model: "mock-c100000-d20-cancelled", messages: user("go"), stream: true });
  for await (const _ of stream) stream.controller.abort();
});

scenario("a_time_limit_of_the_client_ends_the_call", async () => {
  try {
    await create({ model: "mock-h600000-timed-out", messages: user("go") }, { timeout: 500 });
  } catch (error) {
    equal(error.constructor.name, openai.APIConnectionTimeoutError.name);
    return;
  }
  throw new Error("there was an answer");
});
