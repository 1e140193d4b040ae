// Each parameter is passed on or refused by name.

import { client, equal, openai, refused, scenario, user } from "./scenario.mjs";

const SCHEMA = {
  type: "json_schema",
  json_schema: { name: "place", strict: true, schema: { type: "object", properties: {} } },
};
const TOOLS = [{ type: "function", function: { name: "clock" } }];

const create = (body) => client().chat.completions.create(body);

scenario("what_a_model_understands_is_passed_on", async () => {
  const answer = await create({
    model: "records-parameters", messages: user("hi"), temperature: 0.5, top_p: 0.25, seed: 7, stop: ["END", "STOP"],
    frequency_penalty: 0.5, presence_penalty: -0.5, logit_bias: { 50256: -100 }, response_format: SCHEMA,
    reasoning_effort: "low", verbosity: "low", max_completion_tokens: 500, n: 1, logprobs: false, user: "ann",
    metadata: { a: "b" }, store: false, service_tier: "auto", modalities: ["text"],
    prediction: { type: "content", content: "hi" }, prompt_cache_key: "k", safety_identifier: "s",
    top_k: 40, min_p: 0.05, repetition_penalty: 1.1, unheard_of: 1,
  });
  equal(answer.choices[0].message.content, "noted");
});

scenario("the_limit_of_an_answer_has_two_names", async () => {
  const messages = user("hi");
  await create({ model: "records-max-tokens", messages, max_tokens: 300 });
  await create({ model: "records-max-tokens", messages, max_completion_tokens: 400 });
  await create({ model: "records-max-tokens", messages, max_tokens: 1, max_completion_tokens: 500 });
});

async function eachRefused(code, cases) {
  for (const [param, fields] of cases) {
    await refused(openai.BadRequestError, () => create({ model: "never-asked", messages: user("hi"), ...fields }), {
      param, code, type: "invalid_request_error",
    });
  }
}

scenario("what_cannot_be_honoured_is_refused_by_name", () =>
  eachRefused("unsupported_parameter", [
    ["n", { n: 2 }],
    ["logprobs", { logprobs: true }],
    ["top_logprobs", { top_logprobs: 3 }],
    ["audio", { audio: { voice: "x", format: "wav" }, modalities: ["text"] }],
    ["modalities", { modalities: ["text", "audio"] }],
    ["store", { store: true }],
    ["service_tier", { service_tier: "priority" }],
    ["web_search_options", { web_search_options: {} }],
    ["tools[0].type", { tools: [{ type: "custom", custom: { name: "x" } }] }],
  ]));

scenario("what_is_of_the_wrong_form_is_refused_by_name", () =>
  eachRefused("invalid_request", [
    ["stop", { stop: 5 }],
    ["stop", { stop: ["a", 5] }],
    ["seed", { seed: "x" }],
    ["response_format", { response_format: "json" }],
    ["response_format.type", { response_format: { kind: "json" } }],
    ["logit_bias", { logit_bias: [1] }],
    ["parallel_tool_calls", { parallel_tool_calls: "yes", tools: TOOLS }],
    ["tool_choice", { tool_choice: "perhaps", tools: TOOLS }],
    [
      "tool_choice.function.name",
      { tool_choice: { type: "function", function: { name: "other" } }, tools: TOOLS },
    ],
    ["tool_choice", { tool_choice: "required" }],
    ["reasoning_effort", { reasoning_effort: 3 }],
  ]));
