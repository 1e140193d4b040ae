// Refusals and failures as the SDK's own classes.

import { client, equal, holds, openai, refused, scenario, user } from "./scenario.mjs";

const create = (body) => client().chat.completions.create(body);

scenario("a_wrong_key_is_an_authentication_error", async () => {
  const wrong = client("oc_live_wrong");
  const body = { model: "mock-echo", messages: user("hi") };
  for (const call of [
    () => wrong.chat.completions.create(body),
    () => wrong.chat.completions.create({ ...body, stream: true }),
    () => wrong.models.list(),
  ]) {
    const error = await refused(openai.AuthenticationError, call, {
      status: 401, code: "invalid_api_key", type: "authentication_error",
    });
    holds(error.requestID, "no request id");
  }
});

scenario("an_unknown_model_is_not_found", async () => {
  await refused(openai.NotFoundError, () => client().models.retrieve("nobody"), {
    status: 404, code: "model_not_found", param: "model",
  });
  const listed = client("listed_key", { server: "listed_base_url" });
  for (const stream of [false, true]) {
    await refused(
      openai.NotFoundError,
      () => listed.chat.completions.create({ model: "nobody", messages: user("hi"), stream }),
      { status: 404, code: "model_not_found", param: "model", type: "invalid_request_error" },
    );
  }
});

scenario("a_wrong_field_is_named", async () => {
  for (const [param, change] of [
    ["messages", { messages: [] }],
    ["messages[0].role", { messages: [{ role: "wizard", content: "hi" }] }],
    ["messages[1].tool_call_id", { messages: [...user("hi"), { role: "tool", content: "x" }] }],
    ["messages[0].content[1]", { messages: user([{ type: "text", text: "a" }, { text: "b" }]) }],
    ["temperature", { temperature: 7 }],
    ["max_tokens", { max_tokens: 0 }],
    ["max_completion_tokens", { max_completion_tokens: -1 }],
    ["tools[0].function.name", { tools: [{ type: "function", function: {} }] }],
    ["model", { model: "" }],
  ]) {
    const error = await refused(
      openai.BadRequestError, () => create({ model: "mock-echo", messages: user("hi"), ...change }),
      { status: 400, code: "invalid_request", type: "invalid_request_error", param },
    );
    holds(error.message.length > 20, error.message);
  }
});

scenario("a_provider_that_is_down_is_an_internal_server_error", async () => {
  for (const stream of [false, true]) {
    const error = await refused(
      openai.InternalServerError, () => create({ model: "mock-f500", messages: user("hi"), stream }),
      { status: 502, code: "provider_unavailable", type: "server_error" },
    );
    holds(!error.message.includes("mock fault"), "the provider's own words are not the caller's");
  }
});

scenario("what_the_provider_refuses_is_a_bad_request", async () => {
  await refused(openai.BadRequestError, () => create({ model: "mock-f400", messages: user("hi") }), {
    status: 400, code: "invalid_request",
  });
});

scenario("a_context_too_long_for_the_model_is_named", async () => {
  // One is found too long by the provider, the other by the server itself.
  for (const [model, text] of [
    ["context-too-long", "hi"],
    ["mock-echo", "The quick brown fox jumps. ".repeat(36_000)],
  ]) {
    const error = await refused(openai.BadRequestError, () => create({ model, messages: user(text) }), {
      status: 400, code: "context_length_exceeded", param: "messages",
    });
    holds(!error.message.includes("/new"), "there are no commands here");
  }
});

scenario("a_stream_that_is_cut_raises", async () => {
  for (const model of ["mock-c9-d1-k3", "mock-c9-d1-e3"]) {
    let said = "";
    await refused(
      openai.APIError,
      async () => {
        const stream = await create({ model, messages: user("hi"), stream: true });
        for await (const chunk of stream) said += chunk.choices[0].delta.content ?? "";
      },
      { code: "provider_unavailable", type: "server_error" },
    );
    equal(said, "lorem ipsum lorem ", "what was said before stands");
  }
});

scenario("a_whole_answer_that_is_cut_raises", async () => {
  await refused(openai.InternalServerError, () => create({ model: "whole-cut", messages: user("hi") }), {
    status: 502, code: "provider_unavailable",
  });
});

scenario("a_body_beyond_the_limit_is_refused", async () => {
  const messages = user("x".repeat(1 << 20));
  const error = await refused(openai.APIError, () => create({ model: "mock-echo", messages }), {
    status: 413, code: "too_large", type: "invalid_request_error",
  });
  holds(error.message.includes("1048576"), error.message);
});

scenario("an_unknown_path_is_not_found", async () => {
  await refused(openai.NotFoundError, () => client().embeddings.create({ model: "x", input: "y" }), { code: "not_found" });
});
